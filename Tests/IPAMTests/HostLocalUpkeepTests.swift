import NetworkTypes
import Synchronization
import System
import Testing

@testable import IPAM

@Suite("host-local CHECK, GC and STATUS")
struct HostLocalUpkeepTests {
    private func add(_ scratch: Scratch, _ ipam: String, _ id: String, last: String? = nil) throws -> String {
        if let last { try scratch.write("last_reserved_ip.0", last) }
        return try scratch.host().allocate(configuration(ipam), for: owner(id)).texts.joined(separator: " ")
    }

    @Test("CHECK compares the earlier result with the reservations")
    func check() throws {
        let scratch = try Scratch()
        let parsed = try configuration(#"{"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "2001:db8::/64"}]]}"#)
        let host = scratch.host()
        let held = try host.allocate(parsed, for: owner("a")).addresses.map(\.prefix.address)
        try host.check(owner("a"), addresses: held, within: parsed.rangeSets)
        try host.check(owner("a"), addresses: held + [address("192.0.2.1")], within: parsed.rangeSets)
        #expect(
            failure { try host.check(owner("a"), addresses: [held[0]], within: parsed.rangeSets) }
                == "host-local: 2001:db8::2 is reserved for a but not in prevResult")
        #expect(
            failure { try host.check(owner("a"), addresses: held + [address("10.1.0.9")], within: parsed.rangeSets) }
                == "host-local: 10.1.0.9 is in prevResult but not reserved for a")
        #expect(
            failure { try host.check(owner("b"), addresses: [], within: []) }
                == "host-local: Failed to find address added by container b")
        #expect(failure { try scratch.host("other").check(owner("a")) }.contains("Failed to find address"))
    }

    @Test("GC keeps the valid owners, old format included, and clears leftovers away")
    func garbage() throws {
        let scratch = try Scratch()
        let ipam = #"{"subnet": "10.1.0.0/24"}"#
        for id in ["a", "b", "c"] { _ = try add(scratch, ipam, id) }
        try scratch.write("10.1.0.50", "old")
        try scratch.write("10.1.0.51", "gone")
        try scratch.write("10.1.0.52", " \r\n")
        try scratch.write("10.1.0.53", "b\r\neth1")
        try scratch.write(".10.1.0.54.4711.tmp", "b")
        try scratch.host().collectGarbage(valid: [owner("a"), owner("b"), owner("old", "eth7")])
        #expect(try scratch.files().keys.sorted() == ["10.1.0.2", "10.1.0.3", "10.1.0.50", "last_reserved_ip.0"])
        // The index follows.
        #expect(try add(scratch, ipam, "c") == "10.1.0.5/24")
        try scratch.host().collectGarbage(valid: [])
        #expect(try scratch.reservations().isEmpty)
        try scratch.host("other").collectGarbage(valid: [])
        #expect(!Files.exists("\(scratch.path)/other"))
    }

    @Test("GC goes on past what it cannot read, and reports it")
    func garbageFaults() throws {
        let scratch = try Scratch()
        try Files.makeDirectories("\(scratch.path)/net/10.1.0.7", mode: 0o700)
        try scratch.write("10.1.0.8", "gone\r\neth0")
        let message = failure { try scratch.host().collectGarbage(valid: []) }
        #expect(message.contains("1 reservations could not be collected") && message.contains("10.1.0.7"))
        #expect(try Files.list("\(scratch.path)/net").sorted() == ["10.1.0.7", "lock"])
        // What cannot be read is taken.
        #expect(try add(scratch, #"{"subnet": "10.1.0.0/24"}"#, "a", last: "10.1.0.6") == "10.1.0.8/24")
    }

    @Test("empty and torn files are reclaimed")
    func empty() throws {
        let scratch = try Scratch()
        try scratch.write("10.1.0.2", "")
        try scratch.write("10.1.0.3", "\0\0\0\0")
        #expect(try add(scratch, #"{"subnet": "10.1.0.0/24"}"#, "a") == "10.1.0.2/24")
        #expect(try scratch.reservations() == ["10.1.0.2": "a\r\neth0"])
        let parsed = try configuration(#"{"subnet": "10.1.0.0/24"}"#, requestedIP: "10.1.0.9")
        try scratch.write("10.1.0.9", "")
        #expect(try scratch.host().allocate(parsed, for: owner("b")).texts == ["10.1.0.9/24"])
    }

    @Test("STATUS")
    func status() throws {
        let scratch = try Scratch()
        let ipam = #"{"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/30"}]]}"#
        let parsed = try configuration(ipam)
        try scratch.host().status(parsed)
        #expect(try Files.list(scratch.path).isEmpty)
        _ = try add(scratch, ipam, "a")
        #expect(
            failure { try scratch.host().status(parsed) }
                == "host-local: no IP addresses available in range set: 10.2.0.1-10.2.0.2")
        try scratch.host().release(owner("a"))
        try scratch.host().status(parsed)
        let nowhere = HostLocal(network: "net", dataDirectory: "/proc/sys/kernel")
        #expect(throws: IPAMError.self) { try nowhere.status(parsed) }
        #expect(failure { try nowhere.status(parsed) }.contains("/proc/sys/kernel"))
        let excluded = try configuration(#"{"subnet": "10.1.0.0/24", "exclude": ["10.1.0.0/24"]}"#)
        #expect(throws: IPAMError.self) { try scratch.host("other").status(excluded) }
    }

    @Test("a missing resolv.conf is an error and reserves nothing")
    func resolvConf() throws {
        let scratch = try Scratch()
        let parsed = try configuration(#"{"subnet": "10.1.0.0/24", "resolvConf": "\#(scratch.path)/none"}"#)
        #expect(
            throws: IPAMError.io(SystemError("open", "\(scratch.path)/none", .noSuchFileOrDirectory))
        ) { try scratch.host().allocate(parsed, for: owner("a")) }
        #expect(!Files.exists("\(scratch.path)/net"))
    }

    @Test("network names that would leave the data directory", arguments: ["", ".", "..", "../x", "a/b", ".swiftlet"])
    func names(name: String) throws {
        let scratch = try Scratch()
        let host = scratch.host(name)
        #expect(throws: IPAMError.invalidNetworkName(name)) { try host.release(owner("a")) }
        #expect(throws: IPAMError.invalidNetworkName(name)) {
            try host.allocate(configuration(#"{"subnet": "10.1.0.0/24"}"#), for: owner("a"))
        }
        #expect(throws: IPAMError.invalidNetworkName(name)) { try host.collectGarbage(valid: []) }
    }
}

@Suite("B8 an attachment that returns after everything but its reservation is gone")
struct ReturningTests {
    private let ipam = #"{"ranges": [[{"subnet": "10.0.0.0/28"}], [{"subnet": "2001:db8::/64"}]]}"#

    private func add(_ scratch: Scratch, _ ipam: String, _ owner: Owner, ip: String? = nil, runtime: String = "{}")
        throws -> [String]
    {
        try scratch.host().allocate(
            configuration(ipam, runtimeConfig: runtime, requestedIP: ip), for: owner, isReturning: true
        ).addresses.map { "\($0.prefix.address)" }
    }

    @Test("it gets its addresses again, and nobody else's move") func same() throws {
        let scratch = try Scratch()
        #expect(try add(scratch, ipam, owner("a")) == ["10.0.0.2", "2001:db8::2"])
        #expect(try add(scratch, ipam, owner("b")) == ["10.0.0.3", "2001:db8::3"])
        let before = try scratch.reservations()
        for _ in 0..<3 { #expect(try add(scratch, ipam, owner("a")) == ["10.0.0.2", "2001:db8::2"]) }
        #expect(try scratch.reservations() == before)
        // Whoever does not know that it is gone is refused as ever.
        let held = try address("10.0.0.2")
        #expect(throws: IPAMError.duplicate(set: 0, address: held, containerID: "a")) {
            try scratch.host().allocate(configuration(ipam), for: owner("a"))
        }
    }

    @Test("it gets what it asks for now, and what it held is free") func another() throws {
        let scratch = try Scratch()
        #expect(try add(scratch, ipam, owner("a")) == ["10.0.0.2", "2001:db8::2"])
        #expect(try add(scratch, ipam, owner("a"), ip: "10.0.0.9") == ["10.0.0.9", "2001:db8::2"])
        #expect(try scratch.reservations().keys.sorted() == ["10.0.0.9", "2001:db8::2"])
        // The subnet is another, or its address is the gateway now.
        let moved =
            #"{"ranges": [[{"subnet": "10.7.0.0/28"}], [{"subnet": "2001:db8::/64", "gateway": "2001:db8::2"}]]}"#
        let addresses = try add(scratch, moved, owner("a"))
        #expect(addresses.first == "10.7.0.2" && addresses.last != "2001:db8::2")
        #expect(try scratch.reservations().keys.sorted() == addresses.sorted())
    }

    @Test("what it cannot have leaves it what it held") func refused() throws {
        let scratch = try Scratch()
        _ = try add(scratch, ipam, owner("a"))
        _ = try add(scratch, ipam, owner("b"))
        let before = try scratch.reservations()
        #expect(throws: IPAMError.self) { try add(scratch, ipam, owner("a"), ip: "10.0.0.3") }
        #expect(try scratch.reservations() == before)
        // The policies of the configuration do not matter.
        let reusing = #"{"onDuplicate": "reuse", "ranges": [[{"subnet": "10.0.0.0/28"}]]}"#
        #expect(try add(scratch, reusing, owner("a")) == ["10.0.0.2"])
        #expect(try scratch.reservations().keys.sorted() == ["10.0.0.2", "10.0.0.3", "2001:db8::3"])
    }

    @Test("another interface of the same container keeps its own") func siblings() throws {
        let scratch = try Scratch()
        #expect(try add(scratch, ipam, owner("a", "eth0")).first == "10.0.0.2")
        #expect(try add(scratch, ipam, owner("a", "eth1")).first == "10.0.0.3")
        #expect(try add(scratch, ipam, owner("a", "eth0")).first == "10.0.0.2")
        try scratch.write("10.0.0.9", "c")
        let held = try address("10.0.0.9")
        #expect(throws: IPAMError.duplicate(set: 0, address: held, containerID: "c")) {
            try add(scratch, ipam, owner("c"))
        }
    }
}
