import TestSupport
import Testing

@testable import DBus

@Suite("The decoder is total")
struct FuzzTests {
    /// Reads bytes every way there is. Returns whether they were a message whose values could be read.
    @discardableResult
    private func read(_ bytes: [UInt8]) -> Bool {
        guard let message = try? Message(decoding: bytes) else { return false }
        return (try? message.values()) != nil
    }

    @Test("Every truncation of recorded messages is refused", arguments: Fixtures.names)
    func truncations(name: String) throws {
        let whole = try Fixtures.bytes(name)
        #expect(read(whole))
        for length in 0..<whole.count {
            #expect(throws: WireError.self) { try Message(decoding: Array(whole[..<length])) }
        }
        #expect(throws: WireError.self) { try Message(decoding: whole + [0]) }
    }

    @Test("Every byte of recorded messages takes every value", arguments: Fixtures.names)
    func everyByte(name: String) throws {
        let whole = try Fixtures.bytes(name)
        var bytes = whole
        for index in bytes.indices {
            for value in UInt8.min ... .max {
                bytes[index] = value
                read(bytes)
            }
            bytes[index] = whole[index]
        }
        #expect(read(bytes))
    }

    @Test("Seeded noise over recorded messages", arguments: Fixtures.names)
    func noise(name: String) throws {
        var generator = SeededGenerator(for: "DBus noise over \(name)")
        let whole = try Fixtures.bytes(name)
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0...generator.below(12) {
                bytes[generator.below(bytes.count)] = UInt8(truncatingIfNeeded: generator.next())
            }
            read(bytes)
        }
    }

    @Test("Noise as a body of every signature, and as a value to be passed over")
    func values() {
        var generator = SeededGenerator(for: "DBus noise as values")
        let codes = Array("ybnqiuxtdsoghvaa((){}{".utf8)
        for _ in 0..<20000 {
            // Small numbers make lengths that fit.
            let bytes = (0..<generator.below(80)).map { _ in
                UInt8(truncatingIfNeeded: generator.next() & generator.next() & generator.next())
            }
            let signature = (0..<generator.below(8)).map { _ in codes[generator.below(codes.count)] }
            var reader = WireReader(bytes, isBigEndian: generator.below(2) == 0)
            var other = reader
            _ = try? reader.values(String(decoding: signature, as: UTF8.self))
            guard !signature.isEmpty, let type = try? Signature.completeType(signature[...]) else { continue }
            try? other.skip(type)
            #expect(other.offset <= bytes.count)
        }
    }

    @Test("Sizes that cannot be", arguments: [(UInt8(0xFF), UInt8(0xFF)), (0x7F, 0), (0, 0x7F), (0, 0xFF), (0xFF, 0)])
    func sizes(body: UInt8, fields: UInt8) {
        let prefix: [UInt8] = [0x6C, 1, 0, 1, 0xFF, 0xFF, 0xFF, body, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, fields]
        #expect(throws: WireError.self) { try Message.size(prefix: prefix) }
    }

    @Test("Variants in variants in variants end somewhere")
    func depth() {
        // Each is the signature "v" and then the next.
        let bytes = (0..<1000).flatMap { _ in [1, UInt8(ascii: "v"), 0] as [UInt8] }
        var reader = WireReader(bytes, isBigEndian: false)
        #expect(throws: WireError.tooDeep) { try reader.values("v") }
        var other = WireReader(bytes, isBigEndian: false)
        #expect(throws: WireError.tooDeep) { try other.skip([UInt8(ascii: "v")]) }
    }
}
