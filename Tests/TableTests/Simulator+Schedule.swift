import NetworkTypes
import StateMachine

@testable import Cluster

/// What a random schedule may do besides changing rows.
struct Trouble {
    var crashes = 0.02
    var partitions = 0.01
    var leaves = 0.005
    var lostDisks = 0.1
    var restoredDisks = 0.1
    var faults = NetworkFaults(
        loss: 0.1, duplication: 0.05, delay: .milliseconds(1) ... .milliseconds(60), streamLoss: 0.05)
}

extension ReplicaSettings {
    /// With short lives, so that a schedule of minutes sees their ends.
    static var short: ReplicaSettings {
        var settings = ReplicaSettings()
        settings.tombstoneLifetime = .seconds(40)
        settings.grace = .seconds(60)
        settings.departedLifetime = .seconds(600)
        return settings
    }
}

extension Simulator {
    /// Starts all hosts and gives each its own record.
    func startAll() {
        for number in hosts.indices {
            start(number)
            announce(number)
        }
    }

    private func announce(_ number: Int) {
        put(number, .host, HostRow(publicKey: hosts[number].authority.publicKey, nodeName: "node-\(number)").encoded)
    }

    /// Random changes and troubles, one at a time.
    func disturb(steps: Int, networks: Int, trouble: Trouble) {
        faults = trouble.faults
        for _ in 0..<steps {
            run(for: random.time(.milliseconds(1) ... .milliseconds(1500)))
            guard breaches.isEmpty else { return }
            let number = random.below(hosts.count)
            let host = hosts[number]
            if !host.isRunning {
                if random.chance(0.5) { restart(number, trouble) }
            } else if random.chance(trouble.crashes) {
                crash(number)
            } else if random.chance(trouble.leaves) {
                leave(number)
            } else if random.chance(trouble.partitions) {
                let sides = 1 + random.below(3)
                let choice = hosts.map { _ in random.below(sides) }
                setSides { choice[$0] }
            } else {
                changeSomething(number, networks)
            }
        }
    }

    private func restart(_ number: Int, _ trouble: Trouble) {
        let lot = Double.random(in: 0..<1, using: &random)
        if lot < trouble.lostDisks {
            start(number, disk: .lost)
        } else if lot < trouble.lostDisks + trouble.restoredDisks {
            start(number, disk: .restored)
        } else {
            start(number)
        }
        announce(number)
    }

    private func changeSomething(_ number: Int, _ networks: Int) {
        let host = hosts[number]
        let chosen = network(random.below(networks))
        let isMember = host.model[.member(of: chosen)] != nil
        if random.chance(0.05) { host.backup = host.journal }
        guard isMember else {
            if random.chance(0.5) { join(number, chosen) }
            return
        }
        switch random.below(20) {
        case 0:
            // Leaves the network, sometimes without removing its endpoints first.
            let keys = host.model.keys.filter { $0.kind == .endpoint && $0.network == chosen }
            let gone = random.chance(0.8) ? keys.sorted { $0.key.lexicographicallyPrecedes($1.key) } : []
            change(number, gone.map { .remove($0) } + [.remove(.member(of: chosen))])
        case 1...6: remove(number, endpointKey(chosen, random.below(8)))
        case 7:
            change(number, (0..<(1 + random.below(12))).map { .put(endpointKey(chosen, $0), value: value()) })
        default: put(number, endpointKey(chosen, random.below(8)), value())
        }
    }

    private func value() -> [UInt8] {
        let length = random.chance(0.02) ? 1024 : 20 + random.below(100)
        return (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Ends all troubles, waits, and checks that all tables are equal. Hosts that are down stay down or come back.
    func calm(for time: Nanoseconds) {
        faults = NetworkFaults()
        for host in hosts where !host.isRunning && random.chance(0.7) {
            start(host.number)
            announce(host.number)
        }
        setSides { _ in 0 }
        run(for: time)
        if breaches.isEmpty { checkConverged() }
    }

    /// One schedule from its seed; what was broken, if anything.
    static func schedule(_ seed: UInt64) -> (breach: String?, bodies: Int) {
        var random = SeededGenerator(seed: seed)
        let hosts = 2 + random.below(7)
        var trouble = Trouble()
        if random.chance(0.3) { trouble.faults.loss = 0.4 }
        if random.chance(0.3) { trouble.faults = NetworkFaults() }
        if random.chance(0.3) { trouble.crashes = 0.1 }
        if random.chance(0.3) { trouble.partitions = 0.05 }
        let simulator = Simulator(seed: seed, hosts: hosts, settings: .short)
        simulator.startAll()
        simulator.disturb(steps: 30 + random.below(90), networks: 1 + random.below(3), trouble: trouble)
        simulator.calm(for: .seconds(300))
        return (simulator.breaches.first, simulator.bodies)
    }
}
