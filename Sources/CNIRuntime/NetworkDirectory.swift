public import CNI
internal import JSON
internal import System

/// The directory runtimes read their networks from, usually `/etc/cni/net.d`.
public struct NetworkDirectory: Sendable {
    /// A file that defines a network.
    public struct Entry: Sendable {
        /// The whole path.
        public let path: String
        /// What it defines.
        public let list: NetworkList
    }

    /// A file that defines none that can be used.
    public struct Broken: Sendable {
        /// The whole path.
        public let path: String
        /// Why not.
        public let reason: CNIError
    }

    /// Where it is.
    public let path: String

    /// A directory, which need not exist.
    public init(_ path: String = "/etc/cni/net.d") { self.path = path }

    /// Every network defined, in the order runtimes look at the files: lists by name, then single plugins by name.
    ///
    /// - Throws: when the directory is there and cannot be read.
    public func networks() throws(CNIError) -> (usable: [Entry], broken: [Broken]) {
        var names: [String] = []
        if Files.exists(path) {
            do throws(SystemError) {
                names = try Files.list(path).sorted()
            } catch {
                throw CNIError(CNIError.Code.inputOutput, error.description)
            }
        }
        var usable: [Entry] = []
        var broken: [Broken] = []
        let singles = names.filter { $0.hasSuffix(".conf") || $0.hasSuffix(".json") }
        for name in names.filter({ $0.hasSuffix(".conflist") }) + singles {
            let file = "\(path)/\(name)"
            do throws(CNIError) {
                // A FIFO among them would be waited for; a file that is named by the user may be one.
                if let status = try? FileStatus(of: file), !status.isRegularFile {
                    throw CNIError(CNIError.Code.inputOutput, "it is no regular file")
                }
                usable.append(Entry(path: file, list: try Self.read(file)))
            } catch {
                broken.append(Broken(path: file, reason: error))
            }
        }
        return (usable, broken)
    }

    /// The network of that name; the first file counts, as it does for runtimes.
    ///
    /// - Throws: code 7 when there is none; the message says which files could not be read.
    public func network(named name: String) throws(CNIError) -> Entry {
        let (usable, broken) = try networks()
        if let entry = usable.first(where: { $0.list.name == name }) { return entry }
        let unreadable = broken.map { "\($0.path): \($0.reason)" }.joined(separator: "; ")
        let known = usable.map(\.list.name).joined(separator: ", ")
        throw CNIError(
            CNIError.Code.invalidConfiguration, "no network \"\(name)\" in \(path)",
            details: unreadable.isEmpty ? (known.isEmpty ? "" : "there are: \(known)") : unreadable)
    }

    /// The files that define a network of the same name as an earlier one, which is the one that counts.
    public static func shadowed(_ usable: [Entry]) -> [(ignored: Entry, used: Entry)] {
        usable.indices.compactMap { index in
            let used = usable[..<index].first { $0.list.name == usable[index].list.name }
            return used.map { (usable[index], $0) }
        }
    }

    /// The list a result cache remembers, with the plugins that stand beside it here unless they are part of it: whoever
    /// cached it may have left them out. They only add to what DEL does, so one that cannot be read is passed over.
    ///
    /// - Throws: code 6, 1 or 7 for what makes no list.
    public func remembered(_ bytes: [UInt8]) throws(CNIError) -> NetworkList {
        try NetworkList(parsing: bytes, more: (try? Self.plugins(beside: path, bytes)) ?? [])
    }

    /// Reads one file: a list, or by its name's end a single plugin. Plugins of a list that are files of their own stand
    /// beside it, in the directory of the network's name.
    public static func read(_ file: String) throws(CNIError) -> NetworkList {
        let slash = file.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? "."
        do {
            let bytes = try Files.read(file)
            if !file.hasSuffix(".conflist"), try !isList(bytes) {
                return try NetworkList(parsing: bytes, isSingle: true)
            }
            return try NetworkList(parsing: bytes, more: plugins(beside: directory, bytes))
        } catch let error as CNIError {
            throw error
        } catch let error as SyntaxError {
            throw CNIError(error)
        } catch let error as JSON.DecodingError {
            throw CNIError(error)
        } catch {
            throw CNIError(CNIError.Code.inputOutput, "\(error)")
        }
    }

    private static func isList(_ bytes: [UInt8]) throws -> Bool {
        try Reader(Value(parsing: bytes)).member("plugins").isPresent
    }

    /// The specification lets plugins of a list be files of their own, `<directory>/<network>/*.conf`, unless the list
    /// says `loadOnlyInlinedPlugins`.
    private static func plugins(beside directory: String, _ bytes: [UInt8]) throws -> [Object] {
        let root = Reader(try Value(parsing: bytes))
        guard let name = try root.member("name").string(), try !NetworkList.flag(root.member("loadOnlyInlinedPlugins"))
        else { return [] }
        let folder = "\(directory)/\(name)"
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), Files.exists(folder) else { return [] }
        return try Files.list(folder).filter { $0.hasSuffix(".conf") }.sorted().compactMap { file in
            try Reader(Value(parsing: Files.readRegular("\(folder)/\(file)"))).object()
        }
    }
}
