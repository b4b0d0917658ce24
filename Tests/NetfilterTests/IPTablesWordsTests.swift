import NetworkTypes
import Testing

@testable import Netfilter

/// What a configuration may say to iptables, and what a rule means however it is written.
struct IPTablesWordsTests {
    @Test(
        "Words that would be more than a condition are refused",
        arguments: [
            "-s 10.0.0.0/8\n-A INPUT -j ACCEPT", "-s 10.0.0.1\r", "\u{0}", "\u{7F}", "-j ACCEPT", "-jACCEPT", "-g X",
            "--jump DROP", "--ju DROP", "--jump=DROP", "-A INPUT", "-t filter", "--table nat", "--", "-", "-fjDROP",
            "! -j DROP", "\"-j\" DROP", "-m comment --comment \"x\" --goto Y", "-F", "--flush",
        ])
    func refused(_ text: String) { #expect(IPTablesWords.problem(ofCondition: text) != nil) }

    @Test(
        "Conditions are let through",
        arguments: [
            "-s", "10.0.0.0/8", "! -s 192.0.2.1", "-i eth0", "-m mac --mac-source 02:00:00:00:00:01", "!", "-f",
            "-m comment --comment \"it's mine\"", "--dport 80", "-m conntrack --ctstate NEW", "ip saddr 192.0.2.1",
            "-m limit --limit 5/s", "-m owner --uid-owner 0", "-p tcp", "-4",
        ])
    func understood(_ text: String) { #expect(IPTablesWords.problem(ofCondition: text) == nil) }

    @Test(
        "Names that no chain of the user's has",
        arguments: [
            "A\nB", "A B", "-A", "!A", "a,b", "a\"b", "a'b", "a\\b", "\t", "ACCEPT", "FORWARD", "CNI-FORWARD",
            "abcdefghijklmnopqrstuvwxyz123",
        ])
    func noChain(_ name: String) { #expect(IPTablesWords.problem(ofChain: name) != nil) }

    @Test(arguments: ["CNI-ADMIN", "MINE", "KUBE-MARK-MASQ", "abcdefghijklmnopqrstuvwxyz12", "ä"])
    func chain(_ name: String) { #expect(IPTablesWords.problem(ofChain: name) == nil) }

    @Test("A rule of ours is known again however iptables saves it")
    func meaning() {
        func rule(_ text: String) -> IPTablesRule { IPTablesRule(IPTablesDump.words(text)) }
        let pairs = [
            ("-p tcp --dport 80 -s 127.0.0.1 -j X", "-s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j X"),
            ("-m multiport -p tcp --destination-ports 80,81 -j X", "-p tcp -m multiport --dports 80,81 -j X"),
            ("-p tcp -s 0.0.0.0/0 -j X", "-p tcp -j X"), ("! -d 224.0.0.0/4 -j X", "-j X ! -d 224.0.0.0/4"),
            ("-m comment --comment \"-j a\" -j X", "-j X -m comment --comment \"-j a\""),
            ("--ctstate A,B -j X", "-m conntrack --ctstate B,A -j X"),
        ]
        for (first, second) in pairs { #expect(rule(first).means(rule(second)), "\(first)") }
        let others = [
            ("-d 10.0.0.1 -j X", "! -d 10.0.0.1 -j X"), ("-j X", "-j Y"), ("-j X", "-g X"),
            ("-p tcp --dport 80 -j X", "-p tcp --dport 81 -j X"), ("-s 10.0.0.1 -j X", "-d 10.0.0.1 -j X"),
        ]
        for (first, second) in others { #expect(!rule(first).means(rule(second)), "\(first)") }
    }

    @Test("No line break reaches iptables-restore, wherever it comes from")
    func lineBreak() throws {
        var plan = IPTablesPlan(.ipv4, present: IPTablesDump())
        let owner = FilterOwner(network: "n", containerID: "c", interfaceName: "eth0")
        let rule = Firewall(addresses: [], accepts: false, ingress: .isolated, bridge: "br0\n-P FORWARD ACCEPT")
        try plan.add([.firewall(rule)], for: owner)
        #expect(plan.script.unfitLine != nil)
    }
}
