/// The name of a kernel parameter as a configuration spells it, with dots or slashes.
struct SysctlKey: Equatable, Sendable {
    /// As spelt, for messages.
    let text: String
    /// As a path under `/proc/sys`, beginning with "net/"; `IFNAME` not yet replaced.
    private let template: String

    /// What stands for the interface's name, once.
    static let placeholder = "IFNAME"

    /// Reads a key as sysctl(8) does: the separator that comes first is the separator; with dots, a slash stands for a dot
    /// inside a name ("net.ipv4.conf.eth0/100.arp_notify").
    ///
    /// - Returns: nil for a key outside `net/`, or with empty, "." or ".." parts.
    init?(_ text: String) {
        var bytes = Array(text.utf8)
        let (dot, slash) = (UInt8(ascii: "."), UInt8(ascii: "/"))
        if bytes.first(where: { $0 == dot || $0 == slash }) == dot {
            bytes = bytes.map { $0 == dot ? slash : $0 == slash ? dot : $0 }
        }
        let parts = bytes.split(separator: slash, omittingEmptySubsequences: false)
        let isSound = parts.allSatisfy { part in
            !part.isEmpty && !part.elementsEqual([dot]) && !part.elementsEqual([dot, dot]) && !part.contains(0)
        }
        guard isSound, parts.count > 1, parts[0].elementsEqual("net".utf8) else { return nil }
        self.text = text
        template = String(decoding: bytes, as: UTF8.self)
    }

    /// The path under `/proc/sys` for an interface: the first `IFNAME` replaced. An interface's name has no slashes and is
    /// neither "." nor "..", so the path stays where it is.
    func path(interface: String) -> String {
        let (pattern, bytes) = (Array(Self.placeholder.utf8), Array(template.utf8))
        for start in bytes.indices where bytes[start...].starts(with: pattern) {
            let rest = bytes[(start + pattern.count)...]
            return String(decoding: Array(bytes[..<start]) + Array(interface.utf8) + Array(rest), as: UTF8.self)
        }
        return template
    }
}
