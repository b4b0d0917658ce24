import NetworkTypes
import Testing

@testable import Cluster

/// Networks with more hosts than blocks, and hosts that come and go.
@Suite struct LendingTests {
    private func simulator(_ count: Int, _ subnet: String, seed: UInt64, isVoted: Bool = true) throws -> Simulator {
        let names = (0..<count).map { "host-\($0)" }
        let gateway = IPPrefix(subnet).map { Self.next("\($0.network.address)") }
        let simulator = Simulator(
            seed: seed, layouts: [try layout(subnet, gateway: gateway)],
            bootstraps: names.map { isVoted ? .voters($0 == names[0] ? [] : [names[0]]) : .seeds(names) })
        simulator.faults.detection = milliseconds(10)...milliseconds(50)
        return simulator
    }

    /// The first address of a subnet, its gateway.
    private static func next(_ text: String) -> String {
        guard let address = IPAddress(text) else { return text }
        return "\(IPAddress(family: address.family, number: address.number + 1))"
    }

    /// Every address of a network can be handed out, on whatever host, also when hosts outnumber blocks; and when all
    /// containers are gone nothing is lent any more.
    @Test(
        arguments: [
            ("192.168.0.0/24", 20, 253), ("10.9.0.0/26", 18, 61), ("10.9.0.0/26", 5, 61), ("10.9.0.0/28", 6, 13),
            ("10.9.0.0/29", 3, 5), ("10.9.0.0/30", 2, 1), ("fd00::/124", 6, 14),
        ], [true, false])
    func everyAddress(_ network: (subnet: String, hosts: Int, addresses: Int), isVoted: Bool) throws {
        for seed in 1...(isLong ? 50 : 3) as ClosedRange<UInt64> {
            let simulator = try simulator(network.hosts, network.subnet, seed: seed, isVoted: isVoted)
            // All at once.
            for number in simulator.hosts.indices { simulator.start(number) }
            simulator.run(seconds(5))
            var given = 0
            var stuck = 0
            while given < network.addresses, stuck < 100, simulator.breaches.isEmpty {
                for number in simulator.hosts.indices { simulator.add(number) }
                simulator.run(seconds(3))
                let count = simulator.users.count
                stuck = count == given ? stuck + 1 : 0
                given = count
            }
            #expect(given == network.addresses, "seed \(seed): \(network), voted \(isVoted)")
            if network.hosts > 16 { #expect(simulator.loansOfAny > 0) }
            // One more is one too many, and is told so.
            let before = simulator.refused
            simulator.add(1)
            simulator.run(seconds(6))
            #expect(simulator.refused == before + 1)
            for host in simulator.hosts {
                for address in host.reserved.sorted() { simulator.remove(host.number, address) }
            }
            for host in simulator.hosts { simulator.tellUsage(host.number) }
            var reason: String?
            let isQuiet = simulator.run(until: seconds(60)) {
                reason = simulator.disagreement()
                return reason == nil && simulator.hosts.allSatisfy { $0.allocator?.lent.isEmpty == true }
            }
            #expect(isQuiet, "seed \(seed): \(network): \(reason ?? "addresses are lent")")
            simulator.checkConservation()
            #expect(simulator.breaches == [])
        }
    }

    /// Each life of a host that comes, works and leaves ends with all blocks with the others, whatever is lost on the way.
    @Test func hostsComeAndGoForEver() throws {
        for seed in 1...(isLong ? 20 : 3) as ClosedRange<UInt64> {
            let simulator = try simulator(2, "10.9.0.0/26", seed: seed)
            for number in simulator.hosts.indices { simulator.start(number) }
            simulator.run(seconds(3))
            for life in 0..<(isLong ? 100 : 30) {
                let number = simulator.hosts.count
                simulator.hosts.append(Simulator.Host(number: number, bootstrap: .voters(["host-0"])))
                simulator.start(number)
                simulator.run(seconds(2))
                simulator.add(number)
                simulator.run(seconds(2))
                let address = try #require(
                    simulator.hosts[number].reserved.first, "seed \(seed): life \(life) has no address")
                simulator.remove(number, address)
                simulator.tellUsage(number)
                let token = simulator.operate(number) { .leave(token: $0) }
                #expect(simulator.run(until: seconds(3)) { simulator.hosts[number].results[token] != nil })
                simulator.leave(number)
                simulator.hosts[number].isDead = true
                simulator.hosts[number].held = []
                simulator.run(seconds(1))
                let owners = Set(simulator.hosts[0].allocator?.rows.compactMap { $0.entry?.owner.host } ?? [])
                #expect(owners.isSubset(of: simulator.hosts.prefix(2).map(\.id)), "seed \(seed): life \(life)")
                // What membership forgets, this forgets too.
                for other in 0..<2 {
                    simulator.hosts[other].views[number] = nil
                    simulator.give(.peer(simulator.hosts[number].id, .forgotten), to: other)
                }
                #expect(simulator.hosts[0].allocator?.hosts.count == 1)
                #expect(simulator.breaches == [])
            }
        }
    }
}
