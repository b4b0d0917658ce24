public import Netlink
internal import NetworkTypes
internal import System

extension OverlaySegment {
    /// How long a VNI may stay busy: the kernel takes a namespace down in its own time.
    static let busyMilliseconds = 3000

    /// Makes an overlay namespace as wanted, and looks again until it is. The caller holds the network's lock alone.
    ///
    /// - Parameters:
    ///   - host: the namespace VXLAN packets leave by.
    ///   - overlay: the overlay namespace.
    ///   - descriptor: the overlay namespace's, for `IFLA_NET_NS_FD`.
    ///   - findHolder: who else on this host has the VNI and port; asked only when somebody does.
    /// - Returns: the changes made; none when all was as wanted.
    @discardableResult
    public func apply(
        host: any NetworkStack, overlay: any NetworkStack, descriptor: Int32,
        findHolder: () -> String? = { nil }
    ) throws(OverlayError) -> [SegmentChange] {
        let observed: ObservedSegment
        do { observed = try ObservedSegment(overlay) } catch { throw .netlink(error) }
        let changes = changes(from: observed)
        for change in changes { try apply(change, host, overlay, descriptor, findHolder) }
        if changes.contains(where: \.changesBridgeMAC) { announceGateways(overlay) }
        return changes
    }

    /// Tells the containers here that the gateways have the bridge's new MAC: an earlier release left it to the kernel.
    private func announceGateways(_ overlay: any NetworkStack) {
        guard let mac = bridgeMAC, let links = try? overlay.links(),
            let bridge = links.first(where: { $0.name == Self.bridgeName })
        else { return }
        var entries: [IPAddress: MACAddress] = [:]
        for gateway in gateways { entries[gateway.address] = mac }
        let ports = links.filter { $0.master == bridge.index && $0.kind == "veth" }.map(\.index)
        // Whoever was not told asks again in half a minute.
        try? overlay.announce(entries, by: ports)
    }

    private func apply(
        _ change: SegmentChange, _ host: any NetworkStack, _ overlay: any NetworkStack, _ descriptor: Int32,
        _ findHolder: () -> String?
    ) throws(OverlayError) {
        if case .createVXLAN = change { return try createVXLAN(host, descriptor, findHolder) }
        do throws(NetlinkError) {
            switch change {
            case .remove(let name):
                if let link = try overlay.link(named: name) { try overlay.removeLink(index: link.index) }
            case .createBridge:
                try overlay.createLink(
                    LinkSpec(name: Self.bridgeName, kind: .bridge(BridgeState()), mac: bridgeMAC, mtu: mtu))
            case .createVXLAN: break
            case .change(let name, var change, let joinsBridge):
                if joinsBridge { change.master = try Self.index(Self.bridgeName, overlay) }
                try overlay.changeLink(index: Self.index(name, overlay), change)
            case .changePort(let change):
                try overlay.changePort(index: Self.index(Self.vxlanName, overlay), change)
            case .addAddress(let prefix):
                // Every host has the gateway's address: asking whether another one has it would find one.
                let flags: UInt32 = prefix.family == .ipv6 ? 0x02 : 0
                try overlay.addAddress(
                    InterfaceAddress(link: Self.index(Self.bridgeName, overlay), prefix: prefix, flags: flags))
            case .removeAddress(let prefix):
                try overlay.removeAddress(
                    InterfaceAddress(link: Self.index(Self.bridgeName, overlay), prefix: prefix))
            case .setParameters(let assignments): try Self.write(assignments, overlay)
            }
        } catch {
            // A VXLAN opens its UDP socket when it goes up.
            if error.errno == .addressInUse { throw .busyPort(port) }
            throw .netlink(error)
        }
    }

    private static func index(_ name: String, _ stack: any NetworkStack) throws(NetlinkError) -> Int32 {
        guard let link = try stack.link(named: name) else {
            throw NetlinkError(operation: "find link", subject: name, errno: .noSuchDevice)
        }
        return link.index
    }

    private static func write(_ assignments: [String], _ stack: any NetworkStack) throws(NetlinkError) {
        let pairs = assignments.compactMap { text -> (key: String, value: String)? in
            let parts = text.utf8.split(separator: UInt8(ascii: "="))
            guard parts.count == 2 else { return nil }
            return (String(Substring(parts[0])), String(Substring(parts[1])))
        }
        do {
            try stack.writeParameters(pairs, passingOverFailures: true)
        } catch {
            throw NetlinkError(operation: error.operation, subject: error.subject, errno: error.errno)
        }
    }

    /// Whether a stack that may be spoiled can have a VXLAN at all.
    public static func isPossible(in stack: any NetworkStack) throws(NetlinkError) -> Bool {
        let state = VXLANState(identifier: 1, local: IPAddress(family: .ipv4, number: 0x7F00_0001))
        do {
            try stack.createLink(LinkSpec(name: vxlanName, kind: .vxlan(state)))
        } catch {
            if error.errno == .notSupported { return false }
            throw error
        }
        return true
    }

    /// A VNI that was somebody's a moment ago may still be taken; whoever has it now is named.
    private func createVXLAN(_ host: any NetworkStack, _ descriptor: Int32, _ findHolder: () -> String?)
        throws(OverlayError)
    {
        let spec = LinkSpec(name: Self.vxlanName, kind: .vxlan(vxlan), mtu: mtu, namespace: descriptor)
        let deadline = Deadline(milliseconds: Self.busyMilliseconds)
        var wait = 2
        while true {
            do throws(NetlinkError) {
                return try host.createLink(spec)
            } catch {
                if error.errno == .notSupported { throw .noVXLAN }
                guard error.isAlreadyThere else { throw .netlink(error) }
                if let holder = findHolder() { throw .busyVNI(vni, port: port, holder: holder) }
                guard deadline.remainingMilliseconds > 0 else { throw .busyVNI(vni, port: port, holder: nil) }
            }
            pause(milliseconds: wait)
            wait = min(wait * 2, 100)
        }
    }
}
