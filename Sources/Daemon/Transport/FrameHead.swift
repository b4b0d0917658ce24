internal import Cluster
internal import Crypto

/// What is readable of a frame: version (1), cluster digest (4), key id (4), sender (16), incarnation (8), counter (8), big
/// endian. It is authenticated with the body.
struct FrameHead: Equatable, Sendable {
    static let length = 41
    static let version: UInt8 = 1

    /// Datagrams and streams are counted apart: a long stream must not make the datagrams beside it look old.
    enum Way: Sendable {
        case datagram
        case stream
    }

    /// The first bytes of SHA-256 of the cluster's name.
    let cluster: UInt32
    /// Which gossip key the body is sealed under; 0 for a plain body.
    let keyID: UInt32
    let sender: HostID
    /// The sender's incarnation.
    let incarnation: UInt64
    /// Never the same twice in an incarnation; the highest bit tells streams from datagrams.
    let counter: UInt64

    var way: Way { counter >> 63 == 1 ? .stream : .datagram }

    init(cluster: UInt32, keyID: UInt32, sender: HostID, incarnation: UInt64, counter: UInt64) {
        self.cluster = cluster
        self.keyID = keyID
        self.sender = sender
        self.incarnation = incarnation
        self.counter = counter
    }

    /// The head at the start of a frame.
    init(_ frame: ArraySlice<UInt8>) throws(FrameFault) {
        guard frame.count >= Self.length else { throw .tooShort }
        guard frame.first == Self.version else { throw .unknownVersion }
        guard let sender = HostID(bytes: frame.dropFirst(9).prefix(16)) else { throw .tooShort }
        self.init(
            cluster: UInt32(truncatingIfNeeded: frame.bigEndian(at: 1, width: 4)),
            keyID: UInt32(truncatingIfNeeded: frame.bigEndian(at: 5, width: 4)), sender: sender,
            incarnation: frame.bigEndian(at: 25, width: 8), counter: frame.bigEndian(at: 33, width: 8))
    }

    /// Its bytes.
    var encoded: [UInt8] {
        var bytes = [Self.version]
        bytes.append(bigEndian: UInt64(cluster), width: 4)
        bytes.append(bigEndian: UInt64(keyID), width: 4)
        bytes += sender.bytes
        bytes.append(bigEndian: incarnation, width: 8)
        bytes.append(bigEndian: counter, width: 8)
        return bytes
    }

    /// The digest that tells clusters apart before anything is opened.
    static func digest(ofCluster name: String) -> UInt32 {
        SHA256.hash(data: Array("swiftlet/cluster/\(name)".utf8)).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// Why a frame was refused; each is counted.
enum FrameFault: Error, CaseIterable, Sendable {
    /// It ends before its head or its tag does.
    case tooShort
    /// Another protocol, or noise.
    case unknownVersion
    /// Another cluster's.
    case otherCluster
    /// Sealed under a key we do not have.
    case unknownKey
    /// Plain although we have keys.
    case notSealed
    /// The tag does not fit.
    case forged
    /// Seen before, too old, or of an earlier incarnation.
    case replayed
    /// Ours.
    case own
    /// A datagram's frame on a stream, or the other way round.
    case wrongWay
}
