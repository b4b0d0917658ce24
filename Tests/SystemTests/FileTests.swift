import System
import Testing

/// A directory of its own under /tmp, removed with all it holds.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = "/tmp/swiftlet-system-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try Files.makeDirectories(path, mode: 0o700)
    }

    deinit {
        _ = try? Spawn.run("/bin/rm", arguments: ["rm", "-rf", path], environment: Environment())
    }

    /// Makes a file.
    func file(_ name: String, _ text: String, mode: UInt32 = 0o600) throws -> String {
        try AtomicFile.replace("\(path)/\(name)", with: Array(text.utf8), mode: mode)
        return "\(path)/\(name)"
    }
}

@Suite("Files")
struct FileTests {
    @Test("AtomicFile.replace replaces whole, keeps the mode asked for and leaves nothing beside it")
    func replace() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/file"
        for (text, isDurable) in [("first", true), ("second, longer", false), ("", true)] {
            try AtomicFile.replace(path, with: Array(text.utf8), mode: 0o640, isDurable: isDurable)
            #expect(try Files.text(path) == text)
        }
        #expect(try FileStatus(of: path).mode & 0o777 == 0o640)
        #expect(try Files.list(scratch.path) == ["file"])
        try Files.makeDirectories("\(scratch.path)/directory", mode: 0o700)
        #expect(throws: SystemError.self) { try AtomicFile.replace("\(scratch.path)/directory", with: []) }
        let temporary = "\(scratch.path)/none/.x.\(try pid()).tmp"
        #expect(throws: SystemError("open", temporary, .noSuchFileOrDirectory)) {
            try AtomicFile.replace("\(scratch.path)/none/x", with: [])
        }
        #expect(try Files.list(scratch.path).sorted() == ["directory", "file"])
    }

    private func pid() throws -> String {
        String(try Files.text("/proc/self/stat").prefix { $0 != " " })
    }

    @Test("AtomicFile.create never touches what is there, and exactly one of many creators wins")
    func create() async throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/file"
        let winners = try await withThrowingTaskGroup(of: (Int, Bool).self) { group in
            for number in 0..<16 {
                group.addTask { (number, try AtomicFile.create(path, with: Array("creator \(number)".utf8))) }
            }
            return try await group.reduce(into: []) { if $1.1 { $0.append($1.0) } }
        }
        #expect(winners.count == 1)
        #expect(try Files.text(path) == winners.first.map { "creator \($0)" })
        #expect(try FileStatus(of: path).mode & 0o777 == 0o600)
        #expect(try !AtomicFile.create(path, with: []))
        #expect(try Files.list(scratch.path) == ["file"])
        #expect(throws: SystemError.self) { try AtomicFile.create("\(scratch.path)/none/file", with: []) }
    }

    @Test("AtomicFile.create works where there are no unnamed files")
    func createWithoutTemporary() throws {
        // procfs has neither; the error is that of the temporary file, not of O_TMPFILE.
        #expect(throws: SystemError.self) { try AtomicFile.create("/proc/self/task/x", with: [1]) }
    }

    @Test("rewriting in place shortens and lengthens")
    func rewrite() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/file"
        for text in ["10.0.0.254", "10.0.0.2", "", "10.0.0.100"] {
            try Files.rewrite(path, with: Array(text.utf8))
            #expect(try Files.text(path) == text)
        }
        let inode = try FileStatus(of: path).inode
        try Files.rewrite(path, with: [1])
        #expect(try FileStatus(of: path).inode == inode)
    }

    @Test("reading stops at the limit")
    func limits() throws {
        let scratch = try Scratch()
        let path = try scratch.file("file", String(repeating: "x", count: 100))
        #expect(try Files.read(path, limit: 100).count == 100)
        #expect(throws: SystemError("read", path, .fileTooLarge)) { try Files.read(path, limit: 99) }
        #expect(throws: SystemError("open", "\(path)x", .noSuchFileOrDirectory)) { try Files.read("\(path)x") }
        #expect(
            SystemError("open", "/x", .noSuchFileOrDirectory).description
                == "open /x: no such file or directory (ENOENT)")
    }

    @Test("reading and writing at places, cutting, and the time of change")
    func places() throws {
        let scratch = try Scratch()
        let file = try OwnedFD(existing: scratch.file("file", "0123456789"), isWritable: true)
        try file.writeBytes(Array("ab".utf8), at: 4)
        #expect(try file.readBytes(count: 4, at: 3) == Array("3ab6".utf8))
        #expect(try file.readBytes(count: 9, at: 8) == Array("89".utf8))
        #expect(try file.readBytes(count: 9, at: 99).isEmpty)
        try file.truncate(to: 3)
        #expect(try file.status().size == 3)
        for time in [1_700_000_000_123_456_789, 0, -1_500_000_000] as [Int64] {
            try file.setModified(time)
            #expect(try file.status().modified == time)
        }
    }

    @Test("a symbolic link is refused where a file of ours is expected")
    func links() throws {
        let scratch = try Scratch()
        _ = try scratch.file("file", "secret")
        _ = try Spawn.run(
            "/bin/ln", arguments: ["ln", "-s", "file", "\(scratch.path)/link"], environment: Environment())
        #expect(throws: SystemError.self) { _ = try OwnedFD(existing: "\(scratch.path)/link") }
        let directory = try OwnedFD(directory: scratch.path)
        #expect(throws: SystemError.self) { _ = try OwnedFD(existing: "link", in: directory) }
        #expect(try OwnedFD(existing: "file", in: directory).readToEnd(limit: 10) == Array("secret".utf8))
        #expect(throws: SystemError("open", "\(scratch.path)/file", .notDirectory)) {
            _ = try OwnedFD(directory: "\(scratch.path)/file")
        }
    }

    @Test("directories")
    func directories() throws {
        let scratch = try Scratch()
        let deep = "\(scratch.path)/a/b/c"
        try Files.makeDirectories(deep, mode: 0o750)
        try Files.makeDirectories(deep, mode: 0o700)
        #expect(try FileStatus(of: deep).isDirectory)
        #expect(try FileStatus(of: "\(scratch.path)/a").mode & 0o777 == 0o750)
        let file = try scratch.file("file", "")
        #expect(throws: SystemError("mkdir", file, .notDirectory)) { try Files.makeDirectories(file, mode: 0o700) }
        #expect(throws: SystemError.self) { try Files.makeDirectories("\(file)/x", mode: 0o700) }
        try Files.remove(file)
        try Files.remove(file)
        #expect(!Files.exists(file))
        #expect(throws: SystemError.self) { try Files.list(file) }
        #expect(Files.isWritableDirectory(scratch.path))
        #expect(!Files.isWritableDirectory(file))
    }

    @Test("a lock excludes, is shared, changes, and ends with its value")
    func lock() async throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/lock"
        do {
            let one = try FileLock(path, mode: .shared, permissions: 0o750)
            let two = try FileLock(path, mode: .shared)
            let early = one.tryChange(to: .exclusive)
            _ = consume two
            // A child that another test starts at this moment holds what is closed here until its exec.
            let deadline = Deadline(milliseconds: 10_000)
            var late = one.tryChange(to: .exclusive)
            while !late, deadline.remainingMilliseconds > 0 {
                pause(milliseconds: 10)
                late = one.tryChange(to: .exclusive)
            }
            #expect(!early && late)
            #expect(try FileStatus(of: path).mode & 0o777 == 0o750)
        }
        // Eight counters that lose counts unless they exclude each other.
        let counter = try scratch.file("counter", "0")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<25 {
                        let lock = try FileLock(path)
                        let count = Int(try Files.text(counter)) ?? 0
                        try Files.rewrite(counter, with: Array("\(count + 1)".utf8))
                        _ = consume lock
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try Files.text(counter) == "200")
        #expect(throws: SystemError.self) { _ = try FileLock("\(scratch.path)/none/lock") }
        #expect(throws: SystemError("open", scratch.path, .isDirectory)) { _ = try FileLock(scratch.path) }
    }

    @Test("a lock whose file goes with its holder excludes all the same")
    func passingLock() async throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/lock"
        let counter = try scratch.file("counter", "0")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<50 {
                        let lock = try PassingLock(path)
                        let count = Int(try Files.text(counter)) ?? 0
                        try Files.rewrite(counter, with: Array("\(count + 1)".utf8))
                        _ = consume lock
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try Files.text(counter) == "400")
        #expect(try Files.list(scratch.path) == ["counter"])
        // What a killed holder left is taken over.
        try AtomicFile.replace(path, with: [])
        do {
            let lock = try PassingLock(path)
            #expect(FileLock.isTaken(path))
            _ = consume lock
        }
        #expect(!Files.exists(path))
        #expect(throws: SystemError.self) { _ = try PassingLock("\(scratch.path)/none/lock") }
    }
}
