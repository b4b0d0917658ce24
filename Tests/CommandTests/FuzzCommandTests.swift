import JSON
import TestSupport
import Testing

/// Configurations and environments nobody would write: always an answer, never a signal, never a trace.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct FuzzCommandTests {
    static let runs = Plugins.wantsLongRuns ? 2400 : 200

    @Test("Mutated configurations and environments", arguments: SkeletonTests.plugins)
    func mutations(_ plugin: String) throws {
        var mutator = Mutator(random: SeededGenerator(for: "FuzzCommandTests.\(plugin)"))
        let lab = try Lab()
        let start = try lab.world().withoutBookkeeping()
        var added = 0
        for run in 0..<Self.runs / SkeletonTests.plugins.count {
            let call = mutator.call(plugin)
            let answer = try lab.run(call)
            let what = "seed \(mutator.random.seed), run \(run): \(call.command ?? "-") \(call.input.prefix(600))"
            expectAnswer(answer, what)
            if call.command == "ADD", answer.succeeded {
                added += 1
                // The same words that made it take it away.
                var delete = call
                delete.command = "DEL"
                let gone = try lab.run(delete)
                expectAnswer(gone, what)
                try beyondReference("the reference may refuse") { #expect(gone.succeeded, "\(what) \(gone)") }
                try removeShared(lab)
            } else if Plugins.areReference {
                try removeShared(lab)
                _ = try? lab.tool("ip", "link", "delete", "eth0", in: "c0")
            }
            try beyondReference("the reference leaves the veth of a failed ADD") { try expectNoTrace(lab, what) }
            if Plugins.areReference { try reset(lab) }
        }
        // A table of refusals alone would prove little.
        #expect(added > 0, "seed \(mutator.random.seed)")
        try beyondReference("the reference leaves sysctls and links behind") {
            let isLeft = { (name: String) in
                name.hasSuffix("/forwarding") || name.hasSuffix("/ip_forward") || name.hasPrefix("c0/link/lo")
                    || name.hasPrefix("c0/address/lo")
            }
            try lab.world().withoutBookkeeping().without(isLeft).expectEqual(to: start.without(isLeft))
        }
    }

    @Test("Nonsense said of a good attachment does it no harm", arguments: ["bridge", "host-local"])
    func nonsenseAfterAdd(_ plugin: String) throws {
        var mutator = Mutator(random: SeededGenerator(for: "FuzzCommandTests.nonsenseAfterAdd.\(plugin)"))
        let lab = try Lab()
        let config =
            plugin == "bridge"
            ? Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"]) : Inputs.hostLocal("1.0.0")
        let first = try lab.add(config, plugin: plugin)
        try lab.delete(first.config, plugin: plugin)
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        for run in 0..<Self.runs / 5 {
            let added = try lab.add(config, plugin: plugin).config
            let mutated = mutator.mutated(added)
            let command = mutator.random.pick(["CHECK", "DEL", "STATUS", "GC"]) ?? "CHECK"
            let before = command == "CHECK" || command == "STATUS" ? try lab.world().withoutBookkeeping() : nil
            let answer = try lab.run(plugin, command, mutated)
            let what = "seed \(mutator.random.seed), run \(run): \(command) \(mutated.text().prefix(900))"
            expectAnswer(answer, what)
            if let before { try lab.world().withoutBookkeeping().expectEqual(to: before, what) }
            try lab.run(plugin, "DEL", added).expectSilence(what)
            try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start, what)
        }
    }

    private func expectAnswer(_ answer: PluginAnswer, _ what: String) {
        let status = answer.outcome.status
        #expect(!answer.outcome.timedOut && (status == 0 || status == 1), "\(what) \(answer)")
        if answer.outcome.output.isEmpty {
            #expect(status == 0, "\(what) \(answer)")
        } else {
            #expect(answer.document != nil, "\(what) \(answer)")
            if status == 1 { #expect(answer.code != nil && !answer.message.isEmpty, "\(what) \(answer)") }
        }
    }

    /// No link but bridges, no reservation; a bridge only after a success.
    private func expectNoTrace(_ lab: Lab, _ what: String) throws {
        let (host, container) = (try lab.linkNames(), try lab.linkNames(in: "c0"))
        #expect(host == ["lo"] && container == ["lo"], "\(what) host \(host) container \(container)")
        let files = try lab.list("/var/lib/cni/networks").flatMap { network in
            try lab.reservations(network).map { "\(network)/\($0.key)" }
        }
        #expect(files == [], "\(what)")
        if host != ["lo"] || container != ["lo"] || files != [] { try reset(lab) }
    }

    private func removeShared(_ lab: Lab) throws {
        for link in try lab.query("ip", ["-j", "link", "show", "type", "bridge"]).elements {
            if let name = link["ifname"]?.string { try lab.tool("ip", "link", "delete", name) }
        }
    }

    private func reset(_ lab: Lab) throws {
        for name in try lab.linkNames() where name != "lo" { _ = try? lab.tool("ip", "link", "delete", name) }
        for name in try lab.linkNames(in: "c0") where name != "lo" {
            _ = try? lab.tool("ip", "link", "delete", name, in: "c0")
        }
        try lab.tool("rm", "-rf", "/var/lib/cni/networks")
    }
}

/// Makes wrong calls out of right ones.
struct Mutator {
    var random: SeededGenerator

    init(random: SeededGenerator) { self.random = random }

