import NetworkTypes
import Overlay
import Testing

@Suite("Identities that hosts agree on without asking")
struct IdentityTests {
    @Test("The id is SHA-512 of cluster and name; namespace and VNI follow from it")
    func derived() {
        // printf %s swiftlet/swiftlet/demonet | sha512sum
        let identity = NetworkIdentity(network: "demonet")
        #expect(identity.identifier == "fa17f1198b0b2ded82b1f827e03d15004caa7d77e3d54a9c9c3f1f5b62ca1791")
        #expect(identity.namespacePath == "/run/swiftlet/netns/1-" + identity.identifier.prefix(10))
        #expect(identity.derivedVNI == 7305961)
        #expect(NetworkIdentity(network: "demonet", cluster: "other").identifier != identity.identifier)
        #expect(
            identity.endpointIdentifier(containerID: "c0", interfaceName: "eth0")
                == SHA512.hex("\(identity.identifier)/c0/eth0", length: 64))
    }

    @Test("VNIs stay in 24 bits, above those others take first")
    func range() {
        for number in 0..<2000 {
            let vni = NetworkIdentity(network: "net\(number)").derivedVNI
            #expect(vni >= 4097 && vni < 1 << 24)
        }
    }

    @Test("MACs are 02:42 and the IPv4 address, as in Docker")
    func addresses() throws {
        let four = try #require(IPAddress("192.168.0.100"))
        #expect(NetworkIdentity.containerMAC(four).description == "02:42:c0:a8:00:64")
        let six = try #require(IPAddress("fd00::1:2"))
        #expect(NetworkIdentity.containerMAC(six).description == "02:42:00:01:00:02")
    }
}
