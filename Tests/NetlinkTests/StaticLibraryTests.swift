import CLibMNL
import CLibMNLStatic
import Glibc
import System
import TestSupport
import Testing

/// The functions that write, of one library.
@unsafe
private struct Writing {
    let begin: (UnsafeMutableRawPointer) -> UnsafeMutablePointer<nlmsghdr>?
    let extraHeader: (UnsafeMutablePointer<nlmsghdr>, Int) -> UnsafeMutableRawPointer?
    let bytes: (UnsafeMutablePointer<nlmsghdr>, UInt16, Int, UnsafeRawPointer?) -> Void
    let byte: (UnsafeMutablePointer<nlmsghdr>, UInt16, UInt8) -> Void
    let short: (UnsafeMutablePointer<nlmsghdr>, UInt16, UInt16) -> Void
    let word: (UnsafeMutablePointer<nlmsghdr>, UInt16, UInt32) -> Void
    let long: (UnsafeMutablePointer<nlmsghdr>, UInt16, UInt64) -> Void
    let text: (UnsafeMutablePointer<nlmsghdr>, UInt16, UnsafePointer<CChar>) -> Void
    let textAndNUL: (UnsafeMutablePointer<nlmsghdr>, UInt16, UnsafePointer<CChar>) -> Void
    let nest: (UnsafeMutablePointer<nlmsghdr>, UInt16) -> UnsafeMutablePointer<nlattr>?
    let endNest: (UnsafeMutablePointer<nlmsghdr>, UnsafeMutablePointer<nlattr>) -> Void

    static var shared: Writing {
        unsafe Writing(
            begin: mnl_nlmsg_put_header, extraHeader: mnl_nlmsg_put_extra_header, bytes: mnl_attr_put,
            byte: mnl_attr_put_u8, short: mnl_attr_put_u16, word: mnl_attr_put_u32, long: mnl_attr_put_u64,
            text: mnl_attr_put_str, textAndNUL: mnl_attr_put_strz, nest: mnl_attr_nest_start,
            endNest: mnl_attr_nest_end)
    }
    static var own: Writing {
        unsafe Writing(
            begin: static_mnl_nlmsg_put_header, extraHeader: static_mnl_nlmsg_put_extra_header,
            bytes: static_mnl_attr_put, byte: static_mnl_attr_put_u8, short: static_mnl_attr_put_u16,
            word: static_mnl_attr_put_u32, long: static_mnl_attr_put_u64, text: static_mnl_attr_put_str,
            textAndNUL: static_mnl_attr_put_strz, nest: static_mnl_attr_nest_start,
            endNest: static_mnl_attr_nest_end)
    }

    /// A message of whatever the generator says, in a buffer that held `background`.
    func message(_ generator: TestSupport.SeededGenerator, background: UInt8) -> [UInt8] {
        var generator = generator
        var buffer = [UInt8](repeating: background, count: 16 << 10)
        let used = unsafe buffer.withUnsafeMutableBytes { room -> Int in
            guard let base = room.baseAddress, let header = unsafe begin(base) else { return 0 }
            unsafe header.pointee.nlmsg_type = UInt16.random(in: 0 ... .max, using: &generator)
            if generator.below(2) == 0 { _ = unsafe extraHeader(header, generator.below(21)) }
            unsafe put(1 + generator.below(12), depth: 0, header, &generator)
            return unsafe Int(header.pointee.nlmsg_len)
        }
        return Array(buffer[..<used])
    }

    private func put(
        _ count: Int, depth: Int, _ header: UnsafeMutablePointer<nlmsghdr>,
        _ generator: inout TestSupport.SeededGenerator
    ) {
        for _ in 0..<count {
            let type = UInt16.random(in: 0...0x3FFF, using: &generator)
            switch generator.below(8) {
            case 0: unsafe byte(header, type, UInt8.random(in: 0 ... .max, using: &generator))
            case 1: unsafe short(header, type, UInt16.random(in: 0 ... .max, using: &generator))
            case 2: unsafe word(header, type, UInt32.random(in: 0 ... .max, using: &generator))
            case 3: unsafe long(header, type, generator.next())
            case 4:
                unsafe String(repeating: "x", count: generator.below(20)).withCString { unsafe text(header, type, $0) }
            case 5:
                unsafe String(repeating: "y", count: generator.below(20)).withCString {
                    unsafe textAndNUL(header, type, $0)
                }
            case 6 where depth < 3:
                guard let start = unsafe nest(header, type) else { return }
                unsafe put(generator.below(4), depth: depth + 1, header, &generator)
                unsafe endNest(header, start)
            default:
                let payload = (0..<generator.below(40)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                unsafe payload.withUnsafeBytes { unsafe bytes(header, type, $0.count, $0.baseAddress) }
            }
        }
    }
}

/// Collects what a parsing function hands its callback, and ends the parsing after `limit` attributes.
private final class Visits {
    var seen: [String] = []
    let limit: Int
    let ending: Int32

