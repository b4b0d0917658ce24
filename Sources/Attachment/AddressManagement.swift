public import CNI

/// Where attachments get their addresses: the configuration's `ipam` delegate.
public protocol AddressManagement {
    /// Allocates addresses through the configuration's `ipam` delegate, for an attachment that the caller knows is not
    /// there: what it held before is its own again.
    func allocateAddresses(_ request: Request) throws -> CNIResult
    /// Releases the attachment's addresses through the delegate.
    func releaseAddresses(_ request: Request) throws
    /// Asks the delegate to check the attachment's addresses.
    func checkAddresses(_ request: Request) throws
    /// Asks the delegate to release everything not in the request's list.
    func collectAddresses(_ request: Request) throws
    /// Asks the delegate whether it could serve an ADD.
    func addressStatus(_ request: Request) throws
}
