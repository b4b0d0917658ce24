import StateMachine
import Testing

@testable import Gossip

/// One instance on a bench: messages go in, what it says comes out.
struct Bench {
    var instance: Instance
    var random = SeededGenerator(seed: 1)
    var now: Nanoseconds = .seconds(100)
    var output: [Directive] = []

    static let own = host(1)

    init(_ settings: Settings = .lan, name: String = "myself", keyRing: KeyRing? = nil) throws {
        instance = try Instance(
            name: name, endpoint: Self.own, settings: settings, keyRing: keyRing,
            cipher: keyRing == nil ? nil : ToyCipher(), now: now, random: &random)
        give(.start)
    }

    mutating func give(_ event: Event) {
        output = instance.handle(event, now: now, random: &random)
    }

    /// A plain packet from a host; another one than ours unless told.
    mutating func receive(_ message: [UInt8], from source: Endpoint = host(99)) {
        give(.datagram(message, from: source))
    }

    mutating func alive(_ node: String, _ number: Int, _ incarnation: UInt32, meta: [UInt8] = [0xFF, 0x80]) {
        let alive = Alive(
            node: node, endpoint: host(number), meta: meta, versions: .own, incarnation: incarnation)
        receive(alive.encode())
    }

    mutating func suspect(_ node: String, _ incarnation: UInt32, from: String) {
        receive(Accusation(node: node, incarnation: incarnation, from: from).encode(as: .suspect))
    }

    mutating func dead(_ node: String, _ incarnation: UInt32, from: String) {
        receive(Accusation(node: node, incarnation: incarnation, from: from).encode(as: .dead))
    }

    mutating func leaveIntent(_ node: String, _ time: UInt64, prune: Bool = false) {
        receive([8] + Intent(time: time, node: node, prune: prune).encode(as: .leave))
    }

    mutating func joinIntent(_ node: String, _ time: UInt64) {
        receive([8] + Intent(time: time, node: node).encode(as: .join))
    }

    /// Wakes it at every deadline until the time has passed; collects everything.
    mutating func run(_ interval: Nanoseconds) {
        var all: [Directive] = []
        let end = now + interval
        while let next = instance.nextDeadline, next <= end {
            now = max(now, next)
            give(.timer)
            all += output
        }
        now = end
        output = all
    }

    func state(_ node: String) -> NodeState? { instance.table[node]?.state }
    func status(_ node: String) -> MemberStatus? { instance.member(node)?.status }
    func incarnation(_ node: String) -> UInt32? { instance.table[node]?.incarnation }

    var changes: [String] {
        output.compactMap { if case .member(let change, let member) = $0 { "\(change) \(member.name)" } else { nil } }
    }

    var notices: [Notice] {
        output.compactMap { if case .notice(let notice) = $0 { notice } else { nil } }
    }

    /// The messages in the datagrams of the last output, compounds and checksums taken apart.
    var sent: [(to: Endpoint, message: [UInt8])] {
        output.flatMap { directive -> [(to: Endpoint, message: [UInt8])] in
            guard case .sendDatagram(let destination, let bytes) = directive else { return [] }
            return Self.parts(bytes).map { (destination, $0) }
        }
    }

    private static func parts(_ message: [UInt8]) -> [[UInt8]] {
        var reader = MessagePackReader(message)
        guard let byte = try? reader.byte() else { return [] }
        switch MessageType(rawValue: byte) {
        case .checksummed: return parts(Array(message.dropFirst(5)))
        case .compressed:
            return (try? Envelope.decompress(&reader, limit: 65_536)).map(parts) ?? []
        case .compound:
            return ((try? Compound.parts(&reader)) ?? []).flatMap { parts(Array(message[$0])) }
        default: return [message]
        }
    }

    func sent(_ type: MessageType) -> [(to: Endpoint, body: MessagePackReader)] {
        sent.filter { $0.message.first == type.rawValue }.map {
            ($0.to, MessagePackReader($0.message, 1..<$0.message.count))
        }
    }

    /// What is gossiped about a node within the next second.
    mutating func gossiped(_ type: MessageType) -> [[UInt8]] {
        run(.seconds(1))
        return sent.filter { $0.message.first == type.rawValue }.map(\.message)
    }
}
