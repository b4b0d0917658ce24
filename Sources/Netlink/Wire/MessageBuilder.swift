internal import CLibMNL
internal import CLinux
public import NetworkTypes
public import System

/// Builds netlink messages, one or several in a row, in one growing buffer (`mnl_nlmsg_put_*`, `mnl_attr_put_*`).
///
/// Encoding cannot fail half way: what does not fit a message is remembered in ``problem`` and refused when sent.
@safe
public struct MessageBuilder: ~Copyable {
    private var storage: UnsafeMutableRawPointer
    private var capacity: Int
    private var start = 0
    /// The bytes built so far, all messages together.
    public private(set) var count = 0
    /// The number of messages begun.
    public private(set) var messageCount = 0
    /// Why the message cannot be sent: `EMSGSIZE` for an attribute over 65535 bytes, `EINVAL` for a text with a NUL.
    public private(set) var problem: Errno?

    /// An empty builder with room for `capacity` bytes before it has to grow.
    public init(capacity: Int = 1024) {
        self.capacity = max(capacity, 64)
        unsafe storage = .allocate(byteCount: self.capacity, alignment: 8)
    }

    deinit { unsafe storage.deallocate() }

    /// Forgets all messages, keeps the room.
    public mutating func reset() {
        start = 0
        count = 0
        messageCount = 0
        problem = nil
    }

    /// Takes the message begun last away, and its ``problem`` with it.
    mutating func discardLast() {
        guard messageCount > 0 else { return }
        count = start
        messageCount -= 1
        problem = nil
    }

    // MARK: Messages

    /// Begins a message (`struct nlmsghdr`); what follows belongs to it. Sequence and port are 0 until it is sent.
    public mutating func begin(_ type: Int, flags: Int32) {
        start = count
        reserve(MemoryLayout<nlmsghdr>.size)
        let header = unsafe mnl_nlmsg_put_header(storage + start)
        unsafe header?.pointee.nlmsg_type = UInt16(truncatingIfNeeded: type)
        unsafe header?.pointee.nlmsg_flags = UInt16(truncatingIfNeeded: flags)
        messageCount += 1
        synchronize()
    }

    /// Puts a family's fixed header (`struct ifinfomsg`, …) at the end of the message, padded to four bytes.
    public mutating func putHeader<Header: BitwiseCopyable>(_ header: Header) {
        let size = MemoryLayout<Header>.size
        reserve(size + 3)
        let room = unsafe mnl_nlmsg_put_extra_header(current, size)
        unsafe withUnsafeBytes(of: header) { bytes in
            guard let base = bytes.baseAddress else { return }
            unsafe room?.copyMemory(from: base, byteCount: size)
        }
        synchronize()
    }

    // MARK: Attributes

    /// Puts an attribute of one byte.
    public mutating func put(_ type: Int, _ value: UInt8) { putBytes(type, of: value) }
    /// Puts an attribute of two bytes in host order.
    public mutating func put(_ type: Int, _ value: UInt16) { putBytes(type, of: value) }
    /// Puts an attribute of four bytes in host order.
    public mutating func put(_ type: Int, _ value: UInt32) { putBytes(type, of: value) }
    /// Puts an attribute of four bytes in host order.
    public mutating func put(_ type: Int, _ value: Int32) { putBytes(type, of: value) }
    /// Puts an attribute of eight bytes in host order.
    public mutating func put(_ type: Int, _ value: UInt64) { putBytes(type, of: value) }
    /// Puts an attribute of two bytes in network order.
    public mutating func put(_ type: Int, networkOrder value: UInt16) { putBytes(type, of: value.bigEndian) }
    /// Puts an attribute of four bytes in network order.
    public mutating func put(_ type: Int, networkOrder value: UInt32) { putBytes(type, of: value.bigEndian) }

    /// Puts an IP address, four or sixteen bytes.
    public mutating func put(_ type: Int, _ address: IPAddress) {
        switch address {
        case .v4(let address): putBytes(type, of: address.rawValue.bigEndian)
        case .v6(let address): putBytes(type, of: address.rawValue.bigEndian)
        }
    }

