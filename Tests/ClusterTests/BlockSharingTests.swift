import JSON
import System
import TestSupport
import Testing

/// More hosts than blocks, hosts that come and go, and hosts that call each other by name.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BlockSharingTests {
    private func rows(_ host: OverlayHost) throws -> [Value] {
        (try host.get("/v1/blocks")["networks"]?.elements ?? []).flatMap { $0["blocks"]?.elements ?? [] }
    }

    private func swiftlet(_ host: OverlayHost, _ arguments: String...) throws -> ChildOutcome {
        try host.lab.inside {
            try ChildProcess.run(
                Cluster.swiftlet, arguments, environment: Environment([("LC_ALL", "C")]), limit: 60_000)
        }
    }

    /// A /28 has four blocks: the fifth host gets its addresses one by one, and all 13 there are can be had.
    @Test("Hosts beyond the number of blocks")
    func everyAddress() throws {
        let hosts = try Hosts(5)
        let network = OverlayHost.network("demonet", [("subnet", "192.168.0.0/28")])
        var users: [String: (host: Int, container: String)] = [:]
        var failures: [String] = []
        // The last ones ask hosts that may just be asked by others.
        for round in 0..<12 where users.count < 13 {
            for index in 0..<5 where users.count < 13 {
                let container = "c\(index)x\(round)"
                let answer = try hosts[index].add(container, network)
                guard answer.succeeded, let text = answer.document?["ips"]?[0]?["address"]?.string else {
                    failures.append("\(hosts[index].name): \(answer)")
                    continue
                }
                let address = String(text.prefix { $0 != "/" })
                #expect(users[address] == nil, "\(address) is used twice")
                users[address] = (index, container)
            }
        }
        #expect(users.count == 13, "\(failures)")
        #expect(users.values.contains { $0.host == 4 }, "\(failures)")
        #expect(try rows(hosts[0]).count == 4)
        let answer = try hosts[4].add("onemore", network)
        #expect(answer.code == 11, "\(answer)")
        for user in users.values { try hosts[user.host].disconnect(user.container, network) }
        try hosts.eventually("nothing is lent") {
            try (0..<5).allSatisfy { index in
                try rows(hosts[index]).allSatisfy { $0["lent"] == nil }
            }
        }
    }

    @Test("Hosts that leave give everything back")
    func comeAndGo() throws {
        let hosts = try Hosts(3)
        let network = OverlayHost.network("demonet", [("subnet", "192.168.0.0/26")])
        for index in 0..<2 { _ = try hosts[index].connect("stays", network) }
        let third = hosts[2]
        for life in 0..<(Environment.current()["SWIFTLET_LONG"] == "1" ? 12 : 3) {
            _ = try third.connect("c\(life)", network)
            let own = try Set(rows(third).compactMap { $0["owner"]?.string })
            #expect(own.contains("h3"), "life \(life)")
            try third.disconnect("c\(life)", network)
            let left = try swiftlet(third, "leave")
            #expect(left.status == 0, "\(left.errorText)")
            third.stop("KILL")
            try third.lab.tool("rm", "-rf", "/run/state")
            for index in 0..<2 {
                let owners = try Set(rows(hosts[index]).compactMap { $0["owner"]?.string })
                #expect(owners == ["h1", "h2"], "life \(life)")
            }
            try third.startDaemon()
            try hosts.eventually("h3 is back") {
                try hosts[0].get("/v1/networks/demonet")["Name"] != nil
                    && swiftlet(hosts[0], "members", "--status", "alive").text.contains("h3")
            }
        }
    }

    @Test("Hosts that name each other and are cut off do not share out the addresses twice")
    func byName() throws {
        let hosts = try Hosts(2)
        for index in 0..<2 {
            hosts[index].stop("KILL")
            try hosts[index].lab.tool("rm", "-rf", "/run/state")
            try hosts.wire(index, isUp: false)
            hosts[index].arguments = ["--join", index == 0 ? "second.test" : "first.test"]
            try hosts[index].lab.tool("sh", "-c", ": >/run/hosts; mount --bind /run/hosts /etc/hosts")
            try hosts[index].startDaemon()
        }
        for index in 0..<2 {
            let answer = try hosts[index].add("early", OverlayHost.network())
            #expect(answer.code == 11, "\(answer)")
            #expect("\(answer)".contains(index == 0 ? "second.test" : "first.test"), "\(answer)")
        }
        for index in 0..<2 {
            try hosts[index].lab.tool(
                "sh", "-c", "printf '\(hosts[0].address) first.test\\n\(hosts[1].address) second.test\\n' >/run/hosts")
            try hosts.wire(index, isUp: true)
        }
        var addresses: Set<String> = []
        for index in 0..<2 {
            for number in 0..<4 {
                var address = ""
                try hosts.eventually("h\(index + 1) has addresses") {
                    let answer = try hosts[index].add("c\(number)")
                    address = answer.document?["ips"]?[0]?["address"]?.string ?? ""
                    if !answer.succeeded { throw LabError("\(answer)") }
                    return true
                }
                addresses.insert(address)
            }
        }
        #expect(addresses.count == 8)
    }

    @Test("A network that is defined otherwise and then as before remembers what it promised")
    func redefined() throws {
        let hosts = try Hosts(1)
        let host = hosts[0]
        func define(_ subnet: String) throws -> String? {
            let answer = try host.request(
                "POST", "/v1/networks", ["network": "other", "definition": ["subnet": .string(subnet)]])
            #expect(answer.status == 200, "\(answer)")
            defer { #expect((try? host.request("DELETE", "/v1/networks/other").status) == 200) }
            var digest: String?
            try hosts.eventually("the blocks are shared out") {
                digest = try host.get("/v1/blocks?network=other")["networks"]?[0]?["universe"]?.string
                return digest != nil
            }
            return digest
        }
        let first = try define("10.7.0.0/24")
        #expect(try define("10.8.0.0/24") != first)
        // The digest has the number that this host drew when it began without memory.
        #expect(try define("10.7.0.0/24") == first)
    }
}
