import Attachment
import CNI
import JSON
import Netlink
import NetworkTypes
import PluginKit
import System
import TestSupport
import Testing

@testable import TuningPlugin

/// Files in memory whose changes count as changes of a fake kernel, and fail like them.
final class FakeFiles: BackupFiles {
    var contents: [String: [UInt8]] = [:]
    private let count: (String, String) throws(NetlinkError) -> Void

    init(_ count: @escaping (String, String) throws(NetlinkError) -> Void) { self.count = count }

    private func change(_ operation: String, _ path: String) throws(SystemError) {
        do { try count(operation, path) } catch { throw SystemError(operation, path, error.errno) }
    }

    func read(_ path: String) throws(SystemError) -> [UInt8]? { contents[path] }

    func write(_ path: String, _ bytes: [UInt8]) throws(SystemError) {
        try change("write", path)
        contents[path] = bytes
    }

    func remove(_ path: String) throws(SystemError) {
        if contents[path] == nil { return }
        try change("remove", path)
        contents[path] = nil
    }

    func list(_ path: String) throws(SystemError) -> [String] {
        contents.keys.filter { $0.hasPrefix("\(path)/") }.map { String($0.dropFirst(path.count + 1)) }
    }
}

/// A fake host with a container whose eth0 is there, files in memory, and no allow-list.
struct TuningBench {
    let host: FakeHost
    let previous: CNIResult
    let files: FakeFiles
    var plugin: TuningCommands { TuningCommands(system: host, files: files, allowList: "/nonexistent/allowlist") }

    init() throws {
        (host, previous) = try hostWithVeth()
        files = FakeFiles(host.kernel.count)
        let stack = host.kernel.stack(7)
        let index = try #require(try stack.link(named: "eth0")).index
        try stack.changeLink(
            index: index,
            LinkChange {
                $0.mac = MACAddress(number: 0x02_0000_0000_01)
                $0.mtu = 1500
                $0.transmitQueueLength = 1000
            })
        try stack.setParameter("net/ipv4/conf/eth0/arp_filter", "0")
        host.kernel.resetCount()
    }

    var link: Link {
        get throws { try #require(try host.kernel.stack(7).link(named: "eth0")) }
    }

    func parameter(_ key: String) -> String? { host.kernel.namespaces[7]?.parameters[key] }
}

@Suite struct TuningTests {
    static let everything =
        #""mac":"C2:11:22:33:44:55","mtu":1400,"promisc":true,"allmulti":true,"txQLen":500,"#
        + #""sysctl":{"net.core.somaxconn":"500","net.ipv4.conf.IFNAME.arp_filter":"1"}"#

    static func json(_ keys: String = everything, version: String = "1.1.0", name: String = "n") -> String {
        let tail = keys.isEmpty ? "" : ",\(keys)"
        return #"{"cniVersion":"\#(version)","name":"\#(name)","type":"tuning"\#(tail)}"#
    }

    @Test func everythingIsSetShownAndRestored() throws {
        let bench = try TuningBench()
        let before = bench.host.world
        let result = try bench.plugin.add(request(.add, Self.json(), previous: bench.previous))
        let link = try bench.link
        #expect(link.mac?.description == "c2:11:22:33:44:55" && link.mtu == 1400 && link.transmitQueueLength == 500)
        #expect(link.isPromiscuous && link.isAllMulticast)
        #expect(bench.parameter("net/core/somaxconn") == "500")
        #expect(bench.parameter("net/ipv4/conf/eth0/arp_filter") == "1")
        #expect(result.interfaces[2].mac == "c2:11:22:33:44:55" && result.interfaces[2].mtu == 1400)
        #expect(result.interfaces.dropLast() == bench.previous.interfaces.dropLast())
        let path = "/run/cni/tuning/n/c1:eth0.json"
        #expect(Array(bench.files.contents.keys) == [path])
        let backup = try Value(parsing: bench.files.contents[path] ?? [])
        #expect(
            backup == [
                "mac": "02:00:00:00:00:01", "promisc": false, "mtu": 1500, "allmulti": false, "txQLen": 1000,
            ])
        try bench.plugin.check(request(.check, Self.json(), previous: result))
        try bench.plugin.delete(request(.delete, Self.json(), previous: result))
        #expect(bench.files.contents.isEmpty)
        // Parameters go with the namespace.
        #expect(bench.host.world.namespaces[7]?.links == before.namespaces[7]?.links)
        try bench.plugin.delete(request(.delete, Self.json(), previous: result))
    }

