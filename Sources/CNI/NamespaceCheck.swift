internal import System

extension Dispatcher {
    /// Checks that a path leads to a network namespace other than the one the calling thread is in.
    ///
    /// - Throws: ``CNIError/ownNamespace``, or code 8 in the words of the reference plugins.
    public static func checkNamespacePath(_ path: String) throws(CNIError) {
        let isOwn: Bool
        do {
            let namespace = try NetworkNamespace(path: path)
            isOwn = try namespace.isSame(as: NetworkNamespace.current())
        } catch {
            throw CNIError(CNIError.Code.invalidNamespace, "\(error)")
        }
        if isOwn { throw .ownNamespace }
    }
}
