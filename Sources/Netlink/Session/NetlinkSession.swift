internal import CLinux
public import System

/// A conversation with the kernel over one netlink socket: requests, their answers, dumps, batches.
///
/// Not for use by several threads at a time. Answers are matched by sequence number and port id; what matches no open
/// request is passed over.
public final class NetlinkSession {
    /// How often a dump that the kernel calls inconsistent is made anew.
    static let dumpRetries = 5
    /// Requests sent in one datagram of a batch: as many as have their acks fit the default receive buffer.
    static let batchLimit = 64
    private static let batchBytes = 24 << 10
    private static let largestBuffer = 1 << 20

    private let transport: any NetlinkTransport
    private var sequence: UInt32 = 0
    private var builder = MessageBuilder()
    // The kernel fills dump datagrams up to 32 KiB when the reader offers that much (netlink_recvmsg).
    private var buffer = unsafe [UInt8](unsafeUninitializedCapacity: 32 << 10) { _, count in count = 32 << 10 }

    /// Opens a session in the calling thread's network namespace.
    ///
    /// - Parameter protocolNumber: `NETLINK_ROUTE` (0), `NETLINK_NETFILTER` (12), …
    public convenience init(protocolNumber: Int32) throws(SystemError) {
        self.init(transport: try NetlinkSocket(protocolNumber: protocolNumber))
    }

    /// Opens a session in `namespace`, without the calling thread going there. Costs one throw-away thread.
    public convenience init(protocolNumber: Int32, in namespace: borrowing NetworkNamespace) throws(SystemError) {
        self.init(transport: try NetlinkSocket(protocolNumber: protocolNumber, in: namespace))
    }

    /// A session over any transport, for tests.
    init(transport: any NetlinkTransport) {
        self.transport = transport
    }

    /// The socket's descriptor: by it other questions about its network namespace can be asked.
    var descriptor: Int32 { transport.descriptor }

    // MARK: Exchanges

    /// Sends one request that the kernel acknowledges; `build` must set `NLM_F_ACK`.
    ///
    /// - Throws: the kernel's refusal; `ENOBUFS` when the acknowledgement was lost, the request may then have been
    ///   carried out.
    public func change(_ build: (inout MessageBuilder) -> Void) throws(NetlinkFailure) {
        let expected = try start(build)
        var answer: Acknowledgement?
        try receiveAnswers(to: expected) { header, payload in
            if header.type == Int(NLMSG_ERROR) { answer = Acknowledgement(header, payload) }
            return answer != nil
        }
        guard let answer else { throw NetlinkFailure(.noBufferSpace) }
        if let failure = answer.failure { throw failure }
    }

    /// Sends one request that the kernel answers with one message and no acknowledgement.
    ///
    /// - Throws: the kernel's refusal; `EPROTO` when `decode` can make nothing of the answer.
    public func query<Value>(
        _ build: (inout MessageBuilder) -> Void, decode: (Int, RawSpan) -> Value?
    ) throws(NetlinkFailure) -> Value {
        var expected = try start(build)
        for attempt in 0...Self.dumpRetries {
            if attempt > 0 { expected = try resend() }
            // Not a Result: one generic type less for the runtime to make in every process.
            var value: Value?
            var failure: NetlinkFailure?
            try receiveAnswers(to: expected) { header, payload in
                if header.type == Int(NLMSG_ERROR) {
                    failure = Acknowledgement(header, payload)?.failure ?? NetlinkFailure(.protocolError)
                } else {
                    value = decode(header.type, payload)
                    if value == nil { failure = NetlinkFailure(.protocolError) }
                }
                return true
            }
            if let value { return value }
            if let failure { throw failure }
            // The answer was lost: it did not fit, and the buffer has grown; or the kernel had no memory.
        }
        throw NetlinkFailure(.noBufferSpace)
    }

    /// Sends one dump request and collects what `decode` makes of its messages; dumps that changed under way
    /// (`NLM_F_DUMP_INTR`) are made anew.
    ///
    /// - Parameter decode: appends what a message holds; false when it can make nothing of it.
    /// - Throws: the kernel's refusal; `EAGAIN` when the table never stood still; `EPROTO` for a malformed message.
    public func dump<Value>(
        _ build: (inout MessageBuilder) -> Void, decode: (Int, RawSpan, inout [Value]) -> Bool
    ) throws(NetlinkFailure) -> [Value] {
        var values: [Value] = []
        var expected = try start(build)
        for attempt in 0...Self.dumpRetries {
            if attempt > 0 {
                values.removeAll(keepingCapacity: true)
                expected = try resend()
            }
            var end: Acknowledgement?
            var interrupted = false
            var malformed = false
            let whole = try receiveAnswers(to: expected) { header, payload in
                if Int32(header.flags) & NLM_F_DUMP_INTR != 0 { interrupted = true }
                switch header.type {
                case Int(NLMSG_DONE): end = Acknowledgement(done: header, payload)
                case Int(NLMSG_ERROR): end = Acknowledgement(header, payload)
                // A message that is not ours to keep is still to be read: the kernel runs one dump per socket.
                default: if !interrupted, !decode(header.type, payload, &values) { malformed = true }
                }
                return end != nil
            }
            if let failure = end?.failure { throw failure }
            if interrupted || !whole { continue }
            if malformed { throw NetlinkFailure(.protocolError) }
            return values
        }
        throw NetlinkFailure(.resourceTemporarilyUnavailable)
    }

