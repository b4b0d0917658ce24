import Testing

@testable import Cluster

@Suite struct IdentityTests {
    @Test func hostsAreThirtyTwoDigits() throws {
        let text = "000102030405060708090a0b0c0d0eff"
        let host = try #require(HostID(text))
        #expect(host.description == text)
        #expect(host.bytes == Array(0...14) + [255])
        #expect(HostID(bytes: host.bytes) == host)
        #expect(HostID(text.uppercased()) == host)
        for bad in ["", "0", text + "00", String(text.dropLast()), "g" + text.dropFirst()] {
            #expect(HostID(bad) == nil, "\(bad)")
        }
        #expect(HostID(bytes: [UInt8](repeating: 0, count: 15)) == nil)
        #expect(try host < #require(HostID("010102030405060708090a0b0c0d0eff")))
    }

    @Test func networksAreSixtyFourDigits() throws {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
        let network = try #require(NetworkID(text))
        #expect(network.description == text)
        #expect(network.bytes == Array(0...30) + [255])
        #expect(NetworkID(String(text.dropLast())) == nil)
        #expect(NetworkID(String(repeating: "0", count: 64)) == NetworkID.none)
        #expect(NetworkID.none < network)
    }
}
