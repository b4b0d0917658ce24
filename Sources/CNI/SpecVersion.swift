// swift-format-ignore: AlwaysUseLowerCamelCase
/// A version of the CNI specification that the suite speaks.
public enum SpecVersion: String, CaseIterable, Sendable {
    /// The first version, and what a configuration without `cniVersion` means.
    case v0_1_0 = "0.1.0"
    /// VERSION.
    case v0_2_0 = "0.2.0"
    /// Lists of interfaces and addresses in results.
    case v0_3_0 = "0.3.0"
    /// The same with a corrected text.
    case v0_3_1 = "0.3.1"
    /// CHECK, and `prevResult` on DEL.
    case v0_4_0 = "0.4.0"
    /// No `version` with addresses.
    case v1_0_0 = "1.0.0"
    /// GC and STATUS; more about interfaces and routes.
    case v1_1_0 = "1.1.0"

    /// The newest version, which VERSION answers with.
    public static let newest = SpecVersion.v1_1_0
}

extension SpecVersion {
    /// Whether results have lists of interfaces and addresses; before, one address of each family.
    var hasLists: Bool { self >= .v0_3_0 }
}

extension SpecVersion: Comparable {
    /// Order of publication.
    public static func < (left: Self, right: Self) -> Bool {
        left.number < right.number
    }

    private var number: Int {
        switch self {
        case .v0_1_0: 10
        case .v0_2_0: 20
        case .v0_3_0: 30
        case .v0_3_1: 31
        case .v0_4_0: 40
        case .v1_0_0: 100
        case .v1_1_0: 110
        }
    }
}

/// Any "major.minor.micro", known to us or not: CHECK, GC and STATUS compare versions before they ask for a known one.
struct VersionNumber: Comparable {
    let major: Int
    let minor: Int
    let micro: Int

    /// Reads one to three decimal parts; absent ones are zero. Errors are code 6 in the reference library's words.
    init(parsing text: String) throws(CNIError) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map {
            String(Substring($0))
        }
        guard parts.count < 4 else {
            throw CNIError(CNIError.Code.decoding, "invalid version \(text.quoted): too many parts")
        }
        var numbers = [0, 0, 0]
        for (index, part) in parts.enumerated() {
            guard let number = Int(part) else {
                let name = ["major", "minor", "micro"][index]
                throw CNIError(
                    CNIError.Code.decoding,
                    "failed to convert \(name) version part \(part.quoted): not a number")
            }
            numbers[index] = number
        }
        (major, minor, micro) = (numbers[0], numbers[1], numbers[2])
    }

    init(_ version: SpecVersion) {
        // The raw values of the enumeration are all well formed.
        let parts = version.rawValue.utf8.split(separator: UInt8(ascii: ".")).compactMap { Int(Substring($0)) }
        (major, minor, micro) = (parts[0], parts[1], parts[2])
    }

    static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.micro) < (right.major, right.minor, right.micro)
    }
}
