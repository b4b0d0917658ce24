import NetworkTypes
import Synchronization
import System
import Testing

@testable import IPAM

/// Ends this process at once, as the kernel's out-of-memory killer would.
private func die() {
    _ = try? Spawn.run("/bin/sh", arguments: ["sh", "-c", "kill -9 $PPID"], environment: Environment())
}

private let ipam = #"{"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "2001:db8::/64"}]]}"#

@Suite("Crashes and concurrency")
struct CrashTests {
    @Test(
        "killed at any step of any command, nothing is leaked, torn or handed out twice",
        arguments: [
            ("ADD", Checkpoint.locked), ("ADD", .opened), ("ADD", .dirty), ("ADD", .pointerWritten), ("ADD", .reserved),
            ("ADD", .indexed), ("ADD", .stamped), ("ADD", .finished), ("DEL", .dirty), ("DEL", .removed),
            ("DEL", .indexed), ("DEL", .stamped), ("GC", .dirty), ("GC", .removed), ("GC", .stamped),
        ])
    func killed(command: String, step: Checkpoint) async throws {
        let scratch = try Scratch()
        let host = scratch.host()
        let parsed = try configuration(ipam)
        for id in ["before", "victim", "other"] { _ = try host.allocate(parsed, for: owner(id)) }
        await #expect(processExitsWith: .signal(9)) {
            [path = scratch.path as String, command = command as String, step = step.rawValue as String] in
            let host = HostLocal(network: "net", dataDirectory: path) { if $0.rawValue == step { die() } }
            switch command {
            case "ADD": _ = try host.allocate(configuration(ipam), for: owner("new"))
            case "DEL": try host.release(owner("victim"))
            default: try host.collectGarbage(valid: [owner("before")])
            }
        }
        // Every file there is is whole.
        let whole = ["before", "victim", "other", "new"].map { $0 + "\r\neth0" }
        for (name, content) in try scratch.reservations() where !name.hasPrefix(".") {
            #expect(whole.contains(content))
        }
        // What was there and not to be removed still is.
        try host.check(owner("before"))
        // The runtime's answer to a failed command: DEL, or the same once more.
        try host.release(owner("new"))
        try host.release(owner("victim"))
        try host.collectGarbage(valid: [owner("before"), owner("other")])
        let rest = Set(try scratch.reservations().values)
        // A GC that was killed may have got to "other", which it was not told is valid.
        let both: Set = ["before\r\neth0", "other\r\neth0"]
        #expect(rest == both || (command == "GC" && rest == ["before\r\neth0"]))
        #expect(try !Files.list("\(scratch.path)/net").contains { $0.hasPrefix(".") })
        let held = try scratch.reservations().count
        let next = try host.allocate(parsed, for: owner("next")).texts
        #expect(next.count == 2)
        let expected = held + 2
        #expect(try scratch.reservations().count == expected)
    }

    @Test(
        "somebody who writes without the lock is noticed; what was reserved already is taken back", arguments: [1, 9])
    func unlocked(intrusions: Int) throws {
        let scratch = try Scratch()
        let parsed = try configuration(ipam)
        let count = Mutex(0)
        let host = HostLocal(network: "net", dataDirectory: scratch.path) { [path = scratch.path] step in
            // Between the reservation of the first set and that of the second.
            guard step == .reserved else { return }
            let turn = count.withLock { (turn: inout Int) -> Int in
                turn += 1
                return turn
            }
            if turn > intrusions { return }
            _ = try? AtomicFile.create("\(path)/net/2001:db8::\(turn + 1)", with: Array("intruder\r\neth0".utf8))
        }
        if intrusions == 1 {
            #expect(try host.allocate(parsed, for: owner("a")).texts == ["10.0.0.3/24", "2001:db8::3/64"])
        } else {
            #expect(throws: IPAMError.self) { try host.allocate(parsed, for: owner("a")) }
        }
        let mine = try scratch.reservations().filter { $0.value == "a\r\neth0" }
        #expect(mine.keys.sorted() == (intrusions == 1 ? ["10.0.0.3", "2001:db8::3"] : []))
        #expect(try scratch.reservations()["2001:db8::2"] == "intruder\r\neth0")
    }

    @Test("threads at once never get an address twice")
    func threads() async throws {
        let scratch = try Scratch()
        let parsed = try configuration(ipam)
        let addresses = try await withThrowingTaskGroup(of: [String].self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var kept: [String] = []
                    for number in 0..<20 {
                        let owner = owner("w\(worker)-\(number)")
                        let texts = try scratch.host().allocate(parsed, for: owner).texts
                        if number % 3 == 0 { try scratch.host().release(owner) } else { kept += texts }
                    }
                    return kept
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let expected = 8 * 13 * 2
        #expect(addresses.count == expected)
        #expect(Set(addresses).count == addresses.count)
        let names = Set(addresses.map { String($0.prefix { $0 != "/" }) })
        #expect(try Set(scratch.reservations().keys) == names)
    }

    @Test("processes at once never get an address twice, though some are killed")
    func processes() async throws {
        let scratch = try Scratch()
        let path = scratch.path
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<6 {
                group.addTask {
                    let exit: ExitTest.Condition = worker % 3 == 2 ? .signal(9) : .success
                    await #expect(processExitsWith: exit) { [path = path as String, worker = worker as Int] in
                        let parsed = try configuration(ipam)
                        for number in 0..<15 {
                            let host = HostLocal(network: "net", dataDirectory: path) { step in
                                if worker % 3 == 2, number == 7, step == .reserved { die() }
                            }
                            let mine = try host.allocate(parsed, for: owner("w\(worker)-\(number)"))
                            // Nobody else took it: the file names us.
                            for address in mine.addresses {
                                let text = try Files.text("\(path)/net/\(address.prefix.address)")
                                guard text == "w\(worker)-\(number)\r\neth0" else { throw IPAMError.unsatisfied([]) }
                            }
                        }
                    }
                }
            }
        }
        // Four workers with 15 each, two with 7 and a half.
        let reservations = try scratch.reservations().filter { !$0.key.hasPrefix(".") }
        let complete = 2 * 4 * 15
        let cutShort = 2 * (2 * 7 + 1)
        #expect(reservations.count == complete + cutShort)
        for half in ["w2-7", "w5-7"] { try scratch.host().release(owner(half)) }
        let owners = 4 * 15 + 2 * 7
        #expect(try Set(scratch.reservations().values).count == owners)
    }
}
