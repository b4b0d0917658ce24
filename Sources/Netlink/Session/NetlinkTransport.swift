internal import System

/// What came of waiting for a datagram.
enum Reception: Equatable {
    /// A datagram of that many bytes is in the buffer.
    case datagram(Int)
    /// A datagram of that many bytes was larger than the buffer and is lost.
    case truncated(Int)
    /// The kernel had to drop datagrams (`ENOBUFS`).
    case overrun
    /// Nothing is there, and we were not to wait.
    case nothing
}

/// The way to the kernel: a socket, or a script in tests.
protocol NetlinkTransport: AnyObject {
    /// Our port id, which every answer must carry.
    var port: UInt32 { get }
    /// The socket's descriptor, -1 when there is no socket.
    var descriptor: Int32 { get }
    /// Sends the builder's messages as one datagram.
    func send(_ messages: borrowing MessageBuilder) throws(Errno)
    /// Receives one datagram from the kernel.
    func receive(into buffer: inout [UInt8], waiting: Bool) throws(Errno) -> Reception
    /// Makes room for a datagram of `bytes` bytes to be sent and for the answers to its messages.
    func makeRoom(forSending bytes: Int, answers: Int)
}

extension NetlinkTransport {
    var descriptor: Int32 { -1 }
    func makeRoom(forSending bytes: Int, answers: Int) {}
}
