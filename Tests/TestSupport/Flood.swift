internal import Glibc
internal import NetworkTypes
internal import System

/// Many TCP connections to one port, each of which sends as much as is taken.
public final class Flood: Sendable {
    private let sockets: [OwnedSocket]
    private let head: [UInt8]
    private let limit: Int

    private final class OwnedSocket: Sendable {
        let descriptor: OwnedFD
        init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
    }

    /// Opens `count` connections from each of the sources; those that are refused are left out.
    ///
    /// - Parameters:
    ///   - head: what each sends first.
    ///   - limit: how many bytes each sends at most; zeros after the head.
    public init(
        in lab: Lab, from sources: [String], count: Int, to address: String, port: UInt16, head: [UInt8], limit: Int
    ) throws {
        guard let target = IPAddress(address) else { throw LabError("\(address) is no address") }
        let sources = try sources.map { text in
            guard let source = IPAddress(text) else { throw LabError("\(text) is no address") }
            return source
        }
        let descriptors = try lab.inside {
            var opened: [Int32] = []
            for source in sources {
                for _ in 0..<count {
                    let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                    guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
                    _ = unsafe SocketAddress(source, 0).withPointer { unsafe bind(descriptor, $0, $1) }
                    let result = unsafe SocketAddress(target, port).withPointer { unsafe connect(descriptor, $0, $1) }
                    if result == 0 {
                        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
                        opened.append(descriptor)
                    } else {
                        close(descriptor)
                    }
                }
            }
            return opened
        }
        sockets = descriptors.map { OwnedSocket(OwnedFD(owning: $0)) }
        self.head = head
        self.limit = limit
    }

    /// How many connections were made.
    public var count: Int { sockets.count }

    /// Sends on all connections until each has sent all, is closed by the other side, or the time is over.
    ///
    /// - Returns: how many bytes were taken, and how many connections were closed by the other side.
    public func pour(milliseconds: Int) -> (bytes: Int, closed: Int) {
        let deadline = Deadline(milliseconds: milliseconds)
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var sent = [Int](repeating: 0, count: sockets.count)
        var open = Set(sockets.indices)
        var closed = 0
        while !open.isEmpty, deadline.remainingMilliseconds > 0 {
            var isStuck = true
            for index in open {
                let part =
                    sent[index] < head.count
                    ? Array(head[sent[index]...]) : Array(zeros.prefix(limit - sent[index]))
                guard !part.isEmpty else {
                    // It stays open, and is silent.
                    open.remove(index)
                    continue
                }
                let count = unsafe Glibc.send(
                    sockets[index].descriptor.rawValue, part, part.count, Int32(MSG_NOSIGNAL))
                if count > 0 {
                    sent[index] += count
                    isStuck = false
                } else if errno != EAGAIN {
                    open.remove(index)
                    closed += 1
                }
            }
            if isStuck { pause(milliseconds: 1) }
        }
        return (sent.reduce(0, +), closed)
    }
}
