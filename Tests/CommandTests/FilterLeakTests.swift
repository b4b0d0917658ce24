import JSON
import TestSupport
import Testing

/// Many containers coming and going, one by one and at once.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's back ends are compared in FilterParityTests"))
struct FilterLeakTests {
    @Test("podman's chain leaves nothing", arguments: FilterInputs.backends)
    func repeated(_ backend: String) throws {
        let lab = try Lab()
        let chain = FilterCrashTests.chain(backend)
        let before = try lab.warmedUp(chain)
        for _ in 0..<(Plugins.wantsLongRuns ? 50 : 3) {
            let result = try lab.add(chain, "c0").orFail()
            try lab.check(chain, "c0", result).expectSilence()
            try lab.delete(chain, "c0", previous: result).expectSilence()
            try lab.expectReturn(to: before)
        }
    }

    @Test("Containers that come and go at the same time", arguments: FilterInputs.backends)
    func together(_ backend: String) throws {
        let count = 6
        let lab = try Lab(containers: count)
        let chains = (0..<count).map { index in
            var chain = FilterInputs.ports(backend, [FilterInputs.port(8000 + Int64(index))])
            chain.plugins.append(["type": "firewall", "backend": .string(backend)])
            return chain
        }
        let before = try lab.warmedUp(chains[0])
        for round in 0..<2 {
            let results = try inParallel(count) { index in try lab.add(chains[index], "c\(index)") }
            for (index, answer) in results.enumerated() {
                let result = answer.orFail("round \(round)")
                try lab.check(chains[index], "c\(index)", result).expectSilence("round \(round), c\(index)")
            }
            let ends = try inParallel(count) { index in
                try lab.delete(chains[index], "c\(index)", previous: results[index].document)
            }
            for answers in ends { answers.expectSilence("round \(round)") }
            try lab.expectReturn(to: before, "\(backend), round \(round)")
        }
    }

    @Test("A chain that fails late leaves nothing after DEL", arguments: FilterInputs.backends)
    func failing(_ backend: String) throws {
        let lab = try Lab()
        let before = try lab.warmedUp(FilterCrashTests.chain(backend))
        for broken in [1, 2] {
            var chain = FilterCrashTests.chain(backend)
            chain.plugins[broken][broken == 1 ? "snat" : "ingressPolicy"] = "nonsense"
            try lab.add(chain, "c0").expectRefusal()
            try lab.delete(chain, "c0").expectSilence()
            try lab.expectReturn(to: before, "\(backend) \(broken)")
        }
    }
}
