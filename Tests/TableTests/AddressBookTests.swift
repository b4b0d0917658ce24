import NetworkTypes
import Testing

@testable import Cluster

@Suite struct AddressBookTests {
    private let net = network(0)
    private let own = ToyAuthority(0)
    private let hosts: [ToyAuthority] = [ToyAuthority(1), ToyAuthority(2)].sorted { $0.host < $1.host }

    private func endpoint(
        _ host: ToyAuthority, _ number: Int, _ text: String, claim: UInt64 = 1, mac: UInt64 = 5
    ) -> Record {
        let row = EndpointRow(
            addresses: [IPPrefix(text)].compactMap { $0 }, mac: MACAddress(locallyAdministered: mac), claim: claim)
        return host.record(endpointKey(net, number), Version(incarnation: 1, counter: 1), value: row.encoded)
    }

    private func member(_ host: ToyAuthority, _ vtep: String, mtu: UInt32 = 0) -> Record {
        host.record(
            .member(of: net), Version(incarnation: 1, counter: 1),
            value: MemberRow(vtep: address(vtep), mtu: mtu).encoded)
    }

    private func change(
        _ event: RowChange.Event, _ record: Record, suspended: Bool = false, previous: Record? = nil
    ) -> RowChange {
        RowChange(event, Row(record: record, isSuspended: suspended), previous: previous)
    }

    @Test func entriesNeedTheHostsVTEP() throws {
        var book = AddressBook(host: own.host)
        let row = endpoint(hosts[0], 0, "10.0.0.2/24")
        #expect(book.apply(change(.appeared, row)).isEmpty, "where to is not known yet")
        let differences = book.apply(change(.appeared, member(hosts[0], "192.0.2.1")))
        let admitted = AddressBook.Member(
            host: hosts[0].host, row: MemberRow(vtep: address("192.0.2.1")), isSuspended: false)
        let entry = AddressBook.Entry(
            address: try #require(IPPrefix("10.0.0.2/24")), mac: MACAddress(locallyAdministered: 5),
            vtep: address("192.0.2.1"), host: hosts[0].host, isSuspended: false, endpoint: row.key.key)
        #expect(differences == [.admit(net, admitted), .program(net, entry)])
        #expect(book.entries(of: net) == [entry])
        #expect(book.members(of: net) == [admitted])
        // The VTEP moves, and the entry with it; then all goes.
        let moved = book.apply(change(.updated, member(hosts[0], "192.0.2.9")))
        #expect(moved.count == 2)
        #expect(book.entries(of: net).map(\.vtep) == [address("192.0.2.9")])
        let gone = book.apply(change(.gone, member(hosts[0], "192.0.2.9")))
        #expect(gone.count == 2)
        if case .withdraw = gone.first {} else { Issue.record("entries go before the host: \(gone)") }
        #expect(book.apply(change(.gone, row)).isEmpty)
        #expect(book.entries(of: net).isEmpty)
    }

    @Test func ownEndpointsAreNotProgrammed() {
        var book = AddressBook(host: own.host)
        #expect(book.apply(change(.appeared, member(own, "192.0.2.1"))).isEmpty)
        #expect(book.apply(change(.appeared, endpoint(own, 0, "10.0.0.2/24"))).isEmpty)
        #expect(book.winner(of: address("10.0.0.2"), on: net)?.host == own.host)
        #expect(book.members(of: net).isEmpty)
    }

    @Test func theLiveOneWinsThenTheClaimThenTheHost() {
        var book = AddressBook(host: own.host)
        _ = book.apply(change(.appeared, member(hosts[0], "192.0.2.1")))
        _ = book.apply(change(.appeared, member(hosts[1], "192.0.2.2")))
        let at = address("10.0.0.2")
        func winner() -> HostID? { book.winner(of: at, on: net)?.host }
        let (low, high) = (endpoint(hosts[0], 0, "10.0.0.2/24"), endpoint(hosts[1], 0, "10.0.0.2/24"))
        _ = book.apply(change(.appeared, high))
        #expect(book.apply(change(.appeared, low)).isEmpty, "the higher host id stays")
        #expect(winner() == hosts[1].host)
        let claimed = endpoint(hosts[0], 0, "10.0.0.2/24", claim: 2)
        #expect(book.apply(change(.updated, claimed, previous: low)).count == 1)
        #expect(winner() == hosts[0].host)
        #expect(book.nextClaim(for: [at], on: net) == 3)
        // Suspended it loses against a live one whatever it claims, and stays programmed when it is alone.
        #expect(book.apply(change(.suspended, claimed, suspended: true)).count == 1)
        #expect(winner() == hosts[1].host)
        let alone = book.apply(change(.gone, high))
        #expect(alone.count == 1)
        #expect(book.entries(of: net).map(\.isSuspended) == [true])
        _ = book.apply(change(.restored, claimed))
        #expect(book.entries(of: net).map(\.isSuspended) == [false])
    }

