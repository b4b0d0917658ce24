public import NetworkTypes

/// A subnet that somebody uses.
public struct SubnetUse: Equatable, Sendable {
    /// The subnet.
    public let prefix: IPPrefix
    /// Who uses it, for a message.
    public let user: String

    /// A subnet in use.
    public init(_ prefix: IPPrefix, _ user: String) {
        self.prefix = prefix
        self.user = user
    }
}

extension NetworkDefinition {
    /// Checks that nobody uses any of the subnets.
    ///
    /// - Throws: with what it clashes.
    public func refuseOverlap(with uses: [SubnetUse]) throws(DefinitionFault) {
        for subnet in subnets {
            guard let use = uses.first(where: { $0.prefix.overlaps(subnet.prefix) }) else { continue }
            throw DefinitionFault(
                "subnet \(subnet.prefix) overlaps with \(use.prefix), which \(use.user) uses; choose another with --subnet"
            )
        }
    }

    /// The bridge of a bridge network on every host; nil for other drivers.
    ///
    /// - Throws: for options that mean nothing to the driver.
    public func bridgeName() throws(DefinitionFault) -> String? {
        guard driver == .bridge else { return nil }
        return try DriverOptions(self).bridge ?? "br-\(SHA512.hex("bridge/\(name)", length: 12))"
    }
}
