import JSON
import System
import TestSupport
import Testing

/// The plugin killed at any instant leaves nothing of a network that DEL, GC or the next ADD cannot clear away or use.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayCrashTests {
    static let rounds = Plugins.wantsLongRuns ? 200 : 40

    @Test("ADD or DEL is killed; DEL, GC or ADD and DEL clear", arguments: ["ADD", "DEL"])
    func killed(_ command: String) throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        // One free address: a leaked reservation would make every later ADD fail.
        let chain = OverlayInputs.daemonless(underlay, [("ipRange", "192.168.0.8/32")])
        var random = SeededGenerator(for: "OverlayCrashTests.\(command)")
        var longest: UInt64 = 0
        for _ in 0..<3 {
            for verb in ["ADD", "DEL"] {
                let answer = try host.run("overlay-vxlan", verb, chain.input(0))
                #expect(answer.succeeded, "\(answer)")
                if verb == command { longest = max(longest, answer.outcome.duration) }
            }
        }
        var killed = 0
        for round in 0..<Self.rounds {
            let what = "seed \(random.seed), round \(round)"
            if command == "DEL" { try host.add(chain, "c0").orFail(what) }
            var call = PluginCall("overlay-vxlan", command, input: chain.input(0).text())
            call.killAfter = UInt64.random(in: 0...longest, using: &random)
            if try host.run(call).outcome.status == -9 { killed += 1 }
            switch round % 3 {
            case 0: try host.delete(chain, "c0", netns: "").expectSilence(what)
            case 1: try host.collect(chain).expectSilence(what)
            default:
                // The runtime may try again with a container of the same name.
                try host.removeContainer("c0")
                try host.addContainer("c0")
                try host.delete(chain, "c0").expectSilence(what)
                try host.add(chain, "c0").orFail(what)
                try host.delete(chain, "c0").expectSilence(what)
            }
            #expect(try host.overlayRemains() == [], "\(what)")
            #expect(try host.reservations("demonet").isEmpty, "\(what)")
            #expect(try host.linkNames(in: "c0") == ["lo"], "\(what)")
        }
        print("OverlayCrashTests: \(killed) of \(Self.rounds) runs of \(command) were killed")
        #expect(killed > 0)
    }
}
