public import System

/// What the runtime asks for in `CNI_COMMAND`.
public enum Command: String, CaseIterable, Sendable {
    /// Attach a container to the network.
    case add = "ADD"
    /// Detach it; may be repeated.
    case delete = "DEL"
    /// Verify an attachment.
    case check = "CHECK"
    /// Remove what no valid attachment owns.
    case garbageCollect = "GC"
    /// Say whether ADD could be served.
    case status = "STATUS"
    /// Tell the supported versions.
    case version = "VERSION"
}

/// One container's interface on one network: the owner of everything an ADD makes.
public struct Attachment: Hashable, Sendable {
    /// The network's name.
    public let network: String
    /// The container's id as the runtime gave it.
    public let containerID: String
    /// The interface's name inside the container.
    public let interfaceName: String

    /// Names an attachment.
    public init(network: String, containerID: String, interfaceName: String) {
        self.network = network
        self.containerID = containerID
        self.interfaceName = interfaceName
    }
}

/// One call by the runtime: the environment, checked for the command, and the bytes of standard input.
public struct Invocation: Sendable {
    /// `CNI_COMMAND`.
    public let command: Command
    /// `CNI_CONTAINERID`; empty for GC and STATUS.
    public let containerID: String
    /// `CNI_NETNS`; may be empty for DEL, GC and STATUS.
    public let netns: String
    /// `CNI_IFNAME`; empty for GC and STATUS.
    public let interfaceName: String
    /// `CNI_ARGS` as given, see ``CNIArguments``.
    public let arguments: String
    /// `CNI_PATH` split at each colon.
    public let path: [String]
    /// The whole environment, which delegates inherit.
    public let environment: Environment
    /// Standard input.
    public let input: [UInt8]

    /// Describes a call.
    public init(
        command: Command, containerID: String = "", netns: String = "", interfaceName: String = "",
        arguments: String = "", path: [String] = [], environment: Environment = Environment(), input: [UInt8] = []
    ) {
        self.command = command
        self.containerID = containerID
        self.netns = netns
        self.interfaceName = interfaceName
        self.arguments = arguments
        self.path = path
        self.environment = environment
        self.input = input
    }

    /// Whether `CNI_NETNS_OVERRIDE` allows `CNI_NETNS` to be the plugin's own namespace: "1" or "true" in any case.
    public var allowsOwnNamespace: Bool {
        let value = environment["CNI_NETNS_OVERRIDE"] ?? ""
        return value == "1" || value.lowercased() == "true"
    }
}

/// One call with its decoded configuration: what a plugin works on.
public struct Request: Sendable {
    /// The call.
    public let invocation: Invocation
    /// The network's configuration.
    public let configuration: NetworkConfiguration

    /// Joins a call and its configuration.
    public init(invocation: Invocation, configuration: NetworkConfiguration) {
        self.invocation = invocation
        self.configuration = configuration
    }

    /// Whom the call is about; without container and interface for GC and STATUS.
    public var attachment: Attachment {
        Attachment(
            network: configuration.name, containerID: invocation.containerID,
            interfaceName: invocation.interfaceName)
    }
}
