/// Reads big-endian numbers and counted bytes, and throws where there are none.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ bytes: [UInt8], from start: Int = 0) {
        self.bytes = bytes
        position = min(max(0, start), bytes.count)
        end = bytes.count
    }

    private init(_ bytes: [UInt8], position: Int, end: Int) {
        self.bytes = bytes
        self.position = position
        self.end = end
    }

    var remaining: Int { end - position }

    private mutating func advance(_ count: Int) throws(TableFault) -> Int {
        guard count >= 0, count <= end - position else { throw .length }
        let start = position
        position += count
        return start
    }

    mutating func byte() throws(TableFault) -> UInt8 { bytes[try advance(1)] }

    mutating func short() throws(TableFault) -> Int {
        let start = try advance(2)
        return Int(bytes[start]) << 8 | Int(bytes[start + 1])
    }

    mutating func word() throws(TableFault) -> UInt32 {
        let start = try advance(4)
        return (start..<start + 4).reduce(0) { $0 << 8 | UInt32(bytes[$1]) }
    }

    mutating func long() throws(TableFault) -> UInt64 {
        let start = try advance(8)
        var result: UInt64 = 0
        for index in start..<start + 8 { result = result << 8 | UInt64(bytes[index]) }
        return result
    }

    mutating func slice(_ count: Int) throws(TableFault) -> ArraySlice<UInt8> {
        let start = try advance(count)
        return bytes[start..<start + count]
    }

    mutating func array(_ count: Int) throws(TableFault) -> [UInt8] { Array(try slice(count)) }

    /// Reads a part on its own and goes on after it.
    mutating func part(_ count: Int) throws(TableFault) -> ByteReader {
        let start = try advance(count)
        return ByteReader(bytes, position: start, end: start + count)
    }

    mutating func quad() throws(TableFault) -> UInt128 {
        let high = try long()
        return UInt128(high) << 64 | UInt128(try long())
    }

    mutating func host() throws(TableFault) -> HostID { HostID(rawValue: try quad()) }

    mutating func network() throws(TableFault) -> NetworkID {
        let high = try quad()
        return NetworkID(high: high, low: try quad())
    }

    mutating func version() throws(TableFault) -> Version {
        let incarnation = try long()
        return Version(incarnation: incarnation, counter: try long())
    }

    /// A count of things that take at least `size` bytes each; refused when they cannot all be there.
    mutating func count(of size: Int) throws(TableFault) -> Int {
        let count = try short()
        guard count * size <= remaining else { throw .tooLarge }
        return count
    }
}
