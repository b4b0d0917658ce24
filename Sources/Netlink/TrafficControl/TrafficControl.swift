/// Where a queueing discipline hangs on a link.
public enum DisciplinePosition: Hashable, Sendable {
    /// What leaves the link passes it (`root`).
    case root
    /// What comes in passes its filters (`ingress`, handle `ffff:`).
    case ingress
}

/// A queueing discipline on a link. Equivalent: `tc qdisc show`.
public struct QueueDiscipline: Equatable, Sendable {
    /// `TCA_KIND`: "tbf", "ingress", "noqueue", …
    public var kind: String
    /// The major number of its handle, `HANDLE:`; 0 for those the kernel put there by itself.
    public var handle: UInt16
    /// What a token bucket filter is set to; nil for other kinds.
    public var tokenBucket: TokenBucketState?

    /// Describes a discipline.
    public init(kind: String, handle: UInt16, tokenBucket: TokenBucketState? = nil) {
        self.kind = kind
        self.handle = handle
        self.tokenBucket = tokenBucket
    }
}

/// A filter on what comes in by a link. Equivalent: `tc filter show dev NAME ingress`.
public struct TrafficFilter: Equatable, Sendable {
    /// `TCA_KIND`: "u32", "bpf", "matchall", …
    public var kind: String
    /// `pref`: lower ones are asked first.
    public var preference: UInt16
    /// Index of the link its first `mirred egress redirect` action sends to; nil without such an action.
    public var target: Int32?

    /// Describes a filter.
    public init(kind: String, preference: UInt16, target: Int32? = nil) {
        self.kind = kind
        self.preference = preference
        self.target = target
    }
}

/// One network namespace's traffic control: the verbs that hold a link to a rate, in both directions.
///
/// A kernel without a part of it refuses with `ENOENT`, or a link of kind ifb with `EOPNOTSUPP`.
public protocol TrafficControl: AnyObject {
    /// The discipline at a position; nil when there is none, or one of the kernel's that it does not show. `ENODEV` when
    /// there is no such link. Equivalent: `tc qdisc show dev NAME root|ingress`.
    func discipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) -> QueueDiscipline?
    /// Puts a token bucket filter at the root of a link that has none but the kernel's default; else `EEXIST`.
    /// Equivalent: `tc qdisc add dev NAME handle HANDLE: root tbf rate … burst … limit …`.
    func addTokenBucket(_ bucket: TokenBucket, handle: UInt16, link: Int32) throws(NetlinkError)
    /// Puts the ingress discipline on a link; `EEXIST` when something is there. Equivalent: `tc qdisc add dev NAME ingress`.
    func addIngress(link: Int32) throws(NetlinkError)
    /// Removes a discipline with its filters; `ENOENT` or `EINVAL` when there is none. Equivalent:
    /// `tc qdisc delete dev NAME root|ingress`.
    func removeDiscipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError)
    /// Sends all that comes in by a link with an ingress discipline to another, as if it left there. Equivalent:
    /// `tc filter add dev NAME parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev …`.
    func addRedirect(from link: Int32, to target: Int32) throws(NetlinkError)
    /// The filters of a link's ingress discipline, none without one. Equivalent: `tc filter show dev NAME ingress`.
    func ingressFilters(link: Int32) throws(NetlinkError) -> [TrafficFilter]
}
