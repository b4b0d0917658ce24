internal import Attachment
internal import CNI
internal import JSON
internal import Netfilter
internal import NetworkTypes
internal import PluginKit

/// The `portmap` plugin's configuration, decoded and checked whole.
struct PortmapConfiguration: Equatable {
    /// `backend`.
    var backend = BackendChoice.automatic
    /// `snat` and `masqAll` together.
    var sourceRewrite = PortForward.SourceRewrite.hairpin
    /// `markMasqBit`, 0...31.
    var markBit: UInt8 = 13
    /// `externalSetMarkChain`.
    var externalSetMarkChain: String?
    /// `conditionsV4`.
    var conditions4: [String] = []
    /// `conditionsV6`.
    var conditions6: [String] = []
    /// `runtimeConfig.portMappings`.
    var mappings: [PortMapping] = []

    /// Decodes the request's configuration.
    init(_ request: Request) throws {
        let root = request.configuration.root
        conditions4 = try Self.conditions(root.member("conditionsV4"))
        conditions6 = try Self.conditions(root.member("conditionsV6"))
        let chain = try root.member("externalSetMarkChain")
        if let name = try chain.string(), !name.isEmpty {
            if let problem = IPTablesWords.problem(ofChain: name) { throw chain.error(problem) }
            externalSetMarkChain = name
        }
        let bit = try root.member("markMasqBit")
        if let number = try bit.integer() {
            guard (0...31).contains(number) else {
                throw bit.error("MasqMarkBit must be between 0 and 31", verbatim: true)
            }
            if externalSetMarkChain != nil {
                throw bit.error("Cannot specify externalSetMarkChain and markMasqBit", verbatim: true)
            }
            markBit = UInt8(number)
        }
        let snat = try root.member("snat").bool() ?? true
        let all = try root.member("masqAll").bool() ?? false
        sourceRewrite = !snat ? .none : all ? .all : .hairpin
        backend = try Self.backend(root, conditions4 + conditions6, externalSetMarkChain)
        mappings = try PortMapping.list(request.configuration.runtimeConfig.member("portMappings"))
    }

    private static func conditions(_ key: Reader) throws -> [String] {
        for element in try key.elements() {
            if let problem = try element.string().flatMap(IPTablesWords.problem(ofCondition:)) {
                throw element.error(problem)
            }
        }
        return try key.strings()
    }

    /// The back end asked for, or the one whose language the conditions are in: iptables' words begin with "-" or "!".
    private static func backend(_ root: Reader, _ conditions: [String], _ chain: String?) throws(DecodingError)
        -> BackendChoice
    {
        let key = try root.member("backend")
        let speaksIPTables = conditions.first.map { $0.hasPrefix("-") || $0.hasPrefix("!") }
        let names = ["conditionsV4", "conditionsV6"].filter { (try? root.member($0).strings().isEmpty) == false }
        switch try key.string() ?? "" {
        case "":
            if chain != nil || speaksIPTables == true { return .iptables }
            return speaksIPTables == false ? .nftables : .automatic
        case "nftables":
            let foreign = (chain == nil ? [] : ["externalSetMarkChain"]) + (speaksIPTables == true ? names : [])
            if foreign.isEmpty { return .nftables }
            throw key.error(
                "nftables backend was requested but configuration contains iptables-specific options "
                    + "[\(foreign.joined(separator: " "))]", verbatim: true)
        case "iptables":
            if speaksIPTables != false { return .iptables }
            throw key.error(
                "iptables backend was requested but configuration contains nftables-specific options "
                    + "[\(names.joined(separator: " "))]", verbatim: true)
        case let name: throw key.error("unrecognized backend \"\(name)\"", verbatim: true)
        }
    }
}
