internal import CLinux

// RTM_*QDISC, RTM_*TFILTER: linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h; parsing in the kernel's
// net/sched/sch_api.c, sch_tbf.c, cls_u32.c, act_mirred.c.

/// One change of a link's traffic control, as a value.
enum TrafficRequest: Equatable {
    case addTokenBucket(TokenBucket, handle: UInt16, link: Int32)
    case addIngress(link: Int32)
    case removeDiscipline(DisciplinePosition, link: Int32)
    case addRedirect(from: Int32, to: Int32)

    /// The verb, for messages.
    var operation: String {
        switch self {
        case .addTokenBucket: "add tbf qdisc"
        case .addIngress: "add ingress qdisc"
        case .removeDiscipline(.root, _): "remove root qdisc"
        case .removeDiscipline(.ingress, _): "remove ingress qdisc"
        case .addRedirect: "add redirecting filter"
        }
    }

    /// The object, for messages.
    var subject: String {
        switch self {
        case .addTokenBucket(_, _, let link), .addIngress(let link), .removeDiscipline(_, let link): "on link \(link)"
        case .addRedirect(let link, let target): "from link \(link) to \(target)"
        }
    }
}

extension DisciplinePosition {
    /// `tcm_parent`.
    fileprivate var parent: UInt32 { self == .root ? UInt32(TC_H_ROOT) : UInt32(TC_H_INGRESS) }
}

/// The handle of every ingress discipline, `ffff:`.
private let ingressHandle: UInt32 = 0xFFFF_0000

extension MessageBuilder {
    private mutating func beginTraffic(
        _ type: Int, _ flags: Int32, link: Int32, parent: UInt32, handle: UInt32 = 0, info: UInt32 = 0
    ) {
        begin(type, flags: flags)
        var header = tcmsg()
        header.tcm_ifindex = link
        header.tcm_parent = parent
        header.tcm_handle = handle
        header.tcm_info = info
        putHeader(header)
    }

    /// Asks for the discipline at a position. The kernel answers only where an echo is asked for, and about some
    /// disciplines of its own not even then: the acknowledgement is the only certain end.
    mutating func appendGetDiscipline(_ position: DisciplinePosition, link: Int32) {
        beginTraffic(RTM_GETQDISC, acknowledged | NLM_F_ECHO, link: link, parent: position.parent)
    }

    /// Asks for the filters of a link's ingress discipline.
    mutating func appendDumpFilters(link: Int32) {
        beginTraffic(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, link: link, parent: ingressHandle)
    }

    /// Encodes a request as one message.
    mutating func append(_ request: TrafficRequest) {
        let creation = acknowledged | NLM_F_CREATE | NLM_F_EXCL
        switch request {
        case .addTokenBucket(let bucket, let handle, let link):
            beginTraffic(
                RTM_NEWQDISC, creation, link: link, parent: DisciplinePosition.root.parent,
                handle: UInt32(handle) << 16)
            put(TCA_KIND, text: "tbf")
            nest(TCA_OPTIONS) { $0.putParameters(bucket) }
        case .addIngress(let link):
            beginTraffic(
                RTM_NEWQDISC, creation, link: link, parent: DisciplinePosition.ingress.parent, handle: ingressHandle)
            put(TCA_KIND, text: "ingress")
        case .removeDiscipline(let position, let link):
            beginTraffic(RTM_DELQDISC, acknowledged, link: link, parent: position.parent)
        case .addRedirect(let link, let target):
            let info = UInt32(1) << 16 | UInt32(UInt16(ETH_P_ALL).bigEndian)
            beginTraffic(RTM_NEWTFILTER, creation, link: link, parent: ingressHandle, info: info)
            put(TCA_KIND, text: "u32")
            nest(TCA_OPTIONS) { $0.putRedirect(to: target) }
        }
    }

    private mutating func putParameters(_ bucket: TokenBucket) {
        var options = tc_tbf_qopt()
        // Told the link layer, the kernel does without the rate table of older days.
        options.rate.linklayer = UInt8(TC_LINKLAYER_ETHERNET.rawValue)
        options.rate.rate = UInt32(clamping: bucket.rate)
        options.limit = bucket.limit
        options.buffer = UInt32(clamping: bucket.ticks)
        put(TCA_TBF_PARMS, structure: options)
        // The burst in bytes: as a time it would be rounded, and end at 274 seconds.
        put(TCA_TBF_BURST, bucket.burst)
        if bucket.rate > UInt64(UInt32.max) { put(TCA_TBF_RATE64, bucket.rate) }
    }

