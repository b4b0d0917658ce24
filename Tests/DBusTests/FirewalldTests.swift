import DBus
import NetworkTypes
import TestSupport
import Testing

@Suite("firewalld's zones")
struct FirewalldTests {
    private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    private func connect(_ fake: FakeFirewalld) throws -> Firewalld {
        try #require(try Firewalld.running(environment: environment(fake.address)))
    }

    @Test("Sources come, are there, and go; twice is once")
    func sources() throws {
        let fake = try FakeFirewalld()
        let firewalld = try connect(fake)
        let (v4, v6) = (try prefix("10.1.2.3/32"), try prefix("fd00::3/128"))
        for source in [v4, v6] {
            #expect(try !firewalld.hasSource(source, zone: "trusted"))
            #expect(try !firewalld.removeSource(source, zone: "trusted"))
            #expect(try firewalld.addSource(source, zone: "trusted"))
            #expect(try !firewalld.addSource(source, zone: "trusted"))
            #expect(try firewalld.hasSource(source, zone: "trusted"))
            #expect(try !firewalld.hasSource(source, zone: "public"))
        }
        #expect(fake.sources == ["trusted": ["10.1.2.3/32", "fd00::3/128"], "public": []])
        #expect(try firewalld.removeSource(v4, zone: "trusted"))
        #expect(try !firewalld.removeSource(v4, zone: "trusted"))
        #expect(fake.sources == ["trusted": ["fd00::3/128"], "public": []])
        #expect(fake.calls.first == "querySource trusted 10.1.2.3/32")
    }

    @Test("Every other refusal is told, with firewalld's word for it")
    func refusals() throws {
        let fake = try FakeFirewalld()
        let firewalld = try connect(fake)
        let source = try prefix("10.1.2.3/32")
        try firewalld.addSource(source, zone: "public")
        for zone in ["nowhere", "trusted"] {
            let code = zone == "nowhere" ? "INVALID_ZONE" : "ZONE_CONFLICT"
            #expect(
                failure { () throws(BusError) in try firewalld.addSource(source, zone: zone) }?.firewalldCode == code)
            #expect(
                failure { () throws(BusError) in try firewalld.removeSource(source, zone: zone) }?.firewalldCode == code
            )
        }
        #expect(fake.sources["public"] == ["10.1.2.3/32"])
    }

    @Test(
        "Only firewalld's own words are tolerated, and only where they mean that nothing is to be done",
        arguments: [
            ("ZONE_ALREADY_SET", true, false), ("ZONE_ALREADY_SET: '10.1.2.3/32'", true, false),
            ("UNKNOWN_SOURCE: '10.1.2.3/32'", false, true), ("ZONE_ALREADY_SET_NOT", false, false), ("", false, false),
            ("because of ZONE_ALREADY_SET: UNKNOWN_SOURCE", false, false),
        ])
    func tolerance(text: String, onAdding: Bool, onRemoving: Bool) throws {
        let fake = try FakeFirewalld(failure: text)
        let firewalld = try connect(fake)
        let source = try prefix("10.1.2.3/32")
        let expected = BusError.failed(name: "org.fedoraproject.FirewallD1.Exception", text: text)
        #expect(
            failure { () throws(BusError) in try firewalld.addSource(source, zone: "a") } == (onAdding ? nil : expected)
        )
        #expect(
            failure { () throws(BusError) in try firewalld.removeSource(source, zone: "a") }
                == (onRemoving ? nil : expected))
        #expect(failure { () throws(BusError) in try firewalld.hasSource(source, zone: "a") } == expected)
    }

    @Test("A bus without firewalld has none")
    func notRunning() throws {
        let fake = try FakeFirewalld(isRunning: false)
        #expect(try Firewalld.running(environment: environment(fake.address)) == nil)
        let firewalld = Firewalld(try BusConnection(address: fake.address, timeout: 10_000))
        let error = failure { () throws(BusError) in try firewalld.hasSource(.any(.ipv4), zone: "trusted") }
        #expect(error?.isUnowned == true)
        #expect(error?.firewalldCode == nil)
    }
}
