import JSON
import TestSupport
import Testing

/// What every plugin does before it looks at its own business: environment, names, versions, standard streams.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct SkeletonTests {
    static let plugins = ["bridge", "host-local", "loopback"] + (Plugins.areReference ? [] : ["null"])

    private static func config(_ plugin: String, version: String = "1.0.0") -> String {
        let config: Value =
            switch plugin {
            case "bridge": Inputs.bridge(version)
            case "host-local": Inputs.hostLocal(version)
            default: ["cniVersion": .string(version), "name": "net", "type": .string(plugin)]
            }
        return config.text()
    }

    private static func call(_ plugin: String, _ command: String?, version: String = "1.0.0") -> PluginCall {
        PluginCall(plugin, command, input: config(plugin, version: version))
    }

    @Test("Missing variables are all named", arguments: plugins)
    func missingVariables(_ plugin: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let four = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]
        var rows: [(command: String, missing: [String])] = []
        for command in ["ADD", "CHECK"] { rows += four.map { (command, [$0]) } + [(command, four)] }
        rows += ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"].map { ("DEL", [$0]) }
        rows += [("ADD", ["CNI_NETNS", "CNI_IFNAME", "CNI_PATH"])]
        if !Plugins.areReference { rows += [("GC", ["CNI_PATH"]), ("STATUS", ["CNI_PATH"])] }
        for row in rows {
            for empty in [nil, ""] as [String?] {
                var call = Self.call(plugin, row.command, version: row.command.count == 3 ? "1.0.0" : "1.1.0")
                if row.command == "CHECK" { call = Self.call(plugin, row.command) }
                for name in row.missing {
                    switch name {
                    case "CNI_CONTAINERID": call.containerID = empty
                    case "CNI_NETNS": call.netns = empty
                    case "CNI_IFNAME": call.ifname = empty
                    default: call.path = empty
                    }
                }
                let list = row.missing.joined(separator: ",")
                try lab.run(call).expectRefusal(
                    code: 4, "required env variables [\(list)] missing", "\(plugin) \(row.command) without \(list)")
            }
        }
        try lab.world().expectEqual(to: start)
    }

    @Test("Names are checked", arguments: plugins)
    func names(_ plugin: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        for id in ["1234%%%", "-a", "a b", "a/b", ".a", "ä"] {
            for command in ["ADD", "DEL", "CHECK"] {
                var call = Self.call(plugin, command)
                call.containerID = id
                try lab.run(call).expectRefusal(code: 4, "invalid characters in containerID", details: id)
            }
        }
        let tooLong = "interface name is too long"
        let forbidden = "interface name contains / or : or whitespace characters"
        let rows = [
            ("0123456789abcdef", tooLong), (".", "interface name is . or .."), ("..", "interface name is . or .."),
            ("a/b", forbidden), ("a:b", forbidden), ("a b", forbidden), ("a\tb", forbidden),
        ]
        for (name, message) in rows {
            var call = Self.call(plugin, "ADD")
            call.ifname = name
            let answer = try lab.run(call)
            answer.expectRefusal(code: 4, message, "\(plugin) \(name)")
            if message == tooLong { #expect(answer.details == "interface name should be less than 16 characters") }
        }
        for (name, message) in [
            ("", "missing network name"), ("a/b", "invalid characters found in network name"),
            ("..", "invalid characters found in network name"),
        ] {
            var call = Self.call(plugin, "ADD")
            call.input = call.input.replacing("\"name\":\"net\"", with: "\"name\":\"\(name)\"")
            try lab.run(call).expectRefusal(code: 7, message, details: name)
        }
        try lab.world().expectEqual(to: start)
    }

    @Test("Versions are negotiated", arguments: plugins)
    func versions(_ plugin: String) throws {
        let lab = try Lab()
        for version in ["9.9.9", "1.2.0", "0.4", "x"] {
            let answer = try lab.run(Self.call(plugin, "ADD", version: version))
            answer.expectRefusal(code: 1, "incompatible CNI versions")
            let known = Plugins.versions.map { "\"\($0)\"" }.joined(separator: " ")
            #expect(answer.details == "config is \"\(version)\", plugin supports [\(known)]")
        }
        for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1"] {
            try lab.run(Self.call(plugin, "CHECK", version: version))
                .expectRefusal(code: 1, "config version does not allow CHECK")
        }
        try lab.run(Self.call(plugin, "CHECK", version: "0.4.0.0")).expectRefusal(code: 6)
        try beyondReference("GC and STATUS came with 1.1.0") {
            for command in ["GC", "STATUS"] {
                for version in ["0.1.0", "0.4.0", "1.0.0"] {
                    let answer = try lab.run(Self.call(plugin, command, version: version))
                    answer.expectRefusal(code: 1, "config version does not allow \(command)")
                }
                let answer = try lab.run(Self.call(plugin, command, version: "1.1.x"))
                answer.expectRefusal(code: 6)
            }
        }
    }

    @Test("A configuration without a version means 0.1.0", arguments: ["host-local"])
    func missingVersion(_ plugin: String) throws {
        let lab = try Lab()
        for text in ["\"cniVersion\":\"1.0.0\",", "\"cniVersion\":\"\",", "\"cniVersion\":null,"] {
            var call = Self.call(plugin, "ADD")
            call.containerID = "c\(text.count)"
            call.input = call.input.replacing("\"cniVersion\":\"1.0.0\",", with: text.count == 21 ? "" : text)
            let document = try lab.run(call).orFail()
            #expect(document["ip4"]?["ip"] != nil, "\(document)")
        }
    }

    @Test("VERSION needs only the command and never reads", arguments: plugins)
    func version(_ plugin: String) throws {
        let lab = try Lab()
        let bare = PluginCall(plugin, "VERSION", containerID: nil, ifname: nil, netns: nil, path: nil)
        var podman = PluginCall(
            plugin, "VERSION", containerID: "", ifname: "dummy", netns: "dummy", arguments: "", path: "dummy",
            input: "{\"cniVersion\":\"1.0.0\"}")
        podman.environment = [("XDG_RUNTIME_DIR", "")]
        var garbage = bare
        garbage.input = String(repeating: "no JSON ", count: 40_000)
        for call in [bare, podman, garbage] {
            let answer = try lab.run(call)
            let document = answer.orFail()
            #expect(document["supportedVersions"]?.elements.compactMap(\.string) == Plugins.versions)
            #expect(Plugins.versions.contains(document["cniVersion"]?.string ?? ""))
            #expect(answer.outcome.text.hasSuffix("}\n") && answer.outcome.text.split(separator: "\n").count == 1)
            #expect(answer.outcome.errorOutput.isEmpty)
        }
    }

    @Test("Without a command a plugin tells its name", arguments: plugins)
    func about(_ plugin: String) throws {
        let lab = try Lab()
        for command in [nil, ""] as [String?] {
            let answer = try lab.run(PluginCall(plugin, command, containerID: nil, ifname: nil, netns: nil, path: nil))
            #expect(answer.succeeded && answer.outcome.output.isEmpty)
            let lines = answer.outcome.errorText.split(separator: "\n")
            #expect(lines.count == 2)
            #expect(lines.first?.hasPrefix("CNI \(plugin) plugin v") == true, "\(answer)")
            let known = Plugins.versions.joined(separator: ", ")
            #expect(lines.last.map(String.init) == "CNI protocol versions supported: \(known)")
            try beyondReference("Debian's build has no version") {
                // The level of the reference plugins, then our own version as build metadata.
                let text = lines.first?.split(separator: " v").last?.split(separator: "+").first ?? ""
                let version = text.split(separator: ".")
                #expect(version.count == 3 && version.allSatisfy { Int($0) != nil }, "\(answer)")
            }
        }
    }

    @Test("Unknown commands are named", arguments: plugins)
    func unknownCommand(_ plugin: String) throws {
        let lab = try Lab()
        for command in ["NOPE", "add", "ADD "] {
            try lab.run(Self.call(plugin, command)).expectRefusal(code: 4, "unknown CNI_COMMAND: \(command)")
        }
    }

    @Test("Input that is no configuration is refused", arguments: plugins)
    func malformedInput(_ plugin: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let rows = [
            "", " ", "{", "[]", "null", "7", "\"text\"", "{\"name\":1,\"cniVersion\":\"1.0.0\"}", "{\"name\"", "{}{}",
            "{\"name\":\"net\",\"cniVersion\":1}", "\u{0}", "{\"name\":\"net\",}",
            String(repeating: "[", count: 100_000),
        ]
        for input in rows {
            for command in ["ADD", "DEL", "CHECK"] {
                var call = Self.call(plugin, command)
                call.input = input
                let answer = try lab.run(call)
                answer.expectRefusal(nil, "\(plugin) \(command) \(input.prefix(40))")
                #expect(answer.code == 6 || answer.code == 7, "\(input.prefix(40)) \(answer)")
            }
        }
        try lab.world().expectEqual(to: start)
    }

    @Test("Input is read up to a mebibyte")
    func inputLimit() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0")
        let rest = (1 << 20) - config.with(("padding", "")).text().utf8.count
        let full = config.with(("padding", .string(String(repeating: "x", count: rest))))
        #expect(full.text().utf8.count == 1 << 20)
        try lab.run("host-local", "ADD", full).orFail()
        try beyondReference("the reference reads without a limit") {
            let more = config.with(("padding", .string(String(repeating: "x", count: rest + 1))))
            let answer = try lab.run("host-local", "ADD", containerID: "c1", more)
            answer.expectRefusal(code: 6, containing: "1 MiB")
            let huge = config.with(("padding", .string(String(repeating: "x", count: 8 << 20))))
            try lab.run("host-local", "ADD", containerID: "c1", huge).expectRefusal(code: 6)
        }
        #expect(try lab.reservations("net").count == 1)
    }

    @Test("CNI_ARGS are parsed as pairs")
    func arguments() throws {
        let lab = try Lab()
        let rows: [(arguments: String, refusal: String?)] = [
            ("IP=10.1.2.50", nil), ("IP=10.1.2.70/24", nil), ("IgnoreUnknown=1;FOO=1", nil),
            ("FOO=1;IgnoreUnknown=True", nil), ("IgnoreUnknown=true;K8S_POD_NAME=a;IP=10.1.2.90", nil),
            ("IP=10.1.2.91;IgnoreUnknown=T", nil),
            ("FOO=1", "ARGS: unknown args [\"FOO=1\"]"),
            ("IgnoreUnknown=0;FOO=1", "ARGS: unknown args [\"FOO=1\"]"),
            ("IgnoreUnknown=False;FOO=1", "ARGS: unknown args [\"FOO=1\"]"),
            ("FOO", "ARGS: invalid pair \"FOO\""), ("IgnoreUnknown=1;IP", "ARGS: invalid pair \"IP\""),
            ("IgnoreUnknown=x", "boolean unmarshal error: invalid input x"),
        ]
        for (index, row) in rows.enumerated() {
            let answer = try lab.run(
                "host-local", "ADD", containerID: "c\(index)", arguments: row.arguments, Inputs.hostLocal("1.0.0"))
            if let refusal = row.refusal {
                answer.expectRefusal(containing: refusal)
                try beyondReference("the reference's code is 999") {
                    answer.expectRefusal(code: 4, containing: "CNI_ARGS: ")
                }
            } else {
                answer.orFail(row.arguments)
            }
        }
    }

    @Test("B8 CNI_ARGS that other runtimes send: a value with =, a final ;, words nobody knows")
    func argumentsOfOthers() throws {
        let lab = try Lab()
        try beyondReference("the reference refuses all of these with code 999") {
            let rows = [
                "IP=10.1.2.13;", "IgnoreUnknown=t;WORD;IP=10.1.2.14",
                "IgnoreUnknown=TRUE;K8S_POD_NAME=a=b;IP=10.1.2.15",
                ";;IP=10.1.2.16;;", "IgnoreUnknown=1;=;IP=10.1.2.17",
            ]
            for (index, arguments) in rows.enumerated() {
                let answer = try lab.run(
                    "host-local", "ADD", containerID: "c\(index)", arguments: arguments, Inputs.hostLocal("1.0.0"))
                answer.orFail(arguments)
                #expect(try lab.reservations("net")["10.1.2.\(13 + index)"] != nil, "\(arguments)")
            }
        }
    }

    @Test("A plugin does not work on its own namespace", arguments: ["bridge", "loopback"])
    func sameNamespace(_ plugin: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        var call = Self.call(plugin, "ADD")
        call.netns = "/proc/self/ns/net"
        let answer = try lab.run(call)
        try beyondReference("the reference looks after the work is done, Debian's not at all") {
            answer.expectRefusal(
                code: 8, "plugin's netns and netns from CNI_NETNS should not be the same")
            let now = try lab.world()
            now.expectEqual(to: start)
        }
        if plugin == "loopback" {
            call.environment = [("CNI_NETNS_OVERRIDE", "1")]
            try lab.run(call).orFail()
            call.environment = [("CNI_NETNS_OVERRIDE", "TRUE")]
            try lab.run(call).orFail()
        }
    }
}
