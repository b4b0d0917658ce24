internal import CLinux
public import NetworkTypes
internal import System

extension RouteSession {
    /// Waits for link notifications until the link meets `condition`. Equivalent: `ip monitor link`.
    public func awaitLink(index: Int32, milliseconds: Int, until condition: (Link) -> Bool) throws(NetlinkError) -> Bool
    {
        if let link = try link(index: index), condition(link) { return true }
        return try awaitChange(UInt32(RTMGRP_LINK), milliseconds) { () throws(NetlinkError) in
            guard let link = try self.link(index: index) else { return false }
            return condition(link) ? true : nil
        }
    }

    /// Waits for address notifications until the link's addresses meet `condition`. Equivalent: `ip monitor address`.
    public func awaitAddresses(link index: Int32, milliseconds: Int, until condition: ([InterfaceAddress]) -> Bool)
        throws(NetlinkError) -> Bool
    {
        if condition(try addresses(link: index)) { return true }
        return try awaitChange(UInt32(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR), milliseconds) {
            () throws(NetlinkError) in
            condition(try self.addresses(link: index)) ? true : nil
        }
    }

    /// Waits until packets to addresses of the namespace's own are taken in. Equivalent: `ip route get ADDRESS`.
    public func awaitLocal(_ addresses: [IPAddress], milliseconds: Int) throws(NetlinkError) -> Bool {
        var waiting: [IPAddress] = []
        for address in addresses where try !isLocal(address) { waiting.append(address) }
        if waiting.isEmpty { return true }
        // An IPv6 address is told of anew when its route is there.
        return try awaitChange(UInt32(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR), milliseconds) {
            () throws(NetlinkError) in
            for address in waiting where try !self.isLocal(address) { return nil }
            return true
        }
    }

    private func isLocal(_ address: IPAddress) throws(NetlinkError) -> Bool {
        do {
            return try session.query {
                $0.appendGetRoute(address)
            } decode: { _, payload in
                isLocalRoute(payload)
            }
        } catch {
            // No route at all, or one that says so.
            let nowhere: [Errno] = [
                Errno(rawValue: ENETUNREACH), Errno(rawValue: EHOSTUNREACH), .invalidArgument, .permissionDenied,
            ]
            if nowhere.contains(error.errno) { return false }
            throw NetlinkError(error, "read route", "to \(address)")
        }
    }

    /// Looks again whenever the kernel says that something in `groups` changed.
    ///
    /// - Parameter look: what came of it, nil to go on waiting. Also called once after the subscription: what changed
    ///   before it is seen then.
    private func awaitChange(_ groups: UInt32, _ milliseconds: Int, _ look: () throws(NetlinkError) -> Bool?)
        throws(NetlinkError) -> Bool
    {
        let socket = try subscribe(groups)
        let end = monotonicNanoseconds() + UInt64(max(milliseconds, 0)) * 1_000_000
        var buffer = [UInt8](repeating: 0, count: 32 << 10)
        while true {
            if let result = try look() { return result }
            let now = monotonicNanoseconds()
            if now >= end { return false }
            do {
                _ = try socket.wait(milliseconds: Int32(clamping: (end - now) / 1_000_000 + 1))
                // What it says does not matter, only that something changed.
                while try socket.receive(into: &buffer, waiting: false) != .nothing {}
            } catch {
                throw NetlinkError(operation: "wait for", subject: "notifications", errno: error)
            }
        }
    }

    private func subscribe(_ groups: UInt32) throws(NetlinkError) -> NetlinkSocket {
        do throws(SystemError) {
            return try open(groups)
        } catch {
            throw NetlinkError(operation: "subscribe to", subject: error.subject, errno: error.errno)
        }
    }

    private func open(_ groups: UInt32) throws(SystemError) -> NetlinkSocket {
        switch namespace {
        case .some(let namespace):
            return try NetlinkSocket(protocolNumber: NETLINK_ROUTE, groups: groups, in: namespace)
        case .none: return try NetlinkSocket(protocolNumber: NETLINK_ROUTE, groups: groups)
        }
    }
}
