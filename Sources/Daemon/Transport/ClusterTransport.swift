internal import Cluster
internal import Gossip
internal import NIOCore

/// What carries bodies between the hosts of a cluster: sockets in a daemon, a simulated network in a test.
///
/// It lives on the event loop of the node that it was made for.
protocol ClusterTransport: AnyObject {
    /// Seals and opens the frames.
    var codec: FrameCodec { get }
    /// What was counted.
    var counts: FrameTransport.Counts { get }
    /// How many streams are open, ours and others'.
    var streamCount: (ours: Int, others: Int) { get }
    /// Called for every frame that was taken for replayed.
    var dropped: ((FrameHead) -> Void)? { get set }

    /// Begins to receive at an address.
    func open(at address: Endpoint) throws -> EventLoopFuture<Void>
    /// Takes the keys the gossip has now.
    func use(_ keyRing: KeyRing?)
    /// Goes on with a later incarnation.
    func rise(to incarnation: UInt64)
    /// Sends a body of at most ``FrameTransport/datagramBodyLimit`` bytes; it may be lost.
    func sendDatagram(_ body: [UInt8], to target: Endpoint)
    /// Sends a body of at most ``FrameTransport/streamBodyLimit`` bytes in order with those before it.
    ///
    /// - Returns: false when too much waits for the peer; the body is dropped.
    @discardableResult
    func sendStream(_ body: [UInt8], to target: Endpoint) -> Bool
    /// Gives up what waits for a peer that is gone.
    func forget(_ target: Endpoint)
    /// Ends everything.
    func close()
}

extension FrameTransport: ClusterTransport {}
