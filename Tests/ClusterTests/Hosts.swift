import JSON
import System
import TestSupport

/// Several hosts on one wire, each with a daemon of its own: host number i is 192.0.2.(i+1), or fd00:1::(i+1), named h(i+1).
final class Hosts {
    let underlay: Underlay
    private(set) var hosts: [OverlayHost] = []

    /// Makes the hosts and starts their daemons; all but the first join the first.
    ///
    /// - Parameters:
    ///   - ipv6: whether the daemons, and with them VXLAN, use IPv6.
    ///   - programs: the daemons' executables, by host; this build's for hosts beyond them.
    init(
        _ count: Int = 3, mtu: Int = 1500, ipv6: Bool = false, configuration: Value = [:], keys: [String] = [],
        programs: [String] = []
    ) throws {
        let underlay = try Underlay(hosts: count, containers: 0, mtu: mtu)
        self.underlay = underlay
        hosts = underlay.hosts.enumerated().map {
            OverlayHost($0.offset, underlay.address($0.offset, ipv6: ipv6), $0.element)
        }
        for host in hosts {
            if programs.indices.contains(host.index) { host.program = programs[host.index] }
            try host.lab.write("/run/swiftletd.json", configuration.text())
            if host.index > 0 { host.arguments = ["--join", hosts[0].address] }
            if !keys.isEmpty {
                try host.lab.write("/run/keys.json", Value.array(keys.map { .string($0) }).text())
                host.arguments += ["--keyring", "/run/keys.json"]
            }
            try host.startDaemon()
        }
        try eventually("all hosts know each other") {
            try hosts.allSatisfy { try $0.get("/v1/tables")["hosts"]?.elements.count == count }
        }
    }

    deinit { for host in hosts { host.stop("KILL") } }

    subscript(_ index: Int) -> OverlayHost { hosts[index] }

    /// Asks until the answer is right; how long that takes is not the question.
    func eventually(_ what: String, milliseconds: Int = 45_000, _ isSo: () throws -> Bool) throws {
        let deadline = Deadline(milliseconds: milliseconds)
        var last: (any Error)?
        while deadline.remainingMilliseconds > 0 {
            do {
                if try isSo() { return }
                last = nil
            } catch { last = error }
            pause(milliseconds: 50)
        }
        let logs = hosts.map { "--- \($0.name)\n" + ((try? $0.lab.read($0.log)) ?? "") }.joined()
        throw LabError("never came true: \(what) \(last.map { "(\($0))" } ?? "")\n\(logs)")
    }

    /// Takes a host off the wire, or puts it back.
    func wire(_ index: Int, isUp: Bool) throws {
        try underlay.wire.tool("ip", "link", "set", "port\(index)", isUp ? "up" : "down")
    }
}

/// One host with its daemon.
final class OverlayHost {
    let index: Int
    let address: String
    let lab: Lab
    var arguments: [String] = []
    /// The daemon's executable.
    var program = Cluster.swiftletd
    private var pid = 0

    init(_ index: Int, _ address: String, _ lab: Lab) {
        self.index = index
        self.address = address
        self.lab = lab
        name = "h\(index + 1)"
    }

    private(set) var name: String

    /// Takes another name, for the daemon's next start.
    func rename(_ name: String) { self.name = name }

    var log: String { "/run/daemon.log" }
    private static let socket = "/run/swiftlet/swiftletd.sock"

    // MARK: The daemon

