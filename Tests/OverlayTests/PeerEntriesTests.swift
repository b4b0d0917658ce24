import Netlink
import NetworkTypes
import Overlay
import TestSupport
import Testing

@Suite("Entries for other hosts")
struct PeerEntriesTests {
    static func endpoint(_ number: Int, on host: Int = 1) -> RemoteEndpoint {
        let address = IPAddress(family: .ipv4, number: 0xC0A8_0000 + UInt128(number))
        return RemoteEndpoint(
            addresses: [address], mac: NetworkIdentity.containerMAC(address),
            vtep: IPAddress(family: .ipv4, number: 0xC000_0200 + UInt128(host)))
    }

    @Test("A new endpoint is a forwarding entry, a bridge's entry and a neighbour, in that order")
    func added() {
        let requests = PeerEntries.requests(adding: Self.endpoint(100), vxlan: 3)
        let endpoint = Self.endpoint(100)
        #expect(
            requests == [
                .replaceForwarding(ForwardingEntry(link: 3, mac: endpoint.mac, remote: endpoint.vtep)),
                .replaceForwarding(ForwardingEntry(link: 3, mac: endpoint.mac, state: 0x40, flags: 0x04)),
                .replaceNeighbour(Neighbour(link: 3, address: endpoint.addresses[0], mac: endpoint.mac)),
            ])
        #expect(PeerEntries.requests(removing: endpoint, vxlan: 3).count == 3)
        #expect(PeerEntries.requests(removing: endpoint, addresses: [], vxlan: 3).count == 2)
    }

    @Test("A container that moved is one replaced entry")
    func moved() {
        let before = PeerEntries([Self.endpoint(1, on: 1), Self.endpoint(2, on: 1)])
        let after = PeerEntries([Self.endpoint(1, on: 2), Self.endpoint(2, on: 1)])
        let moved = Self.endpoint(1, on: 2)
        #expect(
            after.requests(from: before, vxlan: 3) == [
                .replaceForwarding(ForwardingEntry(link: 3, mac: moved.mac, remote: moved.vtep))
            ])
    }

    @Test("An address under another MAC is replaced, the old MAC's entries go")
    func reused() {
        var other = Self.endpoint(1, on: 2)
        other.mac = MACAddress(number: 0x0211_2233_4455)
        let old = Self.endpoint(1, on: 1)
        let requests = PeerEntries([other]).requests(from: PeerEntries([old]), vxlan: 3)
        #expect(requests.contains(.removeForwarding(ForwardingEntry(link: 3, mac: old.mac, remote: old.vtep))))
        #expect(requests.contains(.removeForwarding(ForwardingEntry(link: 3, mac: old.mac, flags: 0x04))))
        #expect(requests.contains(.replaceNeighbour(Neighbour(link: 3, address: old.addresses[0], mac: other.mac))))
        #expect(!requests.contains { if case .removeNeighbour = $0 { true } else { false } })
    }

    @Test("Several remotes of one MAC are brought to the one wanted")
    func strangers() {
        var observed = PeerEntries([Self.endpoint(1)])
        let stranger = IPAddress(family: .ipv4, number: 77)
        observed.forwarding[Self.endpoint(1).mac]?.insert(stranger)
        let requests = PeerEntries([Self.endpoint(1)]).requests(from: observed, vxlan: 3)
        #expect(
            requests.first == .removeForwarding(ForwardingEntry(link: 3, mac: Self.endpoint(1).mac, remote: stranger)))
    }

    @Test("Flooding is an all-zero entry for each member")
    func flooding() {
        let members = [1, 2].map { IPAddress(family: .ipv4, number: $0) }
        let wanted = PeerEntries([], flooding: members)
        let requests = wanted.requests(from: PeerEntries([], flooding: [IPAddress(family: .ipv4, number: 9)]), vxlan: 3)
        #expect(requests.count == 3)
        #expect(
            requests.first
                == .removeForwarding(
                    ForwardingEntry(link: 3, mac: .zero, remote: IPAddress(family: .ipv4, number: 9))))
        #expect(wanted.requests(from: wanted, vxlan: 3).isEmpty)
    }

    @Test("From any state to any other: nothing is left to do afterwards")
    func random() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("PeerEntriesTests.random seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            func state() -> PeerEntries {
                let endpoints = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                    Self.endpoint(Int.random(in: 1...10, using: &random), on: Int.random(in: 1...3, using: &random))
                }
                let members = (0..<Int.random(in: 0...3, using: &random)).map {
                    IPAddress(family: .ipv4, number: UInt128($0))
                }
                return PeerEntries(endpoints, flooding: members)
            }
            let (before, after) = (state(), state())
            var table = EntryTable(before)
            for request in after.requests(from: before, vxlan: 3) { table.carryOut(request) }
            #expect(table.entries == after, "seed \(seed)")
        }
    }
}

/// Tables that do what a kernel does with requests.
private struct EntryTable {
    var entries: PeerEntries
    init(_ entries: PeerEntries) { self.entries = entries }

    mutating func carryOut(_ request: RouteRequest) {
        switch request {
        case .replaceNeighbour(let entry): entries.neighbours[entry.address] = entry.mac
        case .removeNeighbour(let entry): entries.neighbours[entry.address] = nil
        case .replaceForwarding(let entry):
            if entry.flags == 0x04 { entries.bridged.insert(entry.mac) }
            if entry.flags == 0x02, let remote = entry.remote { entries.forwarding[entry.mac] = [remote] }
        case .appendForwarding(let entry): if let remote = entry.remote { entries.flooding.insert(remote) }
        case .removeForwarding(let entry):
            if entry.flags == 0x04 {
                entries.bridged.remove(entry.mac)
            } else if entry.mac == .zero, let remote = entry.remote {
                entries.flooding.remove(remote)
            } else if let remote = entry.remote {
                entries.forwarding[entry.mac]?.remove(remote)
                if entries.forwarding[entry.mac]?.isEmpty == true { entries.forwarding[entry.mac] = nil }
            }
        default: Issue.record("\(request)")
        }
    }
}
