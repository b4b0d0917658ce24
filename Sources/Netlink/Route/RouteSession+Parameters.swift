public import NetworkTypes
public import System

extension RouteSession {
    /// Whether packets of a family are forwarded between the namespace's links. Equivalent: `ip netconf show`, of `all`.
    ///
    /// The same as the parameters `net/ipv4/ip_forward` and `net/ipv6/conf/all/forwarding`, without looking a file up that
    /// every namespace has one of.
    public func forwards(_ family: AddressFamily) throws(NetlinkError) -> Bool {
        do {
            return try session.query {
                $0.appendGetConfiguration(family)
            } decode: { _, payload in
                readForwarding(payload)
            }
        } catch {
            throw NetlinkError(error, "read forwarding of", "\(family)")
        }
    }

    /// Reads a kernel parameter in the session's namespace. Equivalent: `sysctl -n`.
    public func parameter(_ key: String) throws(SystemError) -> String {
        try inside { () throws(SystemError) in try Sysctl.read(key) }
    }

    /// Writes a kernel parameter in the session's namespace unless it has the value. Equivalent: `sysctl -w`.
    public func setParameter(_ key: String, _ value: String) throws(SystemError) {
        _ = try exchangeParameters([(key, value)], passingOverFailures: false)
    }

    /// Writes several parameters in order, with one thread at most; all or none, or with `passingOverFailures` what can
    /// be written.
    public func exchangeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool)
        throws(SystemError) -> [(key: String, value: String)]
    {
        if parameters.isEmpty { return [] }
        return try inside { () throws(SystemError) in
            var replaced: [(key: String, value: String)] = []
            for (key, value) in parameters {
                do throws(SystemError) {
                    if let old = try Sysctl.write(key, value) { replaced.append((key, old)) }
                } catch {
                    if passingOverFailures { continue }
                    for (key, old) in replaced.reversed() { _ = try? Sysctl.write(key, old) }
                    throw error
                }
            }
            return replaced
        }
    }

    /// Writes several parameters in order, with one thread at most, without looking at the values they have.
    public func writeParameters(_ parameters: [(key: String, value: String)], passingOverFailures: Bool)
        throws(SystemError)
    {
        if parameters.isEmpty { return }
        try inside { () throws(SystemError) in
            for (key, value) in parameters {
                do throws(SystemError) {
                    try Sysctl.overwrite(key, value)
                } catch {
                    if !passingOverFailures { throw error }
                }
            }
        }
    }

    /// Runs `body` in the session's namespace: `/proc/sys/net` shows the reading thread's.
    private func inside<Value: Sendable>(_ body: @Sendable () throws(SystemError) -> Value) throws(SystemError) -> Value
    {
        do {
            if let value = try namespace?.run(body) { return value }
            return try body()
        } catch let error as SystemError {
            throw error
        } catch {
            throw SystemError("enter", "namespace", .inputOutput)
        }
    }
}
