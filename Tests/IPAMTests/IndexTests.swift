import NetworkTypes
import System
import Testing

@testable import IPAM

@Suite("The index")
struct IndexTests {
    private let boot = BootID(high: 1, low: 2)
    private let signature = DirectorySignature(device: 1, inode: 2, modified: 3, changed: 4, size: 5)

    @Test("agrees with a dictionary over random changes, in memory and in its file, and grows")
    func property() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("index property seed \(seed)")
        var random = Seeded(state: seed)
        let scratch = try Scratch()
        let path = "\(scratch.path)/index"
        var index = ReservationIndex(boot: boot, signature: signature, seed: random.next(), room: 0, chunks: 0)
        var model: [IPAddress: [UInt8]] = [:]
        var growths = 0
        for step in 0..<6000 {
            let number = UInt128.random(in: 0..<3000, using: &random)
            let address = IPAddress(family: number % 7 == 0 ? .ipv6 : .ipv4, number: number << (number % 5))
            let record = Array("c\(UInt64.random(in: 0..<400, using: &random))\r\neth0".utf8)
            if let old = model[address] {
                try index.remove(address, record: old)
                model[address] = nil
            } else {
                if try index.insert(address, record: record) {
                    index = try index.grown()
                    growths += 1
                }
                model[address] = record
            }
            if step % 500 == 499, index.isInMemory {
                try index.markClean(signature)
                try AtomicFile.replace(path, with: index.encoded(), isDurable: false)
                guard let opened = ReservationIndex(opening: path, boot: boot, signature: signature) else {
                    Issue.record("the file just written is not taken")
                    return
                }
                index = opened
            }
            if step % 20 == 0 {
                #expect(try Set(index.addresses(of: record)) == Set(model.filter { $0.value == record }.keys))
                let low = UInt128.random(in: 0..<3000, using: &random)
                let high = low + UInt128.random(in: 0..<600, using: &random)
                for family in [AddressFamily.ipv4, .ipv6] {
                    let expected = (low...high).first { model[IPAddress(family: family, number: $0)] == nil }
                    #expect(try index.firstFree(family, low...high) == expected)
                }
            }
        }
        #expect(growths > 0)
        for record in Set(model.values) {
            #expect(try Set(index.addresses(of: record)) == Set(model.filter { $0.value == record }.keys))
        }
    }

    @Test("any damaged byte is noticed, or does not matter")
    func damage() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("index damage seed \(seed)")
        var random = Seeded(state: seed)
        let scratch = try Scratch()
        let path = "\(scratch.path)/index"
        var index = ReservationIndex(boot: boot, signature: signature, seed: random.next(), room: 60, chunks: 3)
        let records = (0..<60).map { Array("c\($0)\r\neth0".utf8) }
        for (number, record) in records.enumerated() {
            _ = try index.insert(IPAddress(family: .ipv4, number: UInt128(number) * 11), record: record)
        }
        try index.markClean(signature)
        let whole = index.encoded()
        for _ in 0..<300 {
            var bytes = whole
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            try AtomicFile.replace(path, with: bytes, isDurable: false)
            guard let opened = ReservationIndex(opening: path, boot: boot, signature: signature) else { continue }
            for (number, record) in records.enumerated() {
                guard let found = try? opened.addresses(of: record) else { continue }
                #expect(found == [IPAddress(family: .ipv4, number: UInt128(number) * 11)])
            }
            if let free = try? opened.firstFree(.ipv4, 0...700) { #expect(free == 1) }
        }
    }

    @Test("is refused after another boot, for another directory, unfinished, short or long")
    func refusals() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/index"
        var index = ReservationIndex(boot: boot, signature: signature, seed: 9, room: 0, chunks: 0)
        func opens(_ bytes: [UInt8], boot: BootID? = nil, signature: DirectorySignature? = nil) throws -> Bool {
            try AtomicFile.replace(path, with: bytes, isDurable: false)
            let opened = ReservationIndex(
                opening: path, boot: boot ?? self.boot, signature: signature ?? self.signature)
            return opened != nil
        }
        #expect(try !opens(index.encoded()))
        try index.markClean(signature)
        let bytes = index.encoded()
        #expect(try opens(bytes))
        #expect(try !opens(bytes, boot: BootID(high: 1, low: 3)))
        for other in [
            DirectorySignature(device: 0, inode: 2, modified: 3, changed: 4, size: 5),
            DirectorySignature(device: 1, inode: 0, modified: 3, changed: 4, size: 5),
            DirectorySignature(device: 1, inode: 2, modified: 0, changed: 4, size: 5),
            DirectorySignature(device: 1, inode: 2, modified: 3, changed: 0, size: 5),
            DirectorySignature(device: 1, inode: 2, modified: 3, changed: 4, size: 0),
        ] {
            #expect(try !opens(bytes, signature: other))
        }
        #expect(try !opens(Array(bytes.dropLast())))
        #expect(try !opens(bytes + [0]))
        #expect(try !opens([]))
        #expect(try !opens(Array(bytes.prefix(512))))
    }

    @Test("is used by the next command: nothing is read but what belongs to the owner")
    func isUsed() throws {
        let scratch = try Scratch()
        let host = scratch.host()
        let parsed = try configuration(#"{"subnet": "10.1.0.0/24"}"#)
        for id in ["a", "b"] { _ = try host.allocate(parsed, for: owner(id)) }
        let before = try Files.read(scratch.index)
        // A change inside a file does not touch the directory, so that only a walk would see it.
        try Files.overwrite("\(scratch.path)/net/10.1.0.3", with: Array("z".utf8))
        try host.release(owner("z\r\neth0"))
        #expect(throws: IPAMError.self) { try host.check(owner("z")) }
        #expect(try Files.read(scratch.index) == before)
        // But what is said of an owner is checked against the file, and then all is read again.
        #expect(throws: IPAMError.self) { try host.check(owner("b")) }
        #expect(try Files.read(scratch.index) != before)
        #expect(throws: IPAMError.self) { try host.check(owner("b")) }
        try host.check(owner("a"))
    }

    @Test("a change by another plugin within the clock's tick is noticed")
    func foreignWriters() throws {
        let scratch = try Scratch()
        let host = scratch.host()
        let parsed = try configuration(#"{"subnet": "10.1.0.0/16"}"#)
        for number in 0..<200 {
            _ = try host.allocate(parsed, for: owner("ours\(number)"))
            try scratch.write("10.1.200.\(number)", "theirs\r\neth0")
            try host.check(owner("theirs"))
            try host.release(owner("theirs"))
            #expect(!Files.exists("\(scratch.path)/net/10.1.200.\(number)"))
        }
        #expect(try scratch.reservations().count == 200)
    }

    @Test("where it cannot be written every command still works, and leaves no file behind")
    func unwritable() throws {
        let scratch = try Scratch()
        // A file where the index's directory would be.
        #expect(try AtomicFile.create("\(scratch.path)/.swiftlet", with: []))
        let host = scratch.host()
        let parsed = try configuration(#"{"subnet": "10.1.0.0/24"}"#)
        for id in ["a", "b", "c"] { _ = try host.allocate(parsed, for: owner(id)) }
        #expect(throws: IPAMError.self) { try host.allocate(parsed, for: owner("a")) }
        try host.release(owner("b"))
        try host.status(parsed)
        try host.collectGarbage(valid: [owner("c")])
        #expect(try Files.list("\(scratch.path)/net").sorted() == ["10.1.0.4", "last_reserved_ip.0", "lock"])
    }

    @Test("leftovers of processes killed while writing it are removed, other networks' files are not")
    func leftovers() throws {
        let scratch = try Scratch()
        let directory = "\(scratch.path)/.swiftlet"
        try Files.makeDirectories(directory, mode: 0o700)
        for name in [".net.index.123.tmp", ".net.index.9.index.123.tmp", ".other.index.123.tmp"] {
            #expect(try AtomicFile.create("\(directory)/\(name)", with: [1]))
        }
        _ = try scratch.host().allocate(configuration(#"{"subnet": "10.1.0.0/24"}"#), for: owner("a"))
        #expect(
            try Files.list(directory).sorted() == [".net.index.9.index.123.tmp", ".other.index.123.tmp", "net.index"])
        #expect(try FileStatus(of: directory).mode & 0o777 == 0o700)
        #expect(try FileStatus(of: scratch.index).mode & 0o777 == 0o600)
        // The network goes, its index goes with the next DEL.
        _ = try Spawn.run("/bin/rm", arguments: ["rm", "-r", "\(scratch.path)/net"], environment: Environment())
        try scratch.host().release(owner("a"))
        #expect(!Files.exists(scratch.index))
    }
}
