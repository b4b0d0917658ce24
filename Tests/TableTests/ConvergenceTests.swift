import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

@Suite(.serialized) struct ConvergenceTests {
    private func percentile(_ sorted: [Nanoseconds], _ part: Double) -> String {
        guard !sorted.isEmpty else { return "-" }
        let value = sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
        return "\(Double(value / 10_000) / 100) ms"
    }

    private func bytes(_ simulator: Simulator) -> UInt64 {
        simulator.hosts.reduce(0) {
            $0 + ($1.replica?.count(of: .datagramBytesOut) ?? 0) + ($1.replica?.count(of: .streamBytesOut) ?? 0)
        }
    }

    private func hasConverged(_ simulator: Simulator, on network: NetworkID) -> Bool {
        let digests = simulator.hosts.compactMap { $0.replica }.map { [$0.digest(of: .none), $0.digest(of: network)] }
        return Set(digests).count == 1
    }

    private func endpoint(_ random: inout SeededGenerator, _ host: Int, _ number: Int) -> [UInt8] {
        let address = IPAddress.v4(IPv4Address(rawValue: 0x0A00_0000 + UInt32(host * 16 + number)))
        var row = EndpointRow(
            addresses: [IPPrefix(address, length: 8)].compactMap { $0 },
            mac: MACAddress(locallyAdministered: UInt64(host * 16 + number)))
        row.containerID = "\(random.next())\(random.next())\(random.next())"
        row.interface = "eth0"
        row.names = ["container-\(host)-\(number)"]
        return row.encoded
    }

    /// All hosts on one network, all with endpoints: everything reaches everybody, and a single change at once.
    private func converge(hosts: Int, endpoints: Int, changes: Int, loss: Double, seed: UInt64) {
        let network = network(0)
        let simulator = Simulator(seed: seed, hosts: hosts)
        simulator.checks = hosts <= 50
        simulator.faults.loss = loss
        let title = "\(hosts) hosts, \(hosts * (endpoints + 2)) records, \(Int(loss * 100)) % loss"

        // Hosts start within 10 s, and put their endpoints within the 20 s after that.
        var random = SeededGenerator(seed: seed)
        var plan: [(time: Nanoseconds, host: Int, number: Int)] = []
        for host in 0..<hosts {
            plan.append((random.time(0 ... .seconds(10)), host, -1))
            for number in 0..<endpoints { plan.append((random.time(.seconds(10) ... .seconds(30)), host, number)) }
        }
        let start = simulator.now
        for (time, host, number) in plan.sorted(by: { $0.time < $1.time }) {
            simulator.run(for: start + time - simulator.now)
            guard number >= 0 else {
                simulator.start(host)
                let row = HostRow(publicKey: simulator.hosts[host].authority.publicKey, nodeName: "node-\(host)")
                simulator.put(host, .host, row.encoded)
                simulator.join(host, network)
                continue
            }
            simulator.put(host, endpointKey(network, number), endpoint(&random, host, number))
        }
        var waited = 0
        while waited < 300, simulator.breaches.isEmpty {
            simulator.run(for: .milliseconds(100))
            waited += 1
            if waited % 10 == 0, hasConverged(simulator, on: network) { break }
        }
        let loaded = bytes(simulator)
        #expect(hasConverged(simulator, on: network), "\(title): not equal")
        print("\(title): equal \(waited / 10) s after the last; \(loaded / UInt64(hosts) / 1000) kB sent per host")

        // Single changes, each until it is everywhere.
        simulator.settled = []
        for number in 0..<changes {
            // Never the same row twice in short: a host may then see the second change alone.
            let host = number % hosts
            let since = simulator.now
            let value = endpoint(&random, host, endpoints + number)
            simulator.put(host, endpointKey(network, number / hosts % endpoints), value)
            let version = simulator.hosts[host].replica?.version ?? .zero
            let key = Simulator.Watched(owner: simulator.hosts[host].id, version: version)
            simulator.watched[key] = (since, hosts - 1)
            simulator.run(for: .milliseconds(50))
        }
        let changed = bytes(simulator)
        simulator.run(for: .seconds(60))
        let idle = bytes(simulator) - changed
        let latencies = simulator.latencies.sorted()
        #expect(latencies.count == changes, "\(title): \(changes - latencies.count) changes did not reach all")
        let quick = simulator.settled.filter { $0.acknowledged == $0.peers }.count
        print(
            "\(title): a change reaches all in p50 \(percentile(latencies, 0.5)), p99 \(percentile(latencies, 0.99)), "
                + "worst \(percentile(latencies, 1)); \(quick) of \(changes) settled whole within 15 ms; "
                + "\((changed - loaded) / UInt64(changes)) B sent per change; idle \(idle / UInt64(hosts) / 60) B/s per host"
        )
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
        #expect(hasConverged(simulator, on: network))
    }

    @Test func everythingReachesEverybody() {
        let seed = seed(for: "everythingReachesEverybody")
        converge(hosts: 20, endpoints: 8, changes: 50, loss: 0.01, seed: seed)
        guard runsLong else { return }
        converge(hosts: 100, endpoints: 8, changes: 1000, loss: 0, seed: seed)
        converge(hosts: 100, endpoints: 8, changes: 1000, loss: 0.2, seed: seed)
        converge(hosts: 1000, endpoints: 8, changes: 1000, loss: 0.01, seed: seed)
    }

    /// A write right after joining must not wait for anybody to have heard of the joining first.
    @Test func aWriteRightAfterJoiningArrives() {
        let seed = seed(for: "aWriteRightAfterJoiningArrives")
        var latencies: [Nanoseconds] = []
        for round in 0..<(runsLong ? 2000 : 20) {
            let simulator = Simulator(seed: seed &+ UInt64(round), hosts: 10)
            simulator.faults.loss = 0.05
            simulator.seesAlive = .milliseconds(1) ... .milliseconds(20)
            for host in 0..<9 {
                simulator.start(host)
                simulator.join(host, network(0))
            }
            simulator.run(for: .seconds(3))
            simulator.start(9)
            // Once membership knows the new host on both sides, its shell makes it join and write in one go.
            simulator.run(for: .milliseconds(30))
            simulator.join(9, network(0))
            simulator.put(9, endpointKey(network(0), 0), [1, 2, 3])
            let version = simulator.hosts[9].replica?.version ?? .zero
            simulator.watched[.init(owner: simulator.hosts[9].id, version: version)] = (simulator.now, 9)
            simulator.run(for: .seconds(15))
            latencies += simulator.latencies
            #expect(simulator.latencies.count == 1, "round \(round): it did not reach all")
            #expect(simulator.breaches.isEmpty, "round \(round): \(simulator.breaches.first ?? "")")
        }
        latencies.sort()
        print(
            "10 hosts, 5 % loss: a write right after joining reaches all in p50 \(percentile(latencies, 0.5)), "
                + "p99 \(percentile(latencies, 0.99)), worst \(percentile(latencies, 1))")
        #expect((latencies.last ?? .max) < .seconds(15))
    }
}
