public import Attachment
public import Netlink
internal import System

extension KernelHost {
    /// Makes the parts of traffic shaping in a namespace of its own and looks which the kernel refuses.
    public func shapingGap(redirects: Bool) throws -> StepError? {
        try onThread {
            try NetworkNamespace.enterNew()
            return try Self.shapingGap(redirects: redirects, RouteSession())
        }
    }

    /// The same in a stack that may be spoiled.
    public static func shapingGap(redirects: Bool, _ stack: any NetworkStack) throws -> StepError? {
        let bucket = TokenBucket(rate: 1_000_000, burst: 100_000, latency: 25_000)
        var steps: [Step] = [
            .createLink(LinkSpec(name: "probe0", kind: .veth(peer: .init(name: "probe1"))), .host),
            .addTokenBucket(bucket, link: "probe0"),
        ]
        if redirects {
            steps += [
                .createLink(LinkSpec(name: "probe2", kind: .ifb), .host), .addIngress(link: "probe0"),
                .redirect(from: "probe0", to: "probe2"),
            ]
        }
        let executor = StepExecutor(host: stack)
        do {
            for step in steps { _ = try executor.apply(step) }
            return nil
        } catch let error as StepError {
            guard case .kernelLacks = error else { throw error }
            return error
        }
    }
}
