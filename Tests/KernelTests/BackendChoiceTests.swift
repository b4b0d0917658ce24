import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

@Suite("Choice of the packet filter on a host", .enabled(if: FreshNamespace.isPermitted))
struct BackendChoiceKernelTests {
    @Test("nftables, unless iptables' forward policy would drop us")
    func observe() throws {
        try inFreshNamespace { _ in
            #expect(try BackendChoice.automatic.open().0.name == "nftables")
            try command("iptables-nft -A FORWARD -j ACCEPT")
            #expect(try BackendChoice.automatic.open().0.name == "nftables")
            try command("iptables-nft -A FORWARD -s 192.0.2.0/24 -j REJECT")
            #expect(BackendChoice.observe().refusal == "iptables' FORWARD chain has rules that drop")
            try command("iptables-nft -F FORWARD")
            #expect(BackendChoice.observe().refusal == nil)
            try command("ip6tables-nft -P FORWARD DROP")
            let (filter, decision) = try BackendChoice.automatic.open()
            #expect(filter.name == "iptables")
            #expect(decision.reason == "ip6tables' FORWARD policy is DROP")
            #expect(try BackendChoice.nftables.open().0.name == "nftables")
        }
    }

    @Test("The old iptables is asked where it has tables", .enabled(if: Files.exists("/usr/sbin/iptables-legacy")))
    func legacy() throws {
        try inFreshNamespace { _ in
            try command("iptables-legacy -P FORWARD DROP")
            let host = BackendChoice.observe()
            #expect(host.refusal == "iptables-legacy' FORWARD policy is DROP" && host.variant == .legacy)
            // A packet has to pass both; what iptables-nft drops is told first.
            try command("iptables-nft -P FORWARD DROP")
            let both = BackendChoice.observe()
            #expect(both.refusal == "iptables' FORWARD policy is DROP" && both.variant == .tables)
        }
    }
}

@Suite("What the reference plugins left", .enabled(if: FreshNamespace.isPermitted))
struct ReferenceLeftoversTests {
    private let owner = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")

    /// The reference's entries for a container, in `nft`'s and in `iptables-restore`'s words.
    private func entries(_ owner: FilterOwner, _ address: String) -> (nft: String, iptables: String) {
        let id = owner.containerID
        let tag = "\(owner.tag), net: \(owner.network), if: \(owner.interfaceName), id: \(id)"
        let spoof = "macspoofchk-\(id)-eth0"
        let comment =
            "-m comment --comment \"\(IPTablesNames.comment(network: owner.network, containerID: id).replacing("\"", with: "\\\""))\""
        return (
            """
            table inet cni_plugins_masquerade { chain masq_checks {
                ip saddr \(address) ip daddr != 10.1.0.0/24 masquerade comment "\(tag)"
            }
            }
            table ip cni_hostport {
                chain hostports { tcp dport 8080 dnat ip to \(address):80 comment "\(id)"
                }
                chain masquerading { ip saddr \(address) ip daddr \(address) masquerade comment "\(id)"
                }
            }
            table bridge nat {
                chain cni-br-iface-\(id)-eth0-mac { ether saddr 02:00:00:00:00:01 return comment "\(spoof)"; drop comment "\(spoof)"
                }
                chain cni-br-iface-\(id)-eth0 { jump cni-br-iface-\(id)-eth0-mac comment "\(spoof)"
                }
                chain PREROUTING { type filter hook prerouting priority -300; iifname "v\(id)" jump cni-br-iface-\(id)-eth0 comment "\(spoof)"
                }
            }

            """,
            """
            *nat
            :\(owner.masqueradeChain) - [0:0]
            :\(owner.portChain) - [0:0]
            -A \(owner.masqueradeChain) -d 10.1.0.0/24 \(comment) -j ACCEPT
            -A \(owner.masqueradeChain) ! -d 224.0.0.0/4 \(comment) -j MASQUERADE
            -A POSTROUTING -s \(address) \(comment) -j \(owner.masqueradeChain)
            -A \(owner.portChain) -p tcp --dport 8080 -j DNAT --to-destination \(address):80
            -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j \(owner.portChain)
            COMMIT
            *filter
            -A CNI-FORWARD -d \(address)/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
            -A CNI-FORWARD -s \(address)/32 -j ACCEPT
            COMMIT

            """
        )
    }

    @Test("One container's entries go, the other's stay", arguments: ["nft", "legacy"])
    func clean(_ variant: String) throws {
        let other = FilterOwner(network: "net", containerID: "two", interfaceName: "eth0")
        try inFreshNamespace { _ in
            let path = "/tmp/swiftlet-leftovers-\(UInt32.random(in: 0...UInt32.max))"
            defer { try? Files.remove(path) }
            try command("iptables-\(variant) -t nat -N CNI-HOSTPORT-DNAT")
            try command("iptables-\(variant) -N CNI-FORWARD")
            for (owner, address) in [(owner, "10.1.0.5"), (other, "10.1.0.6")] {
                let (nft, iptables) = entries(owner, address)
                for (text, line) in [
                    (nft, "nft -f \(path)"), (iptables, "iptables-\(variant)-restore --noflush \(path)"),
                ] {
                    #expect(try AtomicFile.create(path, with: Array(text.utf8)))
                    try command(line)
                    try Files.remove(path)
                }
            }
            let state = { @Sendable () throws in
                try command("nft list ruleset") + command("iptables-\(variant)-save")
            }
            let leftovers = try ReferenceLeftovers()
            try leftovers.clean(owner, addresses: [try need(IPAddress("10.1.0.5"))])
            let rest = try state()
            for word in ["10.1.0.5", owner.tag, owner.masqueradeChain, owner.portChain, "br-iface-one"] {
                #expect(!rest.contains(word), "\(word)")
            }
            for word in ["10.1.0.6:80", other.tag, other.masqueradeChain, other.portChain, "br-iface-two-eth0-mac"] {
                #expect(rest.contains(word), "\(word)")
            }
            try leftovers.clean(owner, addresses: [])
            #expect(try lines(state()).filter { !$0.hasPrefix("#") } == lines(rest).filter { !$0.hasPrefix("#") })
        }
    }
}
