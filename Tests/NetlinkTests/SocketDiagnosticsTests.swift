import NetworkTypes
import Testing

@testable import Netlink

@Suite("Socket diagnostics: the wire")
struct SocketDiagnosticsTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private func sockets(_ datagram: [UInt8]) throws -> [ListeningSocket?] {
        var sockets: [ListeningSocket?] = []
        try forEachMessage(in: datagram) { _, payload in sockets.append(ListeningSocket(payload, .tcp)) }
        return sockets
    }

    @Test("The request is encoded as its header lays it out")
    func request() throws {
        var builder = MessageBuilder()
        builder.appendDumpListeners(.ipv4, .tcp, port: 8080)
        #expect(builder.problem == nil)
        #expect(builder.bytes == (try golden("dump-listeners")))
        builder.reset()
        builder.appendDumpListeners(.ipv6, .udp, port: nil)
        // IPv6, UDP, state TCP_CLOSE, no port.
        #expect(builder.bytes[16..<28] == [10, 17, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])
    }

    @Test("Recorded answers are read")
    func answers() throws {
        let found = try sockets(golden("answer-listeners")).compactMap(\.self)
        #expect(Set(found.map(\.address)) == [try address("127.0.0.1"), try address("::1"), try address("127.0.0.2")])
        #expect(found.count == 3 && found.allSatisfy { $0.port == 8080 && $0.link == nil && $0.user == 0 })
        #expect(Set(found.map(\.inode)).count == 3 && !found.map(\.inode).contains(0))
        let only = try address("::1")
        #expect(found.filter(\.isIPv6Only).map(\.address) == [only])
    }

    @Test("Truncations and noise are read without harm")
    func totality() throws {
        var generator = SeededGenerator(state: .random(in: 0 ... .max))
        print("fuzz seed for listeners: \(generator.state)")
        let whole = try golden("answer-listeners")
        try forEachMessage(in: whole) { _, payload in
            for length in 0..<payload.byteCount {
                let socket = ListeningSocket(payload.extracting(0..<length), .udp)
                // What follows the fixed part are attributes, of which none is needed.
                #expect((socket != nil) == (length >= 72))
            }
        }
        for _ in 0..<5000 {
            var bytes = whole
            for _ in 0..<8 {
                bytes[.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            _ = try? sockets(bytes)
        }
    }

    @Test(
        "Which socket hears what",
        arguments: [
            ("0.0.0.0", false, "192.0.2.1", true), ("0.0.0.0", false, "0.0.0.0", true),
            ("0.0.0.0", false, "::1", false),
            ("0.0.0.0", false, "::", false), ("192.0.2.1", false, "192.0.2.1", true),
            ("192.0.2.1", false, "192.0.2.2", false), ("192.0.2.1", false, "0.0.0.0", true),
            ("192.0.2.1", false, "::", false), ("::", false, "192.0.2.1", true), ("::", false, "0.0.0.0", true),
            ("::", false, "2001:db8::1", true), ("::", true, "192.0.2.1", false), ("::", true, "0.0.0.0", false),
            ("::", true, "::", true), ("2001:db8::1", false, "::", true), ("2001:db8::1", false, "0.0.0.0", false),
            ("2001:db8::1", true, "2001:db8::1", true),
        ])
    func hearing(bound: String, isIPv6Only: Bool, asked: String, expected: Bool) throws {
        let socket = ListeningSocket(
            transport: .tcp, address: try address(bound), port: 80, isIPv6Only: isIPv6Only)
        #expect(try socket.hears(address(asked)) == expected)
    }

    @Test("The parent is found behind any name")
    func parents() {
        func parent(_ stat: String) -> Int32? { SocketHolder.parent(stat: Array(stat.utf8)) }
        #expect(parent("12 (cat) S 7 12 12 0") == 7)
        #expect(parent("12 (a) R 9 (b) c) S 7 12") == 7)
        #expect(parent("12 (\n) S 0 0") == 0)
        for stat in ["", "12", "12 (cat)", "12 (cat) S", "12 (cat) S x 1", "12 (cat) S 99999999999 1"] {
            #expect(parent(stat) == nil)
        }
    }

    @Test("A command's name cannot break a message")
    func names() {
        #expect(SocketHolder.clean("nginx\n") == "nginx")
        #expect(SocketHolder.clean("a\nb\u{1B}[1m\n") == "a?b?[1m")
        #expect(SocketHolder.clean("") == "")
    }
}
