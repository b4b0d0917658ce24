internal import Netfilter
internal import NetworkTypes
internal import System

/// Which addresses were made sources of a firewalld zone, and for whom. firewalld has no room for an owner's name, so it is
/// a file for each address, which a reboot takes as it takes the sources.
struct ZoneMarks {
    /// One address in a zone.
    struct Mark: Equatable {
        let address: IPAddress
        let zone: String
        /// ``FilterOwner/tag``.
        let tag: String

        var source: IPPrefix { IPPrefix(host: address) }
    }

    private let prefix: String

    /// The marks of the namespace the process runs in.
    ///
    /// - Parameter directory: another directory than that of the lock files, for tests.
    init(in directory: String? = nil) throws(SystemError) { prefix = try LockFiles.path("zone-", in: directory) }

    /// Whose an address is; nil when it is nobody's.
    func mark(of address: IPAddress) -> Mark? {
        guard let text = try? Files.text(prefix + "\(address)") else { return nil }
        let words = text.split(separator: "\n")
        guard words.count == 2 else { return nil }
        return Mark(address: address, zone: String(words[1]), tag: String(words[0]))
    }

    /// All marks, by address.
    func all() -> [Mark] {
        guard let slash = prefix.lastIndex(of: "/") else { return [] }
        let start = prefix[prefix.index(after: slash)...]
        let names = (try? Files.list(String(prefix[..<slash]))) ?? []
        return names.filter { $0.hasPrefix(start) }.sorted().compactMap { name in
            IPAddress(String(name.dropFirst(start.count))).flatMap { mark(of: $0) }
        }
    }

    /// Notes whose an address is, before firewalld is told.
    func write(_ mark: Mark) throws(SystemError) {
        try Files.rewrite(prefix + "\(mark.address)", with: Array("\(mark.tag)\n\(mark.zone)\n".utf8))
    }

    /// Forgets an address.
    func remove(_ address: IPAddress) throws(SystemError) { try Files.remove(prefix + "\(address)") }
}
