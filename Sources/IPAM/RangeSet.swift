public import NetworkTypes

/// The pool one address comes from: one or more ranges of one family, used in order.
public struct RangeSet: Hashable, Sendable {
    /// The ranges; never empty.
    public let ranges: [AddressRange]

    /// Checks a set: not empty, one family, no overlap.
    public init(_ ranges: [AddressRange]) throws(RangeFault) {
        guard let family = ranges.first?.start.family else { throw .emptySet }
        guard ranges.allSatisfy({ $0.start.family == family }) else { throw .mixedFamilies }
        for (index, one) in ranges.enumerated() {
            for other in ranges[(index + 1)...] where one.overlaps(other) { throw .overlap(one, other) }
        }
        self.ranges = ranges
    }

    /// The family of all its addresses.
    public var family: AddressFamily { ranges.first?.start.family ?? .ipv4 }

    /// The range the address lies in.
    public func range(containing address: IPAddress) -> AddressRange? {
        ranges.first { $0.contains(address) }
    }

    /// Whether the address lies in one of the ranges.
    public func contains(_ address: IPAddress) -> Bool { range(containing: address) != nil }

    /// Whether the sets share an address.
    public func overlaps(_ other: RangeSet) -> Bool {
        ranges.contains { one in other.ranges.contains { one.overlaps($0) } }
    }

    /// The order addresses are tried in: round robin from the one after `last` through all ranges, `last` itself at the
    /// end; from the beginning when `last` is in none of the ranges.
    ///
    /// Gateways are left out, and so are the excluded networks.
    public func searchOrder(after last: IPAddress?, excluding exclusions: [IPPrefix] = []) -> [SearchSpan] {
        var spans: [SearchSpan] = []
        func append(_ range: AddressRange, _ numbers: ClosedRange<UInt128>) {
            spans += SearchSpan(range: range, numbers: numbers).without(exclusions + [IPPrefix(host: range.gateway)])
        }
        guard let last, let position = ranges.firstIndex(where: { $0.contains(last) }) else {
            for range in ranges { append(range, range.numbers) }
            return spans
        }
        let current = ranges[position]
        if last < current.end { append(current, (last.number + 1)...current.end.number) }
        for range in ranges[(position + 1)...] + ranges[..<position] { append(range, range.numbers) }
        append(current, current.start.number...last.number)
        return spans
    }
}

extension RangeSet: CustomStringConvertible {
    /// For example "10.1.2.1-10.1.2.254,10.2.2.1-10.2.2.254".
    public var description: String { ranges.map(\.description).joined(separator: ",") }
}

/// Part of a range, as the allocator searches it.
public struct SearchSpan: Equatable, Sendable {
    /// The range it is a part of.
    public let range: AddressRange
    /// The addresses as numbers.
    public let numbers: ClosedRange<UInt128>

    /// The parts of the span outside the given networks, in ascending order.
    func without(_ networks: [IPPrefix]) -> [SearchSpan] {
        networks.reduce([self]) { spans, network in spans.flatMap { $0.without(network) } }
    }

    private func without(_ network: IPPrefix) -> [SearchSpan] {
        let first = network.first.number, last = network.last.number
        guard network.family == range.start.family, first <= numbers.upperBound, last >= numbers.lowerBound else {
            return [self]
        }
        var rest: [SearchSpan] = []
        if first > numbers.lowerBound {
            rest.append(SearchSpan(range: range, numbers: numbers.lowerBound...(first - 1)))
        }
        if last < numbers.upperBound {
            rest.append(SearchSpan(range: range, numbers: (last + 1)...numbers.upperBound))
        }
        return rest
    }
}
