import JSON
import System
import TestSupport
import Testing

/// What keeps a network whole: definitions that agree, a kernel held to the tables, keys, address blocks.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlayUpkeepTests {
    @Test func definitionsMustAgree() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let made = try one.request("POST", "/v1/networks", ["name": "shared", "subnet": "10.10.0.0/24"])
        #expect(made.status == 200 && made.document["Name"]?.string == "shared", "\(made)")
        try hosts.eventually("the other host knows of it") {
            try two.get("/v1/networks/shared")["Announced"]?[0]?.string == "h1"
        }
        let other = OverlayHost.network("shared", [("subnet", "10.11.0.0/24")])
        let refused = try two.add("c", ip: nil, other)
        #expect(refused.code == 7, "\(refused)")
        #expect(
            refused.message.contains(
                "network 'shared' is defined differently on h1 and h2: subnets 10.10.0.0/24 and 10.11.0.0/24"))
        #expect(try two.leftovers() == [])
        let announced = try two.request(
            "POST", "/v1/networks", ["name": "shared", "subnet": "10.10.0.0/24", "mtu": 1300])
        #expect(announced.status == 409 && announced.document["error"]?.string?.contains("MTU 0 and 1300") == true)
        let vni = try one.get("/v1/networks/shared")["VNI"] ?? 0
        let clash = try two.request("POST", "/v1/networks", ["name": "other", "subnet": "10.12.0.0/24", "vni": vni])
        #expect(clash.status == 409, "\(clash)")
        #expect(clash.document["error"]?.string?.contains("networks 'other' and 'shared' (of h1) have the VNI") == true)

        // What agrees is served; a network with containers stays.
        let same = OverlayHost.network("shared", [("subnet", "10.10.0.0/24")])
        _ = try one.connect("c", ip: nil, same)
        _ = try two.connect("c", ip: nil, same)
        #expect(try one.request("DELETE", "/v1/networks/shared").status == 409)
        try one.disconnect("c", same)
        try two.disconnect("c", same)
        #expect(try two.get("/v1/networks/shared")["Announced"]?.elements.count == 1)
        #expect(try one.request("DELETE", "/v1/networks/shared").status == 200)
        try hosts.eventually("it is gone") { try two.request("GET", "/v1/networks/shared").status == 404 }
        #expect(try one.request("DELETE", "/v1/networks/shared").status == 404)

        // Mistakes are answered with their place.
        let definition: Value = ["network": "n", "definition": ["subnet": "10.0.0.1/24"]]
        let wrong = try one.request("POST", "/v1/overlay/status", definition)
        #expect(wrong.status == 400 && wrong.document["code"]?.integer == 7, "\(wrong)")
        #expect(wrong.document["error"]?.string?.contains("has host bits set") == true)
        #expect(try one.request("POST", "/v1/overlay/endpoints", ["network": "none"]).status == 409)
        #expect(try one.request("DELETE", "/v1/overlay/endpoints", ["network": "none"]).status == 200)
        #expect(try one.request("POST", "/v1/overlay/prepare", ["network": "a/b"]).status == 400)
        #expect(try one.request("GET", "/v1/networks/none").status == 404)
        #expect(try one.request("PUT", "/v1/blocks").status == 404)
    }

    @Test func definitionsMadeApartAreNamed() throws {
        let hosts = try Hosts(3)
        let (one, two) = (hosts[0], hosts[1])
        try hosts.wire(1, isUp: false)
        for (host, subnet) in [(one, "10.10.0.0/24"), (two, "10.11.0.0/24")] {
            let made = try host.request("POST", "/v1/networks", ["name": "shared", "subnet": .string(subnet)])
            #expect(made.status == 200, "\(made)")
        }
        try hosts.wire(1, isUp: true)
        let orders = [
            "on h1 and h2: subnets 10.10.0.0/24 and 10.11.0.0/24",
            "on h2 and h1: subnets 10.11.0.0/24 and 10.10.0.0/24",
        ]
        for host in hosts.hosts {
            try hosts.eventually("\(host.name) names both") {
                let difference = try host.get("/v1/networks/shared")["Difference"]?.string ?? ""
                return orders.contains { difference == "network 'shared' is defined differently \($0)" }
            }
        }
        #expect(try one.lab.read(one.log).contains("is defined differently \(orders[1])"))
        let refused = try two.add("c", ip: nil, OverlayHost.network("shared", [("subnet", "10.11.0.0/24")]))
        #expect(refused.code == 7 && refused.message.contains("h1 and h2"), "\(refused)")
    }

    @Test func aSmallerUnderlayIsToldOf() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        _ = try one.connect("early")
        try two.lab.tool("ip", "link", "set", "up0", "mtu", "1300")
        _ = try two.connect("small")
        try hosts.eventually("the network has the smaller MTU") {
            try one.overlay("ip", "link", "show", "br0").contains("mtu 1250")
        }
        try hosts.eventually("the host and the container are named") {
            let text = try one.get("/v1/networks/demonet")["Warnings"]?[0]?.string ?? ""
            return text.contains("MTU is 1250 by now, because of h2;")
                && text.contains("have more: early (1450); reconnect")
        }
        #expect(try one.metric("swiftletd_network_oversized_containers{network=\"demonet\"}") == 1)
        #expect(try one.lab.read(one.log).contains("warning swiftletd: network=demonet remedy=reconnect them"))
        #expect(try two.get("/v1/networks/demonet")["Warnings"] == nil)
        // The remedy.
        try one.disconnect("early")
        _ = try one.connect("early")
        let link = try one.lab.tool("ip", "-o", "link", "show", "eth0", in: "early")
        #expect(link.contains("mtu 1250"))
        try hosts.eventually("nothing is to be said") { try one.get("/v1/networks/demonet")["Warnings"] == nil }
    }

    @Test func theKernelIsHeldToTheTables() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        _ = try one.connect("c")
        let address = try two.connect("c")
        let wanted = try one.entries()
        #expect(wanted.count == 1 && wanted[address]?.hasSuffix(" 192.0.2.2") == true)
        let mac = try #require(wanted[address]?.split(separator: " ").first.map(String.init))

        // What somebody takes away comes back, with a packet that needs it or without.
        _ = try one.overlay("ip", "neighbour", "delete", address, "dev", "vxlan0")
        try hosts.eventually("the neighbour is back") { try one.entries() == wanted }
        _ = try one.overlay("bridge", "fdb", "delete", mac, "dev", "vxlan0", "dst", "192.0.2.2", "self")
        try hosts.eventually("the forwarding entry is back") { try one.entries() == wanted }
        _ = try one.overlay("ip", "link", "delete", "vxlan0")
        try hosts.eventually("vxlan0 is back") { try one.entries() == wanted }
        _ = try one.overlay("ip", "link", "set", "vxlan0", "down")
        try hosts.eventually("vxlan0 is up") { one.lab.pings(address, from: "c") }
        try one.lab.tool("nft", "flush", "set", "inet", "swiftlet", "vteps4-fa17f1198b")
        _ = try one.overlay("ip", "link", "set", "vxlan0", "down")
        try hosts.eventually("the filter lets members in") { one.lab.pings(address, from: "c") }
        #expect(try one.metric("swiftletd_reconciler_corrections_total") >= 3)

        // A container that vanishes is withdrawn without the plugin.
        try two.lab.removeContainer("c")
        try hosts.eventually("it is withdrawn") { try one.endpoints()["\(address)/24"] == nil }
        try hosts.eventually("nothing is left") { try two.leftovers() == [] }

        // What a crash left is removed.
        try two.lab.script(
            """
            mkdir -p /run/swiftlet/netns; touch /run/swiftlet/netns/1-0123456789
            ip netns add stray; mount --bind /run/netns/stray /run/swiftlet/netns/1-0123456789; ip netns delete stray
            """)
        two.stop("KILL")
        try two.startDaemon()
        try hosts.eventually("the leftover is gone") { try two.leftovers() == [] }
    }

    @Test func keysSealTheTables() throws {
        let keys = ["YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=", "YmJiYmJiYmJiYmJiYmJiYg=="]
        let hosts = try Hosts(2, keys: [keys[0]])
        let (one, two) = (hosts[0], hosts[1])
        #expect(try one.get("/v1/tables")["encrypted"]?.bool == true)
        let first = try one.connect("c")
        #expect(try two.connect("c") != first)
        try hosts.eventually("it is known") { try two.entries()[first] != nil }
        // The tables' keys change with the gossip's, while containers come.
        for (path, key) in [("install", keys[1]), ("use", keys[1]), ("remove", keys[0])] {
            let answer = try one.request("POST", "/v1/keys/\(path)", ["key": .string(key)])
            #expect(answer.status == 200, "\(answer)")
            let address = try two.connect("after-\(path)")
            try hosts.eventually("\(address) is known after \(path)") { try one.entries()[address] != nil }
        }
        #expect(try two.metric("swiftletd_frames_refused_total{reason=\"forged\"}") == 0)

        // Noise and plain frames of strangers are counted, and nothing else.
        let script = """
            for i in $(seq 1 200); do head -c $((i * 4)) /dev/urandom > /dev/udp/192.0.2.2/7947; done
            for i in $(seq 1 20); do head -c $((i * 400)) /dev/urandom > /dev/tcp/192.0.2.2/7947; done 2>/dev/null
            true
            """
        try one.lab.tool("bash", "-c", script)
        let last = try one.connect("last")
        try hosts.eventually("the noise did no harm") { try two.entries()[last] != nil }
        try hosts.eventually("the noise is counted") {
            try two.metric("swiftletd_frames_refused_total{reason=\"unknownVersion\"}") > 100
        }
        #expect(try two.get("/v1/tables")["hosts"]?.elements.count == 2)
    }

    @Test func blocksAreTakenOver() throws {
        let hosts = try Hosts(3)
        let addresses = try hosts.hosts.map { try $0.connect("c\($0.index)") }
        func blocks(of host: String) throws -> [Value] {
            try hosts[0].get("/v1/blocks?network=demonet")["networks"]?[0]?["blocks"]?.elements.filter {
                $0["owner"]?.string == host
            } ?? []
        }
        #expect(try hosts.hosts.allSatisfy { try !blocks(of: $0.name).isEmpty })
        // One that lives is not taken from.
        let early = try hosts[0].request("POST", "/v1/blocks/takeover", ["host": "h3"])
        #expect(early.status == 409 && early.document["error"]?.string?.contains("h3 is alive") == true, "\(early)")
        hosts[2].stop("KILL")
        try hosts.eventually("it is missed") { try hosts[0].endpoints()["\(addresses[2])/24"] == "h3 suspended" }
        // An address of its blocks is refused, with the remedy.
        let refused = try hosts[0].add("fixed", ip: addresses[2])
        #expect(refused.code == 11 && refused.words.contains("h3"), "\(refused)")
        #expect(refused.details.contains("swiftlet blocks takeover h3 --gone"), "\(refused)")
        let taken = try hosts[0].request("POST", "/v1/blocks/takeover", ["host": "h3"])
        #expect(taken.status == 200, "\(taken)")
        try hosts.eventually("its blocks are another's") { try blocks(of: "h3").isEmpty }
        #expect(try blocks(of: "h1").contains { $0["state"]?.string == "resting" })
        // Drained, a host gives its blocks away and refuses ADD.
        #expect(try hosts[1].request("POST", "/v1/blocks/drain", ["network": "demonet"]).status == 200)
        let drained = try hosts[1].add("more")
        #expect(drained.code == 11 && drained.message.contains("drained"), "\(drained)")
        #expect(try hosts[1].request("POST", "/v1/blocks/drain", ["drain": false]).status == 200)
        _ = try hosts[1].connect("more")
    }

    @Test func anAddressGivenBackWhileTheDaemonIsAwayIsFree() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        func used() throws -> Int64 {
            let blocks = try one.get("/v1/blocks?network=demonet")["networks"]?[0]?["blocks"]?.elements ?? []
            return blocks.reduce(0) { $0 + ($1["used"]?.integer ?? 0) }
        }
        _ = try one.connect("stays")
        _ = try one.connect("goes")
        let theirs = try two.connect("c")
        try hosts.eventually("two addresses are in use") { try used() == 2 }
        one.stop("KILL")
        try one.disconnect("goes")
        try one.startDaemon()
        try hosts.eventually("one address is in use") { try used() == 1 }

        // An ADD that was prepared before the restart took its address from a block that is another's now.
        let late: Value = [
            "network": "demonet", "containerID": "late", "ifname": "eth0", "mac": "02:42:c0:a8:00:99", "blocks": true,
            "addresses": [.string("\(theirs)/24")],
        ]
        let refused = try one.request("POST", "/v1/overlay/endpoints", late)
        #expect(refused.status == 409 && refused.document["code"]?.integer == 11, "\(refused)")
        #expect(refused.document["error"]?.string?.hasPrefix("\(theirs) went to ") == true, "\(refused)")
    }

    @Test func whoIsMissingForTheFirstSplitIsNamed() throws {
        let hosts = try Hosts(1)
        let one = hosts[0]
        one.stop("KILL")
        one.arguments = ["--join", "192.0.2.99"]
        try one.startDaemon()
        let refused = try one.add("c")
        #expect(
            refused.code == 11 && refused.message.contains("not shared out yet: not heard from 192.0.2.99"),
            "\(refused)")
        #expect(refused.details.contains("start those hosts"), "\(refused)")
    }

    @Test func aFullDiskIsSurvived() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        _ = try two.connect("c")
        var connected = [try one.connect("first")]
        try one.lab.script("mount -o remount,size=16m /run; head -c 32m /dev/zero > /run/fill 2>/dev/null || true")
        // What still fits into the last page is taken; then ADD fails as a whole.
        var refusal: PluginAnswer?
        for number in 0..<40 where refusal == nil {
            let answer = try one.add("more\(number)")
            if answer.succeeded, let text = answer.document?["ips"]?[0]?["address"]?.string {
                connected.append(String(text.prefix { $0 != "/" }))
            } else {
                refusal = answer
            }
        }
        #expect(refusal?.code == 5 && refusal?.words.contains("journal") == true, "\(String(describing: refusal))")
        #expect(try two.get("/v1/tables")["hosts"]?.elements.count == 2)
        try one.lab.tool("rm", "/run/fill")
        connected.append(try one.connect("last"))
        let known = Set(connected.map { "\($0)/24" })
        func own() throws -> Set<String> { Set(try two.endpoints().filter { $0.value == "h1 live" }.keys) }
        try hosts.eventually("only what was answered is known") { try own() == known }
        one.stop("KILL")
        try one.startDaemon()
        try hosts.eventually("and remembered") { try own() == known }
    }

    @Test func aLostJournalIsMadeAnew() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let (first, second) = (try one.connect("c"), try two.connect("c"))
        two.stop("KILL")
        try two.lab.tool("sh", "-c", "rm /run/state/journal*")
        try two.startDaemon()
        try hosts.eventually("its container is published again") { try one.endpoints()["\(second)/24"] == "h2 live" }
        #expect(try two.get("/v1/tables")["incarnation"]?.integer ?? 0 > 1_000_000)
        #expect(try one.entries()[second]?.hasSuffix("192.0.2.2") == true)
        #expect(two.lab.pings(first, from: "c"))
        #expect(one.lab.pings(second, from: "c"))
        // What it owned before is known to the other, and comes back to it.
        try hosts.eventually("it has addresses again") { try two.add("again").succeeded }
        // A damaged journal is not taken for an empty one.
        two.stop("KILL")
        try two.lab.script("for file in /run/state/journal /run/state/journal.previous; do echo x > $file; done")
        #expect(throws: LabError.self) { try two.startDaemon(milliseconds: 1500) }
        #expect(try two.lab.read(two.log).contains("/run/state/journal is damaged at byte 0"))
    }
}
