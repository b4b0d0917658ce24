internal import CLinux
internal import NetworkTypes

// RTM_*ROUTE: linux/rtnetlink.h.

extension rtattr_type_t {
    /// As the builder and the reader want it.
    var number: Int { Int(rawValue) }
}

private let universe = UInt8(truncatingIfNeeded: RT_SCOPE_UNIVERSE.rawValue)
private let linkScope = UInt8(truncatingIfNeeded: RT_SCOPE_LINK.rawValue)
private let nowhere = UInt8(truncatingIfNeeded: RT_SCOPE_NOWHERE.rawValue)
private let mainTable = UInt32(RT_TABLE_MAIN.rawValue)
private let localTable = UInt32(RT_TABLE_LOCAL.rawValue)
extension Route {
    /// What IPv6 gives a route without a metric (`IP6_RT_PRIO_USER`).
    static let usualMetricIPv6: UInt32 = 1024

    /// For messages, in `ip route` words.
    var summary: String {
        "\(destination)" + (gateway.map { " via \($0)" } ?? "") + (link.map { " on link \($0)" } ?? "")
            + (table.map { " in table \($0)" } ?? "")
    }

    fileprivate static func defaultScope(_ family: AddressFamily, hasGateway: Bool) -> UInt8 {
        family == .ipv6 || hasGateway ? universe : linkScope
    }
}

extension MessageBuilder {
    /// Asks for the unicast routes of a family.
    mutating func appendDumpRoutes(_ family: AddressFamily) {
        begin(RTM_GETROUTE, flags: NLM_F_REQUEST | NLM_F_DUMP)
        var header = rtmsg()
        header.rtm_family = family.number
        header.rtm_type = UInt8(RTN_UNICAST)
        putHeader(header)
    }

    /// Asks by which route packets to an address go.
    mutating func appendGetRoute(_ address: IPAddress) {
        begin(RTM_GETROUTE, flags: NLM_F_REQUEST)
        var header = rtmsg()
        header.rtm_family = address.family.number
        header.rtm_dst_len = UInt8(truncatingIfNeeded: address.family.bits)
        putHeader(header)
        put(RTA_DST.number, address)
    }

    mutating func appendAdd(_ route: Route) {
        // IPv6 has no "behind": beside a route of the same metric it would become one of its next hops.
        let isAlone = route.destination.family == .ipv6 && route.metric == nil
        begin(RTM_NEWROUTE, flags: acknowledged | NLM_F_CREATE | (isAlone ? NLM_F_EXCL : NLM_F_APPEND))
        let scope = route.scope ?? Route.defaultScope(route.destination.family, hasGateway: route.gateway != nil)
        putSelector(route, scope: scope, type: UInt8(RTN_UNICAST), protocol: route.routingProtocol)
        guard route.mtu != nil || route.advertisedMSS != nil else { return }
        nest(RTA_METRICS.number) { metrics in
            if let mtu = route.mtu { metrics.put(RTAX_MTU, mtu) }
            if let size = route.advertisedMSS { metrics.put(RTAX_ADVMSS, size) }
        }
    }

    mutating func appendRemove(_ route: Route) {
        begin(RTM_DELROUTE, flags: acknowledged)
        // Scope "nowhere" and protocol 0 match any.
        putSelector(route, scope: route.scope ?? nowhere, type: UInt8(RTN_UNICAST), protocol: 0)
    }

    private mutating func putSelector(_ route: Route, scope: UInt8, type: UInt8, protocol: UInt8) {
        let destination = route.destination
        let table = route.table ?? mainTable
        var header = rtmsg()
        header.rtm_family = destination.family.number
        header.rtm_dst_len = UInt8(truncatingIfNeeded: destination.length)
        header.rtm_table = UInt8(exactly: table) ?? 0
        header.rtm_protocol = `protocol`
        header.rtm_scope = scope
        header.rtm_type = type
        putHeader(header)
        if destination.length > 0 { put(RTA_DST.number, destination.address) }
        if let gateway = route.gateway {
            if gateway.family == destination.family {
                put(RTA_GATEWAY.number, gateway)
            } else {
                // struct rtvia: an IPv4 network behind an IPv6 router (RFC 5549).
                put(RTA_VIA.number, bytes: [gateway.family.number, 0] + gateway.bytes)
            }
        }
        if let link = route.link { put(RTA_OIF.number, link) }
        if let source = route.source { put(RTA_PREFSRC.number, source) }
        if let metric = route.metric { put(RTA_PRIORITY.number, metric) }
        if table > UInt8.max { put(RTA_TABLE.number, table) }
    }
}

