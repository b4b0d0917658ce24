internal import Attachment
internal import CNI
internal import JSON
internal import NetworkTypes
internal import PluginKit
public import System

/// What the plugin does with files, so that tests can let it fail.
public protocol BackupFiles {
    /// The contents of a file, nil when it is not there.
    func read(_ path: String) throws(SystemError) -> [UInt8]?
    /// Writes a file, whole or not at all; its directory is made when it is missing.
    func write(_ path: String, _ contents: [UInt8]) throws(SystemError)
    /// Removes a file; one that is not there is no error.
    func remove(_ path: String) throws(SystemError)
    /// The names in a directory; none when it is not there.
    func list(_ path: String) throws(SystemError) -> [String]
}

/// The real files. Directories are made with mode 0700, those above the plugin's own with 0755.
public struct DiskFiles: BackupFiles {
    /// Nothing is touched before it is needed.
    public init() {}

    /// Reads a file of at most 64 KiB, not through a symbolic link.
    public func read(_ path: String) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            let file = try OwnedFD(existing: path)
            do throws(Errno) {
                return try file.readToEnd(limit: 1 << 16)
            } catch {
                throw SystemError("read", path, error)
            }
        } catch {
            // A name that is too long for a file is none's: the reference's store cannot have it either.
            if [.noSuchFileOrDirectory, .notDirectory, .fileNameTooLong].contains(error.errno) { return nil }
            throw error
        }
    }

    /// Writes beside and renames. Without `fsync`: what the backup is of does not outlive the kernel either.
    public func write(_ path: String, _ contents: [UInt8]) throws(SystemError) {
        let own = Self.parent(path), data = Self.parent(own)
        try Files.makeDirectories(Self.parent(data), mode: 0o755)
        try Files.makeDirectories(data, mode: 0o700)
        try Files.makeDirectories(own, mode: 0o700)
        try AtomicFile.replace(path, with: contents, isDurable: false)
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Removes a file.
    public func remove(_ path: String) throws(SystemError) {
        do {
            try Files.remove(path)
        } catch {
            if error.errno != .fileNameTooLong { throw error }
        }
    }

    /// Lists a directory.
    public func list(_ path: String) throws(SystemError) -> [String] {
        do {
            return try Files.list(path)
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return [] }
            throw error
        }
    }
}

/// The backups of one network's attachments: `<dataDir>/<network>/<container id>:<interface>.json`.
struct BackupStore {
    let files: any BackupFiles
    let dataDirectory: String
    let network: String

    private var directory: String { "\(dataDirectory)/\(network)" }

    /// An attachment's file name. A colon is in neither part; a container id too long for a file name is hashed.
    static func name(containerID: String, interfaceName: String) -> String {
        let readable = "\(containerID):\(interfaceName).json"
        // The temporary file beside it needs a few characters more.
        return readable.utf8.count <= 220 ? readable : "\(SHA512.hex(containerID, length: 64)):\(interfaceName).json"
    }

    /// Where an attachment's backup is.
    func path(_ attachment: Attachment) -> String {
        "\(directory)/\(Self.name(containerID: attachment.containerID, interfaceName: attachment.interfaceName))"
    }

    /// Where the reference plugin puts it, whatever the network.
    func referencePath(_ attachment: Attachment) -> String {
        "\(dataDirectory)/\(attachment.containerID)_\(attachment.interfaceName).json"
    }

    /// Keeps a backup.
    func save(_ backup: LinkBackup, of attachment: Attachment) throws {
        try files.write(path(attachment), Array(backup.document.text(.indented).utf8))
    }

    /// The backup in a file; nil when there is none.
    func load(_ path: String) throws -> LinkBackup? {
        guard let bytes = try files.read(path) else { return nil }
        do {
            return try LinkBackup(Reader(Value(parsing: bytes)))
        } catch {
            throw CNIError(
                CNIError.Code.decoding, "backup \(path) is not readable: \(error)",
                details: "it was removed; what it was of is left as it is")
        }
    }

    /// Removes the network's backups of all but `valid` attachments.
    func collectGarbage(valid: Set<String>, _ errors: inout ErrorCollector) {
        for name in errors.attempt({ try files.list(directory) }) ?? [] where !valid.contains(name) {
            errors.attempt { try files.remove("\(directory)/\(name)") }
        }
    }
}
