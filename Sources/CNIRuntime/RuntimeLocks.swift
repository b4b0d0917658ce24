internal import CNI
internal import NetworkTypes
internal import System

/// The locks the specification asks runtimes to hold: one attachment is worked on by one command at a time, and GC of a
/// network by nobody else, or it would collect what an ADD is about to make.
///
/// They are held against other commands of ours; other runtimes have their own.
final class RuntimeLocks {
    private let network: FileLock
    private let attachment: PassingLock?

    /// Waits for the locks of a command about one attachment.
    ///
    /// - Parameter directory: where lock files are, for tests; nil for `/run/swiftlet/lock`.
    init(_ attachment: Attachment, in directory: String?) throws(SystemError) {
        let network = try FileLock(Self.path(attachment.network, directory), mode: .shared)
        let own = SHA512.hex(
            "\(attachment.network)/\(attachment.containerID)/\(attachment.interfaceName)", length: 32)
        let alone = try PassingLock(LockFiles.path("cni-\(own)", in: directory))
        self.network = network
        self.attachment = consume alone
    }

    /// Waits until nobody works on the network.
    init(network: String, in directory: String?) throws(SystemError) {
        let alone = try FileLock(Self.path(network, directory))
        self.network = alone
        attachment = nil
    }

    private static func path(_ network: String, _ directory: String?) throws(SystemError) -> String {
        try LockFiles.path("cni-net-\(SHA512.hex(network, length: 16))", in: directory)
    }
}
