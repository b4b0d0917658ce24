internal import Attachment
public import CNI
internal import DBus
internal import IPAM
internal import JSON
internal import Netfilter
internal import Netlink
internal import System

/// The one table from the suite's errors to the CNI error codes.
public enum ErrorMapping {
    /// The CNI error for any error a plugin throws.
    public static func cniError(_ error: any Error) -> CNIError {
        switch error {
        case let error as CNIError: error
        case let error as RollbackError: rollback(error)
        case let error as CollectedErrors: collected(error)
        case let error as JSON.DecodingError: CNIError(error)
        case let error as JSON.SyntaxError: CNIError(error)
        case let error as NamespaceError: CNIError(CNIError.Code.invalidNamespace, "\(error)")
        case let error as NetlinkError: netlink(error)
        case let error as NetfilterError: netfilter(error)
        case let error as SystemError: CNIError(CNIError.Code.inputOutput, "\(error)")
        case let error as Errno: CNIError(CNIError.Code.inputOutput, "\(error)")
        case let error as IPAMError: ipam(error)
        case let error as StepError: step(error)
        case let error as NetfilterError: netfilter(error)
        case let error as BusError: CNIError(CNIError.Code.packetFilter, "firewalld: \(error)")
        default: CNIError(CNIError.Code.internal, "\(error)", details: "this is a bug; please report it")
        }
    }

    private static func rollback(_ error: RollbackError) -> CNIError {
        var mapped = cniError(error.cause)
        mapped.details = ([mapped.details] + error.failures).filter { !$0.isEmpty }.joined(separator: "; ")
        return mapped
    }

    private static func collected(_ errors: CollectedErrors) -> CNIError {
        var mapped = cniError(errors.first)
        let others = errors.others.map { "also: \(cniError($0).description)" }
        mapped.details = ([mapped.details] + others).filter { !$0.isEmpty }.joined(separator: "; ")
        return mapped
    }

    private static func netlink(_ error: NetlinkError) -> CNIError {
        // The kernel is short of something for the moment: the runtime may try again.
        let isPassing = [.resourceTemporarilyUnavailable, .noBufferSpace, .resourceBusy].contains(error.errno)
        let code = isPassing ? CNIError.Code.tryAgain : CNIError.Code.netlink
        let hint = error.errno == .notPermitted ? "CAP_NET_ADMIN is needed in the network namespace" : ""
        return CNIError(code, "\(error)", details: hint)
    }

    private static func netfilter(_ error: NetfilterError) -> CNIError {
        switch error {
        case .kernel(_, let errno, _):
            let isPassing = [.resourceTemporarilyUnavailable, .noBufferSpace, .resourceBusy, .interrupted].contains(
                errno)
            let hint = errno == .notPermitted ? "CAP_NET_ADMIN is needed in the network namespace" : ""
            return CNIError(isPassing ? CNIError.Code.tryAgain : CNIError.Code.packetFilter, "\(error)", details: hint)
        case .conflict: return CNIError(CNIError.Code.foreignObject, "\(error)")
        case .unsupported: return CNIError(CNIError.Code.unsupportedField, "\(error)")
        case .system(let error): return CNIError(CNIError.Code.inputOutput, "\(error)")
        case .program, .missing, .unavailable: return CNIError(CNIError.Code.packetFilter, "\(error)")
        }
    }

    private static func ipam(_ error: IPAMError) -> CNIError {
        let code =
            switch error {
            case .exhausted, .unavailable, .unsatisfied: CNIError.Code.poolExhausted
            case .duplicate: CNIError.Code.foreignObject
            case .notFound, .mismatch: CNIError.Code.internal
            case .notAvailable: CNIError.Code.notAvailable
            case .invalidNetworkName: CNIError.Code.invalidConfiguration
            case .io, .incomplete: CNIError.Code.inputOutput
            }
        return CNIError(code, "\(error)")
    }

    private static func step(_ error: StepError) -> CNIError {
        switch error {
        case .noVLANFiltering, .kernelLacks: CNIError(CNIError.Code.unsupportedField, "\(error)")
        case .timedOut: CNIError(CNIError.Code.tryAgain, "\(error)")
        case .linkMissing, .placeMissing, .duplicateAddress: CNIError(CNIError.Code.netlink, "\(error)")
        }
    }
}
