import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter
@testable import Netlink

/// What the kernel is asked to carry out. A refused transaction is not free: it is taken back with the ruleset's lock held.
@Suite("Transactions that are sent", .enabled(if: FreshNamespace.isPermitted))
struct TransactionCountTests {
    /// A socket that counts transactions, refused ones included.
    private final class CountingSocket: NetlinkTransport {
        private let socket: NetlinkSocket
        private(set) var transactions = 0

        init() throws { socket = try NetlinkSocket(protocolNumber: 12) }

        var port: UInt32 { socket.port }

        func send(_ messages: borrowing MessageBuilder) throws(Errno) {
            // NFNL_MSG_BATCH_BEGIN, 16, in the first message's type.
            if messages.bytes.dropFirst(4).prefix(2).elementsEqual([16, 0]) { transactions += 1 }
            try socket.send(messages)
        }

        func receive(into buffer: inout [UInt8], waiting: Bool) throws(Errno) -> Reception {
            try socket.receive(into: &buffer, waiting: waiting)
        }

        func makeRoom(forSending bytes: Int, answers: Int) { socket.makeRoom(forSending: bytes, answers: answers) }
    }

    private func rules(_ address: String, port: UInt16) throws -> [[FilterRule]] {
        let prefix = try need(IPPrefix(address + "/16"))
        return [
            [.masquerade(Masquerade(addresses: [prefix]))],
            [.portForward(PortForward([PortMapping(.tcp, hostPort: port, containerPort: 80)], to: [prefix]))],
            [.firewall(Firewall(addresses: [prefix.address]))],
        ]
    }

    @Test("One for each ADD, the first on a host and the first of a network, too")
    func onlyOne() throws {
        try inFreshNamespace { _ in
            let socket = try CountingSocket()
            let filter = NFTables(session: NFTablesSession(over: NetlinkSession(transport: socket)))
            let containers = [("net", "one", "10.1.0.2"), ("net", "two", "10.1.0.3"), ("other", "one", "10.2.0.2")]
            for (index, (network, container, address)) in containers.enumerated() {
                let owner = FilterOwner(network: network, containerID: container, interfaceName: "eth0")
                for rules in try rules(address, port: 8000 + UInt16(index)) {
                    let before = socket.transactions
                    try filter.add(rules, for: owner)
                    #expect(socket.transactions == before + 1, "\(owner), \(rules)")
                    try filter.check(rules, of: owner)
                }
            }
        }
    }
}
