import NetworkTypes
import Synchronization
import System
import Testing

@testable import IPAM

@Suite("host-local commands")
struct HostLocalTests {
    private func add(_ scratch: Scratch, _ ipam: String, _ id: String, last: String? = nil) throws -> String {
        if let last { try scratch.write("last_reserved_ip.0", last) }
        return try scratch.host().allocate(configuration(ipam), for: owner(id)).texts.joined(separator: " ")
    }

    @Test("HL1 two sets, the first with two ranges")
    func hl1() throws {
        let scratch = try Scratch()
        let resolvConf = "\(scratch.path)/resolv.conf"
        #expect(try AtomicFile.create(resolvConf, with: Array("nameserver 192.0.2.3\n".utf8)))
        let parsed = try configuration(
            """
            {"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.2.2.0/24"}], [{"subnet": "2001:db8:1::0/64"}]],
             "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "192.168.0.0/16", "gw": "1.1.1.1"}],
             "resolvConf": "\(resolvConf)"}
            """)
        let host = scratch.host()
        let result = try host.allocate(parsed, for: owner("dummy"))
        #expect(result.texts == ["10.1.2.2/24", "2001:db8:1::2/64"])
        #expect(result.addresses.map { $0.gateway?.description } == ["10.1.2.1", "2001:db8:1::1"])
        #expect(result.routes == parsed.routes)
        #expect(result.routes.count == 3)
        #expect(result.dns.nameservers == ["192.0.2.3"])
        #expect(
            try scratch.files() == [
                "10.1.2.2": "dummy\r\neth0", "2001:db8:1::2": "dummy\r\neth0", "last_reserved_ip.0": "10.1.2.2",
                "last_reserved_ip.1": "2001:db8:1::2",
            ])
        try host.check(owner("dummy"))
        try host.release(owner("dummy"))
        #expect(try scratch.reservations().isEmpty)
        #expect(try scratch.files().count == 2)
        #expect(throws: IPAMError.notFound(containerID: "dummy")) { try host.check(owner("dummy")) }
    }

    @Test("modes: directory 0755, reservation and pointer 0600, lock 0750 and empty")
    func modes() throws {
        let scratch = try Scratch()
        _ = try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "a")
        func mode(_ name: String) throws -> UInt32 { try FileStatus(of: "\(scratch.path)/net\(name)").mode & 0o777 }
        #expect(try mode("") == 0o755)
        #expect(try mode("/10.1.2.2") == 0o600)
        #expect(try mode("/last_reserved_ip.0") == 0o600)
        #expect(try mode("/lock") == 0o750)
        #expect(try FileStatus(of: "\(scratch.path)/net/lock").size == 0)
        #expect(try Files.list("\(scratch.path)/net").count == 3)
    }

    @Test("HL2 two networks and two interfaces of one container")
    func hl2() throws {
        let scratch = try Scratch()
        let (one, two) = (scratch.host("net0"), scratch.host("net1"))
        let first = try configuration(#"{"subnet": "10.1.2.0/24"}"#, network: "net0")
        let second = try configuration(#"{"subnet": "10.2.2.0/24"}"#, network: "net1")
        #expect(try one.allocate(first, for: owner("dummy", "eth0")).texts == ["10.1.2.2/24"])
        #expect(try two.allocate(second, for: owner("dummy", "eth1")).texts == ["10.2.2.2/24"])
        #expect(try one.allocate(first, for: owner("dummy", "eth1")).texts == ["10.1.2.3/24"])
        try one.release(owner("dummy", "eth0"))
        #expect(try scratch.reservations("net0") == ["10.1.2.3": "dummy\r\neth1"])
        #expect(try scratch.reservations("net1") == ["10.2.2.2": "dummy\r\neth1"])
        try two.release(owner("dummy", "eth1"))
        #expect(try scratch.reservations("net1").isEmpty)
    }

    @Test("HL3 a repeated ADD is an error")
    func hl3() throws {
        let scratch = try Scratch()
        let ipam = #"{"subnet": "10.1.2.0/24"}"#
        let message =
            "failed to allocate for range 0: 10.1.2.2 has been allocated to dummy, duplicate allocation is not allowed"
        #expect(try add(scratch, ipam, "dummy") == "10.1.2.2/24")
        #expect(failure { _ = try add(scratch, ipam, "dummy") } == message)
        #expect(try add(scratch, ipam, "dummy1") == "10.1.2.3/24")
        #expect(failure { _ = try add(scratch, ipam, "dummy") } == message)
        #expect(try scratch.files()["last_reserved_ip.0"] == "10.1.2.3")
    }

    @Test("HL4 old-format files count for DEL, CHECK and duplicates; own files go first")
    func hl4() throws {
        let scratch = try Scratch()
        let host = scratch.host()
        try scratch.write("10.1.2.7", "dummy\n")
        try host.check(owner("dummy"))
        #expect(
            failure { _ = try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "dummy") }
                == "failed to allocate for range 0: 10.1.2.7 has been allocated to dummy, "
                + "duplicate allocation is not allowed")
        try scratch.write("10.1.2.8", "dummy\r\neth0")
        try host.release(owner("dummy"))
        #expect(try scratch.reservations() == ["10.1.2.7": "dummy\n"])
        try host.release(owner("dummy"))
        #expect(try scratch.reservations().isEmpty)
    }

    @Test("HL5 DEL of an unknown owner or network succeeds and makes nothing")
    func hl5() throws {
        let scratch = try Scratch()
        try scratch.host().release(owner("nobody"))
        #expect(try Files.list(scratch.path).isEmpty)
        _ = try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "a")
        try scratch.host().release(owner("nobody"))
        #expect(try scratch.reservations().count == 1)
    }

    @Test("HL6 the id is stored without white space")
    func hl6() throws {
        let scratch = try Scratch()
        let padded = owner("   dummy\n ")
        let parsed = try configuration(#"{"subnet": "10.1.2.0/24"}"#)
        _ = try scratch.host().allocate(parsed, for: padded)
        #expect(try scratch.reservations() == ["10.1.2.2": "dummy\r\neth0"])
        try scratch.host().release(padded)
        #expect(try scratch.reservations().isEmpty)
    }

    @Test("HL7 a first ADD, without pointer, and one with a broken pointer")
    func hl7() throws {
        let scratch = try Scratch()
        #expect(try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "a") == "10.1.2.2/24")
        #expect(try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "b", last: "") == "10.1.2.3/24")
        #expect(try add(scratch, #"{"subnet": "10.1.2.0/24"}"#, "c", last: "10.1.2.9\n") == "10.1.2.4/24")
    }

    @Test("HL8 requested addresses of any source and family")
    func hl8() throws {
        let ipam =
            #"{"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}], [{"subnet": "2001:db8::/32"}]]}"#
        let scratch = try Scratch()
        let requested = try configuration(
            ipam, runtimeConfig: #"{"ips": ["2001:db8::999"]}"#, args: #"{"cni": {"ips": ["10.1.3.77"]}}"#,
            requestedIP: "10.1.2.88")
        #expect(
            try scratch.host().allocate(requested, for: owner("a")).texts
                == ["10.1.2.88/24", "10.1.3.77/24", "2001:db8::999/32"])
        let one = try configuration(ipam, args: #"{"cni": {"ips": ["10.1.3.10/24"]}}"#)
        #expect(
            try scratch.host().allocate(one, for: owner("b")).texts
                == ["10.1.2.89/24", "10.1.3.10/24", "2001:db8::99a/32"])
        #expect(try scratch.files()["last_reserved_ip.1"] == "10.1.3.10")
    }

    @Test("HL9 a request that fits nowhere reserves nothing")
    func hl9() throws {
        let scratch = try Scratch()
        let parsed = try configuration(
            #"{"subnet": "10.1.3.0/24"}"#, args: #"{"cni": {"ips": ["10.1.2.88", "10.1.2.77"]}}"#)
        #expect(
            failure { _ = try scratch.host().allocate(parsed, for: owner("a")) }
                == "failed to allocate all requested IPs: 10.1.2.88 10.1.2.77")
        #expect(!Files.exists("\(scratch.path)/net"))
        // Two requests for one set: each set takes one.
        let two = try configuration(#"{"subnet": "10.1.3.0/24"}"#, runtimeConfig: #"{"ips": ["10.1.3.8", "10.1.3.9"]}"#)
        #expect(
            failure { _ = try scratch.host().allocate(two, for: owner("a")) }
                == "failed to allocate all requested IPs: 10.1.3.9")
    }

    /// Subnets of one set, used addresses, the last reserved one, the expected result.
    @Test(
        "HL11 round robin",
        arguments: [
            (["10.0.0.0/29"], [], nil, "10.0.0.2/29"),
            (["2001:db8:1::0/64"], [], nil, "2001:db8:1::2/64"),
            (["10.0.0.0/30"], [], nil, "10.0.0.2/30"),
            (["10.0.0.0/29"], ["10.0.0.2"], nil, "10.0.0.3/29"),
            (["10.0.0.0/29"], [], "10.0.0.5", "10.0.0.6/29"),
            (["10.0.0.0/29"], ["10.0.0.4", "10.0.0.5"], "10.0.0.3", "10.0.0.6/29"),
            (["10.0.0.0/29"], ["10.0.0.4", "10.0.0.5", "10.0.0.6"], "10.0.0.3", "10.0.0.2/29"),
            (["10.0.0.0/29"], ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"], "10.0.0.3", "10.0.0.3/29"),
            (["10.0.0.0/29"], ["10.0.0.2", "10.0.0.3"], "10.0.0.128", "10.0.0.4/29"),
            (["10.0.0.0/29"], ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"], "10.0.0.6", "10.0.0.6/29"),
            (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.0.2"], nil, "10.0.1.2/30"),
            (["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.0.2", "10.0.1.2/30"),
            (["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.1.2", "10.0.0.2/30"),
            (["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], ["10.0.2.2"], "10.0.1.2", "10.0.0.2/30"),
            (["255.255.255.248/29"], [], "255.255.255.254", "255.255.255.250/29"),
        ] as [([String], [String], String?, String)])
    func hl11(subnets: [String], used: [String], last: String?, expected: String) throws {
        let scratch = try Scratch()
        for address in used { try scratch.write(address, "other\r\neth0") }
        let set = subnets.map { #"{"subnet": "\#($0)"}"# }.joined(separator: ",")
        #expect(try add(scratch, #"{"ranges": [[\#(set)]]}"#, "id", last: last) == expected)
    }

    @Test("HL12 broadcast and gateway are never handed out")
    func hl12() throws {
        let scratch = try Scratch()
        let ipam = #"{"subnet": "192.168.1.0/29"}"#
        for number in 2...6 { #expect(try add(scratch, ipam, "id\(number)") == "192.168.1.\(number)/29") }
        #expect(
            failure { _ = try add(scratch, ipam, "one more") }
                == "failed to allocate for range 0: no IP addresses available in range set: 192.168.1.1-192.168.1.6")
    }

    @Test("HL13 a released address is not the next one")
    func hl13() throws {
        let scratch = try Scratch()
        let ipam = #"{"subnet": "10.0.0.0/29"}"#
        #expect(try add(scratch, ipam, "a") == "10.0.0.2/29")
        try scratch.host().release(owner("a"))
        #expect(try add(scratch, ipam, "a") == "10.0.0.3/29")
    }

    @Test("HL14 requested addresses and what is wrong with them")
    func hl14() throws {
        let scratch = try Scratch()
        func request(_ text: String, _ id: String) -> String {
            var result = ""
            let error = failure {
                let parsed = try configuration(
                    #"{"subnet": "10.0.0.0/29", "rangeStart": "10.0.0.1", "rangeEnd": "10.0.0.5"}"#, requestedIP: text)
                result = try scratch.host().allocate(parsed, for: owner(id)).texts[0]
            }
            return result.isEmpty ? error : result
        }
        #expect(request("10.0.0.5", "a") == "10.0.0.5/29")
        let taken = "requested IP address 10.0.0.5 is not available in range set 10.0.0.1-10.0.0.5"
        #expect(request("10.0.0.5", "b") == "failed to allocate for range 0: " + taken)
        #expect(request("10.0.0.5", "a") == "failed to allocate for range 0: " + taken)
        #expect(request("10.0.0.6", "b") == "failed to allocate all requested IPs: 10.0.0.6")
        #expect(request("10.0.0.0", "b").hasPrefix("CNI_ARGS IP: 10.0.0.0 is the network's own address of 10.0.0.0/29"))
        #expect(
            request("10.0.0.1", "b") == "failed to allocate for range 0: requested ip 10.0.0.1 is subnet's gateway")
        // An owner may hold several addresses by asking for them.
        #expect(request("10.0.0.3", "a") == "10.0.0.3/29")
        #expect(try scratch.reservations() == ["10.0.0.5": "a\r\neth0", "10.0.0.3": "a\r\neth0"])
        try scratch.host().release(owner("a"))
        #expect(try scratch.reservations().isEmpty)
    }

    @Test("HL15 exhaustion of one set takes the others back, and nothing else")
    func hl15() throws {
        let scratch = try Scratch()
        let ipam = #"{"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/30"}, {"subnet": "10.1.1.0/30"}]]}"#
        _ = try add(scratch, ipam, "a")
        _ = try add(scratch, ipam, "b")
        // This address of the same owner was there before.
        try scratch.write("10.9.0.1", "c\r\neth0")
        let before = try scratch.files()
        #expect(throws: IPAMError.self) { try add(scratch, ipam, "c") }
        #expect(
            failure { _ = try add(scratch, ipam, "c") }
                == "failed to allocate for range 1: no IP addresses available in range set: "
                + "10.1.0.1-10.1.0.2,10.1.1.1-10.1.1.2")
        #expect(try scratch.files() == before)
    }

    @Test("HL23 the lock is the file `lock` in the directory, and it is respected")
    func hl23() async throws {
        let scratch = try Scratch()
        _ = try add(scratch, #"{"subnet": "10.0.0.0/24"}"#, "a")
        let order = Order()
        try await withThrowingTaskGroup(of: Void.self) { group in
            let path = scratch.path
            do {
                let lock = try FileLock("\(path)/net/lock")
                group.addTask {
                    let host = HostLocal(network: "net", dataDirectory: path) { if $0 == .locked { order.add("ours") } }
                    try host.release(owner("a"))
                }
                pause(milliseconds: 50)
                order.add("theirs")
                _ = consume lock
            }
            try await group.waitForAll()
        }
        #expect(order.events == ["theirs", "ours"])
    }

    @Test("runtime ranges move the pointer's number")
    func pointerIndex() throws {
        let scratch = try Scratch()
        let parsed = try configuration(
            #"{"subnet": "10.1.0.0/24"}"#, runtimeConfig: #"{"ipRanges": [[{"subnet": "10.9.0.0/24"}]]}"#)
        #expect(try scratch.host().allocate(parsed, for: owner("a")).texts == ["10.9.0.2/24", "10.1.0.2/24"])
        #expect(try scratch.files()["last_reserved_ip.0"] == "10.9.0.2")
        #expect(try scratch.files()["last_reserved_ip.1"] == "10.1.0.2")
    }

    @Test("exclusions are passed over, and refused by name when asked for")
    func exclusions() throws {
        let scratch = try Scratch()
        let ipam = #"{"subnet": "10.1.2.0/24", "exclude": {"router": "10.1.2.2", "lab": "10.1.2.4/30"}}"#
        #expect(try add(scratch, ipam, "a") == "10.1.2.3/24")
        #expect(try add(scratch, ipam, "b") == "10.1.2.8/24")
        func request(_ text: String, _ ipam: String) throws -> String {
            let parsed = try configuration(ipam, requestedIP: text)
            return failure { _ = try scratch.host().allocate(parsed, for: owner("c")) }
        }
        let prefix = "failed to allocate for range 0: requested IP address"
        #expect(try request("10.1.2.2", ipam) == "\(prefix) 10.1.2.2 is excluded (router)")
        #expect(try request("10.1.2.6", ipam) == "\(prefix) 10.1.2.6 is excluded (lab)")
        let list = #"{"subnet": "10.1.2.0/24", "exclude": ["10.1.2.9"]}"#
        #expect(try request("10.1.2.9", list) == "\(prefix) 10.1.2.9 is excluded")
    }

    @Test("onDuplicate reuse gives the same addresses again, and completes what a crash cut short")
    func reuse() throws {
        let scratch = try Scratch()
        let host = scratch.host()
        let ipam =
            #"{"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "2001:db8::/64"}]], "onDuplicate": "reuse"}"#
        let parsed = try configuration(ipam)
        let first = try host.allocate(parsed, for: owner("a"))
        let files = try scratch.files()
        #expect(try host.allocate(parsed, for: owner("a")) == first)
        #expect(try scratch.files() == files)
        try scratch.write("10.1.0.7", "b\r\neth0")
        #expect(try host.allocate(parsed, for: owner("b")).texts == ["10.1.0.7/24", "2001:db8::3/64"])
        // Asked for: what is held, or something else.
        #expect(
            try host.allocate(configuration(ipam, requestedIP: "10.1.0.7"), for: owner("b")).texts
                == ["10.1.0.7/24", "2001:db8::3/64"])
        #expect(
            throws: IPAMError.duplicate(set: 0, address: try address("10.1.0.7"), containerID: "b")
        ) { try host.allocate(configuration(ipam, requestedIP: "10.1.0.8"), for: owner("b")) }
        // Reservations these sets do not explain.
        try scratch.write("192.0.2.1", "c\r\neth0")
        #expect(throws: IPAMError.self) { try host.allocate(parsed, for: owner("c")) }
        try scratch.write("10.1.0.9", "d")
        #expect(throws: IPAMError.self) { try host.allocate(parsed, for: owner("d")) }
    }

    @Test("an owner whose name could not be read again gets nothing, and nothing of it stays")
    func longestOwner() throws {
        let scratch = try Scratch()
        let host = scratch.host()
        let parsed = try configuration(#"{"subnet": "10.1.0.0/24"}"#)
        // With the line end and "eth0" this is all that fits.
        let long = String(repeating: "a", count: 4096 - 6)
        _ = try host.allocate(parsed, for: owner(long))
        #expect(throws: IPAMError.self) { try host.allocate(parsed, for: owner(long + "a")) }
        #expect(try scratch.reservations().count == 1)
        try host.release(owner(long + "a"))
        try host.collectGarbage(valid: [])
        #expect(try scratch.reservations() == [:])
    }

    @Test("ranges at the ends of the families")
    func ends() throws {
        let scratch = try Scratch()
        let last = #"{"subnet": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"}"#
        #expect(try add(scratch, last, "a").hasSuffix(":fffe/126"))
        #expect(try add(scratch, last, "b").hasSuffix(":ffff/126"))
        #expect(throws: IPAMError.self) { try add(scratch, last, "c") }
        let high = #"{"subnet": "255.255.255.0/24", "rangeEnd": "255.255.255.254", "rangeStart": "255.255.255.254"}"#
        #expect(try add(scratch, high, "d") == "255.255.255.254/24")
        #expect(throws: IPAMError.self) { try add(scratch, high, "e") }
        #expect(try add(scratch, #"{"subnet": "0.0.0.0/0"}"#, "f", last: "255.255.255.254") == "0.0.0.2/0")
        #expect(
            try add(scratch, #"{"subnet": "::/0"}"#, "g", last: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd") == "::2/0")
    }
}

/// What happened, in order, on any thread.
final class Order: Sendable {
    private let log = Mutex<[String]>([])

    func add(_ event: String) { log.withLock { $0.append(event) } }

    var events: [String] { log.withLock { $0 } }
}
