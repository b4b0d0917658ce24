import NetworkTypes
import Testing

@testable import Cluster

@Suite struct RowTests {
    private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    @Test func hostRowsKeepTheirBytes() throws {
        let row = HostRow(
            publicKey: Array(0..<32), addresses: [address("192.0.2.1"), address("2001:db8::1")], underlayMTU: 1500,
            suiteVersion: "1.2", nodeName: "node-a")
        let bytes = hex(
            """
            01 0020 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
            02 0004 c0000201  02 0010 20010db8000000000000000000000001
            03 0002 05dc  04 0003 312e32  05 0006 6e6f64652d61
            """)
        #expect(row.encoded == bytes)
        #expect(HostRow(decoding: bytes) == row)
        #expect(HostRow(decoding: bytes + hex("63 0002 ffff")) == row, "an unknown field is skipped")
        #expect(HostRow(decoding: bytes.dropFirst(35)) == nil, "no public key")
    }

    @Test func networkRowsKeepTheirBytes() throws {
        let subnet = NetworkRow.Subnet(
            prefix: try prefix("10.1.0.0/16"), gateway: address("10.1.0.1"),
            range: address("10.1.4.0")...address("10.1.4.255"))
        let row = NetworkRow(
            subnets: [subnet], vni: 4097, port: 4790, mtu: 1400, isInternal: true, options: ["b": "2", "a": "1"],
            digest: [7, 8])
        let bytes = hex(
            """
            01 001d 010005100a010000 0200040a010001 0300040a010400 0400040a0104ff
            02 0002 1001  03 0002 12b6  04 0002 0578  05 0000
            06 0008 01000161 02000131  06 0008 01000162 02000132  07 0002 0708
            """)
        #expect(row.encoded == bytes)
        #expect(NetworkRow(decoding: bytes) == row)
        // Announced on an operator's order: the definition is the same.
        var kept = row
        kept.isKept = true
        #expect(kept.encoded == bytes + hex("08 0000"))
        #expect(NetworkRow(decoding: kept.encoded) == kept)
        #expect(NetworkRow(decoding: hex("01 0008 010005100a010000")) == nil, "no VNI")
        #expect(NetworkRow(decoding: hex("02 0004 01000000")) == nil, "a VNI of 25 bits")
        #expect(
            NetworkRow(decoding: hex("02 0002 1001 01 0016 010005100a010000 0300040a0104ff 0400040a010400")) == nil,
            "a range that ends before it begins")
    }

    @Test func memberRowsKeepTheirBytes() {
        let row = MemberRow(vtep: address("192.0.2.1"), mtu: 1450, port: 4789)
        let bytes = hex("01 0004 c0000201 02 0002 05aa 03 0002 12b5")
        #expect(row.encoded == bytes)
        #expect(MemberRow(decoding: bytes) == row)
        #expect(MemberRow(decoding: hex("01 0004 c0000201")) == MemberRow(vtep: address("192.0.2.1")))
        #expect(MemberRow(decoding: hex("02 0002 05aa")) == nil, "no VTEP")
        #expect(MemberRow(decoding: hex("01 0005 c000020101")) == nil, "an address of five bytes")
        #expect(MemberRow(decoding: hex("01 0004 c0000201 03 0000")) == nil, "port 0")
        #expect(MemberRow(decoding: hex("01 0004 c0000201 02 0002 00aa")) == nil, "a leading zero")
    }

    @Test func endpointRowsKeepTheirBytes() throws {
        let row = EndpointRow(
            addresses: [try prefix("10.0.0.2/24"), try prefix("fd00::2/64")],
            mac: try #require(MACAddress("02:42:0a:00:00:02")), containerID: "c1", interface: "eth0", names: ["web"],
            aliases: ["www", "w"], claim: 3)
        let bytes = hex(
            """
            01 0005 18 0a000002  01 0011 40 fd000000000000000000000000000002
            02 0006 02420a000002  03 0002 6331  04 0004 65746830  05 0003 776562
            06 0003 777777  06 0001 77  07 0001 03
            """)
        #expect(row.encoded == bytes)
        #expect(EndpointRow(decoding: bytes) == row)
        #expect(EndpointRow(decoding: hex("01 0005 18 0a000002")) == nil, "no MAC address")
        #expect(EndpointRow(decoding: hex("02 0006 03420a000002")) == nil, "a group address")
        #expect(EndpointRow(decoding: hex("02 0006 02420a000002 01 0005 21 0a000002")) == nil, "a prefix of 33 bits")
        #expect(EndpointRow(decoding: hex("02 0006 02420a000002 05 0001 0a")) == nil, "a control character")
        #expect(EndpointRow(decoding: hex("02 0006 02420a000002 05 0001 ff")) == nil, "not UTF-8")
        let many = (0..<17).flatMap { _ in hex("05 0001 61") }
        #expect(EndpointRow(decoding: hex("02 0006 02420a000002") + many) == nil, "17 names")
    }

    @Test func loanRowsKeepTheirBytes() throws {
        let host = try #require(HostID("000102030405060708090a0b0c0d0e0f"))
        #expect(LoanRow(borrower: host).encoded == hex("01 0010 000102030405060708090a0b0c0d0e0f"))
        #expect(LoanRow(decoding: LoanRow(borrower: host).encoded)?.borrower == host)
        #expect(LoanRow(decoding: []) == nil)
    }

    /// No value, however cut or changed, does more than be refused.
    @Test func decodersTakeAnything() throws {
        var random = SeededGenerator(seed: seed(for: "decodersTakeAnything"))
        let values: [[UInt8]] = [
            HostRow(publicKey: Array(0..<32), addresses: [address("192.0.2.1")], nodeName: "n").encoded,
            NetworkRow(subnets: [.init(prefix: try prefix("10.1.0.0/16"))], vni: 5000, options: ["a": "b"]).encoded,
            MemberRow(vtep: address("2001:db8::1"), mtu: 9000).encoded,
            EndpointRow(addresses: [try prefix("10.0.0.2/24")], mac: MACAddress(locallyAdministered: 7), names: ["x"])
                .encoded,
            LoanRow(borrower: ToyAuthority(1).host).encoded,
        ]
        func decode(_ bytes: [UInt8]) {
            // What is accepted encodes to something that is accepted and means the same.
            if let row = HostRow(decoding: bytes) { #expect(HostRow(decoding: row.encoded) == row) }
            if let row = NetworkRow(decoding: bytes) { #expect(NetworkRow(decoding: row.encoded) == row) }
            if let row = MemberRow(decoding: bytes) { #expect(MemberRow(decoding: row.encoded) == row) }
            if let row = EndpointRow(decoding: bytes) { #expect(EndpointRow(decoding: row.encoded) == row) }
            if let row = LoanRow(decoding: bytes) { #expect(LoanRow(decoding: row.encoded) == row) }
        }
        for value in values {
            for length in value.indices { decode(Array(value.prefix(length))) }
            for _ in 0..<(runsLong ? 200_000 : 2000) {
                var changed = value
                for _ in 0...random.below(3) {
                    changed[random.below(changed.count)] = UInt8(truncatingIfNeeded: random.next())
                }
                decode(changed)
            }
        }
    }
}
