internal import Attachment
internal import CNI
internal import JSON
internal import Netfilter
internal import PluginKit

/// The `firewall` plugin's configuration, decoded and checked whole.
struct FirewallConfiguration: Equatable {
    /// Who is told of the container.
    enum Backend: Equatable {
        /// firewalld where it runs, else the packet filter that fits the host. Any unknown name means this, too.
        case automatic
        /// firewalld over D-Bus.
        case firewalld
        /// `iptables-restore`.
        case iptables
        /// nf_tables over netlink.
        case nftables

        /// The packet filter to use for what firewalld does not do.
        var filter: BackendChoice {
            switch self {
            case .automatic, .firewalld: .automatic
            case .iptables: .iptables
            case .nftables: .nftables
            }
        }
    }

    /// `backend`.
    var backend = Backend.automatic
    /// The zone when none is named.
    static let usualZone = "trusted"
    /// `firewalldZone`.
    var zone = usualZone
    /// `iptablesAdminChainName`.
    var adminChain = "CNI-ADMIN"
    /// `ingressPolicy`.
    var ingress = Firewall.Ingress.open

    /// Decodes the request's configuration.
    init(_ request: Request) throws(DecodingError) {
        let root = request.configuration.root
        switch try root.member("backend").string() {
        case "firewalld": backend = .firewalld
        case "iptables": backend = .iptables
        case "nftables": backend = .nftables
        default: backend = .automatic
        }
        if let name = try root.member("firewalldZone").string(), !name.isEmpty { zone = name }
        let admin = try root.member("iptablesAdminChainName")
        if let name = try admin.string(), !name.isEmpty {
            if let problem = IPTablesWords.problem(ofChain: name) { throw admin.error(problem) }
            adminChain = name
        }
        let policy = try root.member("ingressPolicy")
        if let name = try policy.string(), !name.isEmpty {
            guard let known = Firewall.Ingress(rawValue: name) else {
                throw policy.error("unknown ingress policy: \"\(name)\"", verbatim: true)
            }
            ingress = known
        }
    }
}
