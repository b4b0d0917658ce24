internal import Attachment
internal import CNI
internal import JSON
internal import NetworkTypes
internal import System

/// The record of a container's ways out: who uses which. It is what finds a network's use of a way out at DEL and GC, and
/// is gone after a reboot, as the interfaces are.
///
/// A file for each container, `/run/swiftlet/gateway/<netns inode>-<hash of the container's id>`. Whoever changes a
/// container's ways out holds the container's lock meanwhile.
final class WaysOut {
    /// The container.
    let containerID: String
    /// The ways out, one for each gateway bridge.
    private(set) var ways: [WayOut] = []
    private let path: String
    private let lock: PassingLock?

    /// The version of the record's format.
    private static let version: Int64 = 1
    /// Records are some hundred bytes for each network of a container.
    private static let largest = 1 << 20

    /// Reads a container's record.
    ///
    /// - Parameters:
    ///   - isLocked: whether the container's lock is waited for, and held as long as this lives. Without it nothing may be
    ///     changed.
    ///   - directory: what has the directories `gateway` and `lock`, for tests.
    init(_ containerID: String, isLocked: Bool, in directory: String? = nil) throws {
        self.containerID = containerID
        let name = SHA512.hex(containerID, length: 32)
        path = try Self.recordPath(name, directory)
        lock = isLocked ? try PassingLock(try Self.lockPath(name, directory)) : nil
        guard let document = try Self.read(path) else { return }
        for way in try document.member("ways").elements() {
            ways.append(try WayOut(way, containerID: containerID))
        }
    }

    /// The containers of this network namespace that have a record, sorted.
    static func containers(in directory: String? = nil) throws -> [String] {
        var found: [String] = []
        for name in try names(in: directory) where !name.hasSuffix(draftSuffix) {
            let path = try recordPath(name, directory)
            // One that goes meanwhile has no ways out any more.
            if let container = try read(path)?.member("container").string() { found.append(container) }
        }
        return found.sorted()
    }

    /// Removes the drafts of records whose writers were killed.
    static func removeDrafts(in directory: String? = nil) throws {
        for name in try names(in: directory) where name.hasSuffix(draftSuffix) {
            let lock = try PassingLock(try lockPath(String(name.dropLast(draftSuffix.count)), directory))
            try Files.remove(try recordPath(name, directory))
            _ = lock
        }
    }

    /// The files' names without what tells the network namespace.
    private static func names(in directory: String?) throws -> [String] {
        let sample = try recordPath("", directory)
        guard let slash = sample.lastIndex(of: "/") else { return [] }
        let prefix = sample[sample.index(after: slash)...]
        return try Files.list(String(sample[..<slash])).filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }
    }

    private static func lockPath(_ name: String, _ directory: String?) throws -> String {
        try LockFiles.path("gateway-\(name)", in: directory.map { "\($0)/lock" })
    }

    private static func recordPath(_ name: String, _ directory: String?) throws -> String {
        try LockFiles.path(name, in: directory.map { "\($0)/gateway" }, below: "gateway")
    }

    private static func read(_ path: String) throws -> Reader? {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try Files.read(path, limit: largest)
        } catch {
            if error.errno == .noSuchFileOrDirectory { return nil }
            throw error
        }
        let reader = Reader(try Value(parsing: bytes))
        let written = try reader.member("version").integer() ?? 0
        guard written == version else {
            throw CNIError(
                CNIError.Code.inputOutput, "\(path) is of version \(written), this release knows version \(version)",
                details: "use the release that wrote it, or restart the container and remove the file")
        }
        return reader
    }

    /// The way out over a bridge.
    func way(over bridge: String) -> WayOut? { ways.first { $0.bridge == bridge } }

    /// The way out that a network uses.
    func way(of network: String, interfaceName: String) -> WayOut? {
        ways.first { $0.index(ofNetwork: network, interfaceName: interfaceName) != nil }
    }

    /// Writes a way out down in place of the one over the same bridge.
    func put(_ way: WayOut) throws {
        try save(ways.filter { $0.bridge != way.bridge } + [way])
    }

    /// Strikes the way out over a bridge; the last one takes the record with it.
    func remove(over bridge: String) throws { try save(ways.filter { $0.bridge != bridge }) }

    /// Writes down what was there before.
    func restore(_ ways: [WayOut]) throws { try save(ways) }

    /// Removes what a writer that was killed left beside the record.
    func tidy() throws { if ways.isEmpty { try Files.remove(draft) } }

    private static let draftSuffix = ".draft"
    private var draft: String { path + Self.draftSuffix }

    private func save(_ ways: [WayOut]) throws {
        if ways.isEmpty {
            try Files.remove(draft)
            try Files.remove(path)
        } else {
            let document: Value = [
                "version": .integer(Self.version), "container": .string(containerID),
                "ways": .array(ways.map(\.document)),
            ]
            // Whole for everybody whenever we are killed; it need not outlive the machine. One writer at a time: who follows
            // a killed one uses its draft.
            try Files.rewrite(draft, with: Array(document.text().utf8))
            try Files.rename(draft, to: path)
        }
        self.ways = ways
    }
}
