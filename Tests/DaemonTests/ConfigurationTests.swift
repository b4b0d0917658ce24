import Gossip
import JSON
import NetworkTypes
import System
import Testing

@testable import Daemon

/// The daemon's configuration file and the addresses in it.
struct ConfigurationTests {
    private static let repository = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

    private func parse(_ text: String) throws -> Configuration {
        try Configuration(Value(parsing: Array(text.utf8)))
    }

    @Test func readsTheExample() throws {
        let configuration = try DaemonMain.configuration(file: "\(Self.repository)/conf/swiftletd.json")
        #expect(configuration.bind == Endpoint(text: "0.0.0.0:7946"))
        #expect(configuration.join == ["192.0.2.11", "192.0.2.12:7946"].compactMap { Endpoint(text: $0) })
        #expect(configuration.join.count == 2)
        #expect(configuration.tags == ["role": "host"])
        #expect(configuration.profile == .lan)
        #expect(configuration.keyring == nil)
        // The example states the defaults and nothing that a host must change, but for the peers.
        var bare = configuration
        bare.join = []
        bare.tags = [:]
        #expect(bare == Configuration())
    }

    @Test(arguments: [
        (#"{"nod": "a"}"#, "nod: unknown key"),
        (#"{"node": "a b"}"#, "node: must have 1 to 128 letters, digits, '-' or '.'"),
        (#"{"bind": "nowhere"}"#, "bind: 'nowhere' is not an address, IPV4:PORT or [IPV6]:PORT"),
        (
            #"{"join": ["10.0.0.1", "10.0.0.1:x"]}"#,
            "join[1]: '10.0.0.1:x' is not an address, IPV4:PORT, [IPV6]:PORT or HOST[:PORT]"
        ),
        (#"{"profile": "slow"}"#, "profile: must be one of lan, fast, wan"),
        (#"{"grace": 0}"#, "grace: must be between 1 and 604800, not 0"),
        (#"{"tags": {"a": 1}}"#, "tags.a: expected a string, found a number"),
        ("[]", "expected an object, found an array"),
    ])
    func saysWhatIsWrong(text: String, reason: String) {
        #expect {
            try parse(text)
        } throws: { error in
            "\(error)" == reason
        }
    }

    @Test func namesTheFileThatIsNotThere() {
        #expect(throws: StartFault.self) { try DaemonMain.configuration(file: "/nowhere/swiftletd.json") }
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1:7946"), ("192.0.2.1:80", "192.0.2.1:80"), ("2001:db8::1", "[2001:db8::1]:7946"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"), ("[2001:db8::1]", "[2001:db8::1]:7946"),
    ])
    func readsEndpoints(text: String, expected: String) {
        #expect(Endpoint(text: text)?.description == expected)
    }

    @Test(arguments: [
        "", "host", "192.0.2.1:", "192.0.2.1:65536", "[192.0.2.1]", "[2001:db8::1", ":80", "[]:80", "1:2:3:80x",
    ])
    func refusesEndpoints(text: String) {
        #expect(Endpoint(text: text) == nil)
    }

    /// Every place that takes an address takes it in brackets, too, with and without a port and an interface.
    @Test(arguments: [
        "fd00::11", "[fd00::11]", "[fd00::11]:7946", "fd00::11%lo", "[fd00::11%lo]", "[fd00::11%lo]:7946",
    ])
    func takesAddressesOfBothSpellings(text: String) {
        var configuration = Configuration()
        let isBound = configuration.setBind(text)
        #expect(isBound)
        #expect(configuration.bind.description == "[fd00::11]:7946")
        let isAdded = configuration.addPeer(text)
        #expect(isAdded)
        #expect(configuration.join.map(\.description) == ["[fd00::11]:7946"])
        #expect(configuration.joinNames.isEmpty)
        #expect(configuration.scope == (text.contains("%") ? "lo" : nil))
        guard !text.contains("%") else { return }
        let isSet = configuration.setSerfRPC(text)
        #expect(isSet)
        #expect(configuration.serfRPC.address == configuration.bind.address)
    }

    @Test func announcesTheBoundAddressUnlessToldOtherwise() throws {
        let bound = try #require(Endpoint(text: "192.0.2.1:80"))
        #expect(try Advertised.endpoint(bind: bound, wanted: nil) == bound)
        #expect(try Advertised.endpoint(bind: bound, wanted: "192.0.2.9").description == "192.0.2.9:80")
        #expect(try Advertised.endpoint(bind: bound, wanted: "[fd00::9]").description == "[fd00::9]:80")
        #expect(try Advertised.endpoint(bind: bound, wanted: "192.0.2.9:81").description == "192.0.2.9:81")
        #expect(throws: StartFault.self) { try Advertised.endpoint(bind: bound, wanted: "no-such-link") }
    }
}