    init(limit: Int, ending: Int32) {
        self.limit = limit
        self.ending = ending
    }
}

@Suite("The netlink library of static executables does what libmnl does")
struct StaticLibraryTests {
    @Test("The same calls write the same bytes")
    func writing() {
        var generator = TestSupport.SeededGenerator(for: "static library, writing")
        for _ in 0..<2000 {
            let start = TestSupport.SeededGenerator(seed: generator.next())
            let shared = unsafe Writing.shared.message(start, background: 0)
            let own = unsafe Writing.own.message(start, background: 0)
            #expect(shared == own, "seed \(start.seed)")
            #expect(shared.count >= 16)
        }
    }

    @Test("What was in the buffer before is never sent")
    func padding() {
        var generator = TestSupport.SeededGenerator(for: "static library, padding")
        for _ in 0..<500 {
            let start = TestSupport.SeededGenerator(seed: generator.next())
            let clean = unsafe Writing.own.message(start, background: 0)
            let dirty = unsafe Writing.own.message(start, background: 0xAA)
            #expect(clean == dirty, "seed \(start.seed)")
        }
    }

    /// Calls `body` with an attribute of `bytes`, between other bytes.
    private func withAttribute<Value>(_ bytes: [UInt8], _ body: (UnsafePointer<nlattr>) -> Value) -> Value? {
        let room = bytes + [UInt8](repeating: 0x5A, count: 16)
        return unsafe room.withUnsafeBytes { raw in
            unsafe raw.baseAddress.map { unsafe body($0.assumingMemoryBound(to: nlattr.self)) }
        }
    }

    private func attribute(type: UInt16, length: UInt16, _ generator: inout TestSupport.SeededGenerator) -> [UInt8] {
        var bytes = [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)]
        bytes += [UInt8(truncatingIfNeeded: type), UInt8(truncatingIfNeeded: type >> 8)]
        for _ in 0..<16 { bytes.append(generator.below(3) == 0 ? 0 : UInt8.random(in: 0 ... .max, using: &generator)) }
        return bytes
    }

    @Test("Attributes are read alike")
    func reading() {
        var generator = TestSupport.SeededGenerator(for: "static library, reading")
        for _ in 0..<2000 {
            let type = UInt16.random(in: 0 ... .max, using: &generator)
            let bytes = attribute(type: type, length: UInt16(4 + generator.below(16)), &generator)
            unsafe withAttribute(bytes) { attribute in
                #expect(unsafe mnl_attr_get_type(attribute) == static_mnl_attr_get_type(attribute))
                #expect(unsafe mnl_attr_get_payload(attribute) == static_mnl_attr_get_payload(attribute))
                #expect(unsafe mnl_attr_get_payload_len(attribute) == static_mnl_attr_get_payload_len(attribute))
                #expect(unsafe mnl_attr_get_str(attribute) == static_mnl_attr_get_str(attribute))
                #expect(unsafe mnl_attr_get_u8(attribute) == static_mnl_attr_get_u8(attribute))
                #expect(unsafe mnl_attr_get_u16(attribute) == static_mnl_attr_get_u16(attribute))
                #expect(unsafe mnl_attr_get_u32(attribute) == static_mnl_attr_get_u32(attribute))
                #expect(unsafe mnl_attr_get_u64(attribute) == static_mnl_attr_get_u64(attribute))
                #expect(unsafe mnl_attr_next(attribute) == static_mnl_attr_next(attribute))
            }
        }
    }

