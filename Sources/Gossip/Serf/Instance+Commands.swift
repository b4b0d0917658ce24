extension Instance {
    mutating func carryOut(_ command: Command) {
        switch command {
        case .join(let peers): join(peers)
        case .leave: leave()
        case .forceLeave(let node, let prune): forceLeave(node, prune: prune)
        case .setTags(let tags): setTags(tags)
        case .userEvent(let name, let payload, let coalesce):
            sendEvent(name: name, payload: payload, coalesce: coalesce)
        case .query(let request): ask(request, isKeyOperation: false)
        case .respond(let id, let payload): respond(to: id, payload: payload)
        case .keys(let operation, let token): ask(operation, token: token)
        }
    }

    private mutating func setTags(_ tags: [String: String]) {
        let meta = Tags.encode(tags)
        guard meta.count <= Tags.limit else {
            return notice(.refused("tags take \(meta.count) bytes, the limit is \(Tags.limit)"))
        }
        guard let me = table[own], me.meta != meta else { return }
        guard me.incarnation < .max else { return implausible(name) }
        _ = table.update(own) { $0.meta = meta }
        announceSelf(incarnation: me.incarnation + 1)
        if let record = table[own] { directives.append(.member(.updated, Member(record))) }
    }

    private mutating func sendEvent(name: String, payload: [UInt8], coalesce: Bool) {
        let size = name.utf8.count + payload.count
        guard size <= settings.userEventLimit else {
            return notice(.refused("user event takes \(size) bytes, the limit is \(settings.userEventLimit)"))
        }
        let event = UserEventMessage(
            time: eventClock.time, name: name, payload: payload.isEmpty ? nil : payload, coalesce: coalesce)
        eventClock.increment()
        _ = take(event)
        gossipEvent([MessageType.user.rawValue] + event.encode())
    }

    /// A user event. True when it is new.
    mutating func take(_ event: UserEventMessage) -> Bool {
        guard eventClock.isPlausible(event.time) else {
            implausible(event.name)
            return false
        }
        eventClock.witness(event.time)
        guard eventRing.insert(event, time: eventClock.time) else {
            count(.duplicateEvents)
            return false
        }
        directives.append(
            .userEvent(
                UserEvent(
                    time: event.time, name: event.name, payload: event.payload ?? [], coalesce: event.coalesce)))
        return true
    }
}
