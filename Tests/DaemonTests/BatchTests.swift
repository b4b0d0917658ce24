import Netlink
import NetworkTypes
import Overlay
import TestSupport
import Testing

@testable import Cluster
@testable import Daemon

/// The entries that are wanted in the kernel, and the batches in which they change.
struct BatchTests {
    private func network() throws -> NetworkState {
        let identity = NetworkIdentity(network: "n")
        let row = NetworkRow(subnets: [], vni: 1)
        return NetworkState(identity, try #require(NetworkID(identity.identifier)), LocalNetwork(row))
    }

    private func entry(_ address: UInt32, mac: UInt64, host: UInt32) throws -> AddressBook.Entry {
        let address = IPAddress.v4(IPv4Address(rawValue: 0xC0A8_0000 + address))
        return AddressBook.Entry(
            address: try #require(IPPrefix(address, length: 24)), mac: MACAddress(number: 0x0242_0000_0000 + mac),
            vtep: .v4(IPv4Address(rawValue: 0x0A00_0000 + host)), host: HostID(rawValue: UInt128(host)),
            isSuspended: false, endpoint: [])
    }

    /// Whatever comes, goes, moves and shares addresses, the kernel that got every batch has what is wanted.
    @Test func batchesLeadToWhatIsWanted() throws {
        var random = SeededGenerator(for: "batches")
        for round in 0..<300 {
            let network = try network()
            var kernel = PeerEntries()
            for step in 0..<40 {
                for _ in 0...random.below(4) {
                    let number = UInt32(random.below(6))
                    let address = IPAddress.v4(IPv4Address(rawValue: 0xC0A8_0000 + number))
                    let isGone = random.below(3) == 0
                    // Few MACs, so that some are shared, and an address changes its own.
                    let wanted = try entry(number, mac: UInt64(random.below(8)), host: UInt32(1 + random.below(3)))
                    network.want(isGone ? nil : wanted, for: address)
                }
                guard let batch = network.takeBatch() else { continue }
                carryOut(batch.new.requests(from: batch.old, vxlan: 1), on: &kernel)
                #expect(kernel == network.entries(flooding: []), "round \(round), step \(step)")
            }
        }
    }

    /// What the kernel makes of the requests: each replaces what was there.
    private func carryOut(_ requests: [RouteRequest], on kernel: inout PeerEntries) {
        for request in requests {
            switch request {
            case .replaceNeighbour(let entry): kernel.neighbours[entry.address] = entry.mac
            case .removeNeighbour(let entry): kernel.neighbours[entry.address] = nil
            case .replaceForwarding(let entry):
                if let remote = entry.remote {
                    kernel.forwarding[entry.mac] = [remote]
                } else {
                    kernel.bridged.insert(entry.mac)
                }
            case .removeForwarding(let entry):
                if entry.remote == nil { kernel.bridged.remove(entry.mac) } else { kernel.forwarding[entry.mac] = nil }
            default: break
            }
        }
    }

    @Test func keepsWhatItDoesNotKnowOf() throws {
        let network = try network()
        let one = try entry(1, mac: 1, host: 1)
        network.want(one, for: one.address.address)
        var observed = PeerEntries()
        let stranger = try entry(2, mac: 2, host: 2)
        observed.neighbours[stranger.address.address] = stranger.mac
        observed.forwarding[stranger.mac] = [stranger.vtep]
        observed.bridged = [stranger.mac]
        let all = network.entries(flooding: []).completed(by: observed)
        #expect(all.neighbours.count == 2 && all.forwarding.count == 2 && all.bridged.count == 2)
        #expect(
            all.requests(from: observed, vxlan: 1).allSatisfy { request in
                switch request {
                case .removeForwarding, .removeNeighbour: false
                default: true
                }
            })
        #expect(network.takeBatch() != nil && network.takeBatch() == nil)
    }
}
