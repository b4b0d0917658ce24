public import CNI
public import JSON
internal import NetworkTypes
internal import System

/// What runtimes remember of an attachment from ADD to DEL.
public struct CachedAttachment: Sendable {
    /// Network, container and interface.
    public var attachment: Attachment
    /// The list's text at the time of ADD.
    public var configuration: [UInt8]
    /// `CNI_NETNS`; empty when it was.
    public var netns: String
    /// `CNI_ARGS` as pairs.
    public var arguments: [(name: String, value: String)]
    /// What was given for the plugins' capabilities.
    public var capabilities: Object
    /// The last plugin's result; nil when there is none to be had.
    public var result: Value?
    /// Which namespace `netns` led to at ADD; nil when another program remembered it. See ``NamespaceState``.
    public var namespaceIdentity: String?

    /// Describes an attachment.
    public init(
        attachment: Attachment, configuration: [UInt8], netns: String,
        arguments: [(name: String, value: String)] = [], capabilities: Object = Object(), result: Value? = nil,
        namespaceIdentity: String? = nil
    ) {
        self.attachment = attachment
        self.configuration = configuration
        self.netns = netns
        self.arguments = arguments
        self.capabilities = capabilities
        self.result = result
        self.namespaceIdentity = namespaceIdentity
    }
}

/// The result cache of libcni: one file per attachment, `results/<network>-<container>-<interface>`, which podman,
/// containerd, CRI-O and cnitool share when they run on one host.
public struct ResultCache: Sendable {
    /// The cache's directory, without `results`.
    public let directory: String

    /// A cache, whose directory need not exist.
    public init(_ directory: String = "/var/lib/cni") { self.directory = directory }

    private static let kind = "cniCacheV1"
    /// Ours; libcni reads what it knows and passes over the rest.
    private static let identityKey = "swiftletNamespace"

    private var results: String { "\(directory)/results" }

    /// The file of an attachment.
    public func path(_ attachment: Attachment) -> String {
        "\(results)/\(attachment.network)-\(attachment.containerID)-\(attachment.interfaceName)"
    }

    /// Remembers an attachment. Written to a temporary file, synchronised, renamed; mode 0600 in a directory of 0700.
    ///
    /// - Throws: code 5.
    public func store(_ cached: CachedAttachment) throws(CNIError) {
        var document = Object([
            ("kind", .string(Self.kind)), ("containerId", .string(cached.attachment.containerID)),
            ("config", .string(Base64.encode(cached.configuration))),
            ("ifName", .string(cached.attachment.interfaceName)), ("networkName", .string(cached.attachment.network)),
        ])
        if !cached.netns.isEmpty { document["netns"] = .string(cached.netns) }
        if !cached.arguments.isEmpty {
            document["cniArgs"] = .array(cached.arguments.map { [.string($0.name), .string($0.value)] })
        }
        if !cached.capabilities.members.isEmpty { document["capabilityArgs"] = .object(cached.capabilities) }
        if let result = cached.result { document["result"] = result }
        if let identity = cached.namespaceIdentity { document[Self.identityKey] = .string(identity) }
        do throws(SystemError) {
            try Files.makeDirectories(results, mode: 0o700)
            try AtomicFile.replace(path(cached.attachment), with: Array(Value.object(document).text().utf8))
        } catch {
            throw CNIError(CNIError.Code.inputOutput, "the result is not remembered: \(error)")
        }
    }

    /// What is remembered of an attachment; nil when nothing is. A file of an older libcni is nothing but the result.
    ///
    /// - Throws: code 5 or 6 when there is a file and it cannot be read.
    public func load(_ attachment: Attachment) throws(CNIError) -> CachedAttachment? {
        let file = path(attachment)
        guard Files.exists(file) else { return nil }
        let document: Value
        do {
            document = try Value(parsing: try Files.readRegular(file))
        } catch {
            throw CNIError(CNIError.Code.decoding, "\(file): \(error)")
        }
        do throws(JSON.DecodingError) {
            if let cached = try Self.decode(Reader(document)) { return cached }
        } catch {
            throw CNIError(CNIError.Code.decoding, "\(file): \(error)")
        }
        return CachedAttachment(attachment: attachment, configuration: [], netns: "", result: document)
    }

    /// Forgets an attachment; unknown is success.
    ///
    /// - Throws: code 5.
    public func remove(_ attachment: Attachment) throws(CNIError) {
        do throws(SystemError) {
            try Files.remove(path(attachment))
        } catch {
            throw CNIError(CNIError.Code.inputOutput, error.description)
        }
    }

    /// Everything remembered of a network, by file name. What cannot be read is left out.
    public func attachments(of network: String) -> [CachedAttachment] {
        allAttachments().filter { $0.attachment.network == network }
    }

    /// Everything remembered of any network, by file name. What cannot be read is left out.
    public func allAttachments() -> [CachedAttachment] {
        guard let names = try? Files.list(results) else { return [] }
        return names.sorted().compactMap { name in
            guard let bytes = try? Files.readRegular("\(results)/\(name)"), let document = try? Value(parsing: bytes)
            else { return nil }
            return (try? Self.decode(Reader(document))) ?? nil
        }
    }

    /// Nil when it is not of this kind.
    private static func decode(_ root: Reader) throws(JSON.DecodingError) -> CachedAttachment? {
        guard case .string(kind)? = try root.member("kind").value else { return nil }
        var arguments: [(name: String, value: String)] = []
        for pair in try root.member("cniArgs").elements() {
            let halves = try pair.strings()
            guard halves.count == 2 else { throw pair.error("expected a name and a value") }
            arguments.append((halves[0], halves[1]))
        }
        let text = try root.member("config").string() ?? ""
        guard let configuration = Base64.decode(text) else { throw try root.member("config").error("is not base64") }
        return CachedAttachment(
            attachment: Attachment(
                network: try root.member("networkName").string() ?? "",
                containerID: try root.member("containerId").string() ?? "",
                interfaceName: try root.member("ifName").string() ?? ""),
            configuration: configuration, netns: try root.member("netns").string() ?? "", arguments: arguments,
            capabilities: try root.member("capabilityArgs").object() ?? Object(),
            result: try root.member("result").value, namespaceIdentity: try root.member(identityKey).string())
    }
}
