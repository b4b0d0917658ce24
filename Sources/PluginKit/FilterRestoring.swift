public import CNI

/// A plugin that keeps something in the packet filter, and can put it back while its container runs: after somebody has
/// flushed the filter, nothing else of the attachment is missing.
public protocol FilterRestoring: PluginCommands {
    /// Puts back what is missing of an attachment's in the packet filter. Makes no link and takes no address.
    ///
    /// - Parameter request: as for CHECK, with the result of ADD.
    /// - Returns: whether anything was missing.
    /// - Throws: what ADD would, for the part that is about the packet filter.
    func restore(_ request: Request) throws -> Bool
}

extension Request {
    /// The result that ADD gave, which restoring needs.
    public func resultToRestore() throws -> CNIResult {
        guard let result = try configuration.previousResult() else {
            throw CNIError(
                CNIError.Code.invalidConfiguration,
                "prevResult: missing, so that nobody knows the container's addresses",
                details: "attach the container again")
        }
        return result
    }
}
