internal import CLinux
internal import NetworkTypes
internal import System

extension RouteSession {
    /// Whether a bridge keeps its MAC when ports come and go. Equivalent: `cat /sys/class/net/NAME/addr_assign_type`.
    ///
    /// Where `/sys` shows another namespace's links, a bridge whose MAC is a port's, or that has no port which forwards, counts
    /// as one that will not keep it.
    public func hasFixedMAC(bridge: Link) throws(NetlinkError) -> Bool {
        if let kind = assignmentKind(bridge) { return kind == Self.setByHand }
        guard let mac = bridge.mac, mac != .zero, bridge.isOperational else { return false }
        return try holder(of: mac, bridge: bridge.index) == bridge.index
    }

    /// `NET_ADDR_SET` of <linux/netdevice.h>.
    private static let setByHand = 3

    /// How a link came by its MAC; nil when `/sys` does not tell of this link: the mount shows the links of the namespace it
    /// was made in.
    private func assignmentKind(_ link: Link) -> Int? {
        guard namespace == nil else { return nil }
        func number(_ file: String) -> Int? {
            guard let text = try? Files.text("/sys/class/net/\(link.name)/\(file)") else { return nil }
            return Int(text.prefix { !$0.isWhitespace })
        }
        return number("ifindex") == Int(link.index) ? number("addr_assign_type") : nil
    }

    /// The port of a bridge that a MAC leads to, the bridge itself for its own; nil when it knows of none. Equivalent:
    /// `bridge fdb get MAC br NAME`.
    private func holder(of mac: MACAddress, bridge index: Int32) throws(NetlinkError) -> Int32? {
        do {
            return try session.query {
                $0.appendGetForwarding(mac, bridge: index)
            } decode: { _, payload in
                ForwardingEntry(payload)?.link
            }
        } catch {
            // No such entry; or a kernel before 5.0, which does not know the question.
            if error.errno == .noSuchFileOrDirectory || error.errno == .notSupported { return nil }
            throw NetlinkError(error, "read forwarding entry", "\(mac) of link \(index)")
        }
    }
}
