import NetworkTypes
import TestSupport
import Testing

@testable import Netfilter

/// Where the rules that all containers share have to be, seen from what `iptables-save` shows.
@Suite("iptables order")
struct IPTablesOrderTests {
    private let owner = FilterOwner(network: "test", containerID: "one", interfaceName: "eth0")
    private let tag = FilterOwner.networkTag("test")

    private static let admin =
        #"-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN"#
    private static let accepts = #"-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD"#
    private static let isolates =
        #"-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-ISOLATION-STAGE-1"#

    /// What is to be done to have the rule, from a filter table with the reference's chains and these rules; but for the
    /// container's own two, which come last.
    private func lines(
        _ rules: [String], accepts: Bool = true, _ ingress: Firewall.Ingress = .open
    ) throws -> [String] {
        let chains = ["CNI-ADMIN", "CNI-FORWARD", "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"]
        let dump = ["*filter", ":FORWARD ACCEPT [0:0]"] + chains.map { ":\($0) - [0:0]" } + rules + ["COMMIT"]
        var plan = IPTablesPlan(.ipv4, present: IPTablesDump(dump.joined(separator: "\n")))
        let address = try #require(IPAddress("10.1.0.5"))
        try plan.add(
            [.firewall(Firewall(addresses: [address], accepts: accepts, ingress: ingress, bridge: "br0"))], for: owner)
        return plan.script.text.split(separator: "\n").map(String.init).filter { !$0.contains("10.1.0.5/32") }
    }

    private func change(_ lines: String...) -> [String] { ["*filter"] + lines + ["COMMIT"] }

    private func inserted(_ rule: String) -> String { rule.replacing("-A FORWARD", with: "-I FORWARD 1") }
    private func deleted(_ rule: String) -> String { rule.replacing("-A", with: "-D", maxReplacements: 1) }