    /// Puts a MAC address, six bytes.
    public mutating func put(_ type: Int, _ address: MACAddress) { put(type, bytes: address.bytes) }

    /// Puts bytes as they are.
    public mutating func put(_ type: Int, bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe put(type, raw: $0) }
    }

    /// Puts a text with its final NUL, as names go.
    public mutating func put(_ type: Int, text: String) {
        var bytes = Array(text.utf8)
        // The kernel would read up to the NUL only and act on another object than the one named.
        if bytes.contains(0) { problem = .invalidArgument }
        bytes.append(0)
        put(type, bytes: bytes)
    }

    /// Puts an attribute of a C structure, for example `struct bridge_vlan_info`.
    public mutating func put<Value: BitwiseCopyable>(_ type: Int, structure: Value) { putBytes(type, of: structure) }

    /// Puts an attribute that holds attributes (`NLA_F_NESTED` is set).
    public mutating func nest(_ type: Int, _ body: (inout MessageBuilder) -> Void) {
        reserve(MemoryLayout<nlattr>.size)
        let offset = count
        _ = unsafe mnl_attr_nest_start(current, UInt16(truncatingIfNeeded: type))
        synchronize()
        body(&self)
        guard count - offset <= UInt16.max else {
            problem = .messageTooLong
            return
        }
        // The buffer may have moved since the nest began.
        unsafe mnl_attr_nest_end(current, (storage + offset).assumingMemoryBound(to: nlattr.self))
    }

    /// Lets a library that knows netlink messages (`nftnl_*_nlmsg_build_payload`) put attributes of at most `room` bytes.
    ///
    /// - Parameter body: is handed the message's `struct nlmsghdr`; it must not write more than `room` bytes behind it.
    public mutating func putPayload(room: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
        reserve(room)
        unsafe body(storage + start)
        synchronize()
    }

    // MARK: Reading back

    /// All messages' bytes.
    public var bytes: [UInt8] { unsafe Array(UnsafeRawBufferPointer(start: storage, count: count)) }

    /// Lends all messages' bytes.
    func withBytes<Value, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Value) throws(Failure)
        -> Value
    {
        try unsafe body(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// Numbers the messages in order, the first with `sequence`.
    mutating func stamp(_ sequence: UInt32) {
        var offset = 0
        var sequence = sequence
        while offset < count {
            let header = unsafe (storage + offset).assumingMemoryBound(to: nlmsghdr.self)
            unsafe header.pointee.nlmsg_seq = sequence
            offset += unsafe aligned(Int(header.pointee.nlmsg_len))
            sequence &+= 1
        }
    }

    // MARK: Room

    private var current: UnsafeMutablePointer<nlmsghdr> {
        unsafe (storage + start).assumingMemoryBound(to: nlmsghdr.self)
    }

    private mutating func putBytes<Value: BitwiseCopyable>(_ type: Int, of value: Value) {
        unsafe withUnsafeBytes(of: value) { unsafe put(type, raw: $0) }
    }

    private mutating func put(_ type: Int, raw: UnsafeRawBufferPointer) {
        guard raw.count <= Int(UInt16.max) - MemoryLayout<nlattr>.size else {
            problem = .messageTooLong
            return
        }
        let size = aligned(MemoryLayout<nlattr>.size + raw.count)
        reserve(size)
        // libmnl leaves the padding as it was: what our heap held before would go to the kernel.
        unsafe storage.storeBytes(of: 0, toByteOffset: count + size - 4, as: UInt32.self)
        unsafe mnl_attr_put(current, UInt16(truncatingIfNeeded: type), raw.count, raw.baseAddress)
        synchronize()
    }

    private mutating func synchronize() {
        count = unsafe start + aligned(Int(current.pointee.nlmsg_len))
    }

    private mutating func reserve(_ size: Int) {
        guard count + size > capacity else { return }
        capacity = max(capacity * 2, count + size)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        unsafe larger.copyMemory(from: storage, byteCount: count)
        unsafe storage.deallocate()
        unsafe storage = larger
    }
}

/// Rounds up to netlink's alignment (`NLMSG_ALIGN`, `NLA_ALIGN`).
func aligned(_ size: Int) -> Int { (size + 3) & ~3 }
