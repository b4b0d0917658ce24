public import NetworkTypes

/// What an ADD hands to the interface: addresses, routes and name service.
public struct Allocation: Equatable, Sendable {
    /// One address.
    public struct Address: Hashable, Sendable {
        /// The address with its subnet's prefix length.
        public let prefix: IPPrefix
        /// The subnet's gateway.
        public let gateway: IPAddress?

        /// Describes an address.
        public init(prefix: IPPrefix, gateway: IPAddress?) {
            self.prefix = prefix
            self.gateway = gateway
        }
    }

    /// One route, as the configuration gives it.
    public struct Route: Hashable, Sendable {
        /// The destination, host bits kept as configured.
        public let destination: IPPrefix
        /// The next hop; nil leaves it to the interface's plugin.
        public let gateway: IPAddress?
        /// Path MTU in bytes; nil when 0 or absent.
        public let mtu: UInt32?
        /// Advertised maximum segment size in bytes; nil when 0 or absent.
        public let advertisedMSS: UInt32?
        /// Metric; nil when 0 or absent.
        public let priority: UInt32?
        /// Routing table; nil is the main table.
        public let table: UInt32?
        /// `rtm_scope`, 0...255; nil leaves it to the interface's plugin.
        public let scope: UInt8?

        /// Describes a route.
        public init(
            destination: IPPrefix, gateway: IPAddress? = nil, mtu: UInt32? = nil, advertisedMSS: UInt32? = nil,
            priority: UInt32? = nil, table: UInt32? = nil, scope: UInt8? = nil
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

    /// Name service, read from a file in the format of resolv.conf(5).
    public struct DNS: Equatable, Sendable {
        /// `nameserver` lines, in order.
        public var nameservers: [String] = []
        /// The last `domain` line.
        public var domain: String?
        /// All words of all `search` lines.
        public var search: [String] = []
        /// All words of all `options` lines.
        public var options: [String] = []

        /// No name service.
        public init() {}
    }

    /// The addresses, one for each range set, in the sets' order.
    public let addresses: [Address]
    /// The configured routes.
    public let routes: [Route]
    /// The name service; empty without `resolvConf`.
    public let dns: DNS

    /// Describes an allocation.
    public init(addresses: [Address], routes: [Route] = [], dns: DNS = DNS()) {
        self.addresses = addresses
        self.routes = routes
        self.dns = dns
    }
}

extension Allocation.DNS {
    /// Reads text in the format of resolv.conf(5) the way the reference plugin does: `#` and `;` begin comment lines,
    /// a line needs two words, unknown keywords are passed over.
    public init(parsing text: String) {
        for line in text.utf8.split(whereSeparator: { $0 == 0x0A }) {
            let words = line.split { $0 == 0x20 || (0x09...0x0D).contains($0) }.map {
                String(decoding: $0, as: UTF8.self)
            }
            guard words.count >= 2, !words[0].hasPrefix("#"), !words[0].hasPrefix(";") else { continue }
            switch words[0] {
            case "nameserver": nameservers.append(words[1])
            case "domain": domain = words[1]
            case "search": search += words[1...]
            case "options": options += words[1...]
            default: break
            }
        }
    }
}
