internal import CLinux
public import System

/// Why a netlink exchange failed, without the verb and its object.
public struct NetlinkFailure: Error, Equatable, Sendable {
    /// The cause.
    public let errno: Errno
    /// The kernel's own words, when it had any.
    public let message: String?

    /// Describes a failure.
    public init(_ errno: Errno, message: String? = nil) {
        self.errno = errno
        self.message = message
    }
}

/// The kernel's answer to one request: done, or refused (`struct nlmsgerr` with its attributes).
struct Acknowledgement: Equatable {
    /// Nil when the request was carried out.
    let failure: NetlinkFailure?

    /// Reads an `NLMSG_ERROR` message; nil when it is too short to be one.
    init?(_ header: MessageHeader, _ payload: RawSpan) {
        guard let code = payload.integer(Int32.self), let length = payload.integer(UInt32.self, at: 4) else {
            return nil
        }
        // The request follows: its header alone when capped, else all of it.
        let request = Int32(header.flags) & NLM_F_CAPPED != 0 ? MessageHeader.size : aligned(Int(length))
        self.init(code: code, header, payload.extracting(payload.following(4 + request)))
    }

    /// Reads the end of a dump (`NLMSG_DONE`), which carries an error of its own.
    init(done header: MessageHeader, _ payload: RawSpan) {
        self.init(code: payload.integer(Int32.self) ?? 0, header, payload.extracting(payload.following(4)))
    }

    private init(code: Int32, _ header: MessageHeader, _ attributes: RawSpan) {
        // A positive or zero code is success; magnitude, because negating Int32.min would trap.
        guard code < 0 else {
            failure = nil
            return
        }
        var message: String?
        if Int32(header.flags) & NLM_F_ACK_TLVS != 0 {
            AttributeReader.forEach(in: attributes) { type, payload in
                if type == Int(NLMSGERR_ATTR_MSG.rawValue) { message = payload.text }
            }
        }
        let errno = Errno(rawValue: Int32(truncatingIfNeeded: code.magnitude))
        failure = NetlinkFailure(errno, message: message)
    }
}
