import JSON
import System
import TestSupport
import Testing

/// An address that an ADD borrowed of another host, and did not use in the end, is there for others again.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct LoanTests {
    /// Two hosts, and a free address of the first.
    private func hosts() throws -> (Hosts, String) {
        let hosts = try Hosts(2)
        let address = try hosts[0].connect("first")
        try hosts[0].disconnect("first")
        _ = try hosts[0].connect("stays")
        return (hosts, address)
    }

    /// What a plugin says to the daemon before its delegate is asked for addresses.
    private func prepare(_ host: OverlayHost, ips: [String]) throws -> (status: Int, document: Value) {
        try host.request(
            "POST", "/v1/overlay/prepare",
            [
                "network": "demonet", "containerID": "slow", "ifname": "eth0",
                "definition": ["subnet": "192.168.0.0/24"], "ips": .array(ips.map { .string($0) }),
            ])
    }

    private func withdraw(_ host: OverlayHost) throws {
        let answer = try host.request(
            "DELETE", "/v1/overlay/endpoints",
            ["network": "demonet", "containerID": "slow", "ifname": "eth0"])
        #expect(answer.status == 200, "\(answer)")
    }

    /// Connects and disconnects a container of the host with the address.
    private func uses(_ hosts: Hosts, _ host: OverlayHost, _ address: String) throws {
        try hosts.eventually("\(host.name) can use \(address)") { try host.add("next", ip: address).succeeded }
        try host.disconnect("next")
    }

    @Test("An ADD that was refused before the loan came")
    func comesTooLate() throws {
        let (hosts, address) = try hosts()
        let (one, two) = (hosts[0], hosts[1])
        // The owner lends nothing while an ADD is under way that may have chosen the address.
        #expect(try prepare(one, ips: []).status == 200)
        let late = try two.add("borrower", ip: address)
        #expect(late.code == 11, "\(late)")
        try withdraw(one)
        try uses(hosts, two, address)
        try uses(hosts, one, address)
    }

    @Test("An ADD that failed when it had the loan")
    func isNotUsed() throws {
        let (hosts, address) = try hosts()
        let (one, two) = (hosts[0], hosts[1])
        try hosts.eventually("it is lent") { try prepare(two, ips: [address]).status == 200 }
        // The same ADD again.
        try hosts.eventually("it is lent once more") { try prepare(two, ips: [address]).status == 200 }
        let other = try two.add("other", ip: address)
        #expect(other.code == 11, "\(other)")
        try withdraw(two)
        try uses(hosts, one, address)
        try uses(hosts, two, address)
    }

    @Test("An ADD that was refused for another of its addresses")
    func isRefusedInPart() throws {
        let (hosts, address) = try hosts()
        let (one, two) = (hosts[0], hosts[1])
        let taken = try one.connect("second")
        let answer = try prepare(two, ips: [address, taken])
        #expect(answer.status == 503, "\(answer)")
        try uses(hosts, one, address)
    }

    @Test("An ADD that a daemon before the last start prepared")
    func isForgotten() throws {
        let (hosts, address) = try hosts()
        let (one, two) = (hosts[0], hosts[1])
        try hosts.eventually("it is lent") { try prepare(two, ips: [address]).status == 200 }
        two.stop("KILL")
        try two.startDaemon()
        try uses(hosts, one, address)
    }
}