    /// Sends many acknowledged requests, ``batchLimit`` to a datagram; the kernel carries each out by itself.
    ///
    /// - Parameter build: builds the request of that number, exactly one message.
    /// - Returns: for every request nil or why it failed; `ENOBUFS` where the acknowledgement was lost.
    public func batch(_ count: Int, _ build: (Int, inout MessageBuilder) -> Void) -> [NetlinkFailure?] {
        var results = [NetlinkFailure?](repeating: nil, count: count)
        var next = 0
        while next < count {
            builder.reset()
            var requests: [Int] = []
            while next < count, requests.count < Self.batchLimit, builder.count < Self.batchBytes {
                build(next, &builder)
                if let problem = builder.problem {
                    builder.discardLast()
                    results[next] = NetlinkFailure(problem)
                } else {
                    requests.append(next)
                }
                next += 1
            }
            if requests.isEmpty { continue }
            send(requests, &results)
        }
        return results
    }

    /// Sends messages that the kernel carries out together or not at all (`NFNL_MSG_BATCH_BEGIN` … `NFNL_MSG_BATCH_END`),
    /// in one datagram.
    ///
    /// - Parameter build: begins all messages, the enclosing two included; the last but one must set `NLM_F_ACK`, as the
    ///   kernel tells of success by nothing else.
    /// - Returns: the refused messages by their number, 0 for the enclosing first one; empty when all was carried out.
    /// - Throws: when the messages could not be sent or the answer was lost.
    public func transaction(_ build: (inout MessageBuilder) -> Void) throws(NetlinkFailure) -> [Int: NetlinkFailure] {
        builder.reset()
        build(&builder)
        if let problem = builder.problem { throw NetlinkFailure(problem) }
        let count = builder.messageCount
        transport.makeRoom(forSending: builder.count, answers: count)
        let first = try resend()
        var refused: [Int: NetlinkFailure] = [:]
        var isFinished = false
        let whole = try receiveAnswers(to: first, count: UInt32(truncatingIfNeeded: count)) { header, payload in
            guard header.type == Int(NLMSG_ERROR), let answer = Acknowledgement(header, payload) else { return false }
            let index = Int(header.sequence &- first)
            if let failure = answer.failure { refused[index] = failure }
            // An answer to the enclosing message stands for all of them.
            isFinished = index == 0 || index >= count - 2
            return isFinished
        }
        if refused.isEmpty, !isFinished || !whole { throw NetlinkFailure(.noBufferSpace) }
        return refused
    }

    private func send(_ requests: [Int], _ results: inout [NetlinkFailure?]) {
        // What stays so has had no acknowledgement.
        for request in requests { results[request] = NetlinkFailure(.noBufferSpace) }
        do throws(NetlinkFailure) {
            let first = try resend()
            var open = requests.count
            try receiveAnswers(to: first, count: UInt32(truncatingIfNeeded: requests.count)) { header, payload in
                guard header.type == Int(NLMSG_ERROR), let answer = Acknowledgement(header, payload) else {
                    return false
                }
                results[requests[Int(header.sequence &- first)]] = answer.failure
                open -= 1
                return open == 0
            }
        } catch {
            for request in requests where results[request]?.errno == .noBufferSpace { results[request] = error }
        }
    }

    // MARK: Sending and receiving

    /// Builds and sends one message. Returns its sequence number.
    private func start(_ build: (inout MessageBuilder) -> Void) throws(NetlinkFailure) -> UInt32 {
        builder.reset()
        build(&builder)
        if let problem = builder.problem { throw NetlinkFailure(problem) }
        return try resend()
    }

    /// Sends the messages that are in the builder under new numbers. Returns the first one's.
    private func resend() throws(NetlinkFailure) -> UInt32 {
        let first = sequence &+ 1
        sequence &+= UInt32(truncatingIfNeeded: builder.messageCount)
        builder.stamp(first)
        do { try transport.send(builder) } catch { throw NetlinkFailure(error) }
        return first
    }

    /// Receives until `body` says that the last answer to the requests numbered from `first` has come.
    ///
    /// - Returns: false when answers were lost.
    @discardableResult
    private func receiveAnswers(
        to first: UInt32, count: UInt32 = 1, _ body: (MessageHeader, RawSpan) -> Bool
    ) throws(NetlinkFailure) -> Bool {
        var whole = true
        var finished = false
        while !finished {
            let reception: Reception
            do {
                // After a loss the last answer may be what was lost. The kernel answers before it returns from our send,
                // so what has not come by now never will.
                reception = try transport.receive(into: &buffer, waiting: whole)
            } catch {
                throw NetlinkFailure(error)
            }
            switch reception {
            case .nothing: return false
            case .overrun: whole = false
            case .truncated(let size):
                whole = false
                guard size <= Self.largestBuffer else { throw NetlinkFailure(.messageTooLong) }
                buffer = [UInt8](repeating: 0, count: size)
            case .datagram(let size):
                // A local reference: the buffer cannot change while it is being read.
                let received = buffer
                let bytes = unsafe received.span.bytes
                try MessageHeader.forEach(in: bytes.extracting(0..<size)) { header, payload in
                    guard header.port == transport.port, header.sequence &- first < count, !finished else { return }
                    if header.type == Int(NLMSG_NOOP) { return }
                    finished = body(header, payload)
                }
            }
        }
        return whole
    }
}
