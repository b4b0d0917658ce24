internal import CLinux

/// The process's environment, read once at the edge and passed inwards as a value.
public struct Environment: Equatable, Sendable {
    /// Variables in order; a name may be empty in a malformed environment.
    public var variables: [(name: String, value: String)] {
        storage.map { ($0.name, $0.value) }
    }

    private struct Variable: Equatable, Sendable {
        var name: String
        var value: String
    }

    private var storage: [Variable]

    /// An environment made of pairs, for tests and for children.
    public init(_ variables: [(String, String)] = []) {
        storage = variables.map { Variable(name: $0.0, value: $0.1) }
    }

    /// The process's own environment.
    public static func current() -> Environment {
        var environment = Environment()
        var cursor = unsafe swiftlet_environ()
        while let pointer = unsafe cursor, let entry = unsafe pointer.pointee {
            // By bytes: as a Character, "=" and a combining mark after it would be one and no separator.
            if let equals = unsafe strchr(entry, Int32(UInt8(ascii: "="))) {
                let name = unsafe UnsafeRawBufferPointer(start: entry, count: equals - entry)
                environment.storage.append(
                    unsafe Variable(name: String(decoding: name, as: UTF8.self), value: String(cString: equals + 1)))
            }
            unsafe cursor = unsafe pointer.advanced(by: 1)
        }
        return environment
    }

    /// The first value of `name`; setting replaces every occurrence, nil removes them.
    public subscript(name: String) -> String? {
        get { storage.first { $0.name == name }?.value }
        set {
            storage.removeAll { $0.name == name }
            if let newValue { storage.append(Variable(name: name, value: newValue)) }
        }
    }
}