    @Test("What is in its place stays, whoever else is in front")
    func inPlace() throws {
        let others = ["-A FORWARD -j KUBE-ROUTER-FORWARD", "-A FORWARD -s 10.1.0.7/32 -j DROP"]
        let (admin, accepts, isolates) = (Self.admin, Self.accepts, Self.isolates)
        #expect(try lines([accepts, admin]) == change())
        #expect(
            try lines(others + [accepts, "-A FORWARD -j REJECT --reject-with icmp-host-prohibited", admin]) == change())
        #expect(try lines(others + [isolates] + others + [accepts, admin]) == change())
        let second = admin.replacing("-j CNI-ADMIN", with: "-j MY-ADMIN")
        #expect(try lines([accepts, second, admin]) == change())
    }

    @Test(
        "Whatever ends every packet's way is no place to be behind",
        arguments: [
            "-A FORWARD -j DROP", "-A FORWARD -j REJECT --reject-with icmp-port-unreachable", "-A FORWARD -j ACCEPT",
            #"-A FORWARD -m comment --comment "no more" -j DROP"#, "-A FORWARD -g ELSEWHERE",
        ])
    func behindTheEnd(_ end: String) throws {
        let (admin, accepts, isolates) = (Self.admin, Self.accepts, Self.isolates)
        #expect(try lines([end, accepts, admin]) == change(deleted(accepts), inserted(accepts)))
        #expect(
            try lines([isolates, end, accepts, admin])
                == change(deleted(accepts), inserted(accepts), deleted(isolates), inserted(isolates)))
    }

    @Test("Isolation comes before what accepts")
    func isolationFirst() throws {
        let (admin, accepts, isolates) = (Self.admin, Self.accepts, Self.isolates)
        #expect(try lines([isolates, admin]) == change(inserted(accepts), deleted(isolates), inserted(isolates)))
        let own = [
            #"-A CNI-ISOLATION-STAGE-1 -i br0 ! -o br0 -m comment --comment "\#(about)" -j CNI-ISOLATION-STAGE-2"#,
            #"-A CNI-ISOLATION-STAGE-1 -m comment --comment "CNI firewall plugin rules" -j RETURN"#,
            #"-A CNI-ISOLATION-STAGE-2 -o br0 -m comment --comment "\#(about)" -j DROP"#,
            #"-A CNI-ISOLATION-STAGE-2 -m comment --comment "CNI firewall plugin rules" -j RETURN"#,
        ]
        #expect(try lines([isolates, accepts, admin] + own, .sameBridge) == change())
        #expect(
            try lines([accepts, isolates, admin] + own, .sameBridge) == change(deleted(isolates), inserted(isolates)))
        let late = [own[1], own[0], own[3], own[2]]
        #expect(
            try lines([isolates, accepts, admin] + late, .sameBridge)
                == change(
                    deleted(own[0]), own[0].replacing("-A CNI-ISOLATION-STAGE-1", with: "-I CNI-ISOLATION-STAGE-1 1"),
                    deleted(own[2]), own[2].replacing("-A CNI-ISOLATION-STAGE-2", with: "-I CNI-ISOLATION-STAGE-2 1")))
    }

    private var about: String { "CNI firewall plugin rules (ingressPolicy: same-bridge) \(tag)" }

    @Test("The administrator's chain comes before what accepts")
    func adminFirst() throws {
        let (admin, accepts) = (Self.admin, Self.accepts)
        let other = "-A CNI-FORWARD -s 10.1.0.9/32 -j ACCEPT"
        #expect(
            try lines([accepts, other, admin])
                == change(deleted(admin), admin.replacing("-A CNI-FORWARD", with: "-I CNI-FORWARD 1")))
    }

    @Test("Where firewalld accepts, isolation is all there is")
    func isolationAlone() throws {
        let text = try lines([], accepts: false, .isolated).joined(separator: "\n")
        #expect(!text.contains("CNI-FORWARD") && !text.contains("CNI-ADMIN"))
        #expect(text.contains("-i br0 -o br0") && text.contains("-I FORWARD 1"))
    }

    @Test("GC of a whole network takes its isolation, and nobody else's")
    func collected() throws {
        let rules = ["test", "other"].flatMap { network in
            let about = IPTablesPlan.isolationComment(.isolated, FilterOwner.networkTag(network))
            return [
                #"-A CNI-ISOLATION-STAGE-1 -i \#(network) -o \#(network) -m comment --comment "\#(about)" -j DROP"#,
                #"-A CNI-ISOLATION-STAGE-2 -o \#(network) -m comment --comment "\#(about)" -j DROP"#,
            ]
        }
        let dump = IPTablesDump((["*filter"] + rules + [Self.isolates, "COMMIT"]).joined(separator: "\n"))
        var plan = IPTablesPlan(.ipv4, present: dump)
        plan.collect(.all, network: "test", keeping: [owner])
        #expect(plan.script.isEmpty)
        plan.collect([.portForward, .masquerade], network: "test", keeping: [])
        #expect(plan.script.isEmpty)
        plan.collect(.firewall, network: "test", keeping: [])
        #expect(
            plan.script.text.split(separator: "\n").map(String.init) == change(deleted(rules[0]), deleted(rules[1])))
    }

    @Test("What rewrites a hairpin's source comes before what lets a subnet's traffic go as it is")
    func masqueradeOrder() throws {
        let jump = "-A POSTROUTING -s 10.1.0.9/32 -j CNI-022110f36292712c8bb50a90"
        let other = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
        let entry = #"-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ"#
        let address = try #require(IPPrefix("10.1.0.5/24"))
        func moves(_ rules: [String]) throws -> [String] {
            let dump = IPTablesDump(
                (["*nat", ":CNI-HOSTPORT-MASQ - [0:0]"] + rules + ["COMMIT"]).joined(separator: "\n"))
            var plan = IPTablesPlan(.ipv4, present: dump)
            let forward = PortForward([PortMapping(.tcp, hostPort: 8080, containerPort: 80)], to: [address])
            try plan.add([.portForward(forward)], for: owner)
            return plan.script.text.split(separator: "\n").map(String.init).filter { $0.contains("POSTROUTING") }
        }
        #expect(try moves([other, entry, jump]) == [])
        #expect(
            try moves([jump, other, entry])
                == [deleted(entry), entry.replacing("-A POSTROUTING", with: "-I POSTROUTING 1")])
    }
}
