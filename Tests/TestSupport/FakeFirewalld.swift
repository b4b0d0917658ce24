package import DBus
internal import Synchronization

/// firewalld as the suite sees it, on a message bus of its own: zones with sources, and its errors.
public final class FakeFirewalld: Sendable {
    /// One call of a method of the zone interface: "addSource trusted 10.1.2.3/32".
    public typealias Call = String

    private let bus: FakeBus
    private let state: State

    /// A firewalld with zones "trusted" and "public", no source in either.
    ///
    /// - Parameters:
    ///   - isRunning: whether its name is owned.
    ///   - failure: the text of the error that every method of the zone interface ends with.
    public init(isRunning: Bool = true, failure: String? = nil, isAbstract: Bool = false) throws {
        let state = State(isRunning: isRunning, failure: failure)
        bus = try FakeBus(FakeBus.Behaviour { state.answer($0) }, isAbstract: isAbstract)
        self.state = state
    }

    /// The bus's address: what `DBUS_SYSTEM_BUS_ADDRESS` is to be.
    public var address: String { bus.address }
    /// The sources by zone.
    public var sources: [String: [String]] { state.zones.withLock { $0 } }
    /// Forgets what is not permanent, as `firewall-cmd --reload` does: every source.
    public func reload() { state.zones.withLock { zones in for name in zones.keys { zones[name] = [] } } }
    /// The calls that came, in order.
    public var calls: [Call] { state.calls.withLock { $0 } }

    /// Answers as a bus with such a firewalld does; for buses that misbehave in other ways.
    package static func answers(isRunning: Bool = true) -> @Sendable (Message) -> [Message] {
        let state = State(isRunning: isRunning, failure: nil)
        return { state.answer($0) }
    }
}

private final class State: Sendable {
    let zones = Mutex<[String: [String]]>(["trusted": [], "public": []])
    let calls = Mutex<[String]>([])
    private let isRunning: Bool
    private let failure: String?

    init(isRunning: Bool, failure: String?) {
        self.isRunning = isRunning
        self.failure = failure
    }

    func answer(_ call: Message) -> [Message] {
        switch (call.interface, call.member) {
        case ("org.freedesktop.DBus", "Hello"):
            // A bus tells of the name as well, and that is not the answer.
            return [Self.nameAcquired(), FakeBus.reply(to: call, [.string(":1.7")])].compactMap(\.self)
        case ("org.freedesktop.DBus", "NameHasOwner"):
            let name = (try? call.values())?.first?.text
            let isOwned = isRunning && name == "org.fedoraproject.FirewallD1"
            return [FakeBus.reply(to: call, [.boolean(isOwned)])].compactMap(\.self)
        case ("org.fedoraproject.FirewallD1.zone", let member?) where isRunning && isOurs(call):
            return [zoneAnswer(member, call)].compactMap(\.self)
        default:
            // What dbus-daemon says of a name it is not to start; it says ServiceUnknown of one it cannot start.
            let name = "org.freedesktop.DBus.Error.NameHasNoOwner"
            return [FakeBus.error(name, "Could not get owner of name", to: call)].compactMap(\.self)
        }
    }

    private static func nameAcquired() -> Message? {
        guard var signal = try? Message(.signal, [.string(":1.7")]) else { return nil }
        (signal.path, signal.interface) = ("/org/freedesktop/DBus", "org.freedesktop.DBus")
        signal.member = "NameAcquired"
        return signal
    }

    private func isOurs(_ call: Message) -> Bool {
        call.destination == "org.fedoraproject.FirewallD1" && call.path == "/org/fedoraproject/FirewallD1"
    }

    private func zoneAnswer(_ member: String, _ call: Message) -> Message? {
        guard call.signature == "ss", let words = try? call.values().compactMap(\.text), words.count == 2 else {
            return FakeBus.error("org.freedesktop.DBus.Error.InvalidArgs", "not two strings", to: call)
        }
        calls.withLock { $0.append("\(member) \(words[0]) \(words[1])") }
        let result = failure.map { .failure(Refusal(text: $0)) } ?? carryOut(member, words[0], words[1])
        switch result {
        case .success(let value): return FakeBus.reply(to: call, [value], from: ":1.3")
        case .failure(let refusal):
            return FakeBus.error("org.fedoraproject.FirewallD1.Exception", refusal.text, to: call)
        }
    }

    private struct Refusal: Error {
        let text: String
    }

    private func carryOut(_ member: String, _ zone: String, _ source: String) -> Result<BusValue, Refusal> {
        zones.withLock { zones in
            guard let present = zones[zone] else { return .failure(Refusal(text: "INVALID_ZONE: \(zone)")) }
            let owner = zones.first { $0.value.contains(source) }?.key
            switch member {
            case "addSource":
                if owner == zone {
                    return .failure(Refusal(text: "ZONE_ALREADY_SET: '\(source)' already bound to '\(zone)'"))
                }
                if owner != nil { return .failure(Refusal(text: "ZONE_CONFLICT: '\(source)'")) }
                zones[zone] = present + [source]
                return .success(.string(zone))
            case "removeSource":
                if owner == nil { return .failure(Refusal(text: "UNKNOWN_SOURCE: '\(source)' is not in any zone")) }
                if owner != zone { return .failure(Refusal(text: "ZONE_CONFLICT: '\(source)'")) }
                zones[zone] = present.filter { $0 != source }
                return .success(.string(zone))
            case "querySource": return .success(.boolean(owner == zone))
            default: return .failure(Refusal(text: "UNKNOWN_METHOD: \(member)"))
            }
        }
    }
}
