internal import Cluster

/// Who follows the rows of the tables: the address book, the definitions, and whoever else asks.
extension ClusterNode {
    /// Takes a change of a row in. It is called on the node's loop, in the order of the changes, and must not wait.
    typealias RowFollower = @Sendable (isolated ClusterNode, RowChange) -> Void

    struct Following {
        let number: UInt64
        /// The kinds that are wanted; nil for all, also those that no release knows yet.
        let kinds: Set<RecordKind>?
        let follower: RowFollower
    }

    /// How many may follow.
    static let followerLimit = 64

    /// Follows the rows of some kinds, or of all. Those that are there come first, as `appeared`, so that a follower that comes
    /// late knows what the others know.
    ///
    /// - Returns: what ``unfollow(_:)`` takes; nil when too many follow.
    func follow(_ kinds: Set<RecordKind>? = nil, _ follower: @escaping RowFollower) -> UInt64? {
        guard followings.count < Self.followerLimit else { return nil }
        let number = token()
        followings.append(Following(number: number, kinds: kinds, follower: follower))
        for row in replica.rows() where kinds?.contains(row.record.kind) ?? true {
            follower(self, RowChange(.appeared, row))
        }
        return number
    }

    /// Ends a following.
    func unfollow(_ number: UInt64) { followings.removeAll { $0.number == number } }

    /// Tells everybody who follows of a change, in the order in which they came.
    func changed(_ change: RowChange) {
        for following in followings where following.kinds?.contains(change.row.record.kind) ?? true {
            following.follower(self, change)
        }
    }

    /// The daemon's own. The definitions come first: they make the networks that the entries are for.
    static var ownFollowings: [Following] {
        let own: [(Set<RecordKind>, RowFollower)] = [
            ([.network], { node, change in node.changedDefinition(change) }),
            ([.member, .endpoint], { node, change in node.changedEntries(change) }),
            ([.endpoint], { node, change in node.noteContest(change) }),
        ]
        // Numbers that `token()` gives to nobody else: those count from 1.
        return own.map { Following(number: 0, kinds: $0.0, follower: $0.1) }
    }
}
