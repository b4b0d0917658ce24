public import CNI

/// What a reload found and did.
public struct ReloadReport {
    /// One running container's interface.
    public struct Entry {
        /// Whose.
        public var attachment: Attachment
        /// The plugins that had something to put back.
        public var restored: [String] = []
        /// The plugins that could not, and why.
        public var failures: [(plugin: String, error: CNIError)] = []

        /// An attachment of which nothing was missing.
        public init(attachment: Attachment) { self.attachment = attachment }
    }

    /// The running attachments of this suite.
    public var entries: [Entry] = []
    /// What could not be restored besides.
    public var failures: [String] = []

    /// An empty report.
    public init() {}

    /// The attachments of which something was put back.
    public var restored: [Entry] { entries.filter { !$0.restored.isEmpty } }

    /// Whether all containers have what they need.
    public var isWhole: Bool { failures.isEmpty && entries.allSatisfy(\.failures.isEmpty) }

    /// A line for each attachment that was restored or could not be, and for what else is wrong.
    public var lines: [String] {
        entries.flatMap { entry -> [String] in
            let name = "\(entry.attachment.network) \(entry.attachment.containerID) \(entry.attachment.interfaceName)"
            let done = entry.restored.isEmpty ? [] : ["restored \(name): \(entry.restored.joined(separator: ", "))"]
            return done + entry.failures.map { "not restored \(name): \($0.plugin): \($0.error)" }
        } + failures.map { "not restored \($0)" }
    }
}
