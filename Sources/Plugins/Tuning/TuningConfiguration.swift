internal import Attachment
internal import CNI
internal import JSON
internal import NetworkTypes
internal import PluginKit

/// The `tuning` plugin's configuration, decoded and checked whole.
struct TuningConfiguration: Equatable, Sendable {
    /// One kernel parameter with its value.
    struct Setting: Equatable, Sendable {
        var key: SysctlKey
        var value: String
    }

    /// `sysctl` and `args.cni.sysctl`, in order, the latter overriding.
    var settings: [Setting] = []
    /// `mac`, overridden by `CNI_ARGS` MAC, by `runtimeConfig.mac`, by `args.cni.mac`.
    var mac: MACAddress?
    /// `mtu` in bytes; 0 is not set.
    var mtu: UInt32?
    /// `promisc`; false leaves the interface alone.
    var promiscuous = false
    /// `allmulti`; false switches it off.
    var allMulticast: Bool?
    /// `txQLen` in packets.
    var transmitQueueLength: UInt32?
    /// `dataDir`: where backups are.
    var dataDirectory = defaultDataDirectory
    /// `allowlistAnchored`: a line of the allow-list must match a whole key.
    var anchorsAllowList = false

    static let defaultDataDirectory = "/run/cni/tuning"

    /// Whether the interface itself is to be changed.
    var changesLink: Bool {
        mac != nil || mtu != nil || promiscuous || allMulticast != nil || transmitQueueLength != nil
    }
}

extension TuningConfiguration {
    /// Decodes the request's configuration.
    ///
    /// - Throws: ``DecodingError`` with the JSON path; ``CNIError`` for a malformed `CNI_ARGS`.
    init(_ request: Request) throws {
        let root = request.configuration.root
        let overriding = try request.configuration.args.member("cni")
        for source in [root, overriding] {
            for setting in try Self.settings(source.member("sysctl")) {
                settings.removeAll { $0.key.text == setting.key.text }
                settings.append(setting)
            }
            mtu = try Self.mtu(source.member("mtu")) ?? mtu
            promiscuous = try source.member("promisc").bool() ?? promiscuous
            allMulticast = try source.member("allmulti").bool() ?? allMulticast
            transmitQueueLength =
                try source.member("txQLen").integer(in: 0...Int64(Int32.max)).map { UInt32(clamping: $0) }
                ?? transmitQueueLength
        }
        try refuseRepetition(root.member("sysctl"), interface: request.attachment.interfaceName)
        mac = try Self.mac(request)
        dataDirectory = try Self.dataDirectory(root.member("dataDir"))
        anchorsAllowList = try root.member("allowlistAnchored").bool() ?? false
    }

    /// `dataDir`, an absolute path; all that DEL and GC need of a configuration.
    static func dataDirectory(_ key: Reader) throws(DecodingError) -> String {
        guard let path = try key.string(), !path.isEmpty else { return defaultDataDirectory }
        guard path.utf8.first == UInt8(ascii: "/"), !path.utf8.contains(0) else {
            throw key.error("\"\(path)\" is not an absolute path")
        }
        return path
    }

    private static func settings(_ key: Reader) throws(DecodingError) -> [Setting] {
        guard let object = try key.object() else { return [] }
        if !object.repeatedKeys.isEmpty { throw repetition(key) }
        var settings: [Setting] = []
        for member in object.members {
            let place = Reader(member.value, path: "\(key.path).\(member.key)")
            guard let value = try place.string() else { continue }
            guard let name = SysctlKey(member.key) else {
                throw place.error("invalid net sysctl key: \"\(member.key)\"", verbatim: true)
            }
            settings.append(Setting(key: name, value: value))
        }
        return settings
    }

    /// Two spellings of one parameter: which would count is nobody's guess.
    private func refuseRepetition(_ key: Reader, interface: String) throws(DecodingError) {
        var seen: Set<String> = []
        for setting in settings where !seen.insert(setting.key.path(interface: interface)).inserted {
            throw Self.repetition(key)
        }
    }

    private static func repetition(_ key: Reader) -> DecodingError {
        key.error("duplicated sysctl keys are not allowed", verbatim: true)
    }

    private static func mtu(_ key: Reader) throws(DecodingError) -> UInt32? {
        guard let bytes = try key.integer(), bytes != 0 else { return nil }
        guard (68...Int64(Int32.max)).contains(bytes) else {
            throw key.error("must be 0 (leave it alone) or at least 68, not \(bytes)")
        }
        return UInt32(bytes)
    }

    /// The MAC that counts, the most specific source first.
    private static func mac(_ request: Request) throws -> MACAddress? {
        let arguments = try CNIArguments(parsing: request.invocation.arguments, known: ["IP", "MAC", "GATEWAY"])
        let configuration = request.configuration
        for key in [try configuration.args.member("cni").member("mac"), try configuration.runtimeConfig.member("mac")] {
            if let mac = try mac(key) { return mac }
        }
        if let text = arguments["MAC"], !text.isEmpty {
            guard let mac = MACAddress(text), mac.isUnicast else {
                throw CNIError(
                    CNIError.Code.invalidEnvironment,
                    "CNI_ARGS: MAC=\(text) is not a unicast MAC address like 02:42:c0:a8:00:64")
            }
            return mac
        }
        return try mac(configuration.root.member("mac"))
    }

    private static func mac(_ key: Reader) throws(DecodingError) -> MACAddress? {
        guard let text = try key.string(), !text.isEmpty else { return nil }
        guard let mac = MACAddress(text), mac.isUnicast else {
            throw key.error("\"\(text)\" is not a unicast MAC address like 02:42:c0:a8:00:64")
        }
        return mac
    }
}
