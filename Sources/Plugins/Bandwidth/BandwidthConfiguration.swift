internal import CNI
internal import JSON
internal import Netlink

/// The `bandwidth` plugin's configuration: what the container may receive and send.
struct BandwidthConfiguration: Equatable, Sendable {
    /// One direction's limit.
    struct Limit: Equatable, Sendable {
        /// Bits a second, at least 8.
        var rate: UInt64
        /// Bits at once, at least 8 and less than 8 × (2³² − 1).
        var burst: UInt64

        /// The limit as the kernel's filter: whole bytes, none of which waits longer than 25 ms.
        var bucket: TokenBucket { TokenBucket(rate: rate / 8, burst: UInt32(clamping: burst / 8), latency: 25_000) }
    }

    /// `ingressRate`, `ingressBurst`: what the container receives.
    var ingress: Limit?
    /// `egressRate`, `egressBurst`: what the container sends.
    var egress: Limit?
    /// Whether the runtime may pass limits with an ADD (`capabilities.bandwidth`).
    var isCapable = false

    /// Whether there is nothing to limit.
    var isEmpty: Bool { ingress == nil && egress == nil }
}

extension BandwidthConfiguration {
    private static let keys = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"]

    /// Decodes the request's configuration: the keys at the top when any of them is there, else `runtimeConfig.bandwidth`.
    ///
    /// - Throws: ``DecodingError`` with the JSON path, in the reference plugin's words.
    init(_ request: Request) throws(DecodingError) {
        let root = request.configuration.root
        var source = try request.configuration.runtimeConfig.member("bandwidth")
        for key in Self.keys where try root.member(key).isPresent { source = root }
        ingress = try Self.limit(source.member("ingressRate"), source.member("ingressBurst"))
        egress = try Self.limit(source.member("egressRate"), source.member("egressBurst"))
        // Runtimes leave their own object in; whatever its type, it is not ours to refuse.
        isCapable = (try? root.member("capabilities").member("bandwidth").bool()) ?? false
    }

    private static func limit(_ rateKey: Reader, _ burstKey: Reader) throws(DecodingError) -> Limit? {
        let (rate, burst) = (try bits(rateKey), try bits(burstKey))
        if rate == 0, burst == 0 { return nil }
        if burst == 0 { throw burstKey.error("if rate is set, burst must also be set", verbatim: true) }
        if rate == 0 { throw rateKey.error("if burst is set, rate must also be set", verbatim: true) }
        guard rate >= 8 else { throw rateKey.error("must be at least 8 bits a second, not \(rate)") }
        guard burst >= 8 else { throw burstKey.error("must be at least 8 bits, not \(burst)") }
        guard burst / 8 < UInt64(UInt32.max) else {
            throw burstKey.error("burst cannot be more than 4GB", verbatim: true)
        }
        return Limit(rate: rate, burst: burst)
    }

    private static func bits(_ key: Reader) throws(DecodingError) -> UInt64 {
        let number = try key.integer() ?? 0
        guard let bits = UInt64(exactly: number) else { throw key.error("must not be negative, is \(number)") }
        return bits
    }
}
