import Cluster
import Glibc
import Gossip
import NetworkTypes
import System
import TestSupport
import Testing

@testable import Daemon

/// What others can make the daemon keep has an end.
struct BoundsTests {
    private func head(_ host: UInt128) -> FrameHead {
        FrameHead(cluster: 1, keyID: 0, sender: HostID(rawValue: host), incarnation: 1, counter: 1)
    }

    @Test func earlyFramesAreKeptInOrderAndForAMoment() {
        var frames = EarlyFrames()
        for number in 0..<3 as Range<UInt8> { #expect(frames.keep(head(1), [number], now: UInt64(number)) == true) }
        #expect(frames.keep(head(2), [9, 9], now: 0) == true)
        #expect(frames.bytes == 5 && frames.count == 4)
        #expect(frames.take(HostID(rawValue: 1), now: 5).map(\.body) == [[0], [1], [2]])
        #expect(frames.take(HostID(rawValue: 1), now: 5).isEmpty)
        #expect(frames.bytes == 2)
        #expect(frames.take(HostID(rawValue: 2), now: EarlyFrames.life + 1).isEmpty)
        #expect(frames.bytes == 0 && frames.count == 0)
    }

    @Test func earlyFramesAreBounded() {
        var frames = EarlyFrames()
        for number in 0..<1000 { _ = frames.keep(head(1), [UInt8(truncatingIfNeeded: number)], now: 0) }
        #expect(frames.count == EarlyFrames.perHostLimit)
        let body = [UInt8](repeating: 0, count: 1000)
        for host in 2..<100_000 as Range<UInt128> { _ = frames.keep(head(host), body, now: 0) }
        #expect(frames.bytes <= EarlyFrames.byteLimit)
        #expect(frames.keep(head(7), body, now: 0) == false)
        // What is old makes room.
        #expect(frames.keep(head(7), body, now: EarlyFrames.life + 1) == true)
        #expect(frames.bytes == body.count)
        #expect(frames.keep(head(8), [UInt8](repeating: 0, count: EarlyFrames.byteLimit + 1), now: 0) == false)
    }

    private func query(_ time: UInt64, until deadline: UInt64) throws -> Query {
        var random = SeededGenerator(seed: 1)
        var instance = try Instance(
            name: "a", endpoint: #require(Endpoint(text: "192.0.2.1")), now: 1, random: &random)
        let ask = QueryRequest(token: 1, name: "q", payload: [], timeout: deadline)
        for directive in instance.handle(.command(.query(ask)), now: 1, random: &random) {
            if case .query(let query) = directive { return query }
        }
        throw LabError("no query")
    }

    @Test func openQueriesAreBounded() throws {
        var queries = OpenQueries()
        let (short, long) = (try query(1, until: 10), try query(2, until: 1 << 40))
        for number in 1...5000 as ClosedRange<UInt64> { queries.add(long, number: number, now: 5) }
        #expect(queries.count == OpenQueries.limit)
        #expect(queries.take(1) == nil)
        #expect(queries.take(5000) == long)
        #expect(queries.take(5000) == nil)
        // Those that are over go before those that are not.
        var mixed = OpenQueries()
        mixed.add(long, number: 1, now: 5)
        for number in 2...5000 as ClosedRange<UInt64> { mixed.add(short, number: number, now: 100) }
        #expect(mixed.count <= OpenQueries.limit)
        #expect(mixed.take(1) == long)
    }

    // MARK: Keys

    private func write(_ mode: UInt32, _ owner: UInt32? = nil, group: UInt32? = nil) throws -> (
        TemporaryDirectory, KeyRingFile
    ) {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/keys"
        try AtomicFile.replace(path, with: Array(#"["YWFhYWFhYWFhYWFhYWFhYQ=="]"#.utf8), mode: mode)
        // Whatever the mask of the test's process is.
        _ = unsafe chmod(path, mode)
        _ = unsafe chown(path, owner ?? uid_t.max, group ?? gid_t.max)
        return (directory, KeyRingFile(path: path))
    }

    @Test(arguments: [0o600, 0o400, 0o640, 0o700] as [UInt32]) func takesKeysThatOnlyWeCanRead(_ mode: UInt32) throws {
        let (directory, file) = try write(mode)
        #expect(try file.load().keys.count == 1)
        withExtendedLifetime(directory) {}
    }

    @Test(arguments: [0o644, 0o604, 0o606, 0o660, 0o620, 0o666] as [UInt32])
    func refusesKeysThatOthersCanReadOrChange(_ mode: UInt32) throws {
        let (directory, file) = try write(mode)
        #expect {
            try file.load()
        } throws: { error in
            "\(error)".contains("chmod 600 \(file.path)") && "\(error)".contains(String(mode, radix: 8))
        }
        withExtendedLifetime(directory) {}
    }

    @Test(.enabled(if: Namespaces.areAvailable, "root is needed")) func refusesKeysOfOthers() throws {
        let (directory, file) = try write(0o600, 65_534)
        #expect {
            try file.load()
        } throws: { error in
            "\(error)".contains("belongs to user 65534") && "\(error)".contains("chown")
        }
        let (other, group) = try write(0o640, nil, group: 65_534)
        #expect(throws: StartFault.self) { try group.load() }
        withExtendedLifetime((directory, other)) {}
    }
}
