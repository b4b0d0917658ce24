import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Traffic control in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct TrafficControlTests {
    /// A veth pair, up, and an ifb. Returns their indexes.
    private static func makeLinks(_ session: RouteSession) throws -> (veth: Int32, ifb: Int32) {
        try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1")), isUp: true))
        try session.createLink(LinkSpec(name: "ifb0", kind: .ifb, mtu: 1400, isUp: true))
        let veth = try #require(try session.link(named: "veth0"))
        let ifb = try #require(try session.link(named: "ifb0"))
        #expect(ifb.kind == "ifb" && ifb.mtu == 1400 && ifb.isUp)
        return (veth.index, ifb.index)
    }

    @Test(
        "A token bucket is set and read back alike by us and by tc",
        arguments: [
            (TokenBucket(rate: 1_000_000, burst: 200_000, latency: 25_000), "rate 8Mbit burst 200000b", "lat 25"),
            (TokenBucket(rate: 1, burst: 1, latency: 25_000), "rate 8bit burst 1b", ""),
            (TokenBucket(rate: 6_250_000_000, burst: 1 << 20, latency: 25_000), "rate 50Gbit burst 104", "lat 25"),
            (TokenBucket(rate: 125_000, burst: 536_870_911, latency: 25_000), "rate 1Mbit", ""),
            (TokenBucket(rate: UInt64(UInt32.max), burst: .max, latency: 25_000), "rate 34359Mbit", ""),
        ])
    func tokenBucket(_ bucket: TokenBucket, _ shown: String, _ latency: String) throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let (veth, _) = try Self.makeLinks(session)
            #expect(try session.discipline(.root, link: veth)?.tokenBucket == nil)
            try session.addTokenBucket(bucket, handle: 0x5357, link: veth)
            let found = try #require(try session.discipline(.root, link: veth))
            #expect(found.kind == "tbf" && found.handle == 0x5357)
            let state = try #require(found.tokenBucket)
            #expect(state.rate == bucket.rate && state.limit == bucket.limit && state.hasBurst(of: bucket), "\(state)")
            var other = bucket
            other.burst = bucket.burst > 1 ? bucket.burst / 2 : 2
            #expect(!state.hasBurst(of: other))
            let text = try command("tc -d qdisc show dev veth0 root")
            #expect(text.contains("tbf 5357:") && text.contains(shown) && text.contains(latency), "\(text)")

            #expect {
                try session.addTokenBucket(bucket, handle: 1, link: veth)
            } throws: { ($0 as? NetlinkError)?.errno == .fileExists }
            try session.removeDiscipline(.root, link: veth)
            #expect(try session.discipline(.root, link: veth)?.kind != "tbf")
        }
    }

    @Test("What comes in by one link leaves by another")
    func redirect() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let (veth, ifb) = try Self.makeLinks(session)
            #expect(try session.discipline(.ingress, link: veth) == nil)
            #expect(try session.ingressFilters(link: veth) == [])
            try session.addIngress(link: veth)
            #expect(try session.discipline(.ingress, link: veth)?.kind == "ingress")
            #expect(try session.ingressFilters(link: veth) == [])
            try session.addRedirect(from: veth, to: ifb)
            #expect(
                try session.ingressFilters(link: veth) == [TrafficFilter(kind: "u32", preference: 1, target: ifb)])
            let text = try command("tc filter show dev veth0 parent ffff:")
            #expect(text.contains("mirred (Egress Redirect to device ifb0) stolen"), "\(text)")
            for change in [{ try session.addIngress(link: veth) }, { try session.addRedirect(from: veth, to: ifb) }] {
                // A second filter of the same preference gets a handle of its own and is no error.
                _ = try? change()
            }
            try session.removeDiscipline(.ingress, link: veth)
            #expect(try session.discipline(.ingress, link: veth) == nil)
            #expect {
                try session.removeDiscipline(.ingress, link: veth)
            } throws: { [.noSuchFileOrDirectory, .invalidArgument].contains(($0 as? NetlinkError)?.errno) }
        }
    }

    @Test("Refusals carry the verb and the kernel's words")
    func refusals() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let (veth, ifb) = try Self.makeLinks(session)
            let error = #expect(throws: NetlinkError.self) { try session.addRedirect(from: veth, to: ifb) }
            #expect(error?.operation == "add redirecting filter" && error?.kernelMessage != nil, "\(error as Any)")
            for link in [4711, Int32.max] {
                let error = #expect(throws: NetlinkError.self) { try session.addIngress(link: link) }
                #expect(error?.errno == .noSuchDevice)
            }
            #expect(throws: NetlinkError.self) { try session.discipline(.root, link: 4711) }
            let empty = TokenBucket(rate: 1, burst: 0, limit: 1)
            #expect(throws: NetlinkError.self) { try session.addTokenBucket(empty, handle: 1, link: veth) }
        }
    }

    /// The proof that the parts do what they say: ten packets of 1000 bytes pass, those beyond the burst do not.
    @Test("A redirected packet passes the ifb's bucket")
    func packets() throws {
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let session = try RouteSession()
            let inner = try container.open()
            try session.createLink(
                LinkSpec(
                    name: "veth0", kind: .veth(peer: .init(name: "eth0", namespace: inner.descriptor)), isUp: true))
            try session.createLink(LinkSpec(name: "ifb0", kind: .ifb, isUp: true))
            let veth = try #require(try session.link(named: "veth0")).index
            let ifb = try #require(try session.link(named: "ifb0")).index
            try command("ip address add 10.1.2.1/24 dev veth0")
            try container.run {
                try command("ip address add 10.1.2.2/24 dev eth0")
                try command("ip link set eth0 up")
            }
            try session.addIngress(link: veth)
            try session.addRedirect(from: veth, to: ifb)
            // Room for one packet, and less than a byte a minute after it.
            try session.addTokenBucket(TokenBucket(rate: 1, burst: 1600, limit: 1600), handle: 0x5357, link: ifb)
            try container.run {
                // The first packets, of which one is ARP's, fit the burst.
                try command("ping -c 1 -W 5 -s 100 10.1.2.1")
                #expect(throws: CommandFailure.self) { try command("ping -c 3 -i 0.01 -W 1 -s 1400 10.1.2.1") }
            }
        }
    }
}
