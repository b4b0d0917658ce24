internal import CNI
internal import IPAM
internal import JSON
internal import System

/// The `ipam` delegate of a configuration.
///
/// When it is `host-local`, and the first executable of that name in `CNI_PATH` is of our suite and version, its logic
/// runs in process: the same code on the same files, without a fork and an exec. Any other delegate is run by the
/// specification.
struct AddressDelegate {
    private let request: Request
    private let type: String
    private let runsInProcess: Bool

    init(_ request: Request) throws {
        self.request = request
        type = request.configuration.ipamType
        guard type != request.configuration.type else {
            throw CNIError(
                CNIError.Code.invalidConfiguration, "ipam.type: \"\(type)\" would delegate to itself for ever")
        }
        guard type == "host-local" else {
            runsInProcess = false
            return
        }
        do {
            runsInProcess = SuiteNote.isOurs(try Delegate.find(type, in: request.invocation.path))
        } catch {
            // Addresses must be given back although the executable is gone: its files are known to us.
            switch request.invocation.command {
            case .delete, .garbageCollect: runsInProcess = true
            default: throw error
            }
        }
    }

    /// ADD for an attachment of which nothing is there: what it held before, a reboot for example, is its own again.
    func add() throws -> CNIResult {
        if runsInProcess { return try HostLocalCommands.add(request, isReturning: true) }
        do {
            do {
                return try Delegate.add(type: type, request: request)
            } catch  where type == "host-local" && error.message.hasSuffix("duplicate allocation is not allowed") {
                // Another host-local cannot be told that its owner has come back, only that it was gone.
                try Delegate.delete(type: type, request: request)
                return try Delegate.add(type: type, request: request)
            }
        } catch {
            // The specification asks for a DEL after a failed ADD. host-local leaves nothing behind when it fails, and
            // its DEL would release what an earlier ADD of a running container reserved ("duplicate allocation").
            if type != "host-local" { try? Delegate.delete(type: type, request: request) }
            throw error
        }
    }

    func delete() throws {
        if runsInProcess { return try HostLocalCommands.delete(request) }
        try Delegate.delete(type: type, request: request)
    }

    func check() throws {
        if runsInProcess { return try HostLocalCommands.check(request) }
        try Delegate.check(type: type, request: request)
    }

    func collectGarbage() throws {
        if runsInProcess { return try HostLocalCommands.collectGarbage(request) }
        try Delegate.collectGarbage(type: type, request: request)
    }

    func status() throws {
        if runsInProcess { return try HostLocalCommands.status(request) }
        try Delegate.status(type: type, request: request)
    }
}
