internal import Glibc
package import System

/// Listens on a Unix stream socket: a path, or a name in the abstract namespace.
package func listenOnUnixSocket(_ name: String, isAbstract: Bool, queue: Int32 = 8) throws -> OwnedFD {
    let listener = OwnedFD(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = (isAbstract ? [0] : []) + Array(name.utf8) + (isAbstract ? [] : [0])
    let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let result = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(listener.rawValue, $0, size) }
    }
    guard result == 0, listen(listener.rawValue, queue) == 0 else { throw SystemError("listen on", name, .current) }
    return listener
}
