internal import Netlink
internal import System

extension StepError {
    /// The kernel has no links of kind ifb.
    static let noRedirection = StepError.kernelLacks(option: "CONFIG_IFB", purpose: "egressRate, egressBurst")
}

extension StepExecutor {
    /// Applies one of the steps that hold a link to a rate.
    func shape(_ step: Step) throws -> Undo? {
        switch step {
        case .addTokenBucket(let bucket, let name, let place):
            let (index, stack) = (try link(name, place).index, try stack(place))
            try explaining("CONFIG_NET_SCH_TBF", "a rate and its burst") { () throws(NetlinkError) in
                try stack.addTokenBucket(bucket, handle: Step.tokenBucketHandle, link: index)
            }
            return undo(name, place) { try $0.removeDiscipline(.root, link: index) }
        case .addIngress(let name, let place):
            let (index, stack) = (try link(name, place).index, try stack(place))
            try explaining("CONFIG_NET_SCH_INGRESS", "egressRate, egressBurst") { () throws(NetlinkError) in
                try stack.addIngress(link: index)
            }
            return undo(name, place) { try $0.removeDiscipline(.ingress, link: index) }
        case .redirect(let name, let target, let place):
            let (index, other) = (try link(name, place).index, try link(target, place).index)
            let stack = try stack(place)
            let options = "CONFIG_NET_CLS_U32 or CONFIG_NET_ACT_MIRRED"
            try explaining(options, "egressRate, egressBurst") { () throws(NetlinkError) in
                try stack.addRedirect(from: index, to: other)
            }
            return nil
        default: return nil
        }
    }

    /// The kernel says `ENOENT` of a discipline, classifier or action it does not know.
    private func explaining(_ option: String, _ purpose: String, _ body: () throws(NetlinkError) -> Void) throws {
        do {
            try body()
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            throw StepError.kernelLacks(option: option, purpose: purpose)
        }
    }
}
