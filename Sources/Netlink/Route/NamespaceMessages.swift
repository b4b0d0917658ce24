internal import CLinux

// RTM_*NSID: linux/net_namespace.h.

extension MessageBuilder {
    private mutating func beginNamespace(_ type: Int, _ flags: Int32, descriptor: Int32) {
        begin(type, flags: flags)
        putHeader(rtgenmsg(rtgen_family: UInt8(AF_UNSPEC)))
        put(NETNSA_FD, descriptor)
    }

    /// Asks which number our namespace knows another by.
    mutating func appendGetNamespaceIdentifier(descriptor: Int32) {
        beginNamespace(RTM_GETNSID, NLM_F_REQUEST, descriptor: descriptor)
    }

    mutating func appendNamespaceIdentifier(descriptor: Int32, identifier: Int32?) {
        beginNamespace(RTM_NEWNSID, acknowledged, descriptor: descriptor)
        put(NETNSA_NSID, identifier ?? NETNSA_NSID_NOT_ASSIGNED)
    }
}

/// Reads an `RTM_NEWNSID` message: the number, -1 when there is none; nil when the message is malformed.
func readNamespaceIdentifier(_ payload: RawSpan) -> Int32? {
    var identifier: Int32?
    AttributeReader.forEach(in: payload.extracting(payload.following(4))) { type, value in
        if type == NETNSA_NSID { identifier = value.integer(Int32.self) }
    }
    return identifier
}
