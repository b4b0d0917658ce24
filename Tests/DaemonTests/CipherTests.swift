import Gossip
import NIOCore
import System
import TestSupport
import Testing

@testable import Daemon

/// What the shell gives the engine: the cipher, addresses, files.
struct CipherTests {
    private func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// A packet of the gossip, key 00..1f and nonce 00..0b, made by another implementation.
    @Test func opensAndSealsAsOthersDo() {
        let packet = bytes(
            "01000102030405060708090a0b4580714ba49cae74ec25572ee28c0923ecd1f95d4a825815d44b580072f1297a473c")
        let plain = bytes("0282a75061796c6f6164c0a55365714e6f07")
        let key = Array(UInt8(0)..<32)
        let cipher = AESGCMCipher()
        #expect(cipher.open(packet[13...], key: key, nonce: packet[1..<13], authenticating: []) == plain)
        #expect(cipher.seal(plain[...], key: key, nonce: packet[1..<13], authenticating: []) == Array(packet[13...]))
    }

    @Test(arguments: [16, 24, 32])
    func refusesWhatWasChanged(keyLength: Int) {
        let key = [UInt8](repeating: 7, count: keyLength)
        let nonce = [UInt8](repeating: 1, count: 12)
        let cipher = AESGCMCipher()
        let sealed = cipher.seal([1, 2, 3], key: key, nonce: nonce[...], authenticating: [9])
        #expect(cipher.open(sealed[...], key: key, nonce: nonce[...], authenticating: [9]) == [1, 2, 3])
        #expect(cipher.open(sealed[...], key: key, nonce: nonce[...], authenticating: [8]) == nil)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(cipher.open(changed[...], key: key, nonce: nonce[...], authenticating: [9]) == nil)
        }
        #expect(cipher.open([], key: key, nonce: nonce[...], authenticating: []) == nil)
    }

    @Test(arguments: ["192.0.2.1:7946", "[2001:db8::1]:80"])
    func turnsAddressesBothWays(text: String) throws {
        let endpoint = try #require(Endpoint(text: text))
        #expect(Endpoint(try endpoint.socketAddress()) == endpoint)
        #expect(Endpoint(try SocketAddress(unixDomainSocketPath: "/x")) == nil)
    }

    @Test func keepsKeysAsSerfDoes() throws {
        let directory = try TemporaryDirectory()
        let file = KeyRingFile(path: directory.appending("keys.json"))
        let ring = try KeyRing(primary: Array(0..<16), others: [Array(1..<33)])
        try file.save(ring)
        #expect(try file.load() == ring)
        #expect(try FileStatus(of: file.path).mode & 0o777 == 0o600)
        for text in ["[]", "{}", #"["x"]"#, #"["AAAA"]"#, ""] {
            try Files.rewrite(file.path, with: Array(text.utf8))
            #expect(throws: (any Error).self) { try file.load() }
        }
    }
}
