/// Which network namespace a step works in. The set is open: a plugin with one more namespace names it in an extension, and
/// gives it to the ``StepExecutor``.
public struct Place: Hashable, Sendable {
    /// What it is called where something fails.
    public let name: String

    /// Names a place; short, and different from all others of a plan.
    public init(_ name: String) { self.name = name }

    /// The namespace the plugin runs in.
    public static let host = Place("host")
    /// The container's, `CNI_NETNS`.
    public static let container = Place("container")
}