    /// Starts the daemon and waits until it answers. Whatever happens to the test, it is killed after three minutes.
    func startDaemon(milliseconds: Int = 30_000) throws {
        let line =
            [
                program, "--config", "/run/swiftletd.json", "--node", name, "--bind", address, "--state-dir",
                "/run/state", "--profile", "fast",
            ] + arguments
        let script = """
            exec 3>&1 >>\(log) 2>&1 </dev/null
            \(line.map { "'\($0)'" }.joined(separator: " ")) 3>&- & pid=$!
            (timeout 180 tail --pid=$pid -f /dev/null || kill -9 $pid) 3>&- &
            echo $pid >&3
            """
        guard let pid = Int(try lab.tool("sh", "-c", script).filter { !$0.isWhitespace }) else {
            throw LabError("swiftletd did not start")
        }
        self.pid = pid
        let deadline = Deadline(milliseconds: milliseconds)
        while (try? request("GET", "/healthz"))?.status != 200 {
            guard deadline.remainingMilliseconds > 0 else {
                throw LabError("swiftletd does not answer\n" + ((try? lab.read(log)) ?? ""))
            }
            pause(milliseconds: 20)
        }
    }

    /// Sends the daemon a signal and waits until it is gone.
    func stop(_ signal: String) {
        guard pid > 0 else { return }
        _ = try? lab.tool("sh", "-c", "kill -\(signal) \(pid); while kill -0 \(pid) 2>/dev/null; do sleep 0.02; done")
        pid = 0
    }

    func request(_ method: String, _ path: String, _ body: Value? = nil) throws -> (status: Int, document: Value) {
        let data = body.map { ["-d", $0.text()] } ?? []
        let text = try lab.tool(
            "curl",
            ["-s", "-m", "20", "-X", method, "-w", "\n%{http_code}", "--unix-socket", Self.socket]
                + data + ["http://localhost\(path)"])
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let last = lines.last, let status = Int(last) else { throw LabError("curl: \(text)") }
        let document = lines.dropLast().joined(separator: "\n")
        return (status, (try? Value(parsing: Array(document.utf8))) ?? .string(document))
    }

    func get(_ path: String) throws -> Value {
        let (status, document) = try request("GET", path)
        guard status == 200 else { throw LabError("\(path): \(status) \(document.text())") }
        return document
    }

    /// A counter of `/metrics`.
    func metric(_ name: String) throws -> Int {
        let lines = (try request("GET", "/metrics").document.string ?? "").split(separator: "\n")
        return lines.first { $0.hasPrefix(name + " ") }.flatMap { Int($0.dropFirst(name.utf8.count + 1)) } ?? -1
    }

    /// The endpoints that the host knows of: address to "host status".
    func endpoints() throws -> [String: String] {
        var found: [String: String] = [:]
        for endpoint in try get("/v1/endpoints")["endpoints"]?.elements ?? [] {
            let address = endpoint["addresses"]?[0]?.string ?? ""
            found[address] = "\(endpoint["host"]?.string ?? "") \(endpoint["status"]?.string ?? "")"
        }
        return found
    }

    // MARK: Containers

    /// The network `demonet`, or another; a null takes a key away.
    static func network(_ name: String = "demonet", _ more: [(String, Value)] = []) -> Value {
        var config: Value = [
            "cniVersion": "1.0.0", "name": .string(name), "type": "overlay-vxlan", "subnet": "192.168.0.0/24",
            "ipam": ["type": "host-local"],
        ]
        for (key, value) in more { config[key] = value == .null ? nil : value }
        return config
    }

    /// Connects a container, which is made when it is not there.
    func add(
        _ container: String, ip: String? = nil, _ network: Value = OverlayHost.network()
    ) throws -> PluginAnswer {
        try add(container, ips: ip.map { [$0] } ?? [], network)
    }

    /// Connects a container with some addresses of its own choice.
    func add(_ container: String, ips: [String], _ network: Value) throws -> PluginAnswer {
        if try !lab.list("/run/netns").contains(container) { try lab.addContainer(container) }
        var config = network
        if !ips.isEmpty {
            var wishes = config["runtimeConfig"] ?? [:]
            wishes["ips"] = .array(ips.map { .string($0) })
            config["runtimeConfig"] = wishes
        }
        return try lab.run(
            "overlay-vxlan", "ADD", containerID: container, netns: lab.netns(container), config)
    }

