internal import CNI
internal import JSON
internal import NetworkTypes
internal import System

/// The request as the `ipam` delegate gets it: with the addresses this host may hand out.
enum DelegateRequest {
    /// `ipam.type`, `host-local` unless the configuration names another.
    static func type(_ configuration: NetworkConfiguration) -> String {
        configuration.ipamType.isEmpty ? "host-local" : configuration.ipamType
    }

    /// The request for ADD, CHECK and STATUS.
    ///
    /// - Parameters:
    ///   - pools: what may be handed out; used only for `host-local`, others have configurations of their own.
    ///   - exclusions: what may not.
    static func make(_ request: Request, pools: AddressPools, exclusions: [IPPrefix]) throws -> Request {
        guard type(request.configuration) == "host-local" else { return request }
        let ipam = request.configuration.ipam
        for key in ["subnet", "ranges"] where try ipam.member(key).isPresent {
            throw try ipam.member(key).error(
                "a host hands out its own part of the network's subnets only: use \"subnet\" or \"subnets\", and "
                    + "\"ipRange\", beside \"ipam\"")
        }
        guard !pools.ranges.isEmpty else {
            throw CNIError(
                CNIError.Code.poolExhausted, "no address of the network is this host's to hand out",
                details: "give the network a larger subnet, or this host an \"ipRange\"")
        }
        var object = try ipam.object() ?? Object()
        object["ranges"] = pools.document
        let own = pools.sets.flatMap { $0 }
        // An exclusion outside this host's part would be an error there.
        let excluded = exclusions.filter { exclusion in own.contains { $0.subnet.overlaps(exclusion) } }
        if !excluded.isEmpty {
            var list = excluded.map { Value.string("\($0)") }
            if case .object(let named)? = try ipam.member("exclude").value {
                list += named.members.map(\.value)
            } else {
                list += try ipam.member("exclude").elements().compactMap(\.value)
            }
            object["exclude"] = .array(list)
        }
        return try rewritten(request, ipam: object)
    }

    /// The request for DEL and GC: whatever the configuration says by now.
    static func releasing(_ request: Request) throws -> Request {
        guard type(request.configuration) == "host-local" else { return request }
        return try rewritten(request, ipam: ((try? request.configuration.ipam.object()) ?? nil) ?? Object())
    }

    /// The same for another attachment, of which nothing is asked for.
    static func renamed(_ request: Request, _ owner: Attachment) throws -> Request {
        var root = try request.configuration.root.object() ?? Object()
        for member in root.members where ["runtimeconfig", "args"].contains(member.key.lowercased()) {
            root[member.key] = nil
        }
        let call = request.invocation
        var environment = call.environment
        environment["CNI_CONTAINERID"] = owner.containerID
        environment["CNI_IFNAME"] = owner.interfaceName
        environment["CNI_ARGS"] = ""
        let bytes = Array(Value.object(root).text().utf8)
        return Request(
            invocation: Invocation(
                command: call.command, containerID: owner.containerID, netns: call.netns,
                interfaceName: owner.interfaceName, path: call.path, environment: environment, input: bytes),
            configuration: try NetworkConfiguration(parsing: bytes))
    }

    /// The request for GC with one more attachment that is valid; without a list nothing is released anyway.
    static func keeping(_ request: Request, _ owner: Attachment) throws -> Request {
        guard try request.configuration.validAttachments().known != nil else { return request }
        var root = try request.configuration.root.object() ?? Object()
        let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"]
        for member in root.members where keys.contains(member.key.lowercased()) {
            guard case .array(let list) = member.value else { continue }
            let entry: Value = [
                "containerID": .string(owner.containerID), "ifname": .string(owner.interfaceName),
            ]
            root[member.key] = .array(list + [entry])
        }
        return try replacing(root, in: request)
    }

    private static func rewritten(_ request: Request, ipam: Object) throws -> Request {
        var ipam = ipam
        ipam["type"] = "host-local"
        var root = try request.configuration.root.object() ?? Object()
        for member in root.members where member.key.lowercased() == "ipam" { root[member.key] = nil }
        root["ipam"] = .object(ipam)
        // What it limits has been limited.
        for member in root.members where member.key.lowercased() == "runtimeconfig" {
            guard case .object(var runtime) = member.value else { continue }
            for inner in runtime.members where inner.key.lowercased() == "ipranges" { runtime[inner.key] = nil }
            root[member.key] = .object(runtime)
        }
        return try replacing(root, in: request)
    }

    /// The same command with another configuration.
    private static func replacing(_ root: Object, in request: Request) throws -> Request {
        let bytes = Array(Value.object(root).text().utf8)
        let call = request.invocation
        return Request(
            invocation: Invocation(
                command: call.command, containerID: call.containerID, netns: call.netns,
                interfaceName: call.interfaceName, arguments: call.arguments, path: call.path,
                environment: call.environment, input: bytes),
            configuration: try NetworkConfiguration(parsing: bytes))
    }
}
