import NetworkTypes
import Testing

@testable import Cluster

@Suite struct LayoutTests {
    private func layout(_ subnet: String, range: String? = nil, gateway: String? = nil) throws -> BlockLayout {
        try BlockLayout(
            subnet: #require(IPPrefix(subnet)), ipRange: range.map { try #require(IPPrefix($0)) },
            gateway: gateway.map { try #require(IPAddress($0)) })
    }

    @Test(arguments: [
        ("10.0.0.0/8", 4096, 4096), ("10.0.0.0/14", 4096, 64), ("10.0.0.0/16", 1024, 64), ("10.0.0.0/22", 16, 64),
        ("10.0.0.0/23", 16, 32), ("192.168.0.0/24", 16, 16), ("192.168.0.0/26", 16, 4), ("192.168.0.0/27", 8, 4),
        ("192.168.0.0/28", 4, 4), ("192.168.0.0/29", 1, 8), ("192.168.0.0/30", 1, 4), ("192.168.0.1/32", 1, 1),
        ("0.0.0.0/0", 4096, 1 << 20), ("fd00::/64", 1024, 1024), ("fd00::/108", 1024, 1024),
        ("fd00::/114", 16, 1024), ("fd00::/115", 16, 512), ("fd00::/120", 16, 16), ("fd00::/125", 1, 8),
        ("::/0", 1024, 1024),
    ])
    func cuts(_ subnet: String, _ count: Int, _ size: Int) throws {
        let layout = try layout(subnet)
        #expect(layout.count == count)
        #expect(1 << layout.blockBits == size)
        let last = layout.numbers(of: count - 1).upperBound
        #expect(layout.subnet.family == .ipv6 || last == layout.subnet.last.number)
        for block in [0, count / 2, count - 1] {
            for number in [layout.numbers(of: block).lowerBound, layout.numbers(of: block).upperBound] {
                #expect(layout.block(of: IPAddress(family: layout.subnet.family, number: number)) == block)
            }
        }
    }

    @Test func leavesOutWhatIsNobodys() throws {
        let layout = try layout("192.168.0.0/24", gateway: "192.168.0.1")
        #expect(layout.usable(of: 0).map(\.description) == ["192.168.0.2-192.168.0.15"])
        #expect(layout.usableCount(of: 0) == 14)
        #expect(layout.usable(of: 1).map(\.description) == ["192.168.0.16-192.168.0.31"])
        #expect(layout.usable(of: 15).map(\.description) == ["192.168.0.240-192.168.0.254"])
        #expect(layout.block(of: try #require(IPAddress("192.168.1.0"))) == nil)
        let six = try self.layout("fd00::/64", gateway: "fd00::ff")
        #expect(six.usable(of: 0).map(\.description) == ["fd00::1-fd00::fe", "fd00::100-fd00::3ff"])
        #expect(six.block(of: try #require(IPAddress("fd00::10:0"))) == nil)
        #expect(
            try self.layout("10.0.0.0/30", gateway: "10.0.0.1").usable(of: 0).map(\.description) == [
                "10.0.0.2-10.0.0.2"
            ])
        #expect(try self.layout("10.0.0.0/31").usableCount(of: 0) == 2)
        #expect(
            try self.layout("255.255.255.240/28").usable(of: 3).map(\.description) == [
                "255.255.255.252-255.255.255.254"
            ])
    }

    @Test func keepsToTheRange() throws {
        let layout = try layout("192.168.0.0/24", range: "192.168.0.128/25", gateway: "192.168.0.1")
        #expect(layout.count == 16)
        #expect(layout.usable(of: 0).map(\.description) == ["192.168.0.128-192.168.0.135"])
        #expect(layout.usable(of: 15).map(\.description) == ["192.168.0.248-192.168.0.254"])
        #expect(throws: BlockLayout.Fault.self) { try self.layout("192.168.0.0/24", range: "192.168.0.0/23") }
        #expect(throws: BlockLayout.Fault.self) { try self.layout("192.168.0.0/24", range: "192.168.1.0/25") }
        #expect(throws: BlockLayout.Fault.self) { try self.layout("192.168.0.0/24", gateway: "192.168.1.1") }
    }
}
