import JSON
import TestSupport
import Testing

/// What `bridge` does to links (checklist BR1, BR2, BR8 to BR13, BR16, BR18, BR23 to BR27).
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BridgeLinkTests {
    @Test("The MTU goes to the bridge and to both ends", arguments: Plugins.versions)
    func mtu(_ version: String) throws {
        let lab = try Lab()
        let (added, result) = try lab.add(Inputs.bridge(version, more: [("mtu", 5000)]))
        for name in ["br0"] + (try lab.veths()) { #expect(try lab.link(name)?["mtu"]?.integer == 5000) }
        #expect(try lab.link("eth0", in: "c0")?["mtu"]?.integer == 5000)
        #expect(try lab.link("br0")?["promiscuity"]?.integer == 0)
        if atLeast(version, "1.1.0") {
            #expect((0..<3).allSatisfy { result["interfaces"]?[$0]?["mtu"]?.integer == 5000 }, "\(result)")
        }
        try lab.delete(added)
    }

    @Test("An existing bridge is used", arguments: Plugins.versions)
    func existingBridge(_ version: String) throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "br0", "mtu", "1400", "type", "bridge")
        let index = try lab.link("br0")?["ifindex"]
        try lab.delete(lab.add(Inputs.bridge(version)).config)
        #expect(try lab.link("br0")?["ifindex"] == index)
        #expect(try lab.link("br0")?.hasFlag("UP") == true)
    }

    @Test("What is no bridge is left alone")
    func notABridge() throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "br0", "type", "veth", "peer", "name", "other")
        let start = try lab.attachmentsOnly(bridges: [])
        try lab.run("bridge", "ADD", Inputs.bridge("1.0.0")).expectRefusal(
            containing: "\"br0\" already exists but is not a bridge")
        try lab.attachmentsOnly(bridges: []).expectEqual(to: start)
    }

    @Test("Layer 2 only", arguments: Plugins.versions)
    func layer2(_ version: String) throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let config = Inputs.bridge(version, [])
        let answer = try lab.run("bridge", "ADD", config)
        guard atLeast(version, "0.3.0") else {
            answer.expectRefusal(containing: "cannot convert: no valid IP addresses")
            try beyondReference("the reference leaves the veth of a failed ADD") {
                let end = try lab.attachmentsOnly(bridges: ["br0"])
                end.expectEqual(to: start)
            }
            return
        }
        let result = answer.orFail()
        #expect(result["interfaces"]?.elements.count == 3 && result["ips"] == nil && result["routes"] == nil)
        #expect(try lab.link("eth0", in: "c0")?.hasFlag("UP") == true)
        #expect(try lab.addresses("eth0", in: "c0") == [] && lab.addresses("br0") == [])
        #expect(try lab.world().facts["host/sysctl4/ip_forward"] == "0")
        let added = config.with(("prevResult", result))
        if atLeast(version, "0.4.0") {
            try beyondReference("the reference asks an IPAM plugin without a name") {
                try lab.run("bridge", "CHECK", added).expectSilence()
            }
        }
        try lab.delete(added)
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test("VLANs", arguments: Plugins.versions.filter { atLeast($0, "0.3.0") })
    func vlans(_ version: String) throws {
        let trunk: Value = [["id": 101], ["minID": 200, "maxID": 210]]
        let range = [101] + Array(200...210)
        let rows: [(more: [(String, Value)], expected: [Int], native: Int)] = [
            ([("vlan", 100), ("preserveDefaultVlan", true)], [1, 100], 100),
            ([("vlan", 100), ("preserveDefaultVlan", false)], [100], 100),
            ([("vlanTrunk", trunk), ("preserveDefaultVlan", true)], [1] + range, 1),
            ([("vlan", 100), ("vlanTrunk", trunk), ("preserveDefaultVlan", true)], [1, 100] + range, 100),
        ]
        // Debian's version knows neither trunks nor preserveDefaultVlan.
        for row in rows.prefix(Plugins.areReference ? 1 : rows.count) {
            let lab = try Lab()
            let config = Inputs.bridge(version, [], more: row.more)
            let start = try lab.attachmentsOnly(bridges: [])
            let answer = try lab.run("bridge", "ADD", config)
            guard Lab.filtersVLANs else {
                answer.expectRefusal()
                try beyondReference("the reference says 'operation not supported' and leaves the veth") {
                    #expect(answer.words.contains("VLAN"), "\(answer)")
                    let end = try lab.attachmentsOnly(bridges: [])
                    end.expectEqual(to: start)
                    let status = try lab.run(
                        "bridge", "STATUS", Inputs.bridge("1.1.0", [], more: row.more))
                    status.expectRefusal(code: 50)
                    #expect(status.words.contains("VLAN"), "\(status)")
                }
                continue
            }
            let veth = answer.orFail().interfaceName(1)
            let ports = try lab.query("bridge", ["-j", "vlan", "show"]).elements
            let list = ports.first { $0["ifname"]?.string == veth }?["vlans"]?.elements ?? []
            let found = list.flatMap { entry -> [Int] in
                let first = Int(entry["vlan"]?.integer ?? 0)
                return Array(first...max(first, Int(entry["vlanEnd"]?.integer ?? 0)))
            }
            #expect(found.sorted() == row.expected)
            let native = list.first { $0["flags"]?.elements.contains("PVID") == true }
            #expect(native?["vlan"]?.integer == Int64(row.native))
            #expect(try lab.world().facts["host/link/br0/linkinfo/info_data/vlan_filtering"] == "1")
            try lab.delete(config.with(("prevResult", answer.document ?? nil)))
            #expect(try lab.veths() == [])
        }
    }

    @Test("A VLAN with a gateway has an interface of its own", arguments: Plugins.versions)
    func vlanGateway(_ version: String) throws {
        for family in BridgeAddressTests.families {
            let lab = try Lab()
            let config = Inputs.bridge(version, family.subnets, more: [("vlan", 100), ("preserveDefaultVlan", true)])
            let start = try lab.attachmentsOnly(bridges: [])
            let answer = try lab.run("bridge", "ADD", config)
            guard Lab.filtersVLANs else {
                answer.expectRefusal()
                try beyondReference("the reference leaves bridge and veth") {
                    let end = try lab.attachmentsOnly(bridges: [])
                    end.expectEqual(to: start)
                }
                continue
            }
            let result = answer.orFail()
            if atLeast(version, "0.3.0") { #expect(result.interfaceName(3) == "br0.100") }
            #expect(try lab.linkNames().count == 5)
            #expect(Set(try lab.addresses("br0.100")) == Set(family.gateways))
            #expect(try lab.addresses("br0") == [])
            try lab.delete(config.with(("prevResult", result)))
            #expect(try lab.veths().count == 1)
        }
    }

    @Test(
        "Numbers of VLANs that make no sense",
        arguments: [
            (#"{"vlan":-100}"#, "invalid VLAN ID -100 (must be between 0 and 4094)"),
            (#"{"vlan":5000}"#, "invalid VLAN ID 5000 (must be between 0 and 4094)"),
            (
                #"{"vlanTrunk":[{"minID":100}]}"#,
                "minID and maxID should be configured simultaneously, maxID is missing"
            ),
            (
                #"{"vlanTrunk":[{"maxID":100}]}"#,
                "minID and maxID should be configured simultaneously, minID is missing"
            ),
            (#"{"vlanTrunk":[{"minID":0,"maxID":100}]}"#, "incorrect trunk minID parameter"),
            (#"{"vlanTrunk":[{"minID":5000,"maxID":100}]}"#, "incorrect trunk minID parameter"),
            (#"{"vlanTrunk":[{"minID":100,"maxID":5000}]}"#, "incorrect trunk maxID parameter"),
            (#"{"vlanTrunk":[{"minID":200,"maxID":100}]}"#, "minID is greater than maxID in trunk parameter"),
            (#"{"vlanTrunk":[{"id":5000}]}"#, "incorrect trunk id parameter"),
        ])
    func invalidVLANs(_ row: (json: String, refusal: String)) throws {
        try expectRefused(row, isNew: row.json.contains("Trunk"))
    }

    @Test(
        "Contradictions",
        arguments: [
            (
                #"{"hairpinMode":true,"promiscMode":true}"#,
                "cannot set hairpin mode and promiscuous mode at the same time"
            ), (#"{"mtu":"1500"}"#, "mtu"), (#"{"mtu":-1}"#, "mtu"), (#"{"isGateway":"true"}"#, "isGateway"),
            (
                #"{"disableContainerInterface":true}"#,
                "cannot use IPAM when DisableContainerInterface flag is set"
            ), (#"{"internal":true}"#, "internal"), (#"{"bridge":"a/b"}"#, "bridge"),
            (#"{"bridge":"longer-than-fifteen"}"#, "bridge"), (#"{"runtimeConfig":{"mac":"x"}}"#, "mac"),
            (#"{"ipMasqBackend":"ipfw"}"#, "unknown ipmasq backend \"ipfw\""), (#"{"macspoofchk":1}"#, "macspoofchk"),
            (#"{"ipMasq":"yes"}"#, "ipMasq"),
        ])
    func contradictions(_ row: (json: String, refusal: String)) throws {
        let old = ["hairpin", "\"isGateway\""]
        try expectRefused(row, isNew: !old.contains { row.json.contains($0) })
    }

    private func expectRefused(_ row: (json: String, refusal: String), isNew: Bool) throws {
        if Plugins.areReference && isNew { return }
        let lab = try Lab()
        let start = try lab.world()
        var config = Inputs.bridge("1.0.0")
        for member in try Value(parsing: Array(row.json.utf8)).members { config[member.key] = member.value }
        try lab.run("bridge", "ADD", config).expectRefusal(containing: row.refusal)
        try lab.world().expectEqual(to: start)
    }

    @Test("Promiscuous mode")
    func promiscuous() throws {
        let lab = try Lab()
        try lab.delete(lab.add(Inputs.bridge("1.0.0", more: [("promiscMode", true)])).config)
        #expect(try lab.link("br0")?["promiscuity"]?.integer == 1)
        #expect(try lab.link("br0")?.hasFlag("PROMISC") == true)
    }

    @Test("Hairpin mode and isolation are flags of the port")
    func portFlags() throws {
        for hairpin in [true, false] {
            let lab = try Lab()
            let (_, result) = try lab.add(Inputs.bridge("1.0.0", more: [("hairpinMode", .bool(hairpin))]))
            #expect(try lab.portFlag(result.interfaceName(1), "hairpin") == hairpin)
            #expect(try lab.portFlag(result.interfaceName(1), "isolated") == false)
        }
        try beyondReference("portIsolation came with 1.7.1") {
            let rows: [(String, Value, Bool)] = [
                ("portIsolation", true, true), ("portIsolation", false, false), ("icc", false, true),
                ("icc", true, false),
            ]
            for (key, value, expected) in rows {
                let lab = try Lab()
                let (added, result) = try lab.add(Inputs.bridge("1.0.0", more: [(key, value)]))
                let isolated = try lab.portFlag(result.interfaceName(1), "isolated")
                #expect(isolated == expected, "\(key)")
                try lab.run("bridge", "CHECK", added).expectSilence()
            }
        }
    }

    @Test("Where the MAC comes from", arguments: Plugins.versions)
    func mac(_ version: String) throws {
        let (first, second, third) = ("c2:11:22:33:44:55", "c2:11:22:33:44:66", "c2:11:22:33:44:77")
        let rows: [(members: [(String, Value)], expected: String)] = [
            ([], first), ([("args", ["cni": ["mac": .string(second)]])], second),
            ([("args", ["cni": ["mac": .string(second)]]), ("runtimeConfig", ["mac": .string(third)])], third),
            ([("runtimeConfig", ["mac": "C2:11:22:33:44:77"])], third),
        ]
        for row in rows {
            let lab = try Lab()
            // Debian's host-local refuses keys of CNI_ARGS that are not its own.
            let arguments = "IgnoreUnknown=1;MAC=\(first)"
            let (added, result) = try lab.add(Inputs.bridge(version, more: row.members), arguments: arguments)
            #expect(try lab.link("eth0", in: "c0")?["address"]?.string == row.expected)
            if atLeast(version, "0.3.0") { #expect(result.interfaceMAC(2) == row.expected) }
            if atLeast(version, "0.4.0") {
                let answer = try lab.run("bridge", "CHECK", arguments: arguments, added)
                answer.expectSilence()
            }
        }
        try beyondReference("the reference hands CNI_ARGS to a delegate that refuses MAC") {
            let lab = try Lab()
            let (_, result) = try lab.add(Inputs.bridge(version), arguments: "MAC=\(first)")
            if atLeast(version, "0.3.0") { #expect(result.interfaceMAC(2) == first) }
        }
    }

    @Test("The container's interface may stay down", .enabled(if: !Plugins.areReference, "came with 1.2.0"))
    func disabledInterface() throws {
        let lab = try Lab()
        let (added, _) = try lab.add(Inputs.bridge("1.0.0", [], more: [("disableContainerInterface", true)]))
        #expect(try lab.link("eth0", in: "c0")?.hasFlag("UP") == false)
        try lab.run("bridge", "CHECK", added).expectSilence()
    }
}