    @Test(arguments: ["0.3.0", "0.4.0", "1.0.0"]) func olderResultsHaveNoMTU(_ version: String) throws {
        let bench = try TuningBench()
        let result = try bench.plugin.add(request(.add, Self.json(version: version), previous: bench.previous))
        #expect(result.interfaces[2].mtu == nil && result.interfaces[2].mac == "c2:11:22:33:44:55")
    }

    /// podman chains `{"type": "tuning"}` alone.
    @Test(arguments: ["", #""sysctl":{}"#, #""mtu":0,"promisc":false,"mac":"","# + #""sysctl":null"#])
    func nothingToDo(_ keys: String) throws {
        let bench = try TuningBench()
        let plugin = TuningCommands(system: bench.host, files: bench.files, allowList: "/proc/self/mem")
        #expect(
            try plugin.add(request(.add, Self.json(keys), netns: "/gone", previous: bench.previous)) == bench.previous)
        try plugin.check(request(.check, Self.json(keys), netns: "/gone", previous: bench.previous))
        #expect(bench.host.kernel.changes == 0)
        let error = #expect(throws: CNIError.self) { try plugin.add(request(.add, Self.json(keys))) }
        #expect(error?.message == "Required prevResult missing" && error?.code == 7)
        let check = #expect(throws: CNIError.self) { try plugin.check(request(.check, Self.json(keys))) }
        #expect(check?.message == "Required prevResult missing")
    }

    @Test func whatIsAsItShouldBeNeedsNoBackup() throws {
        let bench = try TuningBench()
        let keys = #""mac":"02:00:00:00:00:01","mtu":1500,"allmulti":false,"txQLen":1000"#
        let result = try bench.plugin.add(request(.add, Self.json(keys), previous: bench.previous))
        #expect(bench.host.kernel.changes == 0 && bench.files.contents.isEmpty)
        #expect(result.interfaces[2].mac == "02:00:00:00:00:01")
        let some = #""mac":"02:00:00:00:00:01","mtu":1400"#
        _ = try bench.plugin.add(request(.add, Self.json(some), previous: bench.previous))
        #expect(try Value(parsing: bench.files.contents.values.first ?? []) == ["mtu": 1500])
    }

    @Test("MAC: config < CNI_ARGS < runtimeConfig < args.cni", arguments: 0..<5)
    func precedenceOfMACs(_ sources: Int) throws {
        let bench = try TuningBench()
        let texts = (1...4).map { "c2:00:00:00:00:0\($0)" }
        var keys: [String] = []
        if sources > 0 { keys.append(#""mac":"\#(texts[0])""#) }
        if sources > 2 { keys.append(#""runtimeConfig":{"mac":"\#(texts[2].uppercased())"}"#) }
        if sources > 3 { keys.append(#""args":{"cni":{"mac":"\#(texts[3])"}}"#) }
        let arguments = sources > 1 ? "IgnoreUnknown=1;K8S_POD_NAME=x;MAC=\(texts[1])" : ""
        let call = try request(
            .add, Self.json(keys.joined(separator: ",")), arguments: arguments, previous: bench.previous)
        _ = try bench.plugin.add(call)
        #expect(try bench.link.mac?.description == (sources == 0 ? "02:00:00:00:00:01" : texts[sources - 1]))
    }

    @Test func argsOverride() throws {
        let bench = try TuningBench()
        let keys =
            #""mtu":1400,"promisc":true,"txQLen":7,"sysctl":{"net.core.somaxconn":"1","net.a.b":"1"},"#
            + #""args":{"cni":{"mtu":1300,"promisc":false,"allmulti":true,"txQLen":8,"sysctl":{"net.core.somaxconn":"2"}}}"#
        _ = try bench.plugin.add(request(.add, Self.json(keys), previous: bench.previous))
        let link = try bench.link
        #expect(link.mtu == 1300 && !link.isPromiscuous && link.isAllMulticast && link.transmitQueueLength == 8)
        #expect(bench.parameter("net/core/somaxconn") == "2" && bench.parameter("net/a/b") == "1")
    }

    /// The reference plugin dies of this.
    @Test func argsAlone() throws {
        let bench = try TuningBench()
        let keys = #""args":{"cni":{"sysctl":{"net.core.somaxconn":"2"}}}"#
        _ = try bench.plugin.add(request(.add, Self.json(keys), previous: bench.previous))
        #expect(bench.parameter("net/core/somaxconn") == "2")
    }

    @Test(arguments: [
        (#""sysctl":{"kernel.hostname":"x"}"#, "invalid net sysctl key: \"kernel.hostname\""),
        (#""sysctl":{"net/../kernel/hostname":"x"}"#, "invalid net sysctl key: \"net/../kernel/hostname\""),
        (#""sysctl":{"net..core.x":"x"}"#, "invalid net sysctl key: \"net..core.x\""),
        (#""sysctl":{"net":"x"}"#, "invalid net sysctl key: \"net\""),
        (#""sysctl":{"/net/core/x":"x"}"#, "invalid net sysctl key: \"/net/core/x\""),
        (#""sysctl":{"networks.x":"x"}"#, "invalid net sysctl key: \"networks.x\""),
        (#""sysctl":{"net.core.x":1}"#, "sysctl.net.core.x: expected a string, found a number"),
        (#""sysctl":[]"#, "sysctl: expected an object, found an array"),
        (#""sysctl":{"net.core.x":"1","net.core.x":"2"}"#, "duplicated sysctl keys are not allowed"),
        (#""sysctl":{"net.core.x":"1","net/core/x":"1"}"#, "duplicated sysctl keys are not allowed"),
        (#""sysctl":{"net.x.IFNAME.y":"1","net.x.eth0.y":"1"}"#, "duplicated sysctl keys are not allowed"),
        (
            #""args":{"cni":{"sysctl":{"net.core.x":"1","net.core.x":"1"}}}"#,
            "duplicated sysctl keys are not allowed"
        ),
        (#""mtu":67"#, "mtu: must be 0 (leave it alone) or at least 68, not 67"),
        (#""mtu":"1400""#, "mtu: expected an integer, found a string"),
        (#""mac":"x""#, #"mac: "x" is not a unicast MAC address like 02:42:c0:a8:00:64"#),
        (#""runtimeConfig":{"mac":"01:00:00:00:00:01"}"#, "runtimeConfig.mac: "),
        (#""args":{"cni":{"mac":"02:00"}}"#, "args.cni.mac: "),
        (#""txQLen":-1"#, "txQLen: must be between 0 and 2147483647, not -1"),
        (#""promisc":"yes""#, "promisc: expected a boolean, found a string"),
        (#""dataDir":"run""#, #"dataDir: "run" is not an absolute path"#),
        (#""mac":"02:00:00:00:00:07","mtu":4000000000"#, "mtu: "),
    ])
    func nonsense(_ keys: String, _ message: String) throws {
        let bench = try TuningBench()
        let error = #expect(throws: (any Error).self) {
            // What is wrong with the configuration is said before that there is no prevResult.
            try bench.plugin.add(request(.add, Self.json(keys)))
        }
        let words = error.map(ErrorMapping.cniError)?.message
        #expect(words?.hasPrefix(message) == true, "\(words ?? "")")
        #expect(bench.host.kernel.changes == 0)
        try bench.plugin.delete(request(.delete, Self.json(keys), previous: bench.previous))
    }

    @Test func invalidArguments() throws {
        let bench = try TuningBench()
        for (arguments, code) in [("MAC=x", 4), ("FOO=1", 4)] {
            let error = #expect(throws: CNIError.self) {
                try bench.plugin.add(request(.add, Self.json(""), arguments: arguments, previous: bench.previous))
            }
            #expect(error?.code == code)
        }
    }

    @Test(arguments: [
        ("net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/eth0.1/arp_filter"),
        ("net/ipv4/conf/IFNAME/arp_filter", "net/ipv4/conf/eth0.1/arp_filter"),
        ("net/ipv4/conf/eth0.100/arp_filter", "net/ipv4/conf/eth0.100/arp_filter"),
        ("net.ipv4.conf.eth0/100.arp_filter", "net/ipv4/conf/eth0.100/arp_filter"),
        ("net.x.IFNAMEIFNAME.y", "net/x/eth0.1IFNAME/y"), ("net.x", "net/x"),
    ])
    func keys(_ text: String, _ path: String) throws {
        #expect(SysctlKey(text)?.path(interface: "eth0.1") == path)
    }

    @Test func hostLinksOfTheSameNameAreNotDescribed() throws {
        var bench = try TuningBench().previous
        bench.interfaces += [.init(name: "eth0", mac: "m"), .init(name: "eth0", mac: "m", sandbox: "/run/netns/c2")]
        let other = try TuningBench()
        let result = try other.plugin.add(request(.add, Self.json(), previous: bench))
        #expect(result.interfaces.map { $0.mac ?? "" } == ["", "", "c2:11:22:33:44:55", "m", "m"])
    }

    @Test(arguments: ["/run/netns/c1", "", "/gone"]) func deleteRemovesTheBackupInAnyCase(_ netns: String) throws {
        for isReference in [false, true] {
            let bench = try TuningBench()
            _ = try bench.plugin.add(request(.add, Self.json(), previous: bench.previous))
            if isReference {
                let text = bench.files.contents.values.first
                bench.files.contents = ["/run/cni/tuning/c1_eth0.json": text ?? []]
            }
            try bench.plugin.delete(request(.delete, Self.json(), netns: netns, previous: bench.previous))
            #expect(bench.files.contents.isEmpty)
            #expect(try bench.link.mtu == (netns == "/run/netns/c1" ? 1500 : 1400))
        }
    }

    @Test func deleteWithoutTheInterface() throws {
        let bench = try TuningBench()
        _ = try bench.plugin.add(request(.add, Self.json(), previous: bench.previous))
        try bench.host.kernel.stack(7).deleteLink(index: bench.link.index)
        try bench.plugin.delete(request(.delete, Self.json()))
        #expect(bench.files.contents.isEmpty)
    }

    @Test(arguments: ["", "{", "[]", #"{"mtu":"x"}"#, #"{"mac":"x","mtu":1450}"#])
    func tornBackupsAreReportedOnce(_ text: String) throws {
        let bench = try TuningBench()
        bench.files.contents["/run/cni/tuning/n/c1:eth0.json"] = Array(text.utf8)
        let error = #expect(throws: CNIError.self) { try bench.plugin.delete(request(.delete, Self.json())) }
        #expect(error?.code == 6)
        #expect(bench.files.contents.isEmpty)
        try bench.plugin.delete(request(.delete, Self.json()))
    }

    @Test func attachmentsAreKeptApart() throws {
        let bench = try TuningBench()
        _ = try bench.plugin.add(request(.add, Self.json(), previous: bench.previous))
        // Another network's DEL for the same container and interface.
        try bench.plugin.delete(request(.delete, Self.json(name: "other")))
        #expect(bench.files.contents.count == 1)
        #expect(
            BackupStore.name(containerID: "a_b", interfaceName: "c")
                != BackupStore.name(containerID: "a", interfaceName: "b_c"))
        let long = String(repeating: "c", count: 300)
        #expect(BackupStore.name(containerID: long, interfaceName: "eth0").utf8.count < 220)
        #expect(
            BackupStore.name(containerID: long, interfaceName: "eth0")
                != BackupStore.name(containerID: long + "c", interfaceName: "eth0"))
    }

    @Test(arguments: ["mac", "mtu", "promisc", "allmulti", "txqlen", "sysctl", "interface"])
    func checkSeesEveryChange(_ change: String) throws {
        let bench = try TuningBench()
        let result = try bench.plugin.add(request(.add, Self.json(), previous: bench.previous))
        let stack = bench.host.kernel.stack(7)
        let index = try bench.link.index
        try stack.changeLink(
            index: index,
            LinkChange {
                switch change {
                case "mac": $0.mac = MACAddress(number: 0x02_0000_0000_05)
                case "mtu": $0.mtu = 1399
                case "promisc": $0.isPromiscuous = false
                case "allmulti": $0.isAllMulticast = false
                case "txqlen": $0.transmitQueueLength = 501
                default: break
                }
            })
        if change == "sysctl" { try stack.setParameter("net/ipv4/conf/eth0/arp_filter", "0") }
        if change == "interface" { try stack.deleteLink(index: index) }
        #expect(throws: (any Error).self) {
            try bench.plugin.check(request(.check, Self.json(), previous: result))
        }
    }

    @Test func severalValuesAreComparedAsWords() throws {
        let bench = try TuningBench()
        let json = Self.json(#""sysctl":{"net.ipv4.tcp_rmem":"4096 131072  6291456"}"#)
        try bench.host.kernel.stack(7).setParameter("net/ipv4/tcp_rmem", "4096\t131072\t6291456")
        try bench.plugin.check(request(.check, json, previous: bench.previous))
    }

    @Test func garbageIsWhatNobodyClaims() throws {
        let bench = try TuningBench()
        let names = ["n/c1:eth0", "n/c2:eth0", "n/.c9:eth0.json.77.tmp", "o/c1:eth0", "c1_eth0"]
        for name in names { bench.files.contents["/run/cni/tuning/\(name).json"] = [] }
        try bench.plugin.collectGarbage(request(.garbageCollect, Self.json()))
        #expect(bench.files.contents.count == 5)
        let list = #""cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}]"#
        try bench.plugin.collectGarbage(request(.garbageCollect, Self.json(list)))
        #expect(
            Set(bench.files.contents.keys)
                == ["/run/cni/tuning/n/c2:eth0.json", "/run/cni/tuning/o/c1:eth0.json", "/run/cni/tuning/c1_eth0.json"]
        )
    }
}
