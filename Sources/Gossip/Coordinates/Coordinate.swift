internal import StateMachine

/// A point in the network coordinate space; distances are round trips in seconds.
public struct Coordinate: Hashable, Sendable {
    /// The Euclidean part, seconds.
    public var vector: SIMD8<Double>
    /// How sure the node is of its place; 1.5 when it knows nothing.
    public var error: Double
    /// What observations differ from the model by, seconds.
    public var adjustment: Double
    /// The access link's part, seconds.
    public var height: Double

    static let errorLimit = 1.5
    static let heightMinimum = 10e-6
    static let version: UInt8 = 1

    init() {
        vector = .zero
        error = Self.errorLimit
        adjustment = 0
        height = Self.heightMinimum
    }

    /// A coordinate as another engine tells it; nil unless there are eight dimensions of finite numbers.
    public init?(vector: [Double], height: Double, error: Double, adjustment: Double) {
        guard vector.count == 8 else { return nil }
        self.vector = SIMD8(vector)
        self.height = height
        self.error = error
        self.adjustment = adjustment
        guard isValid else { return nil }
    }

    var isValid: Bool {
        error.isFinite && adjustment.isFinite && height.isFinite && vector.indices.allSatisfy { vector[$0].isFinite }
    }

    static func length(_ vector: SIMD8<Double>) -> Double { (vector * vector).sum().squareRoot() }

    func rawDistance(to other: Coordinate) -> Double {
        Self.length(vector - other.vector) + height + other.height
    }

    /// The estimated round trip between two nodes, seconds.
    public func distance(to other: Coordinate) -> Double {
        let raw = rawDistance(to: other)
        let adjusted = raw + adjustment + other.adjustment
        return adjusted > 0 ? adjusted : raw
    }

    /// Reads the payload of an ack: version byte, then the coordinate.
    init?(ackPayload: [UInt8]) {
        guard ackPayload.first == Self.version else { return nil }
        self.init()
        var reader = MessagePackReader(ackPayload, 1..<ackPayload.count)
        do throws(WireFault) {
            var axes = 0
            for _ in 0..<(try reader.mapCount()) {
                switch try reader.key() {
                case "Adjustment": adjustment = try reader.double()
                case "Error": error = try reader.double()
                case "Height": height = try reader.double()
                case "Vec":
                    axes = try reader.arrayCount()
                    guard axes == vector.scalarCount else { return nil }
                    for axis in 0..<axes { vector[axis] = try reader.double() }
                default: try reader.skip()
                }
            }
            guard axes == vector.scalarCount, isValid else { return nil }
        } catch {
            return nil
        }
    }

    /// The payload of an ack.
    var ackPayload: [UInt8] {
        var writer = MessagePackWriter(reserving: 136)
        writer.byte(Self.version)
        writer.map(4)
        writer.string("Adjustment")
        writer.double(adjustment)
        writer.string("Error")
        writer.double(error)
        writer.string("Height")
        writer.double(height)
        writer.string("Vec")
        writer.array(vector.scalarCount)
        for axis in vector.indices { writer.double(vector[axis]) }
        return writer.bytes
    }
}
