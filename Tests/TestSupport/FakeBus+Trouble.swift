internal import DBus

extension FakeBus {
    /// What can be the matter with a bus that is there.
    package enum Trouble: String, CaseIterable, Sendable {
        /// It does not believe who we are.
        case refuses
        /// It accepts connections and says nothing.
        case hangs
        /// It says nothing after the first answer.
        case hangsAfterHello
        /// Its policy lets nobody speak to firewalld.
        case denies
    }

    /// A bus with firewalld on it that cannot be asked.
    package convenience init(_ trouble: Trouble) throws {
        let good = FakeFirewalld.answers()
        var behaviour = Behaviour(answer: good)
        switch trouble {
        case .refuses: behaviour.greeting = "REJECTED EXTERNAL\r\n"
        case .hangs:
            behaviour.limit = 0
            behaviour.stalls = true
        case .hangsAfterHello: behaviour.answer = { $0.member == "Hello" ? good($0) : [] }
        case .denies:
            behaviour.answer = { call in
                guard call.interface?.hasPrefix("org.fedoraproject") == true else { return good(call) }
                let error = FakeBus.error("org.freedesktop.DBus.Error.AccessDenied", "Rejected send message", to: call)
                return error.map { [$0] } ?? []
            }
        }
        try self.init(behaviour)
    }
}