    @Test func anEndpointThatChangesItsAddressLeavesTheOld() {
        var book = AddressBook(host: own.host)
        _ = book.apply(change(.appeared, member(hosts[0], "192.0.2.1", mtu: 1450)))
        _ = book.apply(change(.appeared, member(hosts[1], "192.0.2.2", mtu: 1400)))
        #expect(book.smallestMTU(of: net) == 1400)
        let first = endpoint(hosts[0], 0, "10.0.0.2/24")
        _ = book.apply(change(.appeared, first))
        let differences = book.apply(change(.updated, endpoint(hosts[0], 0, "10.0.0.3/24"), previous: first))
        #expect(differences.count == 2)
        #expect(book.entries(of: net).map(\.address.address) == [address("10.0.0.3")])
    }

    /// However rows change, what was said to be done adds up to what is wanted.
    @Test func differencesAddUp() {
        var random = SeededGenerator(seed: seed(for: "differencesAddUp"))
        let authorities = (0..<5).map { ToyAuthority($0) }
        var book = AddressBook(host: authorities[0].host)
        var held: [String: RowChange] = [:]
        var programmed: [IPAddress: AddressBook.Entry] = [:]
        var admitted: [HostID: AddressBook.Member] = [:]
        for _ in 0..<(runsLong ? 200_000 : 2000) {
            let host = random.below(5)
            let number = random.below(4)
            let name = random.chance(0.2) ? "member \(host)" : "endpoint \(host) \(number)"
            let record =
                name.hasPrefix("member")
                ? member(authorities[host], "192.0.2.\(1 + random.below(3))")
                : endpoint(
                    authorities[host], number, "10.0.0.\(1 + random.below(4))/24", claim: UInt64(random.below(3)),
                    mac: UInt64(random.below(3)))
            let suspended = host > 0 && random.chance(0.2)
            let next: RowChange
            if let before = held[name], random.chance(0.4) {
                next = RowChange(.gone, before.row)
                held[name] = nil
            } else {
                let previous = held[name]?.row.record
                next = change(previous == nil ? .appeared : .updated, record, suspended: suspended, previous: previous)
                held[name] = next
            }
            for difference in book.apply(next) {
                switch difference {
                case .program(_, let entry): programmed[entry.address.address] = entry
                case .withdraw(_, let entry):
                    #expect(programmed.removeValue(forKey: entry.address.address) == entry)
                case .admit(_, let member): admitted[member.host] = member
                case .dismiss(_, let member): #expect(admitted.removeValue(forKey: member.host) != nil)
                }
            }
            #expect(book.entries(of: net) == programmed.values.sorted { $0.address.address < $1.address.address })
            #expect(book.members(of: net) == admitted.values.sorted { $0.host < $1.host })
            for entry in programmed.values { #expect(admitted[entry.host]?.row.vtep == entry.vtep) }
        }
    }

    @Test func whatIsHeldElsewhereIsSeen() throws {
        var book = AddressBook(host: own.host)
        for change in [
            change(.appeared, endpoint(own, 0, "10.0.0.2/24")), change(.appeared, endpoint(hosts[0], 1, "10.0.0.3/24")),
            change(.appeared, endpoint(hosts[1], 2, "10.0.0.5/24"), suspended: true),
            change(.appeared, endpoint(hosts[1], 3, "10.0.0.9/24")),
        ] { _ = book.apply(change) }
        func elsewhere(_ first: String, _ last: String) -> [IPAddress] {
            book.liveElsewhere(address(first), address(last), on: net)
        }
        #expect(book.liveHolder(of: address("10.0.0.2"), on: net) == nil, "our own")
        #expect(book.liveHolder(of: address("10.0.0.3"), on: net)?.host == hosts[0].host)
        #expect(book.liveHolder(of: address("10.0.0.5"), on: net) == nil, "its host does not answer")
        #expect(elsewhere("10.0.0.2", "10.0.0.4") == [address("10.0.0.3")])
        #expect(elsewhere("10.0.0.0", "10.255.0.0") == [address("10.0.0.3"), address("10.0.0.9")])
        #expect(elsewhere("10.0.0.4", "10.0.0.8").isEmpty)
        let span = AddressSpan(family: .ipv4, numbers: address("10.0.0.3").number...address("10.0.0.9").number)
        #expect(span.without(elsewhere("10.0.0.3", "10.0.0.9")).map(\.description) == ["10.0.0.4-10.0.0.8"])
        #expect(span.without([]) == [span])
        #expect(AddressSpan(address("10.0.0.3")).without([address("10.0.0.3")]).isEmpty)
        let parts = span.without([address("10.0.0.1"), address("10.0.0.5"), address("10.0.0.6")])
        #expect(parts.map(\.description) == ["10.0.0.3-10.0.0.4", "10.0.0.7-10.0.0.9"])
    }
}
