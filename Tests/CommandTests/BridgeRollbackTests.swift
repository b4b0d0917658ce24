import JSON
import TestSupport
import Testing

/// A failing ADD leaves the world as it found it: no link, no address, no reservation, no bridge nobody had before.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference leaves the veth of every failed ADD"))
struct BridgeRollbackTests {
    /// One way for an ADD to fail: what is prepared in the lab, and the call.
    struct Failure: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var config = Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        var netns = "/run/netns/c0"
        var path = Plugins.directory
        var code: Int64?
        var refusal = ""
        var prepare: @Sendable (Lab) throws -> Void = { _ in }
    }

    static let failures: [Failure] = [
        Failure(
            testDescription: "the delegate is missing",
            config: Inputs.bridge("1.0.0").with(("ipam", ["type": "nowhere"])), refusal: "nowhere"),
        Failure(
            testDescription: "CNI_PATH is empty of plugins", path: "/run/none:/run", refusal: "host-local"),
        Failure(
            testDescription: "the pool is exhausted", config: Inputs.bridge("1.0.0", ["10.1.2.0/30"]),
            refusal: "no IP addresses available in range set",
            prepare: { try $0.write("/var/lib/cni/networks/net/10.1.2.2", "other\r\neth0") }),
        Failure(
            testDescription: "the container has such an interface", refusal: "already exists",
            prepare: { try $0.tool("ip", "link", "add", "eth0", "type", "bridge", in: "c0") }),
        Failure(testDescription: "the namespace is gone", netns: "/run/netns/gone", refusal: "/run/netns/gone"),
        Failure(testDescription: "the namespace is a file", netns: "/etc/hosts", refusal: "unknown FS magic"),
        Failure(testDescription: "the namespace is a directory", netns: "/run/netns", refusal: "/run/netns"),
        Failure(
            testDescription: "a route cannot be reached",
            config: Inputs.bridge("1.0.0").with(
                ("ipam", Inputs.ipam(["10.1.2.0/24"], [("routes", [["dst": "10.9.0.0/16", "gw": "192.0.2.1"]])]))),
            refusal: "10.9.0.0/16"),
        Failure(
            testDescription: "an IPv6 route cannot be reached",
            config: Inputs.bridge("1.0.0").with(
                (
                    "ipam",
                    Inputs.ipam(
                        ["10.1.2.0/24", "2001:db8::/64"],
                        [("routes", [["dst": "2001:db8:9::/64", "gw": "2001:db8:7::1"]])])
                )), refusal: "2001:db8:9::/64"),
        Failure(
            testDescription: "the bridge has another address", refusal: "already has an IP address different from",
            prepare: { lab in
                try lab.tool("ip", "link", "add", "br0", "type", "bridge")
                try lab.tool("ip", "address", "add", "10.77.0.1/16", "dev", "br0")
            }),
        Failure(
            testDescription: "the result has no form in 0.2.0", config: Inputs.bridge("0.2.0", []),
            refusal: "cannot convert: no valid IP addresses"),
        Failure(
            testDescription: "the store is on a read-only file system", refusal: "/var/lib/cni",
            prepare: { try $0.tool("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/var/lib/cni") }),
        Failure(
            testDescription: "the MTU is more than a link takes",
            config: Inputs.bridge("1.0.0", more: [("mtu", 65536)]),
            refusal: "mtu"),
    ]

    @Test("Nothing is left on an empty host", arguments: failures)
    func cold(_ failure: Failure) throws {
        let lab = try Lab()
        try expectUnchanged(failure, lab)
    }

    @Test("Nothing is left beside another container", arguments: failures)
    func warm(_ failure: Failure) throws {
        let lab = try Lab(containers: 2)
        try lab.add(Inputs.bridge("1.0.0", ["10.99.0.0/24"], name: "neighbour", bridge: "br1"), containerID: "c1")
        try expectUnchanged(failure, lab)
    }

    private func expectUnchanged(_ failure: Failure, _ lab: Lab) throws {
        try failure.prepare(lab)
        let start = try lab.world().withoutBookkeeping()
        for _ in 0..<2 {
            let answer = try lab.run("bridge", "ADD", netns: failure.netns, path: failure.path, failure.config)
            answer.expectRefusal(containing: failure.refusal)
            try lab.world().withoutBookkeeping().expectEqual(to: start, "\(answer)")
        }
    }

    private static let delegate = """
        #!/bin/sh
        cat > /run/ipam/$CNI_COMMAND.in
        echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >> /run/ipam/calls
        [ "$CNI_COMMAND" = ADD ] || exit 0
        nsenter --net="$CNI_NETNS" ip -o link show "$CNI_IFNAME" > /run/ipam/seen 2>&1
        cat /run/ipam/result
        exit $(cat /run/ipam/status)

        """

    private func lab(result: String, status: Int = 0) throws -> Lab {
        let lab = try Lab()
        try lab.write("/run/ipam/fake", Self.delegate, mode: 0o755)
        try lab.write("/run/ipam/result", result)
        try lab.write("/run/ipam/status", "\(status)")
        return lab
    }

    @Test(
        "A delegate that misbehaves",
        arguments: [
            ("", 0), ("{", 0), ("null", 0), ("[]", 0), ("{}", 0), (#"{"cniVersion":"1.0.0"}"#, 0),
            (#"{"cniVersion":"1.0.0","ips":[]}"#, 0), (#"{"cniVersion":"1.0.0","ips":[{"address":"x"}]}"#, 0),
            (#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.300/24"}]}"#, 0),
            (#"{"cniVersion":"9.9.9","ips":[{"address":"10.0.0.3/24"}]}"#, 0),
            (#"{"code":112,"msg":"no more","details":"ask again"}"#, 1), ("boom", 1), ("", 1), ("", 139),
        ])
    func misbehavingDelegate(_ row: (result: String, status: Int)) throws {
        let lab = try lab(result: row.result, status: row.status)
        let config = Inputs.bridge("1.0.0").with(("ipam", ["type": "fake"]))
        let start = try lab.world().withoutBookkeeping()
        let answer = try lab.run("bridge", "ADD", path: "/run/ipam", config)
        answer.expectRefusal(nil, row.result)
        try lab.world().withoutBookkeeping().expectEqual(to: start, "\(answer)")
        if row.result.contains("112") {
            #expect(answer.words.contains("no more"), "\(answer)")
        }
        // What the delegate may have reserved is given back (specification: a failed ADD is followed by DEL).
        #expect(try lab.read("/run/ipam/calls") == "ADD c0 eth0\nDEL c0 eth0\n")
    }

    @Test("A delegate gets the whole configuration and our environment")
    func delegation() throws {
        let lab = try lab(
            result: #"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.3/24","gateway":"10.0.0.1"}],"dns":{}}"#)
        let config = Inputs.bridge("1.0.0").with(
            ("ipam", ["type": "fake", "key": "value"]), ("unknown", [1, 2]), ("macspoofchk", true))
        let answer = try lab.run("bridge", "ADD", path: "/run/none:/run/ipam:\(Plugins.directory)", config)
        let result = answer.orFail()
        #expect(result.addresses == ["10.0.0.3/24"])
        // A delegate such as dhcp asks by the interface; it has its MAC, and is connected.
        let seen = try lab.read("/run/ipam/seen")
        #expect(seen.contains("LOWER_UP") && seen.contains(result.interfaceMAC(2)), "\(seen)")
        #expect(try lab.link("eth0", in: "c0")?["address"]?.string == result.interfaceMAC(2))
        try lab.tool("ping", "-c1", "-W5", "10.0.0.1", in: "c0")
        #expect(try Value(parsing: Array(lab.read("/run/ipam/ADD.in").utf8)).canonical == config.canonical)
        let added = config.with(("prevResult", result))
        try lab.run("bridge", "CHECK", path: "/run/ipam", added).expectSilence()
        try lab.run("bridge", "DEL", path: "/run/ipam", added).expectSilence()
        #expect(try Value(parsing: Array(lab.read("/run/ipam/DEL.in").utf8)).canonical == added.canonical)
        #expect(try lab.read("/run/ipam/calls") == "ADD c0 eth0\nCHECK c0 eth0\nDEL c0 eth0\n")
    }

    @Test("A foreign link of our name is not taken over")
    func foreignLink() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.0.0")
        let (added, result) = try lab.add(config)
        try lab.delete(added)
        let name = result.interfaceName(1)
        try lab.tool("ip", "link", "add", name, "type", "veth", "peer", "name", "peer0")
        try lab.tool("ip", "link", "set", name, "alias", "somebody else's")
        let start = try lab.world().withoutBookkeeping()
        try lab.run("bridge", "ADD", config).expectRefusal(containing: name)
        try lab.delete(added)
        try lab.world().withoutBookkeeping().expectEqual(to: start)
    }
}
