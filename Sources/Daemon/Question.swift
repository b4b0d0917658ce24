internal import Gossip

/// A query or key operation of ours while answers are taken.
struct Question {
    /// Who acknowledged it.
    var acks: [String] = []
    /// What was answered to a query.
    var answers: [(node: String, payload: [UInt8])] = []
    /// What was answered to a key operation.
    var keyAnswers: [(node: String, response: KeyResponse)] = []
    /// How many answers end it before its time; nil for a query, which takes all the answers that come.
    var expected: Int?
    /// Called once.
    let finished: @Sendable (Question) -> Void
}

extension Node {
    /// Asks the cluster. When the engine refuses, the reason is returned and `finished` is not called.
    func ask(_ request: QueryRequest, finished: @escaping @Sendable (Question) -> Void) -> String? {
        var request = request
        request.token = number()
        questions[request.token] = Question(finished: finished)
        return start(.query(request), request.token)
    }

    /// Changes or lists the keys of all nodes.
    func ask(_ operation: KeyOperation, finished: @escaping @Sendable (Question) -> Void) -> String? {
        let token = number()
        let alive = instance.members.count { $0.status == .alive }
        questions[token] = Question(expected: alive, finished: finished)
        return start(.keys(operation, token: token), token)
    }

    private func start(_ command: Command, _ token: UInt64) -> String? {
        let refusal = order(command)
        if refusal != nil { questions[token] = nil }
        return refusal
    }

    func answered(_ token: UInt64, _ node: String, _ response: KeyResponse) {
        questions[token]?.keyAnswers.append((node, response))
        if let question = questions[token], let expected = question.expected, question.keyAnswers.count >= expected {
            finish(token)
        }
    }

    func finish(_ token: UInt64) {
        guard let question = questions.removeValue(forKey: token) else { return }
        question.finished(question)
    }
}
