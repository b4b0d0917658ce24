internal import CLinux
public import System

/// Something that changed in a namespace, as `ip monitor` tells it.
public enum RouteNotification: Equatable, Sendable {
    /// A link is new or changed.
    case link(Link)
    /// A link is gone.
    case linkRemoved(Link)
    /// An address is new or changed, for example no longer tentative.
    case address(InterfaceAddress)
    /// An address is gone.
    case addressRemoved(InterfaceAddress)
    /// A unicast route outside the local table is new or changed.
    case route(Route)
    /// A unicast route outside the local table is gone. The kernel tells of no routes that go with a link set down.
    case routeRemoved(Route)
    /// A neighbour is new or changed.
    case neighbour(Neighbour)
    /// A neighbour is gone.
    case neighbourRemoved(Neighbour)
    /// A forwarding entry is new or changed.
    case forwarding(ForwardingEntry)
    /// A forwarding entry is gone.
    case forwardingRemoved(ForwardingEntry)
    /// Notifications were lost; what is known must be read anew.
    case lost
}

/// Listens to a namespace's changes. Equivalent: `ip monitor`.
///
/// Changes are queued from the moment the monitor is made: make it first, read the tables after, and nothing is missed.
public final class RouteMonitor {
    /// What can be listened to (`RTNLGRP_*`).
    public struct Groups: OptionSet, Sendable {
        /// The bits as `bind(2)` takes them.
        public let rawValue: UInt32

        /// Wraps a group mask.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        private init(_ groups: rtnetlink_groups...) {
            rawValue = groups.reduce(0) { $0 | 1 << ($1.rawValue - 1) }
        }

        /// Links (`RTNLGRP_LINK`).
        public static let links = Groups(RTNLGRP_LINK)
        /// Addresses of both families (`RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`).
        public static let addresses = Groups(RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)
        /// Routes of both families (`RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_ROUTE`).
        public static let routes = Groups(RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE)
        /// Neighbours and forwarding entries (`RTNLGRP_NEIGH`).
        public static let neighbours = Groups(RTNLGRP_NEIGH)
        /// All of them.
        public static let all: Groups = [.links, .addresses, .routes, .neighbours]
    }

    private let socket: NetlinkSocket
    private var buffer = [UInt8](repeating: 0, count: 32 << 10)

    /// Listens in the calling thread's network namespace.
    public init(_ groups: Groups = .all) throws(SystemError) {
        socket = try NetlinkSocket(protocolNumber: NETLINK_ROUTE, groups: groups.rawValue)
        socket.enlargeReceiveBuffer(to: 4 << 20)
    }

    /// Listens in another namespace.
    public init(_ groups: Groups = .all, in namespace: borrowing NetworkNamespace) throws(SystemError) {
        socket = try NetlinkSocket(protocolNumber: NETLINK_ROUTE, groups: groups.rawValue, in: namespace)
        socket.enlargeReceiveBuffer(to: 4 << 20)
    }

    /// The socket, for `poll(2)` together with others; valid as long as the monitor lives.
    public var descriptor: Int32 { socket.descriptor }

    /// Waits for changes.
    ///
    /// - Parameter milliseconds: how long to wait at most; 0 only looks, negative waits for ever.
    /// - Returns: all that has queued up, in order; empty when the time has passed without any.
    /// - Throws: `poll(2)`'s or `recvfrom(2)`'s errno; `EPROTO` for a malformed datagram.
    public func receive(milliseconds: Int32) throws(NetlinkError) -> [RouteNotification] {
        var notifications: [RouteNotification] = []
        let end = monotonicNanoseconds() + UInt64(max(milliseconds, 0)) * 1_000_000
        var remaining = milliseconds
        do throws(NetlinkFailure) {
            // A datagram may hold nothing that is told.
            while notifications.isEmpty, try isReady(within: remaining) {
                try drain(into: &notifications)
                guard milliseconds >= 0 else { continue }
                let now = monotonicNanoseconds()
                remaining = now >= end ? 0 : Int32(truncatingIfNeeded: (end - now) / 1_000_000)
            }
        } catch {
            throw NetlinkError(error, "receive", "notifications")
        }
        return notifications
    }

    private func isReady(within milliseconds: Int32) throws(NetlinkFailure) -> Bool {
        do { return try socket.wait(milliseconds: milliseconds) } catch { throw NetlinkFailure(error) }
    }

    private func drain(into notifications: inout [RouteNotification]) throws(NetlinkFailure) {
        while true {
            let reception: Reception
            do {
                reception = try socket.receive(into: &buffer, waiting: false)
            } catch {
                throw NetlinkFailure(error)
            }
            switch reception {
            case .nothing: return
            case .overrun: notifications.append(.lost)
            case .truncated(let size):
                buffer = [UInt8](repeating: 0, count: min(size, 1 << 20))
                notifications.append(.lost)
            case .datagram(let size):
                let received = buffer
                let bytes = unsafe received.span.bytes
                try Self.read(bytes.extracting(0..<size), into: &notifications)
            }
        }
    }

    /// Appends what a datagram tells; messages about nothing we know are passed over.
    static func read(_ datagram: RawSpan, into notifications: inout [RouteNotification]) throws(NetlinkFailure) {
        try MessageHeader.forEach(in: datagram) { header, payload in
            switch header.type {
            case RTM_NEWLINK: Link(payload).map { notifications.append(.link($0)) }
            case RTM_DELLINK: Link(payload).map { notifications.append(.linkRemoved($0)) }
            case RTM_NEWADDR: InterfaceAddress(payload).map { notifications.append(.address($0)) }
            case RTM_DELADDR: InterfaceAddress(payload).map { notifications.append(.addressRemoved($0)) }
            case RTM_NEWROUTE, RTM_DELROUTE:
                var routes: [Route] = []
                _ = Route.read(payload, into: &routes)
                let isNew = header.type == RTM_NEWROUTE
                notifications += routes.map { isNew ? .route($0) : .routeRemoved($0) }
            case RTM_NEWNEIGH:
                Neighbour(payload).map { notifications.append(.neighbour($0)) }
                ForwardingEntry(payload).map { notifications.append(.forwarding($0)) }
            case RTM_DELNEIGH:
                Neighbour(payload).map { notifications.append(.neighbourRemoved($0)) }
                ForwardingEntry(payload).map { notifications.append(.forwardingRemoved($0)) }
            default: break
            }
        }
    }
}
