internal import Cluster
internal import Gossip
internal import JSON
internal import NetworkTypes
internal import Overlay

/// What this host remembers of a network; the journal has it by the network's name.
struct LocalNetwork: Equatable, Sendable {
    /// What all hosts agree on.
    var row: NetworkRow
    /// The interface of the underlay; nil for the one that has the VTEP's address.
    var interface: String?
    /// This host's VTEP; nil for the daemon's.
    var vtep: IPAddress?
    /// Where the `ipam` delegate keeps its files.
    var dataDirectory: String?
    /// Whether this host says so to the others: the definition is in a row of its own.
    var isAnnounced = false
    /// Whether it was announced on an operator's order, and stays when the last endpoint goes.
    var isKept = false
    /// The list that `adopt` wrote for it; nil when it did not.
    var adopted: Adopted?

    /// A list that was written because another host announced the network.
    struct Adopted: Equatable, Sendable {
        /// The directory.
        let directory: String
        /// The digest of what was written.
        let digest: String
        /// Who announced it on an operator's order; nil while none did.
        var announcer: HostID?
        /// Whether that was taken back, and the list stays for the containers here.
        var isWithdrawn = false
    }

    init(_ definition: NetworkDefinition) {
        row = definition.row
        interface = definition.interface
        vtep = definition.vtep
        dataDirectory = definition.dataDirectory
    }

    /// One that another host announced.
    init(_ row: NetworkRow) {
        self.row = row
        self.row.isKept = false
    }

    /// What the others are told.
    var announcement: [UInt8] {
        var row = row
        row.isKept = isKept
        return row.encoded
    }

    /// The journal's entry: JSON, the row in base64.
    var journaled: [UInt8] {
        var object = Object([
            ("version", .integer(DocumentVersion.current)), ("row", .string(Base64.encode(row.encoded))),
            ("announced", .bool(isAnnounced)), ("kept", .bool(isKept)),
        ])
        if let interface { object["interface"] = .string(interface) }
        if let vtep { object["vtep"] = .string("\(vtep)") }
        if let dataDirectory { object["dataDir"] = .string(dataDirectory) }
        if let adopted {
            var list = Object([("directory", .string(adopted.directory)), ("digest", .string(adopted.digest))])
            if let announcer = adopted.announcer { list["announcer"] = .string("\(announcer)") }
            if adopted.isWithdrawn { list["withdrawn"] = true }
            object["adopted"] = .object(list)
        }
        return Array(Value.object(object).text().utf8)
    }

    init?(journaled bytes: [UInt8]) {
        guard let value = try? Value(parsing: bytes) else { return nil }
        let reader = Reader(value)
        guard DocumentVersion.isKnown(reader) else { return nil }
        guard let text = (try? reader.member("row").string()) ?? nil, let bytes = Base64.decode(text),
            let row = NetworkRow(decoding: bytes)
        else { return nil }
        self.row = row
        interface = (try? reader.member("interface").string()) ?? nil
        vtep = ((try? reader.member("vtep").string()) ?? nil).flatMap { IPAddress($0) }
        dataDirectory = (try? reader.member("dataDir").string()) ?? nil
        isAnnounced = ((try? reader.member("announced").bool()) ?? nil) ?? false
        isKept = ((try? reader.member("kept").bool()) ?? nil) ?? false
        if let list = try? reader.member("adopted"), let directory = (try? list.member("directory").string()) ?? nil,
            let digest = (try? list.member("digest").string()) ?? nil
        {
            let announcer = ((try? list.member("announcer").string()) ?? nil).flatMap { HostID($0) }
            adopted = Adopted(
                directory: directory, digest: digest, announcer: announcer,
                isWithdrawn: ((try? list.member("withdrawn").bool()) ?? nil) ?? false)
        }
    }
}
