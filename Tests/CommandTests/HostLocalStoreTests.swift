import JSON
import System
import TestSupport
import Testing

/// The state `host-local` keeps on disk, and how it gets rid of it.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HostLocalStoreTests {
    static let directory = "/var/lib/cni/networks/net"

    @Test("The bytes on disk", arguments: Plugins.versions)
    func bytes(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version, ["10.1.2.0/24", "2001:db8:1::/64"])
        try lab.run("host-local", "ADD", containerID: "a51debf7e1eb", config).orFail()
        let directory = Self.directory
        #expect(try lab.read("\(directory)/10.1.2.2") == "a51debf7e1eb\r\neth0")
        #expect(try lab.read("\(directory)/2001:db8:1::2") == "a51debf7e1eb\r\neth0")
        #expect(try lab.read("\(directory)/last_reserved_ip.0") == "10.1.2.2")
        #expect(try lab.read("\(directory)/last_reserved_ip.1") == "2001:db8:1::2")
        #expect(try lab.read("\(directory)/lock").isEmpty)
        let modes = try lab.inside {
            try [directory, "\(directory)/10.1.2.2", "\(directory)/last_reserved_ip.0"].map {
                try FileStatus(of: $0).mode & 0o777
            }
        }
        #expect(modes[0] == 0o755)
        try beyondReference("files became private in 2023") { #expect(modes[1] == 0o600 && modes[2] == 0o600) }
        try lab.run("host-local", "DEL", containerID: "a51debf7e1eb", config).expectSilence()
        #expect(try lab.reservations("net") == [:])
        #expect(try lab.read("\(directory)/last_reserved_ip.0") == "10.1.2.2")
    }

    @Test("Attachments of one container are kept apart", arguments: Plugins.versions)
    func attachments(_ version: String) throws {
        let lab = try Lab()
        let one = Inputs.hostLocal(version, name: "one")
        let two = Inputs.hostLocal(version, name: "two")
        try lab.run("host-local", "ADD", one).orFail()
        try lab.run("host-local", "ADD", ifname: "eth1", one).orFail()
        try lab.run("host-local", "ADD", ifname: "eth1", two).orFail()
        try lab.run("host-local", "DEL", one).expectSilence()
        #expect(try lab.reservations("one") == ["10.1.2.3": "c0\r\neth1"])
        #expect(try lab.reservations("two") == ["10.1.2.2": "c0\r\neth1"])
        try lab.run("host-local", "DEL", ifname: "eth1", two).expectSilence()
        #expect(try lab.reservations("one").count == 1)
        #expect(try lab.reservations("two").isEmpty)
    }

    @Test("An attachment gets one address", arguments: Plugins.versions)
    func duplicate(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version)
        #expect(try lab.run("host-local", "ADD", config).orFail().addresses == ["10.1.2.2/24"])
        let refusal = "10.1.2.2 has been allocated to c0, duplicate allocation is not allowed"
        try lab.run("host-local", "ADD", config).expectRefusal(containing: refusal)
        #expect(try lab.run("host-local", "ADD", containerID: "c1", config).orFail().addresses == ["10.1.2.3/24"])
        try lab.run("host-local", "ADD", config).expectRefusal(containing: refusal)
        #expect(try lab.reservations("net").count == 2)
        try lab.run("host-local", "DEL", config).expectSilence()
        #expect(try lab.run("host-local", "ADD", config).orFail().addresses == ["10.1.2.4/24"])
    }

    @Test("Files of the old format are honoured", arguments: Plugins.versions)
    func oldFormat(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version)
        for content in ["c0", "c0\n", " c0 "] {
            try lab.write("\(Self.directory)/10.1.2.5", content)
            try lab.run("host-local", "ADD", config).expectRefusal(
                containing: "10.1.2.5 has been allocated to c0, duplicate allocation is not allowed")
            if atLeast(version, "0.4.0") {
                try lab.run("host-local", "CHECK", config).expectSilence(content)
            }
            try lab.run("host-local", "DEL", containerID: "c", config).expectSilence()
            #expect(try lab.reservations("net").count == 1)
            try lab.run("host-local", "DEL", config).expectSilence()
            #expect(try lab.reservations("net") == [:], "\(content)")
        }
        // The full form goes first; the short one may belong to another interface.
        try lab.write("\(Self.directory)/10.1.2.5", "c0")
        try lab.write("\(Self.directory)/10.1.2.6", "c0\r\neth0")
        try lab.run("host-local", "DEL", config).expectSilence()
        #expect(try lab.reservations("net") == ["10.1.2.5": "c0"])
    }

    @Test("Empty and torn files are nobody's", .enabled(if: !Plugins.areReference, "the reference keeps them forever"))
    func tornFiles() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0", ["10.1.2.0/29"])
        for (index, content) in ["", "\0\0\0\0\0\0", "\r\n"].enumerated() {
            let address = "10.1.2.\(index + 2)"
            try lab.write("\(Self.directory)/\(address)", content)
            let id = "c\(index)"
            let answer = try lab.run("host-local", "ADD", containerID: id, arguments: "IP=\(address)", config)
            #expect(answer.orFail().addresses == ["\(address)/29"])
            #expect(try lab.reservations("net")[address] == "\(id)\r\neth0")
        }
        try lab.write("\(Self.directory)/10.1.2.5", "")
        try lab.write("\(Self.directory)/10.1.2.6", "")
        let rest = try ["x", "y"].map {
            try lab.run("host-local", "ADD", containerID: $0, config).orFail().addresses.first ?? "none"
        }
        #expect(rest.sorted() == ["10.1.2.5/29", "10.1.2.6/29"])
    }

    @Test("Foreign files and directories do no harm")
    func foreignFiles() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0")
        let directory = Self.directory
        for name in ["notes.txt", ".hidden", "10.1.2.300", "last_reserved_ip.x", "sub/10.1.2.4"] {
            try lab.write("\(directory)/\(name)", "c9\r\neth0")
        }
        try lab.write("\(directory)/last_reserved_ip.0", "garbage")
        #expect(try lab.run("host-local", "ADD", config).orFail().addresses == ["10.1.2.2/24"])
        try lab.run("host-local", "DEL", config).expectSilence()
        #expect(try lab.list(directory).contains("notes.txt"))
    }

    @Test("DEL of what was never added", arguments: Plugins.versions)
    func unknownDelete(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version)
        for _ in 0..<2 { try lab.run("host-local", "DEL", containerID: "nobody", config).expectSilence() }
        try lab.run("host-local", "ADD", config).orFail()
        for netns in [nil, "", "/run/netns/gone"] as [String?] {
            try lab.run("host-local", "DEL", containerID: "nobody", netns: netns, config).expectSilence()
        }
        #expect(try lab.reservations("net").count == 1)
        try lab.run("host-local", "DEL", netns: "", config).expectSilence()
        try lab.run("host-local", "DEL", netns: "", config).expectSilence()
        #expect(try lab.reservations("net").isEmpty)
    }

    @Test(
        "CHECK knows whether the attachment has an address", arguments: Plugins.versions.filter { atLeast($0, "0.4.0") }
    )
    func check(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version)
        let refusal = "Failed to find address added by container c0"
        try lab.run("host-local", "CHECK", config).expectRefusal(containing: refusal)
        let document = try lab.run("host-local", "ADD", config).orFail()
        let checked = config.with(("prevResult", document))
        try lab.run("host-local", "CHECK", checked).expectSilence()
        try lab.run("host-local", "CHECK", ifname: "eth1", checked).expectRefusal(containing: refusal)
        try lab.run("host-local", "DEL", checked).expectSilence()
        try lab.run("host-local", "CHECK", checked).expectRefusal(containing: refusal)
    }

    @Test(
        "DEL releases whatever the configuration has become",
        .enabled(if: !Plugins.areReference, "the reference validates ranges on DEL"))
    func deleteWithBrokenConfiguration() throws {
        let lab = try Lab()
        let good = Inputs.hostLocal("1.0.0")
        let broken: [Value] = [
            ["type": "host-local"], ["type": "host-local", "ranges": []], ["type": "host-local", "ranges": [[]]],
            ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/31"]]]],
            ["type": "host-local", "ranges": [[["subnet": "10.1.2.7/24"]]]],
            ["type": "host-local", "ranges": [[["subnet": "nonsense"]]]],
            ["type": "host-local", "ranges": "nonsense"],
            ["type": "host-local", "ranges": [[["subnet": "10.7.0.0/24"]]]],
            ["type": "host-local", "resolvConf": "/run/none", "ranges": [[["subnet": "10.1.2.0/24"]]]],
            ["type": "host-local", "exclude": ["nonsense"], "ranges": [[["subnet": "10.1.2.0/24"]]]],
        ]
        for ipam in broken {
            try lab.run("host-local", "ADD", good).orFail()
            try lab.run("host-local", "DEL", good.with(("ipam", ipam))).expectSilence(ipam.text())
            #expect(try lab.reservations("net") == [:], "\(ipam.text())")
        }
        try lab.run("host-local", "ADD", good).orFail()
        try lab.run("host-local", "DEL", arguments: "FOO=1;nonsense", good).expectSilence()
        #expect(try lab.reservations("net") == [:])
    }

    @Test(
        "Configurations that make no sense",
        arguments: [
            (#"{"type":"host-local"}"#, "no IP ranges specified"),
            (#"{"type":"host-local","ranges":[[]]}"#, "invalid range set 0: empty range set"),
            (#"{"type":"host-local","subnet":"192.0.2.0/31"}"#, "Network 192.0.2.0/31 too small to allocate from"),
            (#"{"type":"host-local","subnet":"2001:db8::/127"}"#, "Network 2001:db8::/127 too small to allocate from"),
            (
                #"{"type":"host-local","subnet":"192.0.2.12/24"}"#,
                "Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0"
            ),
            (
                #"{"type":"host-local","subnet":"192.0.3.0/23"}"#,
                "Network has host bits set. For a subnet mask of length 23 the network address is 192.0.2.0"
            ),
            (
                #"{"type":"host-local","subnet":"2001:db8:0:1::/63"}"#,
                "Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8::"
            ),
            (
                #"{"type":"host-local","subnet":"192.0.2.0/24","rangeStart":"192.0.3.0"}"#,
                "RangeStart 192.0.3.0 not in network 192.0.2.0/24"
            ),
            (
                #"{"type":"host-local","subnet":"192.0.2.0/24","rangeEnd":"192.0.4.0"}"#,
                "RangeEnd 192.0.4.0 not in network 192.0.2.0/24"
            ),
            (
                #"{"type":"host-local","subnet":"192.0.2.0/24","rangeStart":"192.0.2.50","rangeEnd":"192.0.2.40"}"#,
                "RangeStart 192.0.2.50 not in network 192.0.2.0/24"
            ),
            (
                #"{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"},{"subnet":"2001:db8::/64"}]]}"#,
                "invalid range set 0: mixed address families"
            ),
            (
                #"{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/16"},{"subnet":"10.1.2.0/24"}]]}"#,
                "invalid range set 0: subnets 10.1.0.1-10.1.255.254 and 10.1.2.1-10.1.2.254 overlap"
            ),
            (
                #"{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/16"}],[{"subnet":"10.1.2.0/24"}]]}"#,
                "range set 0 overlaps with 1"
            ),
            (#"{"type":"host-local","subnet":"10.01.2.0/24"}"#, "10.01.2.0/24"),
            (#"{"type":"host-local","subnet":7}"#, ""), (#"null"#, "IPAM config missing 'ipam' key"),
        ])
    func invalid(_ row: (ipam: String, refusal: String)) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0").with(("ipam", try Value(parsing: Array(row.ipam.utf8))))
        try lab.run("host-local", "ADD", config).expectRefusal(containing: row.refusal)
        #expect(try lab.list(Self.directory).isEmpty)
    }
}
