public import CNI
internal import Netlink
public import NetworkTypes
internal import System

/// A container's loopback interface.
public struct Loopback {
    private let container: Container

    /// Opens the request's namespace.
    ///
    /// - Throws: ``NamespaceError`` when it is gone or is not one.
    public init(_ system: any ContainerNamespaces, _ request: Request) throws {
        container = try system.container(at: request.invocation.netns)
    }

    private func link() throws -> Link {
        guard let link = try container.stack.link(named: "lo") else { throw StepError.linkMissing("lo") }
        return link
    }

    /// Sets `lo` up. Equivalent: `ip link set lo up`.
    ///
    /// - Returns: its first IPv4 and its first IPv6 address.
    /// - Throws: when `lo` carries an address that is not a loopback address; it is then as it was before.
    public func setUp() throws -> [IPPrefix] {
        let lo = try link()
        return try withTransaction { transaction in
            if !lo.isUp {
                let stack = container.stack
                try stack.changeLink(index: lo.index, LinkChange { $0.isUp = true })
                transaction.push("lo up") { try stack.changeLink(index: lo.index, LinkChange { $0.isUp = false }) }
            }
            let addresses = try container.stack.addresses(link: lo.index).map(\.prefix)
            for family in [AddressFamily.ipv4, .ipv6] {
                if let first = addresses.first(where: { $0.family == family }), !first.address.isLoopback {
                    throw CNIError(
                        CNIError.Code.foreignObject, "loopback interface has non-loopback address \(first)",
                        details: "remove it in the container: ip address delete \(first) dev lo")
                }
            }
            return [AddressFamily.ipv4, .ipv6].compactMap { family in addresses.first { $0.family == family } }
        }
    }

    /// Sets `lo` down. Equivalent: `ip link set lo down`.
    public func setDown() throws {
        let lo = try link()
        if lo.isUp { try container.stack.changeLink(index: lo.index, LinkChange { $0.isUp = false }) }
    }

    /// Fails when `lo` is down.
    public func check() throws {
        guard try link().isUp else { throw CNIError(CNIError.Code.internal, "loopback interface is down") }
    }
}
