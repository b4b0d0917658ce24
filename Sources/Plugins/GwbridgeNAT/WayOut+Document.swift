internal import Attachment
internal import CNI
internal import JSON
internal import Netfilter
internal import NetworkTypes

// How a way out is written down. Members that are not known are passed over, so that a newer release may add some.

extension WayOut {
    /// Reads a way out of a container's record.
    init(_ reader: Reader, containerID: String) throws(DecodingError) {
        func text(_ key: String) throws(DecodingError) -> String {
            let member = try reader.member(key)
            guard let text = try member.string(), !text.isEmpty else { throw member.error("is missing") }
            return text
        }
        identity = Attachment(
            network: try text("network"), containerID: containerID, interfaceName: try text("attachment"))
        bridge = try text("bridge")
        interface = try text("interface")
        address = try reader.member("address").string().flatMap { IPPrefix($0) }
        backend = try reader.member("backend").string() == "iptables" ? .iptables : .nftables
        dataDirectory = try text("dataDir")
        options.communicates = try reader.member("icc").bool() ?? false
        options.masquerades = try reader.member("ipMasq").bool() ?? true
        options.sourceAddress = try reader.member("snatAddress").string().flatMap { IPAddress($0) }
        options.mtu = try reader.member("mtu").integer().flatMap { UInt32(exactly: $0) }
        users = []
        for user in try reader.member("users").elements() { users.append(try User(user)) }
    }

    /// The way out as a container's record has it.
    var document: Value {
        var members: [(String, Value)] = [
            ("network", .string(identity.network)), ("attachment", .string(identity.interfaceName)),
            ("bridge", .string(bridge)), ("interface", .string(interface)),
            ("backend", backend == .iptables ? "iptables" : "nftables"), ("dataDir", .string(dataDirectory)),
            ("icc", .bool(options.communicates)), ("ipMasq", .bool(options.masquerades)),
            ("users", .array(users.map(\.document))),
        ]
        if let address { members.append(("address", .string(address.description))) }
        if let source = options.sourceAddress { members.append(("snatAddress", .string(source.description))) }
        if let mtu = options.mtu { members.append(("mtu", .integer(Int64(mtu)))) }
        return .object(Object(members))
    }
}

extension WayOut.User {
    fileprivate init(_ reader: Reader) throws(DecodingError) {
        network = try reader.member("network").string() ?? ""
        interfaceName = try reader.member("ifname").string() ?? ""
        wantsDefaultRoute = try reader.member("defaultRoute").bool() ?? true
        isRecorded = try reader.member("recorded").bool() ?? true
        for port in try reader.member("ports").elements() {
            let text = try port.string() ?? ""
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 4, let transport = TransportProtocol(String(parts[0])),
                let hostPort = UInt16(parts[2]), let containerPort = UInt16(parts[3])
            else { throw port.error("\"\(text)\" is no port mapping like tcp/192.0.2.1/8080/80") }
            mappings.append(
                PortMapping(
                    transport, hostAddress: IPAddress(String(parts[1])), hostPort: hostPort,
                    containerPort: containerPort))
        }
    }

    fileprivate var document: Value {
        .object(
            Object([
                ("network", .string(network)), ("ifname", .string(interfaceName)),
                ("defaultRoute", .bool(wantsDefaultRoute)), ("recorded", .bool(isRecorded)),
                ("ports", .array(mappings.map { .string($0.recorded) })),
            ]))
    }
}

extension PortMapping {
    /// tcp/192.0.2.1/8080/80: protocol, the host's address or nothing, its port, the container's port.
    fileprivate var recorded: String {
        "\(transport)/\(hostAddress.map { "\($0)" } ?? "")/\(hostPort)/\(containerPort)"
    }
}
