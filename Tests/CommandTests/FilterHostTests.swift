import JSON
import System
import TestSupport
import Testing

/// Hosts that lack a program or a part of the kernel: everything works, or what is missing is said.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference needs iptables"))
struct FilterHostTests {
    /// Takes the programs of a shell pattern away from the lab's host, and puts links to others in their place.
    private func hide(_ pattern: String, replacing: [(name: String, by: String)] = [], in lab: Lab) throws {
        let links = replacing.map { "ln -s /run/programs/\($0.by) /run/fewer/\($0.name)" }.joined(separator: "\n")
        try lab.script(
            """
            mkdir -p /run/programs /run/fewer
            mount --bind /usr/sbin /run/programs
            for file in /run/programs/*; do
                case ${file##*/} in \(pattern)) ;; *) ln -s "$file" /run/fewer/ ;; esac
            done
            \(links)
            mount --bind /run/fewer /usr/sbin
            """)
    }

    @Test("A host without iptables and nft")
    func noPrograms() throws {
        let lab = try Lab()
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        try hide("*tables*|nft", in: lab)
        let chain = FilterCrashTests.chain("")
        let result = try lab.add(chain, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.status(chain).expectSilence()
        try lab.collect(chain).expectSilence()
        for answer in try lab.status(FilterCrashTests.chain("iptables")) {
            answer.expectRefusal(code: 50, containing: "iptables")
        }
        try lab.add(FilterCrashTests.chain("iptables"), "c0").expectRefusal(containing: "iptables")
        try lab.delete(FilterCrashTests.chain("iptables"), "c0").expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["lo"])
        withExtendedLifetime(servers) {}
    }

