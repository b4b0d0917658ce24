/// A network of the cluster: the first 32 bytes of SHA-512 of `swiftlet/<cluster>/<network name>`.
public struct NetworkID: Hashable, Sendable {
    let high: UInt128
    let low: UInt128

    /// What records that belong to no network carry: zeros.
    public static let none = NetworkID(high: 0, low: 0)

    init(high: UInt128, low: UInt128) {
        self.high = high
        self.low = low
    }

    /// Takes exactly 32 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        high = bytes.prefix(16).reduce(0) { $0 << 8 | UInt128($1) }
        low = bytes.dropFirst(16).reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Reads 64 hexadecimal digits.
    public init?(_ text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(text, count: 32) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 32 bytes.
    public var bytes: [UInt8] {
        [high, low].flatMap { half in (0..<16).map { UInt8(truncatingIfNeeded: half >> UInt128(120 - 8 * $0)) } }
    }
}

extension NetworkID: Comparable {
    /// Compares the bytes.
    public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension NetworkID: CustomStringConvertible {
    /// 64 lowercase hexadecimal digits.
    public var description: String { Hexadecimal.text(bytes) }
}
