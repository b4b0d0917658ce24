import CNI
import JSON
import NetworkTypes
import Testing

@Suite("Network configuration") struct ConfigurationTests {
    private func configuration(_ text: String) throws -> NetworkConfiguration {
        try NetworkConfiguration(parsing: Array(text.utf8))
    }

    private func configuration(members: String) throws -> NetworkConfiguration {
        try configuration(#"{"name":"net","cniVersion":"1.1.0",\#(members)}"#)
    }

    @Test("what podman sent", arguments: ["bridge", "host-local", "portmap", "firewall", "tuning"])
    func captured(plugin: String) throws {
        for (interface, name) in [("eth0", "multi"), ("eth1", "back")] {
            for command in ["ADD", "DEL"] {
                let bytes = try Golden.bytes("\(interface)-\(plugin)-\(command).in")
                let configuration = try NetworkConfiguration(parsing: bytes)
                #expect(configuration.name == name)
                #expect(configuration.version == .v0_4_0)
                // An address manager gets the configuration of the plugin that calls it.
                let type = plugin == "host-local" ? "bridge" : plugin
                #expect(configuration.type == type)
                #expect(configuration.ipamType == (type == "bridge" ? "host-local" : ""))
                #expect(configuration.bytes == bytes)
                let isFirst = command == "ADD" && type == "bridge"
                #expect(try configuration.previousResult()?.interfaces.count == (isFirst ? nil : 3))
            }
        }
        let portmap = try NetworkConfiguration(parsing: Golden.bytes("eth0-portmap-ADD.in"))
        let mappings = try portmap.runtimeConfig.member("portMappings").elements()
        #expect(try mappings.map { try $0.member("hostport").integer() } == [8080, 5353])
    }

    @Test("keys match in any case") func caseInsensitive() throws {
        let configuration = try configuration(
            #"{"NAME":"net","CniVersion":"0.4.0","TYPE":"bridge","IPAM":{"Type":"host-local"},"#
                + #""RuntimeConfig":{"MAC":"x"},"Args":{"cni":{}}}"#)
        #expect(configuration.name == "net")
        #expect(configuration.version == .v0_4_0)
        #expect(configuration.type == "bridge")
        #expect(configuration.ipamType == "host-local")
        #expect(try configuration.runtimeConfig.member("mac").string() == "x")
        #expect(configuration.args.isPresent)
    }

    @Test("of repeated keys the last one in the text counts, in whatever case") func duplicates() throws {
        let rows = [
            (#""mtu":1,"MTU":2"#, 2), (#""MTU":1,"mtu":2,"MTU":3"#, 3), (#""mtu":1,"MTU":2,"mtu":3,"Mtu":4"#, 4),
            (#""mtu":1,"MTU":2,"\u006dtu":3"#, 3), (#""mtu":3,"x":{"mtu":1,"mtu":2},"MTU":9,"MTU":5"#, 5),
        ]
        for (members, expected) in rows {
            #expect(try configuration(members: members).root.member("mtu").integer() == Int64(expected))
        }
        #expect(try configuration(#"{"name":"a","NAME":"b","name":"c"}"#).name == "c")
    }

    @Test("null and absent are the same; other members are nobody's business") func lenience() throws {
        let configuration = try configuration(
            members: #""type":null,"ipam":null,"runtimeConfig":null,"args":null,"prevResult":null,"#
                + #""capabilities":{"mac":"yes"},"dns":7,"nerdctlID":1"#)
        #expect(configuration.type.isEmpty)
        #expect(!configuration.ipam.isPresent)
        #expect(configuration.ipamType.isEmpty)
        #expect(!configuration.runtimeConfig.isPresent)
        #expect(!configuration.args.isPresent)
        #expect(try configuration.previousResult() == nil)
        #expect(try self.configuration(members: #""ipam":{}"#).ipamType.isEmpty)
        #expect(configuration.ipam.path == "ipam")
    }

    @Test("B8 prevResult is read in its own version, and a wrong one does not lose the addresses") func previousResult()
        throws
    {
        let families = #""ip4":{"ip":"10.0.0.2/8","gateway":"10.0.0.1","routes":[{"dst":"0.0.0.0/0"}]}"#
        let lists = #""interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"address":"10.0.0.2/8","interface":0}]"#
        for configured in SpecVersion.allCases.map(\.rawValue) {
            for (own, members) in [
                (#""0.2.0""#, families), (#""1.0.0""#, families), (#""1.0.0""#, lists), (#""0.4.0""#, lists),
                (#""0.1.0""#, lists),
            ] {
                let configuration = try configuration(
                    #"{"name":"a","cniVersion":"\#(configured)","prevResult":{"cniVersion":\#(own),\#(members)}}"#)
                let result = try #require(try configuration.previousResult(), "\(own) into \(configured)")
                #expect(result.addresses.map { "\($0.address)" } == ["10.0.0.2/8"], "\(own) into \(configured)")
                #expect(result.interfaces.count == (members == lists ? 1 : 0))
                #expect(result.routes.count == (members == lists ? 0 : 1))
                // The way back.
                let answer = try result.document(configuration.version)
                #expect(try CNIResult(decoding: answer, version: configuration.version).addresses.count == 1)
            }
        }
        // Without a version of its own, or with one that is none, the configuration's counts.
        for own in ["", #""CNIVersion":3,"#, #""cniVersion":"9.0.0","#] {
            let old = try configuration(#"{"name":"a","cniVersion":"0.2.0","prevResult":{\#(own)\#(families)}}"#)
            #expect(try old.previousResult()?.addresses.count == 1)
            let new = try configuration(#"{"name":"a","cniVersion":"1.0.0","prevResult":{\#(own)\#(lists)}}"#)
            #expect(try new.previousResult()?.addresses.count == 1)
        }
        #expect(try configuration(members: #""prevResult":{}"#).previousResult() == CNIResult())
    }

    @Test("a prevResult that is none is code 6 and names the place")
    func badPreviousResult() throws {
        let rows = [
            (#""prevResult":"x""#, "prevResult: expected an object"), (#""prevResult":[]"#, "prevResult: expected"),
            (#""prevResult":{"ips":[{"address":"x"}]}"#, "prevResult.ips[0].address: invalid CIDR address: x"),
        ]
        for (members, message) in rows {
            let configuration = try configuration(members: members)
            #expect {
                try configuration.previousResult()
            } throws: { error in
                let error = error as? CNIError
                return error?.code == 6 && error?.message.hasPrefix(message) == true
            }
        }
    }

    @Test("valid attachments: absent, null, empty and a list are four things") func validAttachments() throws {
        let entry = ValidAttachments.Entry(containerID: "c", interfaceName: "eth0")
        let list = #"[{"containerID":"c","ifname":"eth0","extra":1}]"#
        let (key, old) = ("cni.dev/valid-attachments", "cni.dev/attachments")
        let rows: [(String, ValidAttachments)] = [
            (#""x":1"#, .absent), (#""\#(key)":null"#, .null), (#""\#(old)":null"#, .null),
            (#""\#(key)":[]"#, .list([])), (#""\#(old)":[]"#, .list([])), (#""\#(key)":\#(list)"#, .list([entry])),
            (#""\#(old)":\#(list)"#, .list([entry])), (#""\#(key)":null,"\#(old)":\#(list)"#, .list([entry])),
            (#""\#(key)":[],"\#(old)":\#(list)"#, .list([])),
            (#""CNI.DEV/Valid-Attachments":\#(list)"#, .list([entry])),
        ]
        for (members, expected) in rows {
            #expect(try configuration(members: members).validAttachments() == expected, "\(members)")
        }
    }

    @Test(
        "a list that cannot be trusted is code 6",
        arguments: [
            "{}", "3", "[null]", "[1]", "[{}]", #"[{"containerID":"c"}]"#, #"[{"containerID":"","ifname":"e"}]"#,
            #"[{"containerID":"c","ifname":1}]"#,
        ])
    func badValidAttachments(list: String) throws {
        let configuration = try configuration(members: #""cni.dev/valid-attachments":\#(list)"#)
        #expect {
            try configuration.validAttachments()
        } throws: { error in
            (error as? CNIError)?.code == 6
        }
    }

    @Test("versions compare by publication") func versions() {
        #expect(SpecVersion.allCases == SpecVersion.allCases.sorted())
        #expect(SpecVersion.v0_4_0 < .v1_0_0)
        #expect(SpecVersion.newest == SpecVersion.allCases.last)
    }
}
