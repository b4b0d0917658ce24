import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

extension Simulator {
    // MARK: Invariants

    func breach(_ text: String) {
        breaches.append("seed \(seed), \(Double(now) / 1e9) s: \(text)")
    }

    func note(_ change: MemberChange, _ member: Member, _ number: Int) {
        let observer = hosts[number]
        happenings.append(Happening(time: now, observer: observer.name, subject: member.name, change: change))
        guard let subject = hosts.first(where: { $0.name == member.name }) else { return }
        let isQuiet = !isCut && (lastTrouble.map { now - $0 > .seconds(60) } ?? true)
        if change == .failed, isQuiet, faults.loss == 0, !attacked.contains(member.name) {
            // Nothing was lost for a minute, so only those that are really gone may fail.
            if subject.isRunning, !subject.isLeaving, now - subject.startedAt > .seconds(60) {
                breach("\(observer.name) sees \(member.name) failed, which runs")
            }
            if subject.isLeaving { breach("\(observer.name) sees \(member.name) failed, which left") }
        }
        if change == .left, !forced.contains(member.name) {
            breach("\(observer.name) sees \(member.name) left, which did not")
        }
    }

    func check(_ number: Int) {
        let host = hosts[number]
        guard let me = host.engine?.instance.standing else { return }
        guard me.isListed else { return breach("\(host.name) does not list itself") }
        if !host.isLeaving, me.status != .alive { breach("\(host.name) holds itself for \(me.status)") }
        if me.incarnation < host.incarnation {
            breach("\(host.name) went back from incarnation \(host.incarnation) to \(me.incarnation)")
        }
        host.incarnation = me.incarnation
    }

    /// What is not as it should be: every running node lists every running node alive, and nobody else.
    func disagreement() -> String? {
        for observer in running where !observer.isLeaving {
            guard let instance = observer.instance else { continue }
            let members = Dictionary(instance.members.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
            for subject in hosts {
                let status = members[subject.name]?.status
                if subject.isRunning, !subject.isLeaving {
                    if status != .alive {
                        return "\(observer.name) has \(subject.name) as \(status.map { "\($0)" } ?? "unknown")"
                    }
                    if members[subject.name]?.suspectedBy.isEmpty == false { return "\(subject.name) is suspected" }
                    if members[subject.name]?.endpoint != subject.endpoint {
                        return "\(observer.name) has an old address of \(subject.name)"
                    }
                } else if status == .alive || status == .leaving {
                    return "\(observer.name) has \(subject.name) as \(status.map { "\($0)" } ?? ""), which is gone"
                }
            }
        }
        return nil
    }

    /// A number of everything that happened, to compare runs.
    var digest: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for item in happenings {
            for byte in "\(item.time) \(item.observer) \(item.subject) \(item.change)".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
            }
        }
        return hash
    }

    /// When each running observer saw the change, since `start`.
    func times(of change: MemberChange, _ subject: String, since start: Nanoseconds) -> [String: Nanoseconds] {
        var times: [String: Nanoseconds] = [:]
        for item in happenings where item.subject == subject && item.change == change && item.time >= start {
            if times[item.observer] == nil { times[item.observer] = item.time - start }
        }
        return times
    }
}

extension Instance {
    /// What a node holds itself for.
    fileprivate var standing: (isListed: Bool, status: MemberStatus, incarnation: UInt32) {
        guard let me = table[own] else { return (false, .left, 0) }
        return (me.isListed, me.status, me.incarnation)
    }
}
