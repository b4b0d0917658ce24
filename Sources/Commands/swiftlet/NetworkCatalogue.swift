import CNI
import CNIRuntime
import JSON
import Networks

/// The networks there are: those the daemon knows, and those only a file of this host defines.
struct NetworkCatalogue {
    /// One network in Docker's words.
    struct Entry {
        let document: Value
        /// The file that defines it here.
        let file: String?
        /// How many containers are on it, on all hosts.
        let containers: Int
    }

    let entries: [Entry]

    /// Without a daemon it is this host's files alone, and that is said.
    init(_ client: ControlClient, _ places: NetworkPlaces) throws {
        var known: [Value] = []
        var endpoints: [Value] = []
        do throws(ControlClient.Failure) {
            let answer = try client.ask("GET", "/v1/networks")
            known = (try? Self.list(answer, "networks")) ?? []
            if !known.isEmpty {
                endpoints = (try? Self.list(try client.ask("GET", "/v1/endpoints"), "endpoints")) ?? []
            }
        } catch {
            guard error.isUnreachable else { throw error }
            complain("\(error) Only this host's files are shown.")
        }
        let (usable, broken) = try places.directory.networks()
        for file in broken { complain("\(file.path): \(file.reason)") }
        complain(ofShadowedIn: usable)
        let shadowed = Set(NetworkDirectory.shadowed(usable).map(\.ignored.path))
        var entries: [Entry] = []
        for document in known {
            let name = try Reader(document).cell("Name")
            let attached = try endpoints.filter { try Reader($0).cell("network") == name }
            entries.append(
                Entry(
                    document: document, file: usable.first { $0.list.name == name }?.path, containers: attached.count))
        }
        for file in usable
        where !shadowed.contains(file.path) && !entries.contains(where: { $0.file == file.path }) {
            let cache = ResultCache(places.cacheDir)
            entries.append(
                Entry(
                    document: Self.inspect(file, cache), file: file.path,
                    containers: cache.attachments(of: file.list.name).count))
        }
        self.entries = entries
    }

    /// One network, as the daemon knows it or as a file of this host defines it.
    static func network(_ name: String, _ client: ControlClient, _ places: NetworkPlaces) throws -> Value {
        let entry = try? places.directory.network(named: name)
        if let entry, !isOverlay(entry) { return inspect(entry, ResultCache(places.cacheDir)) }
        do throws(ControlClient.Failure) {
            return try client.ask("GET", ControlClient.path("/v1/networks", name))
        } catch {
            guard let entry, error.isUnknown || error.isUnreachable else { throw error }
            if error.isUnreachable { complain("\(error) Only this host's file is shown.") }
            return inspect(entry, ResultCache(places.cacheDir))
        }
    }

    static func isOverlay(_ entry: NetworkDirectory.Entry) -> Bool { entry.list.type(at: 0) == "overlay-vxlan" }

    /// The elements of an answer that is a list, or has one.
    static func list(_ document: Value, _ key: String) throws -> [Value] {
        if case .array(let elements) = document { return elements }
        return try Reader(document).member(key).elements().compactMap(\.value)
    }

    /// A network of this host in Docker's words; containers are those the result cache remembers.
    private static func inspect(_ entry: NetworkDirectory.Entry, _ cache: ResultCache) -> Value {
        let list = entry.list
        let first = Reader(.object(list.plugins.first ?? Object()))
        var configs: [Value] = []
        let ranges = (try? first.member("ipam").member("ranges").elements().flatMap { try $0.elements() }) ?? []
        for range in ranges {
            var config = Object()
            for (docker, own) in [("Subnet", "subnet"), ("Gateway", "gateway"), ("IPRange", "rangeStart")] {
                if let text = (try? range.member(own).string()) ?? nil {
                    let end = own == "rangeStart" ? (try? range.member("rangeEnd").string()) ?? nil : nil
                    config[docker] = .string(end.map { "\(text)-\($0)" } ?? text)
                }
            }
            configs.append(.object(config))
        }
        for subnet in (try? first.member("subnets").elements()) ?? [] {
            var config = Object()
            for (docker, own) in [("Subnet", "subnet"), ("Gateway", "gateway"), ("IPRange", "ipRange")] {
                config[docker] = (try? subnet.member(own).value) ?? nil
            }
            configs.append(.object(config))
        }
        var containers = Object()
        for cached in cache.attachments(of: list.name) {
            containers[cached.attachment.containerID] = container(cached)
        }
        let isInternal = (try? first.member("internal").bool()) ?? nil
        return [
            "Name": .string(list.name), "Id": .string(SHA512Name.id(list.name)),
            "Scope": isOverlay(entry) ? "global" : "local",
            "Driver": .string(isOverlay(entry) ? "overlay" : list.type(at: 0)),
            "Internal": .bool(isInternal ?? false),
            "IPAM": ["Driver": (try? first.member("ipam").member("type").value) ?? "null", "Config": .array(configs)],
            "Containers": .object(containers), "Options": (try? first.member("options").value) ?? [:],
            "Plugins": .array(list.plugins.indices.map { .string(list.type(at: $0)) }),
        ]
    }

    private static func container(_ cached: CachedAttachment) -> Value {
        let result = Reader(cached.result)
        let interface = cached.attachment.interfaceName
        let interfaces = (try? result.member("interfaces").elements()) ?? []
        let own = interfaces.first {
            (try? $0.member("name").string()) == interface && (try? $0.member("sandbox").string()) ?? nil != nil
        }
        var document = Object([
            ("Name", .string(name(cached))), ("EndpointID", .string(SHA512Name.endpoint(cached.attachment))),
            ("MacAddress", .string((try? own?.member("mac").string()) ?? "")), ("IPv4Address", ""),
            ("IPv6Address", ""),
        ])
        for address in (try? result.member("ips").elements()) ?? [] {
            guard let text = (try? address.member("address").string()) ?? nil else { continue }
            let key = text.utf8.contains(UInt8(ascii: ":")) ? "IPv6Address" : "IPv4Address"
            if document[key] == "" { document[key] = .string(text) }
        }
        return .object(document)
    }

    private static func name(_ cached: CachedAttachment) -> String {
        cached.arguments.first { $0.name == "K8S_POD_NAME" }?.value ?? cached.attachment.containerID
    }
}
