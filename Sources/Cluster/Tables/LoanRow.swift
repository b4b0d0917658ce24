/// An address of the owner's block that another host uses. The record's key is the address, 4 or 16 bytes.
public struct LoanRow: Hashable, Sendable {
    /// The host that uses it.
    public var borrower: HostID

    /// Makes a row.
    public init(borrower: HostID) {
        self.borrower = borrower
    }

    /// The value of the record.
    public var encoded: [UInt8] {
        var fields = FieldWriter()
        fields.add(1, borrower.bytes)
        return fields.bytes
    }

    /// Reads a record's value; nil when it is damaged or names no host.
    public init?(decoding bytes: some Sequence<UInt8>) {
        var borrower: HostID?
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            if field.tag != 1 { continue }
            guard let host = HostID(bytes: field.content) else { return nil }
            borrower = host
        }
        guard !reader.isBroken, let borrower else { return nil }
        self.init(borrower: borrower)
    }
}
