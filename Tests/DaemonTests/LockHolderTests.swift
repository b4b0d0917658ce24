import System
import Testing

@testable import Daemon

@Suite struct LockHolderTests {
    @Test func holdersAreFound() {
        let text = """
            1: POSIX  ADVISORY  WRITE 11 00:18:1134 0 EOF
            2: FLOCK  ADVISORY  READ  33 00:18:1134 0 EOF
            2: -> FLOCK  ADVISORY  WRITE 44 00:18:1134 0 EOF
            3: FLOCK  ADVISORY  READ  22 00:18:1134 0 EOF
            4: FLOCK  ADVISORY  WRITE 55 00:18:11345 0 EOF
            5: FLOCK  ADVISORY  WRITE -1 00:18:1134 0 EOF
            6: FLOCK  ADVISORY
            """
        #expect(LockHolders.find(inode: 1134, in: text) == [22, 33])
        #expect(LockHolders.find(inode: 1135, in: text) == [])
        #expect(LockHolders.find(inode: 1134, in: "") == [])
    }

    @Test func ourOwnIsNotShown() throws {
        let path = "/tmp/swiftlet-lock-\(UInt64.random(in: .min ... .max))"
        defer { try? Files.remove(path) }
        let lock = try FileLock(path, mode: .shared)
        #expect(try FileLock.attempt(path, mode: .shared) != nil)
        #expect(try FileLock.attempt(path) == nil)
        #expect(LockHolders.describe(path) == [])
        withExtendedLifetime(lock) {}
    }
}