    private mutating func putRedirect(to target: Int32) {
        // struct tc_u32_sel of sixteen bytes, which begins with its flags. No keys to match: everything does.
        put(TCA_U32_SEL, bytes: [UInt8(TC_U32_TERMINAL)] + [UInt8](repeating: 0, count: 15))
        nest(TCA_U32_ACT) { actions in
            actions.nest(1) { action in
                action.put(TCA_ACT_KIND, text: "mirred")
                action.nest(TCA_ACT_OPTIONS) { options in
                    var redirect = tc_mirred()
                    redirect.action = Int32(TC_ACT_STOLEN)
                    redirect.eaction = Int32(TCA_EGRESS_REDIR)
                    redirect.ifindex = UInt32(bitPattern: target)
                    options.put(TCA_MIRRED_PARMS, structure: redirect)
                }
            }
        }
    }
}

// MARK: - Decoding

/// The size of `struct tcmsg`.
private let headerSize = 20

extension QueueDiscipline {
    /// Reads an `RTM_NEWQDISC` message; nil when it is too short or names no kind.
    init?(_ payload: RawSpan) {
        guard let handle = payload.integer(UInt32.self, at: 8) else { return nil }
        self.init(kind: "", handle: UInt16(truncatingIfNeeded: handle >> 16))
        AttributeReader.forEach(in: payload.extracting(payload.following(headerSize))) { type, value in
            // The kernel puts the kind before its options.
            switch type {
            case TCA_KIND: kind = value.text
            case TCA_OPTIONS: if kind == "tbf" { tokenBucket = TokenBucketState(value) }
            default: break
            }
        }
        if kind.isEmpty { return nil }
    }
}

extension TokenBucketState {
    fileprivate init?(_ options: RawSpan) {
        var state: TokenBucketState?
        var largeRate: UInt64?
        AttributeReader.forEach(in: options) { type, value in
            switch type {
            case TCA_TBF_PARMS:
                // struct tc_tbf_qopt: two tc_ratespec of twelve bytes, rate last; limit, buffer, mtu.
                guard let rate = value.integer(UInt32.self, at: 8), let limit = value.integer(UInt32.self, at: 24),
                    let ticks = value.integer(UInt32.self, at: 28)
                else { return }
                state = TokenBucketState(rate: UInt64(rate), limit: limit, ticks: ticks)
            case TCA_TBF_RATE64: largeRate = value.integer(UInt64.self)
            default: break
            }
        }
        guard var state else { return nil }
        state.rate = largeRate ?? state.rate
        self = state
    }
}

extension TrafficFilter {
    /// Appends the filter an `RTM_NEWTFILTER` message tells of; the kernel's hash tables and chain heads, which do
    /// nothing by themselves, are passed over.
    ///
    /// - Returns: false when the message is too short.
    static func read(_ payload: RawSpan, into filters: inout [TrafficFilter]) -> Bool {
        guard let handle = payload.integer(UInt32.self, at: 8), let info = payload.integer(UInt32.self, at: 16) else {
            return false
        }
        var filter = TrafficFilter(kind: "", preference: UInt16(truncatingIfNeeded: info >> 16))
        var isTable = handle == 0
        AttributeReader.forEach(in: payload.extracting(payload.following(headerSize))) { type, value in
            switch type {
            case TCA_KIND: filter.kind = value.text
            case TCA_OPTIONS where filter.kind == "u32":
                AttributeReader.forEach(in: value) { type, value in
                    switch type {
                    case TCA_U32_DIVISOR: isTable = true
                    case TCA_U32_ACT: filter.target = redirectTarget(value)
                    default: break
                    }
                }
            default: break
            }
        }
        if !isTable { filters.append(filter) }
        return true
    }

    private static func redirectTarget(_ actions: RawSpan) -> Int32? {
        var target: Int32?
        AttributeReader.forEach(in: actions) { _, action in
            var isMirred = false
            AttributeReader.forEach(in: action) { type, value in
                switch type {
                case TCA_ACT_KIND: isMirred = value.text == "mirred"
                case TCA_ACT_OPTIONS where isMirred && target == nil:
                    AttributeReader.forEach(in: value) { type, value in
                        // struct tc_mirred: tc_gen of twenty bytes, eaction, ifindex.
                        guard type == TCA_MIRRED_PARMS,
                            value.integer(Int32.self, at: 20) == Int32(TCA_EGRESS_REDIR)
                        else { return }
                        target = value.integer(Int32.self, at: 24)
                    }
                default: break
                }
            }
        }
        return target
    }
}
