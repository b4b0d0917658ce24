/// A cluster as it is drawn: hosts, what runs on them, and the networks that join it.
public struct ClusterGraph: Equatable, Sendable {
    /// One host.
    public struct Host: Equatable, Sendable {
        /// Its node name.
        public var name: String
        /// Where the others reach it.
        public var address: String
        /// As members are: alive, leaving, left, failed.
        public var status: String

        /// A host.
        public init(name: String, address: String, status: String) {
            self.name = name
            self.address = address
            self.status = status
        }
    }

    /// One network.
    public struct Network: Equatable, Sendable {
        /// Its name.
        public var name: String
        /// What else there is to say: subnets, VNI.
        public var caption: String

        /// A network.
        public init(name: String, caption: String) {
            self.name = name
            self.caption = caption
        }
    }

    /// One container's interface on a network.
    public struct Endpoint: Equatable, Sendable {
        /// The host it is on.
        public var host: String
        /// The network.
        public var network: String
        /// The container's id.
        public var container: String
        /// What the container is called.
        public var name: String
        /// Its addresses on the network.
        public var addresses: [String]
        /// Its host has failed and it is kept for a while.
        public var isSuspended: Bool

        /// An endpoint.
        public init(
            host: String, network: String, container: String, name: String, addresses: [String],
            isSuspended: Bool = false
        ) {
            self.host = host
            self.network = network
            self.container = container
            self.name = name
            self.addresses = addresses
            self.isSuspended = isSuspended
        }
    }

    /// The hosts, by name.
    public private(set) var hosts: [Host]
    /// The networks, by name.
    public private(set) var networks: [Network]
    /// The endpoints, by host, container and network.
    public private(set) var endpoints: [Endpoint]

    /// A graph. Hosts and networks that only an endpoint speaks of are added; everything is put in order.
    public init(hosts: [Host], networks: [Network], endpoints: [Endpoint]) {
        var hosts = hosts
        var networks = networks
        for endpoint in endpoints {
            if !hosts.contains(where: { $0.name == endpoint.host }) {
                hosts.append(Host(name: endpoint.host, address: "", status: "unknown"))
            }
            if !networks.contains(where: { $0.name == endpoint.network }) {
                networks.append(Network(name: endpoint.network, caption: ""))
            }
        }
        self.hosts = hosts.sorted { $0.name < $1.name }
        self.networks = networks.sorted { $0.name < $1.name }
        self.endpoints = endpoints.sorted {
            ($0.host, $0.container, $0.network) < ($1.host, $1.container, $1.network)
        }
    }

    /// The containers of a host, each with its endpoints.
    func containers(on host: Host) -> [[Endpoint]] {
        var containers: [[Endpoint]] = []
        for endpoint in endpoints where endpoint.host == host.name {
            if let last = containers.last, last[0].container == endpoint.container {
                containers[containers.count - 1].append(endpoint)
            } else {
                containers.append([endpoint])
            }
        }
        return containers
    }

    /// One colour for each network, in turn; told apart in any kind of colour blindness, dark enough for text.
    static let colours = ["#0072b2", "#d55e00", "#007a5e", "#b0508a", "#6a5acd", "#8a6d00", "#444444"]

    func colour(of network: String) -> String {
        let index = networks.firstIndex { $0.name == network } ?? 0
        return Self.colours[index % Self.colours.count]
    }
}
