import Attachment
import CNI
import PluginKit
import System
import TestSupport
import Testing

@testable import TuningPlugin

@Suite struct TuningAllowListTests {
    private func list(_ text: String, anchored: Bool = false) throws -> AllowList {
        try AllowList(text, path: "/etc/list", isAnchored: anchored)
    }

    private func allows(_ text: String, _ key: String, anchored: Bool = false) throws -> Bool {
        let setting = TuningConfiguration.Setting(key: try #require(SysctlKey(key)), value: "1")
        return (try? list(text, anchored: anchored).check([setting])) != nil
    }

    @Test(arguments: [
        ("^net.ipv4.conf.IFNAME.arp_filter$", "net.ipv4.conf.IFNAME.arp_filter", true, true),
        ("net.ipv4", "net.ipv4.ip_forward", true, false), ("ipv4", "net.ipv4.ip_forward", true, false),
        ("net.ipv4.*", "net.ipv4.ip_forward", true, true), ("net\\.core\\..+", "net.core.somaxconn", true, true),
        ("net\\.core\\..+", "net/core/somaxconn", false, false),
        ("net.ipv(4|6).x", "net.ipv6.x", true, true), ("net.a|net.b", "net.bc", true, false),
        ("net.[]x]", "net.]", true, true), ("net.\\w+", "net.core", true, true), ("", "net.core.x", false, false),
        ("\n\n", "net.core.x", false, false), ("kernel\r\nnet.core.x\r\n", "net.core.x", true, true),
        ("# comment", "net.core.x", false, false),
    ])
    func matches(_ text: String, _ key: String, _ anywhere: Bool, _ anchored: Bool) throws {
        #expect(try allows(text, key) == anywhere)
        #expect(try allows(text, key, anchored: true) == anchored)
    }

    @Test(arguments: [
        ("net.core\nnet.[", "line 2: \"net.[\": "), ("(", "line 1: \"(\": "), ("a)(b", "line 1: \"a)(b\": "),
        ("net.\\d+", "write [0-9]"), ("(?i)net", "write a plain group"), ("[\\w]", "leave it out"),
        ("\n\nnet.\\", "line 3"), ("\\1", "is not known"),
    ])
    func badLinesAreNamed(_ text: String, _ part: String) throws {
        for anchored in [false, true] {
            let error = #expect(throws: CNIError.self) { try list(text, anchored: anchored) }
            #expect(error?.code == 7 && error?.message.contains(part) == true, "\(error as Any)")
            #expect(error?.message.hasPrefix("/etc/list line ") == true)
        }
    }

    @Test func addAndStatusAskTheFile() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/allowlist.conf"
        let bench = try TuningBench()
        let plugin = TuningCommands(system: bench.host, files: bench.files, allowList: path)
        let json = TuningTests.json(#""sysctl":{"net.core.somaxconn":"5"},"dataDir":"\#(directory.path)/data""#)
        let (add, status) = (
            try request(.add, json, previous: bench.previous), try request(.status, json)
        )
        _ = try plugin.add(add)
        try plugin.status(status)
        try AtomicFile.replace(path, with: Array("net.ipv4.*\n\nnet.ipv6.*\n".utf8))
        let refusal =
            "Sysctl net.core.somaxconn is not allowed. Only the following sysctls are allowed: [net.ipv4.* net.ipv6.*]"
        let error = #expect(throws: CNIError.self) { try plugin.add(add) }
        #expect(error?.code == 7 && error?.message == refusal)
        let unable = #expect(throws: CNIError.self) { try plugin.status(status) }
        #expect(unable?.code == 50 && unable?.message == refusal)
        // DEL and CHECK do not ask.
        try plugin.check(request(.check, json, previous: bench.previous))
        try AtomicFile.replace(path, with: Array("core".utf8))
        _ = try plugin.add(add)
        let anchored = json.replacing("}", with: "},\"allowlistAnchored\":true", maxReplacements: 1)
        #expect(throws: CNIError.self) { try plugin.add(request(.add, anchored, previous: bench.previous)) }
        // A list that cannot be read allows nothing.
        let unreadable = TuningCommands(system: bench.host, files: bench.files, allowList: directory.path)
        let failure = #expect(throws: (any Error).self) { try unreadable.add(add) }
        #expect(failure.map(ErrorMapping.cniError)?.code == 5)
        #expect((#expect(throws: CNIError.self) { try unreadable.status(status) })?.code == 50)
    }

    @Test func statusLooksForRoomForBackups() throws {
        let directory = try TemporaryDirectory()
        let bench = try TuningBench()
        let file = "\(directory.path)/file"
        try AtomicFile.replace(file, with: [])
        for (path, code) in [("\(directory.path)/a/b", nil), (file, 50), ("\(file)/b", 50), ("/proc/x", 50)]
            as [(String, Int?)]
        {
            let json = TuningTests.json(#""mtu":1400,"dataDir":"\#(path)""#)
            var found: Int?
            do { try bench.plugin.status(request(.status, json)) } catch { found = (error as? CNIError)?.code }
            // root may write anywhere that is no kernel's file system.
            if path != "/proc/x" { #expect(found == code, "\(path)") }
        }
        try bench.plugin.status(request(.status, TuningTests.json("")))
    }

    @Test func realFilesAreSafe() throws {
        let directory = try TemporaryDirectory()
        let files = DiskFiles()
        let path = "\(directory.path)/run/cni/tuning/n/c1:eth0.json"
        #expect(try files.read(path) == nil)
        #expect(try files.list("\(directory.path)/run") == [])
        try files.write(path, [1, 2])
        #expect(try files.read(path) == [1, 2])
        for (name, mode) in [("run/cni", 0o755), ("run/cni/tuning", 0o700), ("run/cni/tuning/n", 0o700)] {
            #expect(try FileStatus(of: "\(directory.path)/\(name)").mode & 0o777 == UInt32(mode), "\(name)")
        }
        #expect(try FileStatus(of: path).mode & 0o777 == 0o600)
        try files.remove(path)
        try files.remove(path)
        #expect(try files.list("\(directory.path)/run/cni/tuning/n") == [])
        // What is there instead of a directory is an error.
        try AtomicFile.replace("\(directory.path)/file", with: [])
        #expect(throws: SystemError.self) { try files.write("\(directory.path)/file/n/c.json", []) }
        #expect(try files.list("\(directory.path)/file/n") == [])
    }
}