    /// Connects a container and gives its address without the prefix length.
    func connect(_ container: String, ip: String? = nil, _ network: Value = OverlayHost.network()) throws -> String {
        let answer = try add(container, ip: ip, network)
        guard answer.succeeded, let text = answer.document?["ips"]?[0]?["address"]?.string else {
            throw LabError("\(name) ADD \(container): \(answer)\n" + ((try? lab.read(log)) ?? ""))
        }
        return String(text.prefix { $0 != "/" })
    }

    /// Connects a container and gives its addresses of both families, without the prefix lengths.
    func addresses(_ container: String, ips: [String], _ network: Value) throws -> [String] {
        let answer = try add(container, ips: ips, network)
        guard answer.succeeded else {
            throw LabError("\(name) ADD \(container): \(answer)\n" + ((try? lab.read(log)) ?? ""))
        }
        return (answer.document?["ips"]?.elements ?? []).map { ip in
            String((ip["address"]?.string ?? "").prefix { $0 != "/" })
        }
    }

    func remove(_ container: String, _ network: Value = OverlayHost.network()) throws -> PluginAnswer {
        try lab.run("overlay-vxlan", "DEL", containerID: container, netns: lab.netns(container), network)
    }

    func disconnect(_ container: String, _ network: Value = OverlayHost.network()) throws {
        let answer = try remove(container, network)
        guard answer.succeeded else { throw LabError("\(name) DEL \(container): \(answer)") }
    }

    /// Sends echo requests in the background for some seconds; ``PingRun/lost()`` waits for their end.
    func ping(_ address: String, from container: String, seconds: Int) throws -> PingRun {
        let file = "/run/ping-\(container)-\(address)"
        let path = lab.netns(container)
        try lab.tool(
            "sh", "-c",
            "(nsenter --net=\(path) ping -n -q -i 0.02 -w \(seconds) \(address) >\(file).tmp 2>&1; "
                + "mv \(file).tmp \(file)) >/dev/null 2>&1 </dev/null &")
        return PingRun(lab: lab, file: file)
    }

    // MARK: The kernel

    static let namespace = "/run/swiftlet/netns/1-fa17f1198b"

    /// Runs a tool in the overlay namespace of `demonet`.
    func overlay(_ arguments: String...) throws -> String {
        let tool = Lab.find(arguments[0]) ?? arguments[0]
        return try lab.tool("nsenter", ["--net=\(Self.namespace)", tool] + arguments.dropFirst())
    }

    /// The entries towards other hosts: address to MAC and VTEP.
    func entries() throws -> [String: String] {
        var vteps: [String: String] = [:]
        for line in try overlay("bridge", "fdb", "show", "dev", "vxlan0").split(separator: "\n") {
            let words = line.split(separator: " ")
            if let place = words.firstIndex(of: "dst") { vteps[String(words[0])] = String(words[place + 1]) }
        }
        var entries: [String: String] = [:]
        for line in try overlay("ip", "neighbour", "show", "dev", "vxlan0", "nud", "permanent").split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            entries[words[0]] = "\(words[2]) \(vteps[words[2]] ?? "nowhere")"
        }
        return entries
    }

    /// What a network leaves on a host: namespaces, rules.
    func leftovers() throws -> [String] {
        try lab.list("/run/swiftlet/netns").filter { $0.hasPrefix("1-") }
            + lab.tool("nft", "list", "ruleset").split(separator: "\n").map(String.init)
    }
}

/// Echo requests that go on.
struct PingRun {
    let lab: Lab
    let file: String

    /// How many were sent and how many of them were not answered, when it has ended.
    func outcome() throws -> (sent: Int, lost: Int) {
        let deadline = Deadline(milliseconds: 60_000)
        while true {
            if let text = try? lab.read(file) {
                let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
                guard let place = words.firstIndex(of: "packets"), let sent = Int(words[place - 1]),
                    words.count > place + 2, let received = Int(words[place + 2])
                else { throw LabError("ping: \(text)") }
                return (sent, sent - received)
            }
            guard deadline.remainingMilliseconds > 0 else { throw LabError("ping does not end") }
            pause(milliseconds: 50)
        }
    }
}
