import NetworkTypes
import System
import Testing

@testable import Netlink

/// The bytes of `Tests/Golden/netlink/<name>.hex`: pairs of hexadecimal digits; "#" starts a comment.
func golden(_ name: String) throws -> [UInt8] {
    let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    let text = try Files.text("\(folder)/Golden/netlink/\(name).hex")
    return try text.split(separator: "\n").flatMap { line in
        try line.prefix { $0 != "#" }.split(separator: " ").map { try #require(UInt8($0, radix: 16)) }
    }
}

@Suite("Golden bytes")
struct GoldenTests {
    @Test("Every kind of request is encoded as recorded", arguments: GoldenRequests.all.map(\.name))
    func request(name: String) throws {
        let request = try #require(GoldenRequests.all.first { $0.name == name })
        var builder = MessageBuilder()
        request.build(&builder)
        #expect(builder.problem == nil)
        #expect(builder.bytes == (try golden(name)))
    }
}
