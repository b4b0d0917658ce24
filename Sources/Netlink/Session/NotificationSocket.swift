internal import CLinux
public import System

/// Listens to multicast groups of a netlink family and hands out the messages as they come.
public final class NotificationSocket {
    /// The largest datagram that is read.
    private static let largest = 1 << 20

    private let socket: NetlinkSocket
    private var buffer = [UInt8](repeating: 0, count: 32 << 10)

    /// Listens in the calling thread's network namespace.
    ///
    /// - Parameters:
    ///   - protocolNumber: `NETLINK_*`.
    ///   - groups: a bit for each group; group 1 is the lowest.
    public init(protocolNumber: Int32, groups: UInt32) throws(SystemError) {
        socket = try NetlinkSocket(protocolNumber: protocolNumber, groups: groups)
        socket.enlargeReceiveBuffer(to: 1 << 20)
    }

    /// Waits for messages and hands out what has queued up.
    ///
    /// - Parameters:
    ///   - milliseconds: how long to wait at most.
    ///   - body: gets each message's type and what is behind its header.
    /// - Returns: false when messages were lost, so that anything may have happened.
    /// - Throws: `poll(2)`'s or `recvfrom(2)`'s errno; `EPROTO` for a malformed datagram.
    public func receive(milliseconds: Int32, _ body: (Int, RawSpan) -> Void) throws(NetlinkError) -> Bool {
        do throws(Errno) {
            guard try socket.wait(milliseconds: milliseconds) else { return true }
            var isWhole = true
            while true {
                switch try socket.receive(into: &buffer, waiting: false) {
                case .nothing: return isWhole
                case .overrun: isWhole = false
                case .truncated(let size):
                    buffer = [UInt8](repeating: 0, count: min(size, Self.largest))
                    isWhole = false
                case .datagram(let size): isWhole = read(size, body) && isWhole
                }
            }
        } catch {
            throw NetlinkError(NetlinkFailure(error), "receive", "notifications")
        }
    }

    private func read(_ size: Int, _ body: (Int, RawSpan) -> Void) -> Bool {
        let received = buffer
        let bytes = unsafe received.span.bytes
        do {
            try MessageHeader.forEach(in: bytes.extracting(0..<size)) { header, payload in body(header.type, payload) }
            return true
        } catch {
            return false
        }
    }
}
