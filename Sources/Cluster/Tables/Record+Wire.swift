extension Record {
    /// The record alone, as a journal keeps it: owner and all parts.
    public var encoded: [UInt8] { [] }

    /// Reads what `encoded` wrote; the signature is not checked. Nil when it is damaged.
    public init?(decoding bytes: some Sequence<UInt8>) { return nil }
}
