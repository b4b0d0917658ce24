/// The versions of the protocol between daemons that one of them speaks; its tag `sw` says them: `1`, or `1-2` for both.
struct ClusterProtocol: Equatable, Sendable, CustomStringConvertible {
    private let versions: ClosedRange<Int>

    /// What this release speaks.
    static let own = ClusterProtocol(1...1)

    init(_ versions: ClosedRange<Int>) { self.versions = versions }

    /// Reads a tag; nil when it is none.
    init?(_ tag: String) {
        let parts = tag.split(separator: "-", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in part.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int(part) : nil }
        guard (1...2).contains(parts.count), numbers.count == parts.count, let first = numbers.first,
            let last = numbers.last, first > 0, first <= last
        else { return nil }
        self.init(first...last)
    }

    var description: String {
        versions.count == 1 ? "\(versions.lowerBound)" : "\(versions.lowerBound)-\(versions.upperBound)"
    }

    /// Whether there is a version that both speak.
    func isSpoken(by tag: String) -> Bool {
        ClusterProtocol(tag).map { versions.overlaps($0.versions) } ?? false
    }
}
