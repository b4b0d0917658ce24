internal import System

extension RouteSession {
    private func perform(_ request: TrafficRequest) throws(NetlinkError) {
        do {
            try session.change { $0.append(request) }
        } catch {
            throw NetlinkError(error, request.operation, request.subject)
        }
    }

    /// The discipline at a position, one request whatever other links there are; nil when there is none.
    public func discipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) -> QueueDiscipline? {
        do {
            return try session.dump {
                $0.appendGetDiscipline(position, link: link)
            } decode: { _, payload, disciplines in
                guard let discipline = QueueDiscipline(payload) else { return false }
                disciplines.append(discipline)
                return true
            }.first
        } catch {
            // EINVAL is the answer about a discipline the kernel keeps to itself: noop, on a link that was never up.
            if error.errno == .noSuchFileOrDirectory || error.errno == .invalidArgument { return nil }
            throw NetlinkError(error, "read qdisc", "on link \(link)")
        }
    }

    /// Puts a token bucket filter at the root of a link.
    public func addTokenBucket(_ bucket: TokenBucket, handle: UInt16, link: Int32) throws(NetlinkError) {
        try perform(.addTokenBucket(bucket, handle: handle, link: link))
    }

    /// Puts the ingress discipline on a link.
    public func addIngress(link: Int32) throws(NetlinkError) { try perform(.addIngress(link: link)) }

    /// Removes a discipline with its filters.
    public func removeDiscipline(_ position: DisciplinePosition, link: Int32) throws(NetlinkError) {
        try perform(.removeDiscipline(position, link: link))
    }

    /// Sends all that comes in by a link to another.
    public func addRedirect(from link: Int32, to target: Int32) throws(NetlinkError) {
        try perform(.addRedirect(from: link, to: target))
    }

    /// The filters of a link's ingress discipline.
    public func ingressFilters(link: Int32) throws(NetlinkError) -> [TrafficFilter] {
        do {
            return try session.dump {
                $0.appendDumpFilters(link: link)
            } decode: { _, payload, filters in
                TrafficFilter.read(payload, into: &filters)
            }
        } catch {
            throw NetlinkError(error, "list filters", "on link \(link)")
        }
    }
}
