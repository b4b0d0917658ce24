/// A host of the cluster: the first 16 bytes of SHA-256 of its Ed25519 public key.
public struct HostID: Hashable, Sendable {
    /// The bytes as one number, the first byte highest.
    public let rawValue: UInt128

    /// Takes the bytes as one number.
    public init(rawValue: UInt128) {
        self.rawValue = rawValue
    }

    /// Takes exactly 16 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Reads 32 hexadecimal digits.
    public init?(_ text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(text, count: 16) else { return nil }
        self.init(bytes: bytes)
    }

    /// The 16 bytes.
    public var bytes: [UInt8] { (0..<16).map { UInt8(truncatingIfNeeded: rawValue >> UInt128(120 - 8 * $0)) } }
}

extension HostID: Comparable {
    /// Compares the bytes.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension HostID: CustomStringConvertible {
    /// 32 lowercase hexadecimal digits.
    public var description: String { Hexadecimal.text(bytes) }
}
