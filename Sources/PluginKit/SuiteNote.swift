internal import System

/// The ELF note that tells our executables from others (`readelf -n`): owner "Swiftlet", type 1, the version.
enum SuiteNote {
    /// Whether the executable is of our suite and of exactly our version. Anything unreadable is not.
    static func isOurs(_ path: String) -> Bool {
        guard let version = try? version(of: path) else { return false }
        return version == suiteVersion
    }

    /// The version in an executable's note, nil when it has none (ELF specification, program header `PT_NOTE`).
    static func version(of path: String) throws -> String? {
        let file = try OwnedFD(opening: path, flags: 0)
        let header = Fields(try file.readBytes(count: 64, at: 0))
        // 64-bit, little endian: what this machine runs.
        guard header.bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return nil }
        guard let table = header.integer(at: 32, bytes: 8), let size = header.integer(at: 54, bytes: 2),
            let count = header.integer(at: 56, bytes: 2), size >= 56, count <= 64
        else { return nil }
        let entries = Fields(try file.readBytes(count: size * count, at: table))
        for index in 0..<count {
            guard entries.integer(at: index * size, bytes: 4) == 4,
                let offset = entries.integer(at: index * size + 8, bytes: 8),
                let length = entries.integer(at: index * size + 32, bytes: 8), length <= 4096
            else { continue }
            if let version = version(inNotes: Fields(try file.readBytes(count: length, at: offset))) { return version }
        }
        return nil
    }

    private static func version(inNotes notes: Fields) -> String? {
        var position = 0
        while let nameSize = notes.integer(at: position, bytes: 4),
            let descriptionSize = notes.integer(at: position + 4, bytes: 4)
        {
            let name = position + 12
            let description = name + (nameSize + 3) & ~3
            guard let owner = notes.slice(name, nameSize), let text = notes.slice(description, descriptionSize) else {
                return nil
            }
            if Array(owner) == Array("Swiftlet\0".utf8) {
                return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
            }
            position = description + (descriptionSize + 3) & ~3
        }
        return nil
    }

    /// Little-endian numbers out of bytes that may be cut short.
    private struct Fields {
        let bytes: [UInt8]

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        func slice(_ offset: Int, _ count: Int) -> ArraySlice<UInt8>? {
            guard offset >= 0, count >= 0, count <= bytes.count, offset <= bytes.count - count else { return nil }
            return bytes[offset..<offset + count]
        }

        /// Numbers beyond 2⁴⁸ are no offset in any executable.
        func integer(at offset: Int, bytes count: Int) -> Int? {
            guard let field = slice(offset, count) else { return nil }
            let number = field.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return number < 1 << 48 ? Int(number) : nil
        }
    }
}
