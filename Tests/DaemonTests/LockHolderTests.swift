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
            7: FLOCK  ADVISORY  READ  66 00:19:1134 0 EOF
            8: FLOCK  ADVISORY  READ  77 103:1a2b3:1134 0 EOF
            9: FLOCK  ADVISORY  READ  88 00:1f:1136 0 EOF
            """
        // Another container's file system may have the same inode.
        #expect(LockHolders.find(device: 0x18, inode: 1134, in: text) == [22, 33])
        #expect(LockHolders.find(device: 0x19, inode: 1134, in: text) == [66])
        #expect(LockHolders.find(device: 0x1a21_03b3, inode: 1134, in: text) == [77])
        #expect(LockHolders.find(device: 0x18, inode: 1135, in: text) == [])
        #expect(LockHolders.find(device: 0x18, inode: 1134, in: "") == [])
        // stat(2) may tell of another device than /proc/locks.
        #expect(LockHolders.find(device: 0x20, inode: 1136, in: text) == [88])
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
