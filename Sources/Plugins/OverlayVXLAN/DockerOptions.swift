internal import JSON

/// `options`: what `docker network create --opt` takes, where it means something to a network of this kind. Values are
/// texts, as Docker stores them; options of Docker's other drivers are passed over.
struct DockerOptions {
    /// `com.docker.network.driver.mtu`.
    var mtu: UInt32?
    /// `com.docker.network.driver.overlay.vxlanid_list`.
    var vni: UInt32?
    /// `com.docker.network.internal`.
    var isInternal = false

    init(_ options: Reader) throws(DecodingError) {
        mtu = try OverlayConfiguration.mtu(options.number("com.docker.network.driver.mtu"))
        isInternal = try options.flag("com.docker.network.internal")
        if try options.flag("encrypted") {
            // Docker sends in the clear when it cannot encrypt; nobody who asks for it wants that.
            throw try options.member("encrypted").error(
                "frames are not encrypted; leave the option out, or encrypt the underlay", kind: .unsupported)
        }
        let list = try options.member("com.docker.network.driver.overlay.vxlanid_list")
        guard let text = try list.string(), !text.isEmpty else { return }
        let numbers = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map {
            Int64(String(Substring($0)))
        }
        guard numbers.count == 1 else {
            throw list.error("a network has one VNI for all its subnets; give one number", kind: .unsupported)
        }
        guard let number = numbers[0], (1..<1 << 24).contains(number) else {
            throw list.error("\"\(text)\" is not a number between 1 and 16777215")
        }
        vni = UInt32(number)
    }
}

extension Reader {
    /// A number that may be written as a text.
    fileprivate func number(_ key: String) throws(DecodingError) -> Reader {
        let place = try member(key)
        guard case .string(let text)? = place.value else { return place }
        guard let number = Int64(text) else { throw place.error("\"\(text)\" is not a number") }
        return Reader(.integer(number), path: place.path)
    }

    /// A flag that may be written as a text; an empty one is true, as in Docker's `--opt encrypted`.
    fileprivate func flag(_ key: String) throws(DecodingError) -> Bool {
        let place = try member(key)
        guard case .string(let text)? = place.value else { return try place.bool() ?? false }
        switch text {
        case "", "true", "1": return true
        case "false", "0": return false
        default: throw place.error("\"\(text)\" is neither true nor false")
        }
    }
}