    private static let strings = [
        "", "x", "10.1.2.0/24", "10.1.2.7", "10.1.2.1/33", "0.0.0.0/0", "::/0", "2001:db8::/64", "fe80::1",
        "::ffff:1.2.3.4",
        "255.255.255.255", "host-local", "static", "../x", "a/b", "br0", "lo", "eth0", "-", ".", "..", "1.0.0", "0.2.0",
        "1.1.0", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "\u{0}", "é", "\u{202E}", "%s%n",
        "/run/dir", "/dev/null", "/proc/self/mem", "reuse", "true", String(repeating: "a", count: 5000),
    ]
    private static let keys = [
        "cniVersion", "name", "type", "bridge", "isGateway", "isDefaultGateway", "forceAddress", "hairpinMode",
        "promiscMode", "mtu", "vlan", "vlanTrunk", "preserveDefaultVlan", "enabledad", "portIsolation", "icc",
        "internal", "ipam", "dns", "args", "runtimeConfig", "prevResult", "capabilities", "ranges", "subnet",
        "rangeStart", "rangeEnd", "gateway", "routes", "dst", "gw", "exclude", "onDuplicate", "resolvConf", "mac",
        "ips", "cni", "disableContainerInterface", "priority", "table", "scope", "advmss",
    ]

    /// A wrong call of a plugin.
    ///
    /// - Parameter base: the right configuration; one for the plugin's name by default.
    mutating func call(_ plugin: String, base: Value? = nil) -> PluginCall {
        let version = random.pick(Plugins.versions) ?? "1.0.0"
        var config: Value =
            switch plugin {
            case _ where base != nil: (base ?? .null).with(("cniVersion", .string(version)))
            case "bridge":
                Inputs.bridge(version, random.pick([["10.1.2.0/24"], ["10.1.2.0/24", "2001:db8::/64"], []]) ?? [])
            case "host-local": Inputs.hostLocal(version, ["10.1.2.0/24", "2001:db8::/64"])
            default: ["cniVersion": .string(version), "name": "net", "type": .string(plugin)]
            }
        for _ in 0..<random.below(4) { config = mutate(config, depth: 0) }
        var input = config.text()
        if random.below(6) == 0 { input = garble(input) }
        var call = PluginCall(
            plugin, random.pick(["ADD", "ADD", "ADD", "ADD", "DEL", "CHECK", "GC", "STATUS"]), input: input)
        switch random.below(14) {
        case 0: call.containerID = random.pick(Self.environmentStrings) ?? nil
        case 1: call.ifname = random.pick(Self.environmentStrings) ?? nil
        // Never a path that leads to the machine's own namespace.
        case 2:
            call.netns =
                random.pick(
                    [
                        nil, "", "/run/netns/gone", "/etc/hosts", "/proc/self/ns/net", "/run", "/dev/null", "x",
                        "/proc/self/ns/uts",
                    ] as [String?]) ?? nil
        case 3:
            call.path = random.pick([nil, "", ":", "/run/none", "/run/none:\(Plugins.directory)"] as [String?]) ?? nil
        case 4:
            call.arguments = random.pick([
                "IP=10.1.2.9", "IP=x", "MAC=02:00:00:00:00:05", "MAC=x", ";", "=", "IgnoreUnknown=1;X=Y",
                "IP=10.1.2.9;IP=10.1.2.8",
                "IgnoreUnknown=1;IP=", String(repeating: "A=1;", count: 2000),
            ])
        default: break
        }
        return call
    }

    /// The value with one to four changes.
    mutating func mutated(_ value: Value) -> Value {
        (0...random.below(4)).reduce(value) { value, _ in mutate(value, depth: 0) }
    }

    // A zero byte cannot be in an environment.
    private static let environmentStrings: [String?] = [nil] + strings.filter { !$0.contains("\u{0}") }

    private mutating func scalar() -> Value {
        switch random.below(12) {
        case 0: nil
        case 1: .bool(random.below(2) == 0)
        case 2: .integer(Int64(random.below(5000)) - 100)
        case 3: .integer(random.pick([Int64.max, Int64.min, 65535, 65536, 4_294_967_296]) ?? 0)
        case 4: .real(1.5)
        case 5: []
        case 6: [:]
        case 7: .array([.string(random.pick(Self.strings) ?? ""), nil])
        default: .string(random.pick(Self.strings) ?? "")
        }
    }

    private mutating func mutate(_ value: Value, depth: Int) -> Value {
        if random.below(depth == 0 ? 50 : 4) == 0 { return scalar() }
        switch value {
        case .object(let object):
            var members = object.members.map { ($0.key, $0.value) }
            let index = random.below(members.count)
            switch random.below(6) {
            case 0: members.append((random.pick(Self.keys) ?? "", scalar()))
            case 1 where !members.isEmpty: members.remove(at: index)
            case 2 where !members.isEmpty: members[index].0 = members[index].0.uppercased()
            case _ where !members.isEmpty: members[index].1 = mutate(members[index].1, depth: depth + 1)
            default: break
            }
            return .object(Object(members))
        case .array(var elements):
            if elements.isEmpty || random.below(4) == 0 { return .array(elements + [scalar()]) }
            let index = random.below(elements.count)
            elements[index] = mutate(elements[index], depth: depth + 1)
            return .array(random.below(5) == 0 ? elements + elements : elements)
        default: return scalar()
        }
    }

    private mutating func garble(_ text: String) -> String {
        var bytes = Array(text.utf8)
        guard !bytes.isEmpty else { return text }
        switch random.below(3) {
        case 0: bytes.removeLast(random.below(bytes.count))
        case 1: bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count))
        default: bytes[random.below(bytes.count)] = UInt8(random.below(256))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
