public import JSON
internal import NetworkTypes

extension NetworkDefinition {
    /// The network as a list that every runtime can run.
    ///
    /// Version 1.0.0, which podman 4 and containerd 1 speak at most, with 1.1.0 offered to those that look at
    /// `cniVersions` and then get GC and STATUS. An overlay is `overlay-vxlan` and, unless it is internal, `gwbridge-nat`
    /// for the way out; a bridge is what podman makes of one: bridge, portmap, firewall, tuning.
    /// - Throws: for options that mean nothing to the driver.
    public func conflist() throws(DefinitionFault) -> Value {
        let plugins: [Value]
        switch driver {
        case .overlay: plugins = try overlayPlugins()
        case .bridge: plugins = try bridgePlugins()
        }
        return [
            "cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": .string(name),
            "plugins": .array(plugins),
        ]
    }

    private func overlayPlugins() throws(DefinitionFault) -> [Value] {
        let understood = try DriverOptions(self)
        var overlay = Object([("type", "overlay-vxlan")])
        for member in try document().members { overlay[member.key] = member.value }
        overlay["exclude"] = names
        overlay["ipam"] = ["type": "host-local"]
        overlay["capabilities"] = ["ips": true, "mac": true, "ipRanges": true, "aliases": true]
        if isInternal { return [.object(overlay)] }
        var gateway = Object([("type", "gwbridge-nat")])
        gateway["bridge"] = understood.gatewayBridge.map { .string($0) }
        gateway["interface"] = understood.gatewayInterface.map { .string($0) }
        gateway["capabilities"] = ["portMappings": true]
        return [.object(overlay), .object(gateway)]
    }

    private func bridgePlugins() throws(DefinitionFault) -> [Value] {
        let understood = try DriverOptions(self)
        var bridge = Object([
            ("type", "bridge"),
            ("bridge", try bridgeName().map { .string($0) } ?? .null),
        ])
        if isInternal {
            bridge["internal"] = true
        } else {
            bridge["isGateway"] = true
            bridge["ipMasq"] = .bool(understood.masquerades ?? true)
        }
        bridge["hairpinMode"] = true
        if understood.communicates == false { bridge["icc"] = false }
        bridge["mtu"] = understood.mtu.map { .integer($0) }
        let ranges = subnets.map { Value.array([$0.ipamRange(hasGateway: !isInternal)]) }
        var ipam = Object([("type", "host-local"), ("ranges", .array(ranges))])
        let reserved = subnets.flatMap { subnet in
            subnet.auxiliary.sorted { $0.key < $1.key }.map { Value.string($0.value.description) }
        }
        if !reserved.isEmpty { ipam["exclude"] = .array(reserved) }
        if !isInternal {
            let families = [AddressFamily.ipv4, .ipv6].filter { family in
                subnets.contains { $0.prefix.family == family }
            }
            ipam["routes"] = .array(families.map { ["dst": .string(IPPrefix.any($0).description)] })
        }
        bridge["ipam"] = .object(ipam)
        bridge["capabilities"] = ["ips": true, "mac": true]
        if isInternal { return [.object(bridge)] }
        return [
            .object(bridge), ["type": "portmap", "capabilities": ["portMappings": true]], ["type": "firewall"],
            ["type": "tuning"],
        ]
    }
}

extension NetworkDefinition.Subnet {
    /// host-local's words.
    fileprivate func ipamRange(hasGateway: Bool) -> Value {
        var document = Object([("subnet", .string(prefix.description))])
        if let range {
            // The subnet's own first and last address are nobody's.
            let first = max(range.first.number, prefix.first.number + 1)
            let isWhole = prefix.family == .ipv4 && range.last == prefix.last
            let last = isWhole ? range.last.number - 1 : range.last.number
            document["rangeStart"] = .string(IPAddress(family: prefix.family, number: first).description)
            document["rangeEnd"] = .string(IPAddress(family: prefix.family, number: last).description)
        }
        let first = hasGateway ? prefix.first.next : nil
        document["gateway"] = (gateway ?? first).map { .string($0.description) }
        return .object(document)
    }
}
