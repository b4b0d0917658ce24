public import NetworkTypes

/// What ADD answers, whatever version it is printed in; the members are those of version 1.1.0.
public struct CNIResult: Equatable, Sendable {
    /// A network interface that was made or adjusted, on the host or in the container.
    public struct Interface: Equatable, Sendable {
        /// Its name.
        public var name: String
        /// Its hardware address as text.
        public var mac: String?
        /// Its MTU in bytes (1.x).
        public var mtu: Int?
        /// The path of the namespace it is in; nil for the host.
        public var sandbox: String?
        /// The path of a vhost-user socket (1.x).
        public var socketPath: String?
        /// The PCI address of its device (1.x).
        public var pciID: String?

        /// Describes an interface.
        public init(
            name: String, mac: String? = nil, mtu: Int? = nil, sandbox: String? = nil, socketPath: String? = nil,
            pciID: String? = nil
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.sandbox = sandbox
            self.socketPath = socketPath
            self.pciID = pciID
        }
    }

    /// An address that was assigned.
    public struct Address: Equatable, Sendable {
        /// The index of its interface in ``CNIResult/interfaces``; nil in an address manager's result.
        public var interface: Int?
        /// The address with its prefix length.
        public var address: IPPrefix
        /// The subnet's gateway.
        public var gateway: IPAddress?

        /// Describes an address.
        public init(interface: Int? = nil, address: IPPrefix, gateway: IPAddress? = nil) {
            self.interface = interface
            self.address = address
            self.gateway = gateway
        }
    }

    /// A route in the container.
    public struct Route: Equatable, Sendable {
        /// Where it leads.
        public var destination: IPPrefix
        /// The next hop; nil leaves it to the plugin that sets it.
        public var gateway: IPAddress?
        /// The path's MTU in bytes.
        public var mtu: Int?
        /// The TCP segment size to advertise.
        public var advertisedMSS: Int?
        /// The metric; lower is preferred.
        public var priority: Int?
        /// The routing table's number; nil for the main one.
        public var table: Int?
        /// The kernel's scope number (`RT_SCOPE_*`); nil for the default.
        public var scope: Int?

        /// Describes a route.
        public init(
            destination: IPPrefix, gateway: IPAddress? = nil, mtu: Int? = nil, advertisedMSS: Int? = nil,
            priority: Int? = nil, table: Int? = nil, scope: Int? = nil
        ) {
            self.destination = destination
            self.gateway = gateway
            self.mtu = mtu
            self.advertisedMSS = advertisedMSS
            self.priority = priority
            self.table = table
            self.scope = scope
        }
    }

    /// Name resolution for the container, in the terms of resolv.conf(5).
    public struct DNS: Equatable, Sendable {
        /// Servers, most preferred first.
        public var nameservers: [String]
        /// The local domain.
        public var domain: String?
        /// Search domains.
        public var search: [String]
        /// Resolver options.
        public var options: [String]

        /// Describes name resolution; nothing by default.
        public init(
            nameservers: [String] = [], domain: String? = nil, search: [String] = [], options: [String] = []
        ) {
            self.nameservers = nameservers
            self.domain = domain
            self.search = search
            self.options = options
        }

        /// Whether nothing is set.
        public var isEmpty: Bool {
            nameservers.isEmpty && (domain ?? "").isEmpty && search.isEmpty && options.isEmpty
        }
    }

    /// The interfaces.
    public var interfaces: [Interface]
    /// The addresses.
    public var addresses: [Address]
    /// The routes.
    public var routes: [Route]
    /// Name resolution.
    public var dns: DNS

    /// Makes a result; empty by default.
    public init(
        interfaces: [Interface] = [], addresses: [Address] = [], routes: [Route] = [], dns: DNS = DNS()
    ) {
        self.interfaces = interfaces
        self.addresses = addresses
        self.routes = routes
        self.dns = dns
    }

    /// The interface an address is on; nil when the index is absent or beyond the list.
    public func interface(of address: Address) -> Interface? {
        guard let index = address.interface, interfaces.indices.contains(index) else { return nil }
        return interfaces[index]
    }
}
