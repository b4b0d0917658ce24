/// The version bytes of a node: what it speaks of memberlist's protocol and of its delegate's (serf's).
public struct ProtocolVersions: Hashable, Sendable {
    /// The oldest memberlist protocol understood.
    public var protocolMin: UInt8
    /// The newest memberlist protocol understood.
    public var protocolMax: UInt8
    /// The memberlist protocol spoken.
    public var protocolCurrent: UInt8
    /// The oldest serf protocol understood.
    public var delegateMin: UInt8
    /// The newest serf protocol understood.
    public var delegateMax: UInt8
    /// The serf protocol spoken.
    public var delegateCurrent: UInt8

    /// What we announce, the same six bytes as a stock agent: 1 5 2, 2 5 5.
    public static let own = ProtocolVersions(
        protocolMin: 1, protocolMax: 5, protocolCurrent: 2, delegateMin: 2, delegateMax: 5, delegateCurrent: 5)

    /// The six numbers, as a node tells them.
    public init(
        protocolMin: UInt8, protocolMax: UInt8, protocolCurrent: UInt8, delegateMin: UInt8, delegateMax: UInt8,
        delegateCurrent: UInt8
    ) {
        self.protocolMin = protocolMin
        self.protocolMax = protocolMax
        self.protocolCurrent = protocolCurrent
        self.delegateMin = delegateMin
        self.delegateMax = delegateMax
        self.delegateCurrent = delegateCurrent
    }

    /// Reads the wire order; missing bytes are zero, which no check accepts.
    init(bytes: some Collection<UInt8>) {
        let padded = Array(bytes.prefix(6)) + [UInt8](repeating: 0, count: max(0, 6 - bytes.count))
        self.init(
            protocolMin: padded[0], protocolMax: padded[1], protocolCurrent: padded[2], delegateMin: padded[3],
            delegateMax: padded[4], delegateCurrent: padded[5])
    }

    /// The wire order.
    var bytes: [UInt8] {
        [protocolMin, protocolMax, protocolCurrent, delegateMin, delegateMax, delegateCurrent]
    }

    /// Whether a node with these versions and one with `other` can be in one cluster.
    func isCompatible(with other: ProtocolVersions) -> Bool {
        protocolMin > 0 && protocolMin <= protocolMax
            && (protocolMin...protocolMax).contains(other.protocolCurrent)
            && other.protocolMin <= protocolCurrent && protocolCurrent <= other.protocolMax
            && delegateMin <= other.delegateCurrent && other.delegateCurrent <= delegateMax
            && other.delegateMin <= delegateCurrent && delegateCurrent <= other.delegateMax
    }
}