    @Test("Lengths and types are judged alike, with the same errno")
    func judging() {
        var generator = TestSupport.SeededGenerator(for: "static library, judging")
        for _ in 0..<1000 {
            let length = UInt16(generator.below(20))
            let bytes = attribute(type: UInt16(generator.below(64)), length: length, &generator)
            let room = Int32(generator.below(24)) - 2
            let limit = UInt16(generator.below(64))
            unsafe withAttribute(bytes) { attribute in
                #expect(unsafe mnl_attr_ok(attribute, room) == static_mnl_attr_ok(attribute, room))
                let shared = unsafe (mnl_attr_type_valid(attribute, limit), Errno.current)
                let own = unsafe (static_mnl_attr_type_valid(attribute, limit), Errno.current)
                #expect(shared.0 == own.0 && (shared.0 > 0 || shared.1 == own.1))
                guard length >= 4 else { return }
                for kind in 0...MNL_TYPE_MAX.rawValue {
                    let kind = mnl_attr_data_type(rawValue: kind)
                    let shared = unsafe (mnl_attr_validate(attribute, kind), Errno.current)
                    let own = unsafe (static_mnl_attr_validate(attribute, kind), Errno.current)
                    #expect(
                        shared.0 == own.0 && (shared.0 == 0 || shared.1 == own.1),
                        "\(kind) of \(bytes): \(shared) \(own)")
                }
            }
        }
    }

    @Test("Messages and nests are walked alike, to the end and to where the callback stops")
    func walking() {
        var generator = TestSupport.SeededGenerator(for: "static library, walking")
        let visit: mnl_attr_cb_t = { attribute, context in
            guard let attribute = unsafe attribute, let context = unsafe context else { return MNL_CB_ERROR }
            let visits = unsafe Unmanaged<Visits>.fromOpaque(context).takeUnretainedValue()
            unsafe visits.seen.append("\(attribute.pointee.nla_type) \(attribute.pointee.nla_len) \(attribute)")
            return visits.seen.count == visits.limit ? visits.ending : MNL_CB_OK
        }
        for _ in 0..<500 {
            let start = TestSupport.SeededGenerator(seed: generator.next())
            var bytes = unsafe Writing.shared.message(start, background: 0)
            // Half of them damaged: lengths that lie.
            if generator.below(2) == 0, bytes.count > 20 {
                bytes[16 + generator.below(bytes.count - 16)] = UInt8.random(in: 0 ... .max, using: &generator)
            }
            let offset = UInt32(generator.below(3)) * 4
            let limit = generator.below(6)
            let ending: Int32 = generator.below(2) == 0 ? MNL_CB_STOP : MNL_CB_ERROR
            let runs = [0, 1].map { library -> ([String], Int32) in
                let visits = Visits(limit: limit, ending: ending)
                let context = unsafe Unmanaged.passUnretained(visits).toOpaque()
                let result = unsafe bytes.withUnsafeBytes { raw -> Int32 in
                    guard let base = raw.baseAddress else { return -9 }
                    let message = unsafe base.assumingMemoryBound(to: nlmsghdr.self)
                    return unsafe library == 0
                        ? mnl_attr_parse(message, offset, visit, context)
                        : static_mnl_attr_parse(message, offset, visit, context)
                }
                let nested = unsafe bytes.withUnsafeBytes { raw -> Int32 in
                    guard let base = raw.baseAddress, raw.count >= 20 else { return -9 }
                    let attribute = unsafe (base + 16).assumingMemoryBound(to: nlattr.self)
                    guard unsafe (4...raw.count - 16).contains(Int(attribute.pointee.nla_len)) else { return -9 }
                    return unsafe library == 0
                        ? mnl_attr_parse_nested(attribute, visit, context)
                        : static_mnl_attr_parse_nested(attribute, visit, context)
                }
                return (visits.seen, result * 16 + nested)
            }
            #expect(runs[0] == runs[1], "seed \(start.seed)")
        }
    }

    @Test("A socket is bound, asks the kernel and is closed alike", arguments: [false, true])
    func socket(own: Bool) throws {
        let descriptor = Glibc.socket(
            AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), NETLINK_ROUTE)
        let socket = try unsafe #require(own ? static_mnl_socket_fdopen(descriptor) : mnl_socket_fdopen(descriptor))
        let port = unsafe own ? static_mnl_socket_get_portid : mnl_socket_get_portid
        #expect(unsafe port(socket) == 0)
        #expect(unsafe (own ? static_mnl_socket_bind : mnl_socket_bind)(socket, 0, MNL_SOCKET_AUTOPID) == 0)
        #expect(unsafe port(socket) != 0)

        // A message that asks for nothing but its acknowledgement.
        var request = nlmsghdr()
        request.nlmsg_len = 16
        request.nlmsg_type = UInt16(NLMSG_NOOP)
        request.nlmsg_flags = UInt16(NLM_F_REQUEST | NLM_F_ACK)
        let sent = unsafe (own ? static_mnl_socket_sendto : mnl_socket_sendto)(socket, &request, 16)
        #expect(sent == 16)
        var answer = [UInt8](repeating: 0, count: 256)
        let received = unsafe recv(descriptor, &answer, answer.count, 0)
        #expect(received >= 36 && answer[4] == UInt8(NLMSG_ERROR))

        // Opened once more, the bound socket has its address already.
        let again = try unsafe #require(
            own ? static_mnl_socket_fdopen(dup(descriptor)) : mnl_socket_fdopen(dup(descriptor)))
        #expect(unsafe port(again) == port(socket))
        #expect(unsafe (own ? static_mnl_socket_bind : mnl_socket_bind)(again, 0, 0) == -1)
        let end = unsafe own ? static_mnl_socket_close : mnl_socket_close
        #expect(unsafe end(again) == 0)
        #expect(unsafe end(socket) == 0)
        #expect(close(descriptor) == -1)
    }

    @Test("What is no socket is refused alike")
    func refusedDescriptors() {
        for descriptor in [Int32(-1), 1 << 20] {
            #expect(unsafe mnl_socket_fdopen(descriptor) == nil)
            #expect(unsafe static_mnl_socket_fdopen(descriptor) == nil)
            #expect(Errno.current == Errno(rawValue: EBADF))
        }
    }
}
