public import Netlink

/// Where containers' namespaces are opened; for `loopback` it is all of a host.
public protocol ContainerNamespaces {
    /// The container's namespace at `path`.
    ///
    /// - Throws: ``NamespaceError`` when the path is gone or is not a namespace.
    func container(at path: String) throws -> Container
}

/// The namespaces of a host: its own, and containers'.
public protocol HostNamespaces: ContainerNamespaces {
    /// The network stack of the namespace the plugin runs in.
    func hostStack() throws -> any NetworkStack
}

/// A container's namespace, open.
public struct Container {
    /// Its network stack.
    public let stack: any NetworkStack
    /// A descriptor of the namespace for `IFLA_NET_NS_FD`; valid as long as this value lives.
    public let descriptor: Int32
    private let owner: AnyObject?

    /// A container whose descriptor `owner` keeps open.
    public init(stack: any NetworkStack, descriptor: Int32, owner: AnyObject? = nil) {
        self.stack = stack
        self.descriptor = descriptor
        self.owner = owner
    }
}