/// Whether an `RTM_NEWROUTE` message is about an address of the namespace's own (`RTN_LOCAL`).
func isLocalRoute(_ payload: RawSpan) -> Bool? { payload.integer(UInt8.self, at: 7).map { Int($0) == RTN_LOCAL } }

extension Route {
    /// Appends the routes an `RTM_NEWROUTE` or `RTM_DELROUTE` message holds: none unless unicast and outside the local
    /// table, one for each next hop of a multipath route.
    ///
    /// Scope, metric and table are nil where they are what nil asks for.
    ///
    /// - Returns: false when the message is malformed.
    static func read(_ payload: RawSpan, into routes: inout [Route]) -> Bool {
        guard let number = payload.integer(UInt8.self), let length = payload.integer(UInt8.self, at: 1),
            let shortTable = payload.integer(UInt8.self, at: 4), let proto = payload.integer(UInt8.self, at: 5),
            let scope = payload.integer(UInt8.self, at: 6), let type = payload.integer(UInt8.self, at: 7),
            let flags = payload.integer(UInt32.self, at: 8)
        else { return false }
        // Other families (multicast routing) share the message type; cloned routes are cached exceptions.
        guard let family = AddressFamily(number: number), Int(type) == RTN_UNICAST,
            flags & UInt32(RTM_F_CLONED) == 0
        else { return true }
        var route = Route(destination: .any(family), routingProtocol: proto)
        var destination: IPAddress?
        var table = UInt32(shortTable)
        var hops: [(gateway: IPAddress?, link: Int32)] = []
        AttributeReader.forEach(in: payload.extracting(payload.following(12))) { type, value in
            switch type {
            case RTA_DST.number: destination = value.ipAddress
            case RTA_GATEWAY.number: route.gateway = value.ipAddress
            case RTA_VIA.number: route.gateway = value.extracting(value.following(2)).ipAddress
            case RTA_OIF.number: route.link = value.integer(Int32.self)
            case RTA_PRIORITY.number: route.metric = value.integer(UInt32.self)
            case RTA_TABLE.number: table = value.integer(UInt32.self) ?? table
            case RTA_PREFSRC.number: route.source = value.ipAddress
            case RTA_METRICS.number: route.readMetrics(value)
            case RTA_MULTIPATH.number: readHops(value, into: &hops)
            default: break
            }
        }
        if table == localTable { return true }
        guard let prefix = IPPrefix(destination ?? IPAddress(family: family, number: 0), length: Int(length)),
            prefix.family == family
        else { return false }
        route.destination = prefix
        route.table = table == mainTable ? nil : table
        if family == .ipv6, route.metric == usualMetricIPv6 { route.metric = nil }
        if hops.isEmpty { hops = [(route.gateway, route.link ?? 0)] }
        for hop in hops {
            route.gateway = hop.gateway
            route.link = hop.link == 0 ? nil : hop.link
            route.scope = scope == defaultScope(family, hasGateway: hop.gateway != nil) ? nil : scope
            routes.append(route)
        }
        return true
    }

    private mutating func readMetrics(_ metrics: RawSpan) {
        AttributeReader.forEach(in: metrics) { type, value in
            switch type {
            case RTAX_MTU: mtu = value.integer(UInt32.self)
            case RTAX_ADVMSS: advertisedMSS = value.integer(UInt32.self)
            default: break
            }
        }
    }

    /// Reads a row of `struct rtnexthop`.
    private static func readHops(_ bytes: RawSpan, into hops: inout [(gateway: IPAddress?, link: Int32)]) {
        var offset = 0
        while let length = bytes.integer(UInt16.self, at: offset), let link = bytes.integer(Int32.self, at: offset + 4),
            length >= 8, offset + Int(length) <= bytes.byteCount
        {
            var gateway: IPAddress?
            AttributeReader.forEach(in: bytes.extracting(offset + 8..<offset + Int(length))) { type, value in
                if type == RTA_GATEWAY.number { gateway = value.ipAddress }
                if type == RTA_VIA.number { gateway = value.extracting(value.following(2)).ipAddress }
            }
            hops.append((gateway, link))
            offset += aligned(Int(length))
        }
    }
}
