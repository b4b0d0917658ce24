internal import Attachment
internal import CNI
internal import Control
internal import Overlay
internal import PluginKit
internal import System

/// The overlay's and the daemon's errors as CNI errors; all others are in ``ErrorMapping``.
enum FaultMapping {
    /// Runs `body` with its errors mapped.
    static func mapped<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            throw mapped(error)
        }
    }

    private static func mapped(_ error: any Error) -> any Error {
        switch error {
        case let error as OverlayError: overlay(error)
        case let error as ControlError: CNIError(error.code, error.message, details: error.remedy)
        case let error as RollbackError:
            RollbackFault.join(ErrorMapping.cniError(mapped(error.cause)), error.failures)
        case let error as CollectedErrors: error.map(mapped)
        default: error
        }
    }

    private static func overlay(_ error: OverlayError) -> CNIError {
        switch error {
        case .netlink(let error): ErrorMapping.cniError(error)
        case .netfilter(let error): ErrorMapping.cniError(error)
        case .namespace(let error): ErrorMapping.cniError(error)
        case .system(let error): ErrorMapping.cniError(error)
        case .busyVNI: CNIError(error.isPassing ? CNIError.Code.tryAgain : CNIError.Code.foreignObject, "\(error)")
        case .noVXLAN: CNIError(CNIError.Code.unsupportedField, "\(error)", details: error.remedy)
        case .locked: CNIError(CNIError.Code.tryAgain, "\(error)")
        case .busyPort, .foreign: CNIError(CNIError.Code.foreignObject, "\(error)")
        }
    }
}

/// An error with what could not be taken back in its details.
private enum RollbackFault {
    static func join(_ error: CNIError, _ failures: [String]) -> CNIError {
        var error = error
        error.details = ([error.details] + failures).filter { !$0.isEmpty }.joined(separator: "; ")
        return error
    }
}
