import JSON
import System
import TestSupport
import Testing

/// `swiftlet cni` and attachments that are there, were there, or are made of several files.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct RuntimeAttachmentTests {
    private let places = ["--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory]
    private let spies = ["--conf-dir", "/run/net.d", "--plugin-dir", "/run/spies"]

    private func cni(_ lab: Lab, _ arguments: String..., at places: [String]) throws -> ChildOutcome {
        try lab.swiftlet(["cni"] + arguments + places)
    }

    private static let demo: Value = [
        "cniVersion": "1.1.0", "name": "demo",
        "plugins": [
            [
                "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true,
                "ipam": ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/24"]]]],
            ],
            ["type": "portmap", "capabilities": ["portMappings": true]], ["type": "firewall"],
        ],
    ]

    @Test("B1 a repeated ADD is refused and leaves the running container alone")
    func repeatedAdd() throws {
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.demo)
        #expect(try cni(lab, "add", "demo", "c0", "--publish", "8080:80", at: places).status == 0)
        let before = try lab.steadyWorld()
        let again = try cni(lab, "add", "demo", "c0", "--publish", "8080:80", at: places)
        #expect(again.status == 1)
        #expect(again.errorText.contains("is on network demo already, by eth0") && again.errorText.contains("code 103"))
        try lab.expectReturn(to: before)
        // A runtime with another cache does not know of it: bridge refuses, and gets no DEL for that.
        let other = try cni(lab, "add", "demo", "c0", "--publish", "8080:80", "--cache-dir", "/run/cache", at: places)
        #expect(other.status == 1 && other.errorText.contains("already exists"))
        try lab.expectReturn(to: before)
        #expect(try cni(lab, "check", "demo", "c0", at: places).status == 0)
        // A second network by the same interface name: the first one's is not removed.
        var second = Self.demo
        second["name"] = "second"
        second["plugins"] = [
            ["type": "bridge", "bridge": "br1", "ipam": ["type": "host-local", "subnet": "10.1.3.0/24"]]
        ]
        try lab.writeNetwork("20-second.conflist", second)
        #expect(try cni(lab, "add", "second", "c0", at: places).status == 1)
        #expect(try lab.addresses("eth0", in: "c0").contains("10.1.2.2/24"))
        #expect(try cni(lab, "check", "demo", "c0", at: places).status == 0)
        #expect(try cni(lab, "del", "demo", "c0", at: places).status == 0)
        #expect(try cni(lab, "add", "demo", "c0", at: places).status == 0)
    }

    @Test("B1 a plugin that refuses what is there gets no DEL; one that fails in an empty namespace does")
    func undoing() throws {
        let lab = try Lab()
        try lab.writeNetwork("50-watched.conflist", Self.watched(["one", "two"]))
        try lab.writeSpy("one")
        try lab.writeSpy("two", failing: "ADD")
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 1)
        #expect(try lab.spied().map(Self.call) == ["one ADD", "two ADD", "two DEL", "one DEL"])
        try lab.tool("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other", in: "c0")
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 1)
        #expect(try lab.spied().map(Self.call) == ["one ADD", "two ADD", "one DEL"])
    }

    @Test("B8 a container that lost everything but its reservation and its place in the cache comes back")
    func reboot() throws {
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.demo)
        try lab.addContainer("c1")
        for name in ["c0", "c1"] {
            #expect(try cni(lab, "add", "demo", name, "--publish", "8\(name.dropFirst())80:80", at: places).status == 0)
        }
        let addresses = try lab.addresses("eth0", in: "c1")
        try lab.removeContainer("c1")
        try lab.addContainer("c1")
        let returned = try cni(lab, "add", "demo", "c1", "--publish", "8180:80", at: places)
        #expect(returned.status == 0, "\(returned.errorText)")
        #expect(
            try lab.addresses("eth0", in: "c1").filter { $0.hasPrefix("10.") }
                == addresses.filter { $0.hasPrefix("10.") })
        #expect(try cni(lab, "check", "demo", "c1", at: places).status == 0)
        #expect(try lab.reservations("demo").count == 2)
    }

    @Test("B8 a plugin that refuses what it remembers is told that the attachment was gone, and asked again")
    func returningToStrangers() throws {
        let lab = try Lab()
        try lab.writeNetwork("50-watched.conflist", Self.watched(["one"]))
        // Like an address manager: what it gave it gives again only after DEL.
        let script = """
            #!/bin/sh
            cat >/dev/null
            echo "$CNI_COMMAND" >>/run/calls
            case $CNI_COMMAND in
            ADD) [ ! -e /run/held ] || { echo '{"code": 11, "msg": "held"}'; exit 1; }; touch /run/held; echo '{}' ;;
            DEL) rm -f /run/held ;;
            esac
            """
        try lab.write("/run/spies/one", script, mode: 0o755)
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 0)
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 0)
        #expect(try lab.read("/run/calls") == "ADD\nADD\nDEL\nDEL\nADD\n")
    }

    private static func watched(_ types: [String], _ more: (String, Value)...) -> Value {
        .object(
            Object(
                [
                    ("cniVersion", "1.1.0"), ("name", "watched"),
                    ("plugins", .array(types.map { ["type": .string($0)] })),
                ] + more))
    }

    private static func call(_ document: Value) -> String {
        "\(document["plugin"]?.string ?? "") \(document["command"]?.string ?? "")"
    }

    @Test("B8 plugins that stand beside a list get every command, also when their file is gone")
    func besideTheList() throws {
        let lab = try Lab()
        for name in ["one", "two", "three"] { try lab.writeSpy(name) }
        try lab.writeNetwork("50-watched.conflist", Self.watched(["one"]))
        try lab.writeNetwork("watched/20-three.conf", ["type": "three"])
        try lab.writeNetwork("watched/10-two.conf", ["type": "two", "own": "key"])
        try lab.writeNetwork("watched/readme.txt", "no plugin")
        for network in ["watched", "/run/net.d/50-watched.conflist"] {
            #expect(try cni(lab, "add", network, "c0", at: spies).status == 0)
            #expect(try lab.spied().map(Self.call) == ["one ADD", "two ADD", "three ADD"])
            #expect(try cni(lab, "check", network, "c0", at: spies).status == 0)
            #expect(try lab.spied().map(Self.call) == ["one CHECK", "two CHECK", "three CHECK"])
            #expect(try cni(lab, "gc", network, at: spies).status == 0)
            #expect(try lab.spied().map(Self.call) == ["one GC", "two GC", "three GC"])
            #expect(try cni(lab, "status", network, at: spies).status == 0)
            #expect(try lab.spied().map(Self.call) == ["one STATUS", "two STATUS", "three STATUS"])
            try lab.tool("mv", "/run/net.d/watched", "/run/aside")
            #expect(try cni(lab, "del", network, "c0", at: spies).status == 0)
            let calls = try lab.spied()
            #expect(calls.map(Self.call) == ["three DEL", "two DEL", "one DEL"])
            #expect(calls[1]["input"]?["own"]?.string == "key")
            try lab.tool("mv", "/run/aside", "/run/net.d/watched")
        }
        // GC of what has vanished.
        try lab.addContainer("c1")
        #expect(try cni(lab, "add", "watched", "c1", "--container-id", "c1", at: spies).status == 0)
        try lab.removeContainer("c1")
        _ = try lab.spied()
        #expect(try cni(lab, "gc", "watched", at: spies).status == 0)
        #expect(try lab.spied().map(Self.call).prefix(3) == ["three DEL", "two DEL", "one DEL"])
    }

    @Test("B8 what others remembered without the plugins beside a list is completed; loadOnlyInlinedPlugins is obeyed")
    func rememberedByOthers() throws {
        let lab = try Lab()
        for name in ["one", "two"] { try lab.writeSpy(name) }
        let list = Self.watched(["one"])
        try lab.writeNetwork("50-watched.conflist", list)
        try lab.writeNetwork("watched/10-two.conf", ["type": "two"])
        let encoded = try lab.tool("sh", "-c", "printf %s '\(list.text())' | base64 -w 0")
        try lab.write(
            "/var/lib/cni/results/watched-a-eth0",
            """
            {"kind":"cniCacheV1","containerId":"a","config":"\(encoded)","ifName":"eth0","networkName":"watched",\
            "netns":"/run/netns/c0","result":{"cniVersion":"1.1.0"}}
            """)
        #expect(try cni(lab, "del", "watched", "c0", "--container-id", "a", at: spies).status == 0)
        #expect(try lab.spied().map(Self.call) == ["two DEL", "one DEL"])
        for flag: Value in [true, "true"] {
            try lab.writeNetwork("50-watched.conflist", Self.watched(["one"], ("loadOnlyInlinedPlugins", flag)))
            for command in ["add", "check", "gc", "status", "del"] {
                #expect(
                    try cni(lab, command, "watched", "c0", at: spies).status == 0 || command == "gc"
                        || command == "status")
            }
            #expect(try lab.spied().allSatisfy { $0["plugin"]?.string == "one" })
        }
    }

    @Test("B8 a plugin that answers in another version loses nothing of the result")
    func otherVersions() throws {
        let lab = try Lab()
        try lab.write(
            "/run/spies/old",
            """
            #!/bin/sh
            cat >/dev/null
            [ "$CNI_COMMAND" != ADD ] || \\
                echo '{"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.7/24", "gateway": "192.0.2.1"}}'
            """, mode: 0o755)
        try lab.writeSpy("one")
        try lab.writeNetwork("50-watched.conflist", Self.watched(["old", "one"]))
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 0)
        let input = try lab.spied()[0]["input"]
        #expect(input?["prevResult"]?["cniVersion"]?.string == "1.1.0")
        #expect(input?["prevResult"]?["ips"]?[0]?["address"]?.string == "192.0.2.7/24")
        #expect(input?["prevResult"]?["ips"]?[0]?["gateway"]?.string == "192.0.2.1")
    }

    @Test("B9 two files that define one network: the second is passed over, and that is said")
    func twoOfAName() throws {
        let lab = try Lab()
        try lab.writeSpy("one")
        try lab.writeSpy("two")
        try lab.writeNetwork("50-watched.conflist", Self.watched(["one"]))
        let quiet = try cni(lab, "add", "watched", "c0", at: spies)
        #expect(quiet.status == 0 && quiet.errorText.isEmpty)
        #expect(try cni(lab, "del", "watched", "c0", at: spies).status == 0)
        _ = try lab.spied()
        try lab.writeNetwork("60-again.conflist", Self.watched(["two"]))
        let words =
            "/run/net.d/60-again.conflist is passed over: /run/net.d/50-watched.conflist defines network watched, too"
        let added = try cni(lab, "add", "watched", "c0", at: spies)
        #expect(added.status == 0 && added.errorText.contains(words))
        #expect(try lab.spied().map(Self.call) == ["one ADD"])
        let listed = try lab.swiftlet("network", "ls", "--conf-dir", "/run/net.d", "--socket", "/run/none")
        #expect(listed.status == 0 && listed.errorText.contains(words), "\(listed.errorText)")
        #expect(listed.text.split(separator: "\n").filter { $0.hasPrefix("watched") }.count == 1)
    }

    @Test("B8 CNI_ARGS as others write them reach the plugins")
    func arguments() throws {
        let lab = try Lab()
        try lab.writeSpy("one")
        try lab.writeNetwork("50-watched.conflist", Self.watched(["one"]))
        let outcome = try lab.swiftlet(
            ["cni", "add", "watched", "c0"] + spies, environment: [("CNI_ARGS", "IgnoreUnknown=t;WORD;A=b=c;;E=;")])
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(try lab.spied()[0]["args"]?.string == "IgnoreUnknown=t;A=b=c;E=")
    }
}
