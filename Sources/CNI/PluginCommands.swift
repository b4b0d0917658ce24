/// What a plugin does for each command. Version, environment, name and namespace have been checked before.
public protocol PluginCommands {
    /// The plugin's name for the about line, for example "bridge"; without one there is no about text.
    var name: String { get }
    /// The versions of the specification it speaks, oldest first.
    var supportedVersions: [SpecVersion] { get }
    /// Whether ADD and CHECK need `CNI_NETNS` to be a network namespace; an address manager does not look at it.
    var needsNamespace: Bool { get }

    /// Attaches the container.
    func add(_ request: Request) throws -> CNIResult
    /// Detaches it; succeeds when there is nothing left to remove.
    func delete(_ request: Request) throws
    /// Verifies the attachment.
    func check(_ request: Request) throws
    /// Removes what no valid attachment owns, see ``NetworkConfiguration/validAttachments()``.
    func collectGarbage(_ request: Request) throws
    /// Succeeds if ADD could be served; code 50 or 51 if not.
    func status(_ request: Request) throws
}

extension PluginCommands {
    /// All versions.
    public var supportedVersions: [SpecVersion] { SpecVersion.allCases }
    /// True.
    public var needsNamespace: Bool { true }
}
