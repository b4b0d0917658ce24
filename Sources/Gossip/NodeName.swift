/// The rules for node names.
public enum NodeName {
    /// The longest name, in bytes.
    public static let limit = 128

    /// Whether a node of ours may have this name: 1 to 128 letters, digits, `-` or `.`, as serf's own check.
    public static func isValid(_ name: String) -> Bool {
        (1...limit).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E: true
                default: false
                }
            }
    }

    /// Whether a name from the network is taken: 1 to 128 bytes without control characters. Stock agents do not check
    /// their names by default, so this is laxer than `isValid`.
    static func isAcceptable(_ name: String) -> Bool {
        (1...limit).contains(name.utf8.count) && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
