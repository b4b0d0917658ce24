public import JSON

/// The network configuration on standard input: the members every plugin shares, and readers for the rest.
///
/// Keys match in any case, `null` counts as absent, unknown members (`capabilities` among them) are ignored.
public struct NetworkConfiguration: Sendable {
    /// The network's name.
    public let name: String
    /// The specification's version to answer in.
    public let version: SpecVersion
    /// The plugin's type; empty when absent.
    public let type: String
    /// The whole document.
    public let root: Reader
    /// The object `ipam`.
    public let ipam: Reader
    /// The object `runtimeConfig`: what the runtime passes for the plugin's capabilities.
    public let runtimeConfig: Reader
    /// The object `args`.
    public let args: Reader
    /// The address manager's type, `ipam.type`; empty when absent, which means no addresses.
    public let ipamType: String
    /// The document as it came, for delegates.
    public let bytes: [UInt8]

    /// Decodes a document whose version is any the suite knows.
    ///
    /// - Throws: code 6 for what is not JSON or of a wrong type, 7 for a missing or invalid name, 1 for an unknown
    ///   version.
    public init(parsing bytes: [UInt8]) throws(CNIError) {
        let document = try ConfigurationDocument(parsing: bytes)
        try self.init(document, version: document.supportedVersion(among: SpecVersion.allCases))
    }

    init(_ document: ConfigurationDocument, version: SpecVersion) throws(CNIError) {
        name = document.name
        self.version = version
        root = document.root
        bytes = document.bytes
        do {
            type = try root.member("type").string() ?? ""
            ipam = try root.member("ipam")
            ipamType = try ipam.member("type").string() ?? ""
            runtimeConfig = try root.member("runtimeConfig")
            args = try root.member("args")
        } catch {
            throw CNIError(error)
        }
    }

    /// The result of the plugin before (ADD) or of the whole chain (CHECK, DEL); nil when absent or `null`.
    ///
    /// It is read in the version it carries itself, else in the configuration's.
    /// - Throws: ``CNIError``, code 6.
    public func previousResult() throws(CNIError) -> CNIResult? {
        do {
            guard let value = try root.member("prevResult").value else { return nil }
            return try CNIResult(decodingPrevious: value, version: version, path: "prevResult")
        } catch let error as CNIError {
            throw error
        } catch let error as DecodingError {
            throw CNIError(error)
        } catch {
            // The two types above are all that can be thrown.
            throw CNIError(CNIError.Code.internal, "\(error)")
        }
    }

    /// GC: the attachments that are to stay. The specification's key counts, else the older one libcni also sends.
    ///
    /// - Throws: ``CNIError``, code 6, for what is not a list of objects with both names; nothing may be removed then.
    public func validAttachments() throws(CNIError) -> ValidAttachments {
        do {
            guard let object = try root.object() else { return .absent }
            var found = ValidAttachments.absent
            for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
                guard let value = object.value(caseInsensitive: key) else { continue }
                if value != .null { return .list(try ValidAttachments.decode(Reader(value, path: key))) }
                found = .null
            }
            return found
        } catch {
            throw CNIError(error)
        }
    }
}

/// Which attachments GC must leave alone.
public enum ValidAttachments: Equatable, Sendable {
    /// One attachment on the configuration's network.
    public struct Entry: Hashable, Sendable {
        /// The container's id.
        public let containerID: String
        /// The interface's name inside the container.
        public let interfaceName: String

        /// Names an attachment.
        public init(containerID: String, interfaceName: String) {
            self.containerID = containerID
            self.interfaceName = interfaceName
        }
    }

    /// Neither key is there (`cnitool gc`).
    case absent
    /// The key is there with `null` (CRI-O, when the network has no containers).
    case null
    /// A list, which may be empty.
    case list([Entry])

    /// The attachments to keep; nil when the runtime said nothing about them, which is no leave to remove any.
    public var known: [Entry]? {
        switch self {
        case .absent: nil
        case .null: []
        case .list(let entries): entries
        }
    }

    fileprivate static func decode(_ reader: Reader) throws(DecodingError) -> [Entry] {
        var entries: [Entry] = []
        for element in try reader.elements() {
            guard let containerID = try element.member("containerID").string(), !containerID.isEmpty,
                let interfaceName = try element.member("ifname").string(), !interfaceName.isEmpty
            else { throw element.error("needs a containerID and an ifname", kind: .type) }
            entries.append(Entry(containerID: containerID, interfaceName: interfaceName))
        }
        return entries
    }
}

/// A configuration before its version is known to be one we speak: dispatch looks at the name first, then at the
/// command, then at the version.
struct ConfigurationDocument {
    let bytes: [UInt8]
    let root: Reader
    let name: String

    init(parsing bytes: [UInt8]) throws(CNIError) {
        self.bytes = bytes
        do {
            root = Reader(try Value(parsing: bytes))
        } catch {
            throw Self.undecodable(error.description)
        }
        do {
            name = try root.member("name").string() ?? ""
        } catch {
            throw Self.undecodable(error.description)
        }
        if name.isEmpty { throw CNIError(CNIError.Code.invalidConfiguration, "missing network name") }
        if !EnvironmentRules.isPlainName(name) {
            throw CNIError(
                CNIError.Code.invalidConfiguration, "invalid characters found in network name", details: name)
        }
    }

    private static func undecodable(_ reason: String) -> CNIError {
        CNIError(CNIError.Code.decoding, "error unmarshall network config: \(reason)")
    }

    /// `cniVersion` as given; 0.1.0 when absent or empty.
    func versionText() throws(CNIError) -> String {
        do {
            let text = try root.member("cniVersion").string() ?? ""
            return text.isEmpty ? SpecVersion.v0_1_0.rawValue : text
        } catch {
            throw CNIError(CNIError.Code.decoding, "decoding version from network config: \(error)")
        }
    }

    /// The version, which must be exactly one of those supported.
    func supportedVersion(among supported: [SpecVersion]) throws(CNIError) -> SpecVersion {
        let text = try versionText()
        guard let version = SpecVersion(rawValue: text), supported.contains(version) else {
            throw CNIError(
                CNIError.Code.incompatibleVersion, "incompatible CNI versions",
                details: "config is \(text.quoted), plugin supports \(supported.map(\.rawValue).quoted)")
        }
        return version
    }
}
