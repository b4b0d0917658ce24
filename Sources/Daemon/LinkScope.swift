internal import Glibc
internal import NetworkTypes
internal import Synchronization

/// The interface that link-local addresses mean: they are valid on one link only, and gossip does not tell on which.
enum LinkScope {
    private static let current = Atomic<UInt32>(0)

    /// The interface's index, 0 for none.
    static var index: UInt32 { current.load(ordering: .relaxed) }

    /// Takes `ADDRESS%INTERFACE` apart, brackets and port left as they are: `[fe80::1%eth0]:7946`.
    static func split(_ text: String) -> (address: String, interface: String?) {
        guard let percent = text.firstIndex(of: "%") else { return (text, nil) }
        let end = text[percent...].firstIndex(of: "]") ?? text.endIndex
        let interface = text[text.index(after: percent)..<end]
        return (String(text[..<percent]) + text[end...], interface.isEmpty ? nil : String(interface))
    }

    /// - Throws: ``StartFault`` when there is no such interface.
    static func use(_ interface: String) throws(StartFault) {
        let index = unsafe if_nametoindex(interface)
        guard index != 0 else { throw StartFault("no interface '\(interface)' for a link-local address") }
        current.store(index, ordering: .relaxed)
    }

    static func isLinkLocal(_ address: IPAddress) -> Bool {
        if case .v6(let v6) = address { v6.rawValue >> 118 == 0x3FA } else { false }
    }
}
