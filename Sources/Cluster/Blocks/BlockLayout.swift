public import NetworkTypes

/// How the addresses of one subnet are cut into blocks. Every host of a network cuts in the same way.
///
/// The pool is the subnet, or its `ipRange`. Blocks are of /26 for IPv4 pools of /22 and shorter, of (pool + 4) down to
/// /30 for longer ones, and one block for /29 and longer. A pool has at most 4 096 blocks: those shorter than /14 have
/// larger ones. IPv6 uses the first 2^20 addresses in blocks of 1 024, and smaller ones in pools longer than /114.
public struct BlockLayout: Hashable, Sendable {
    /// Why a subnet cannot be cut.
    public enum Fault: Error, Hashable, Sendable {
        /// The range is not within the subnet.
        case rangeOutside(IPPrefix, subnet: IPPrefix)
        /// The gateway or an excluded address is not within the subnet.
        case addressOutside(IPAddress, subnet: IPPrefix)
    }

    /// The most blocks a subnet has.
    public static let limit = 4096

    /// The subnet's network.
    public let subnet: IPPrefix
    /// The part of it that is handed out: the subnet or the `ipRange`.
    public let pool: IPPrefix
    /// The gateway, which is never handed out.
    public let gateway: IPAddress?
    /// Other addresses that are never handed out, sorted.
    public let excluded: [IPAddress]
    /// How many blocks there are.
    public let count: Int
    /// How many addresses a block has, as a power of two.
    let blockBits: Int
    /// The numbers of addresses that are never handed out, sorted.
    let reserved: [UInt128]

    /// Cuts a subnet.
    ///
    /// - Parameters:
    ///   - subnet: the network; host bits are cleared.
    ///   - ipRange: the part of it that may be handed out; nil for all.
    ///   - gateway: left out of every block.
    ///   - excluded: left out too.
    public init(
        subnet: IPPrefix, ipRange: IPPrefix? = nil, gateway: IPAddress? = nil, excluded: [IPAddress] = []
    ) throws(Fault) {
        let pool = (ipRange ?? subnet).network
        guard pool.length >= subnet.length, subnet.contains(pool.first) else {
            throw .rangeOutside(pool, subnet: subnet.network)
        }
        for address in (gateway.map { [$0] } ?? []) + excluded where !subnet.contains(address) {
            throw .addressOutside(address, subnet: subnet.network)
        }
        self.subnet = subnet.network
        self.pool = pool
        self.gateway = gateway
        self.excluded = Set(excluded).sorted()
        let isIPv4 = subnet.family == .ipv4
        let hostBits = min(isIPv4 ? 32 : 20, subnet.family.bits - pool.length)
        let largest = max(isIPv4 ? 6 : 10, hostBits - 12)
        blockBits = hostBits <= 3 ? hostBits : min(largest, max(2, hostBits - 4))
        count = 1 << (hostBits - blockBits)
        var reserved = Set(excluded.map(\.number))
        if let gateway { reserved.insert(gateway.number) }
        if subnet.length <= subnet.family.bits - 2 {
            reserved.insert(subnet.first.number)
            if isIPv4 { reserved.insert(subnet.last.number) }
        }
        self.reserved = reserved.sorted()
    }

    /// The block an address is in; nil when no block holds it.
    public func block(of address: IPAddress) -> Int? {
        guard pool.contains(address) else { return nil }
        let number = (address.number - pool.first.number) >> UInt128(blockBits)
        return number < UInt128(count) ? Int(number) : nil
    }

    /// All addresses of a block, usable or not.
    func numbers(of block: Int) -> ClosedRange<UInt128> {
        let first = pool.first.number + UInt128(block) << UInt128(blockBits)
        return first...first + (1 << UInt128(blockBits)) - 1
    }

    /// The addresses of consecutive blocks.
    func span(of blocks: ClosedRange<Int>) -> AddressSpan {
        AddressSpan(
            family: subnet.family,
            numbers: numbers(of: blocks.lowerBound).lowerBound...numbers(of: blocks.upperBound).upperBound)
    }

    /// Whether an address may be handed out at all: not the network's, the broadcast or the gateway's address, and not
    /// excluded. Subnets of two addresses or one have no network and broadcast addresses.
    public func isUsable(_ address: IPAddress) -> Bool {
        block(of: address) != nil && !reserved.contains(address.number)
    }

    /// How many addresses of a block may be handed out.
    public func usableCount(of block: Int) -> Int {
        let numbers = numbers(of: block)
        return (1 << blockBits) - reserved.count { numbers.contains($0) }
    }

    /// The usable addresses of a block, as few ranges as possible.
    public func usable(of block: Int) -> [AddressSpan] { usable(of: block...block, without: []) }

    /// The usable addresses of consecutive blocks without some others.
    func usable(of blocks: ClosedRange<Int>, without others: Set<UInt128>) -> [AddressSpan] {
        let all = numbers(of: blocks.lowerBound).lowerBound...numbers(of: blocks.upperBound).upperBound
        var spans: [AddressSpan] = []
        var start = all.lowerBound
        for hole in others.union(reserved).filter({ all.contains($0) }).sorted() {
            if hole > start { spans.append(AddressSpan(family: subnet.family, numbers: start...hole - 1)) }
            // The end of the family's space: nothing follows it.
            guard hole < all.upperBound else { return spans }
            start = hole + 1
        }
        spans.append(AddressSpan(family: subnet.family, numbers: start...all.upperBound))
        return spans
    }
}

/// Consecutive addresses, both ends included.
public struct AddressSpan: Hashable, Sendable {
    /// The first address.
    public let first: IPAddress
    /// The last address.
    public let last: IPAddress

    init(family: AddressFamily, numbers: ClosedRange<UInt128>) {
        first = IPAddress(family: family, number: numbers.lowerBound)
        last = IPAddress(family: family, number: numbers.upperBound)
    }

    /// A single address.
    public init(_ address: IPAddress) {
        first = address
        last = address
    }

    /// Whether the address lies between the ends.
    public func contains(_ address: IPAddress) -> Bool {
        address.family == first.family && first <= address && address <= last
    }

    /// What is left of it without some addresses, which are in order.
    public func without(_ addresses: [IPAddress]) -> [AddressSpan] {
        var parts: [AddressSpan] = []
        var next = first.number
        for address in addresses where contains(address) && address.number >= next {
            if address.number > next {
                parts.append(AddressSpan(family: first.family, numbers: next...(address.number - 1)))
            }
            guard address != last else { return parts }
            next = address.number + 1
        }
        parts.append(AddressSpan(family: first.family, numbers: next...last.number))
        return parts
    }
}

extension AddressSpan: CustomStringConvertible {
    /// For example "10.1.2.1-10.1.2.14".
    public var description: String { "\(first)-\(last)" }
}
