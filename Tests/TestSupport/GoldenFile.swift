import System

/// The text in `Tests/Golden/<name>`. With `SWIFTLET_UPDATE_GOLDEN` set in the environment the file is first written anew
/// with `text`, to be read before it is committed.
public func golden(_ name: String, _ text: String, file: String = #filePath) throws -> String {
    let tests = file.split(separator: "/").dropLast(2).joined(separator: "/")
    let path = "/\(tests)/Golden/\(name)"
    if Environment.current()["SWIFTLET_UPDATE_GOLDEN"] != nil {
        let directory = path.split(separator: "/").dropLast().joined(separator: "/")
        try Files.makeDirectories("/" + directory, mode: 0o755)
        try AtomicFile.replace(path, with: Array(text.utf8), mode: 0o644)
    }
    return try Files.text(path)
}
