import Cluster
import Gossip
import Logging
import NIOPosix
import NetworkTypes
import Synchronization
import Testing

@testable import Daemon

/// Somebody follows the rows without the daemon knowing of him.
struct FollowingTests {
    /// Keeps what it is told: the names of the hosts, as they are now.
    private final class Names: Sendable {
        let held = Mutex<[HostID: String]>([:])

        func take(_ change: RowChange) {
            let record = change.row.record
            let name = change.event == .gone ? nil : HostRow(decoding: record.value)?.nodeName
            held.withLock { $0[record.owner] = name }
        }
    }

    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()

    private func node() throws -> ClusterNode {
        let endpoint = Endpoint(address: .v4(IPv4Address(rawValue: 0x7F00_0001)), port: 7947)
        let settings = ClusterSettings(
            cluster: "following", name: "own", advertised: endpoint, bind: endpoint, join: [], seeds: [])
        return ClusterNode(
            key: HostKey(), start: Start(incarnation: 1, nonce: 1), settings: settings,
            journal: try Journal(directory: nil), loop: Self.loop, log: Logger(label: "following"))
    }

    private func put(_ name: String, _ node: isolated ClusterNode) {
        let row = HostRow(publicKey: node.key.publicKey, nodeName: name)
        node.give(.change(.put(.host, value: row.encoded), token: nil))
    }

    @Test func rowsComeToWhoAsks() async throws {
        let node = try node()
        let (early, late, other) = (Names(), Names(), Names())
        func name(_ names: Names) -> String? { names.held.withLock { $0[node.key.id] } }
        let number = await node.follow([.host]) { _, change in early.take(change) }
        _ = await node.follow([.endpoint]) { _, change in other.take(change) }
        await put("first", node)
        #expect(name(early) == "first")
        _ = await node.follow { _, change in late.take(change) }
        #expect(name(late) == "first", "who comes late is told what there is")
        await put("second", node)
        #expect(name(early) == "second" && name(late) == "second")
        await node.unfollow(try #require(number))
        await node.sayFarewell()
        #expect(name(early) == "second" && name(late) == nil, "who asks no more is told no more")
        #expect(name(other) == nil)
    }

    @Test func followersAreBounded() async throws {
        let node = try node()
        for _ in await node.followings.count..<ClusterNode.followerLimit {
            #expect(await node.follow { _, _ in } != nil)
        }
        #expect(await node.follow { _, _ in } == nil)
    }
}
