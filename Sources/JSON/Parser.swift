internal import CJansson

/// Text that is not JSON, or is more than we take.
public struct SyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, in jansson's words.
    public let reason: String
    /// Line of the error, from 1; 0 when it is not about a place.
    public let line: Int
    /// Column of the error.
    public let column: Int

    /// For example "'}' expected near end of file at line 1 column 8".
    public var description: String { line > 0 ? "\(reason) at line \(line) column \(column)" : reason }
}

extension Value {
    /// Parses one JSON text (RFC 8259), nothing but white space after it.
    ///
    /// A repeated key keeps its last value. Numbers without fraction must fit 64 bits; nesting deeper than jansson's
    /// 2048 levels is an error.
    /// - Throws: ``SyntaxError`` with the place.
    public init(parsing bytes: [UInt8]) throws(SyntaxError) {
        var error = json_error_t()
        let root = unsafe bytes.withUnsafeBytes { raw in
            unsafe json_loadb(
                raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count,
                Int(JSON_DECODE_ANY | JSON_ALLOW_NUL), &error)
        }
        guard let root = unsafe root else {
            let text = unsafe withUnsafePointer(to: &error.text) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: Int(JSON_ERROR_TEXT_LENGTH)) {
                    unsafe String(cString: $0)
                }
            }
            throw SyntaxError(reason: text, line: max(0, Int(error.line)), column: max(0, Int(error.column)))
        }
        defer { unsafe json_decref(root) }
        self = unsafe Value(converting: root)
    }

    private init(converting node: UnsafeMutablePointer<json_t>) {
        switch unsafe node.pointee.type {
        case JSON_OBJECT:
            var members: [Object.Member] = []
            unsafe members.reserveCapacity(json_object_size(node))
            var iterator = unsafe json_object_iter(node)
            while let position = unsafe iterator {
                if let key = unsafe json_object_iter_key(position), let value = unsafe json_object_iter_value(position)
                {
                    let name = unsafe String(
                        decoding: UnsafeRawBufferPointer(start: key, count: json_object_iter_key_len(position)),
                        as: UTF8.self)
                    unsafe members.append(Object.Member(key: name, value: Value(converting: value)))
                }
                unsafe iterator = json_object_iter_next(node, position)
            }
            self = .object(Object(distinct: members))
        case JSON_ARRAY:
            var elements: [Value] = []
            let count = unsafe json_array_size(node)
            elements.reserveCapacity(count)
            for index in 0..<count {
                if let element = unsafe json_array_get(node, index) {
                    unsafe elements.append(Value(converting: element))
                }
            }
            self = .array(elements)
        case JSON_STRING:
            guard let text = unsafe json_string_value(node) else {
                self = .string("")
                return
            }
            self = unsafe .string(
                String(
                    decoding: UnsafeRawBufferPointer(start: text, count: json_string_length(node)), as: UTF8.self))
        case JSON_INTEGER: self = unsafe .integer(json_integer_value(node))
        case JSON_REAL: self = unsafe .real(json_real_value(node))
        case JSON_TRUE: self = .bool(true)
        case JSON_FALSE: self = .bool(false)
        default: self = .null
        }
    }
}
