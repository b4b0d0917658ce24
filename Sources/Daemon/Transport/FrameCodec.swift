internal import Cluster
internal import Crypto
internal import Gossip

/// Makes and opens the frames between daemons.
///
/// With gossip keys a body is sealed with AES-256-GCM, the head being authenticated; the nonce is four zero bytes and the
/// counter. Without, bodies are plain and only the records in them are authentic.
struct FrameCodec: Sendable {
    static let tagLength = 16
    /// The most a frame takes beyond its body.
    static let overhead = FrameHead.length + tagLength

    private let cluster: UInt32
    private let host: HostID
    private(set) var incarnation: UInt64
    private var counter: UInt64
    /// The counter before the first frame of this run.
    private let origin: UInt64
    private var keys: FrameKeys
    private var replays = ReplayGuard()
    /// How often each fault was seen.
    private(set) var faults: [FrameFault: UInt64] = [:]

    /// `counter` is a random number: should a host be cloned with its incarnation, no nonce is used twice.
    init(cluster: String, host: HostID, incarnation: UInt64, counter: UInt64, keyRing: KeyRing?) {
        self.cluster = FrameHead.digest(ofCluster: cluster)
        self.host = host
        self.incarnation = incarnation
        self.counter = counter >> 2
        origin = self.counter
        keys = FrameKeys(cluster: cluster, keyRing)
    }

    /// Whether bodies are sealed.
    var isSealed: Bool { keys.primary != nil }

    /// Takes the keys the gossip has now.
    mutating func use(_ keyRing: KeyRing?) { keys.replace(keyRing) }

    /// Goes on with a later incarnation.
    mutating func rise(to incarnation: UInt64) { self.incarnation = max(self.incarnation, incarnation) }

    /// What was heard last of a frame's sender.
    func lastHeard(of head: FrameHead) -> LastHeard? { replays.lastHeard(of: head) }

    /// Whether what another host has heard last of us came from a run of this host that we know nothing of. If it came from
    /// this one, somebody has replayed our frames, and they were dropped as they should be.
    func isOutrun(by last: LastHeard) -> Bool {
        guard last.incarnation == incarnation else { return last.incarnation > incarnation }
        let heard = last.counter & ~(1 << 63)
        return heard != 0 && !(origin < heard && heard <= counter)
    }

    /// The frame of a body.
    mutating func seal(_ body: [UInt8], for way: FrameHead.Way) -> [UInt8] {
        counter += 1
        let head = FrameHead(
            cluster: cluster, keyID: keys.primary ?? 0, sender: host, incarnation: incarnation,
            counter: way == .stream ? counter | 1 << 63 : counter)
        let bytes = head.encoded
        guard keys.primary != nil, let key = keys.key(head) else { return bytes + body }
        keys.remember(key, for: head)
        // A key of 32 bytes and a nonce of 12 seal anything; an empty frame is one that nobody opens.
        guard let nonce = try? Self.nonce(head),
            let box = try? AES.GCM.seal(body, using: key, nonce: nonce, authenticating: bytes)
        else { return [] }
        return bytes + box.ciphertext + box.tag
    }

    /// The body of a frame and who sent it. A refusal is counted.
    mutating func open(_ frame: ArraySlice<UInt8>, from way: FrameHead.Way) throws(FrameFault) -> (
        head: FrameHead, body: [UInt8]
    ) {
        do throws(FrameFault) {
            return try opened(frame, way)
        } catch {
            faults[error, default: 0] += 1
            throw error
        }
    }

    /// Refuses a frame by its first ``FrameHead/length`` bytes, before its body is waited for. A refusal is counted.
    mutating func check(_ start: ArraySlice<UInt8>, from way: FrameHead.Way) throws(FrameFault) {
        do throws(FrameFault) {
            try accept(try FrameHead(start), way)
        } catch {
            faults[error, default: 0] += 1
            throw error
        }
    }

    private func accept(_ head: FrameHead, _ way: FrameHead.Way) throws(FrameFault) {
        guard head.cluster == cluster else { throw .otherCluster }
        guard head.sender != host else { throw .own }
        guard head.way == way else { throw .wrongWay }
        guard keys.primary != nil || head.keyID == 0 else { throw .unknownKey }
        guard keys.primary == nil || head.keyID != 0 else { throw .notSealed }
        guard head.keyID == 0 || keys.has(head.keyID) else { throw .unknownKey }
    }

    private mutating func opened(_ frame: ArraySlice<UInt8>, _ way: FrameHead.Way) throws(FrameFault) -> (
        head: FrameHead, body: [UInt8]
    ) {
        let head = try FrameHead(frame)
        try accept(head, way)
        let rest = frame.dropFirst(FrameHead.length)
        guard keys.primary != nil else {
            // Without keys anybody could forge the head, so nothing is concluded from it.
            return (head, Array(rest))
        }
        guard rest.count >= Self.tagLength else { throw .tooShort }
        guard let key = keys.key(head) else { throw .unknownKey }
        guard let nonce = try? Self.nonce(head),
            let box = try? AES.GCM.SealedBox(
                nonce: nonce, ciphertext: rest.dropLast(Self.tagLength), tag: rest.suffix(Self.tagLength)),
            let body = try? AES.GCM.open(box, using: key, authenticating: frame.prefix(FrameHead.length))
        else { throw .forged }
        keys.remember(key, for: head)
        guard replays.accept(head) else { throw .replayed }
        return (head, Array(body))
    }

    private static func nonce(_ head: FrameHead) throws -> AES.GCM.Nonce {
        var bytes: [UInt8] = [0, 0, 0, 0]
        bytes.append(bigEndian: head.counter, width: 8)
        return try AES.GCM.Nonce(data: bytes)
    }
}
