internal import System

/// The fixtures in `Tests/Golden`.
public enum Golden {
    /// The folder's absolute path, found from where this file was compiled.
    public static let path: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: true).dropLast(2)
        return "/" + parts.joined(separator: "/") + "/Golden"
    }()

    /// The bytes of `name`, for example "podman-4.3.1/eth0-bridge-ADD.in".
    ///
    /// - Throws: ``SystemError`` when there is no such fixture.
    public static func bytes(_ name: String) throws -> [UInt8] {
        try Files.read("\(path)/\(name)", limit: 16 << 20)
    }

    /// The text of `name`.
    public static func text(_ name: String) throws -> String {
        String(decoding: try bytes(name), as: UTF8.self)
    }
}
