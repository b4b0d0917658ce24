public import Netfilter
public import Netlink
public import System

/// Why a host cannot take its part in an overlay.
public enum OverlayError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kernel refused a netlink request.
    case netlink(NetlinkError)
    /// The packet filter refused.
    case netfilter(NetfilterError)
    /// A system call failed.
    case system(SystemError)
    /// A path is no usable namespace.
    case namespace(NamespaceError)
    /// Another VXLAN of this host has the VNI on the same UDP port.
    ///
    /// - Parameter holder: where it is, as far as it can be seen.
    case busyVNI(UInt32, port: UInt16, holder: String?)
    /// The kernel was built without VXLAN, or its module is not there.
    case noVXLAN
    /// The UDP port is another program's.
    case busyPort(UInt16)
    /// Somebody has the lock of a network, whose file this is, and waiting was not wanted.
    case locked(String)
    /// Something in the overlay namespace is not what it is called.
    case foreign(String)

    /// What happened, and the remedy where there is one.
    public var description: String {
        switch self {
        case .netlink(let error): "\(error)"
        case .netfilter(let error): "\(error)"
        case .system(let error): "\(error)"
        case .namespace(let error): "\(error)"
        case .busyVNI(let vni, let port, let holder):
            "VNI \(vni) on UDP port \(port) is in use by \(holder ?? "a VXLAN in a namespace without a name"); "
                + "give the network another VNI with the key \"vni\" on all hosts"
        case .busyPort(let port):
            "UDP port \(port) is in use by another program; "
                + "give the network another port with the key \"port\" on all hosts"
        case .noVXLAN: "this kernel has no VXLAN (CONFIG_VXLAN)"
        case .locked(let path): "a plugin that adds or removes a container holds \(path)"
        case .foreign(let what): what
        }
    }

    /// What to do about it; empty where the description says it, or nobody knows.
    public var remedy: String {
        self == .noVXLAN ? "load the module (modprobe vxlan), or use a kernel that has it" : ""
    }

    /// Whether trying again later may help: the kernel is busy or short of memory, or somebody else's turn.
    public var isPassing: Bool {
        let passing: [Errno] = [.resourceTemporarilyUnavailable, .noBufferSpace, .resourceBusy, .interrupted]
        switch self {
        case .netlink(let error): return passing.contains(error.errno)
        case .netfilter(let error): return error.errno.map(passing.contains) ?? false
        case .busyVNI(_, _, let holder): return holder == nil
        case .locked: return true
        default: return false
        }
    }

    /// Runs `body` with its error as one of ours.
    static func wrapping<Value>(_ body: () throws -> Value) throws(OverlayError) -> Value {
        do {
            return try body()
        } catch let error as OverlayError {
            throw error
        } catch let error as NetlinkError {
            throw .netlink(error)
        } catch let error as NetfilterError {
            throw .netfilter(error)
        } catch let error as NamespaceError {
            throw .namespace(error)
        } catch let error as SystemError {
            throw .system(error)
        } catch let error as Errno {
            throw .system(SystemError("call", "the kernel", error))
        } catch {
            throw .foreign("\(error)")
        }
    }
}
