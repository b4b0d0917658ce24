/// What tells other plugins of the suite about the network they are chained after. The room `Overlay` writes it, and
/// `bridge` the alias.
public enum OverlayMark {
    /// Where overlay namespaces are; a result's first interface, the bridge, is in one.
    public static let namespaceDirectory = "/run/swiftlet/netns"
    /// The alias of the bridge of a network that has no way out.
    public static let internalAlias = "swiftlet internal"
}
