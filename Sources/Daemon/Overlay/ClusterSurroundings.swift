internal import Cluster
internal import NIOCore
internal import System

/// What the overlay's side of the daemon stands on: the kernel, the network, the clock, randomness. A simulation gives
/// others.
struct ClusterSurroundings: Sendable {
    /// Makes the transport on a node's loop; the last parameter is called there for every body that was opened.
    typealias TransportMaker =
        @Sendable (any EventLoop, FrameCodec, @escaping (FrameHead, [UInt8]) -> Void) -> any ClusterTransport

    /// The kernel's side.
    var kernel = KernelWorker()
    /// Where the networks' lists are read and written.
    var files = FilesWorker()
    /// Tells of what somebody changed in a namespace; nil where there is none to listen to.
    var watcher: NamespaceWatcher? = NamespaceWatcher()
    /// Notices that somebody has flushed the packet filter; nil where there is none.
    var keeper: FilterKeeper?
    /// Makes the transport.
    var transport: TransportMaker = { FrameTransport(loop: $0, codec: $1, receive: $2) }
    /// Nanoseconds of a clock that never goes back.
    var clock: @Sendable () -> UInt64 = { monotonicNanoseconds() }
    /// What everything random comes from.
    var random = RandomSource()
}

/// A source of random numbers that is handed in: the kernel's, or a simulation's.
struct RandomSource: RandomNumberGenerator, Sendable {
    /// Gives the next number.
    var draw: @Sendable () -> UInt64 = {
        var kernel = KernelRandom()
        return kernel.next()
    }

    func next() -> UInt64 { draw() }
}