    @Test(
        "The iptables that drops is the one that gets the rules",
        .enabled(if: Files.exists("/usr/sbin/iptables-legacy")),
        arguments: ["legacy", "nft"])
    func dropPolicy(_ variant: String) throws {
        let lab = try Lab()
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        for name in ["iptables", "ip6tables"] { try lab.tool("\(name)-\(variant)", "-P", "FORWARD", "DROP") }
        let chain = Self.chain("", FilterInputs.dual)
        let result = try lab.add(chain, "c0").orFail()
        let saves = ["iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"]
        for tool in saves {
            let isMeant = tool.contains(variant)
            #expect(try lab.tool(tool).contains("CNI-FORWARD") == isMeant, "\(tool)")
        }
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "2001:db8:ffff::2", from: "c0") == "outside 2001:db8:ffff::1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.collect(chain).expectSilence()
        for tool in saves { try expectNoRules(lab, tool: tool) }
        withExtendedLifetime(servers) {}
    }

    /// The whole chain with a back end for all three.
    private static func chain(_ backend: String, _ subnets: [String], _ ports: [Value] = [FilterInputs.port(8080)])
        -> PluginChain
    {
        var chain = FilterInputs.ports(backend, ports, subnets: subnets)
        chain.plugins.append(["type": "firewall", "backend": .string(backend), "ingressPolicy": "same-bridge"])
        return chain
    }

    @Test("A host with one family's iptables serves that family, and says what the other lacks", arguments: [4, 6])
    func oneFamily(_ family: Int) throws {
        let lab = try Lab()
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        let missing = family == 4 ? "ip6tables" : "iptables"
        let save = family == 4 ? "iptables-save" : "ip6tables-save"
        let own = FilterInputs.dual[family == 4 ? 0 : 1]
        try lab.script(family == 4 ? "iptables -P FORWARD DROP" : "ip6tables -P FORWARD DROP")
        try hide("\(missing)*", in: lab)
        // Where the host's policy is to drop, no back end named comes to iptables, too.
        for backend in ["iptables", ""] {
            let chain = Self.chain(backend, [own])
            let result = try lab.add(chain, "c0").orFail(backend)
            let (outside, host) = family == 4 ? ("192.0.2.2", "192.0.2.1") : ("2001:db8:ffff::2", "2001:db8:ffff::1")
            #expect(try lab.ask(.tcp, outside, from: "c0") == "outside \(host)", "\(backend)")
            #expect(try lab.ask(.tcp, host, 8080, from: "outside") == "c0 \(outside)", "\(backend)")
            try lab.check(chain, "c0", result).expectSilence(backend)
            try lab.delete(chain, "c0", previous: result).expectSilence(backend)
            try expectNoRules(lab, tool: save)
            let both = Self.chain(backend, FilterInputs.dual)
            try lab.add(both, "c0").expectRefusal(containing: "\(missing) is not usable")
            try lab.delete(both, "c0").expectSilence(backend)
            try expectNoRules(lab, tool: save)
        }
        withExtendedLifetime(servers) {}
    }

    /// Fails the test when a rule of a container is left; the chains that all share stay.
    private func expectNoRules(_ lab: Lab, tool: String, _ location: SourceLocation = #_sourceLocation) throws {
        let left = try lab.tool(tool).split(separator: "\n").filter { line in
            ["10.1.", "2001:db8:", "CNI-DN-", "id: "].contains { line.contains($0) }
        }
        #expect(left == [], sourceLocation: location)
    }

    /// A directory of the plugins that finds a kernel without nf_tables: no netfilter socket can be opened.
    private func directoryWithoutTables(_ lab: Lab) throws -> String {
        let directory = "/run/poor"
        let program = """
            #!/usr/bin/python3
            import ctypes, os, platform, struct, sys
            SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
            LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
            AF_NETLINK, NETLINK_NETFILTER, ALLOW, REFUSE = 16, 12, 0x7FFF0000, 0x00050000 | 93
            rules = [(LOAD, 0, 0, 0), (EQUAL, 0, 5, SOCKET), (LOAD, 0, 0, 16), (EQUAL, 0, 3, AF_NETLINK),
                     (LOAD, 0, 0, 32), (EQUAL, 0, 1, NETLINK_NETFILTER), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
            code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
            head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(head), 0, 0):
                sys.exit(os.strerror(ctypes.get_errno()))
            os.execv("\(Plugins.directory)/" + os.path.basename(sys.argv[0]), sys.argv)

            """
        for name in ["bridge", "portmap", "firewall"] { try lab.write("\(directory)/\(name)", program, mode: 0o755) }
        try lab.tool("ln", "-s", "\(Plugins.directory)/host-local", "\(directory)/host-local")
        return directory
    }

    @Test(
        "A kernel without nf_tables is served by the old iptables",
        .enabled(if: Files.exists("/usr/sbin/xtables-legacy-multi") && Files.exists("/usr/bin/python3")))
    func noTables() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let servers = try ["outside", "c0", "c1"].map { try lab.serve($0) }
        let names = ["", "-save", "-restore"].flatMap { ["iptables\($0)", "ip6tables\($0)"] }
        let legacy = names.map { (name: $0, by: "xtables-legacy-multi") }
        try hide("*tables*|nft", replacing: legacy, in: lab)
        let directory = try directoryWithoutTables(lab)
        let ports = [FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp")]
        let chain = Self.chain("", FilterInputs.dual, ports).from(directory)
        let result = try lab.add(chain, "c0").orFail()
        #expect(try lab.tool("iptables-save").contains("CNI-FORWARD"))
        for transport in Transport.allCases {
            #expect(try lab.ask(transport, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
            #expect(try lab.ask(transport, "2001:db8:ffff::2", from: "c0") == "outside 2001:db8:ffff::1")
            #expect(try lab.ask(transport, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
            #expect(try lab.ask(transport, "2001:db8:ffff::1", 8080, from: "outside") == "c0 2001:db8:ffff::2")
        }
        let other = PluginChain(
            "other",
            [
                FilterInputs.masquerading("", ["10.1.3.0/24"], name: "other", bridge: "br1"),
                ["type": "firewall", "ingressPolicy": "same-bridge"],
            ]
        ).from(directory)
        let second = try lab.add(other, "c1").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, second.addresses[0].plain, from: "c0", timeout: 250) == nil)
        try lab.check(chain, "c0", result).expectSilence()
        try lab.status(chain).expectSilence()
        try lab.delete(other, "c1", previous: second).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        for tool in ["iptables-save", "ip6tables-save"] { try expectNoRules(lab, tool: tool) }
        try lab.collect(chain).expectSilence()
        // What cannot be had is said.
        let forced = Self.chain("nftables", FilterInputs.dual).from(directory)
        try lab.add(forced, "c0").expectRefusal(containing: "nf_tables")
        try lab.delete(forced, "c0").expectSilence()
        for answer in try lab.status(forced) { answer.expectRefusal(code: 50, containing: "nf_tables") }
        let bound = PluginChain("net", [FilterInputs.masquerading("", more: [("macspoofchk", true)])]).from(directory)
        try lab.add(bound, "c0").expectRefusal()
        try lab.delete(bound, "c0").expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["lo"])
        withExtendedLifetime(servers) {}
    }
}
