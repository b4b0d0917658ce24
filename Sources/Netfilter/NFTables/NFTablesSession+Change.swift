internal import System

extension NFTablesSession {
    /// How often a change that others got in the way of is worked out anew.
    public static let changeAttempts = 200

    /// Changes the ruleset by what was read of it: reads its generation, lets `plan` read and work out commands, and
    /// commits them for that generation. Should anybody have changed anything meanwhile, all of it is done again.
    ///
    /// There is no lock. Whatever changes our tables after looking at them does it by this function.
    ///
    /// - Parameter plan: what is to be done; empty when nothing is, and then nothing is sent.
    /// - Throws: what `plan` throws; the kernel's refusal, which names its command; the last refusal after
    ///   ``changeAttempts``.
    public func change(_ plan: () throws(NetfilterError) -> [TableCommand]) throws(NetfilterError) {
        for attempt in 1... {
            let generation = try generation()
            do {
                return try commit(plan(), generation: generation)
            } catch {
                guard attempt < Self.changeAttempts, try isPassing(error, since: generation) else { throw error }
            }
        }
    }

    /// Whether another try may succeed: the ruleset has changed while it was read or before it was written. What is refused
    /// of a ruleset that has not changed would be refused again.
    private func isPassing(_ error: NetfilterError, since generation: UInt32) throws(NetfilterError) -> Bool {
        switch error.errno {
        // ERESTART: the ruleset is of another generation. EINTR or EAGAIN: it changed while being read.
        case Self.restart, .interrupted, .resourceTemporarilyUnavailable: true
        case .noSuchFileOrDirectory, .fileExists, .resourceBusy: try self.generation() != generation
        default: false
        }
    }

    /// `ERESTART`, which the kernel does not show to programs but for this.
    private static let restart = Errno(rawValue: 85)
}
