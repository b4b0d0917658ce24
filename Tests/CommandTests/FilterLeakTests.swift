import JSON
import TestSupport
import Testing

/// Hosts that lack a program, and many containers coming and going at once.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference needs iptables"))
struct FilterLeakTests {
    /// Takes iptables and nft away from the lab's host.
    private func hidePrograms(_ lab: Lab) throws {
        try lab.script(
            """
            mkdir -p /run/programs /run/fewer
            mount --bind /usr/sbin /run/programs
            for file in /run/programs/*; do
                case ${file##*/} in *tables*|nft) ;; *) ln -s "$file" /run/fewer/ ;; esac
            done
            mount --bind /run/fewer /usr/sbin
            """)
    }

    @Test("A host without iptables and nft")
    func noPrograms() throws {
        let lab = try Lab()
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        try hidePrograms(lab)
        let chain = FilterCrashTests.chain("")
        let result = try lab.add(chain, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.status(chain).expectSilence()
        try lab.collect(chain).expectSilence()
        for answer in try lab.status(FilterCrashTests.chain("iptables")) {
            answer.expectRefusal(code: 50, containing: "iptables")
        }
        try lab.add(FilterCrashTests.chain("iptables"), "c0").expectRefusal(containing: "iptables")
        try lab.delete(FilterCrashTests.chain("iptables"), "c0").expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["lo"])
        withExtendedLifetime(servers) {}
    }

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
