import JSON
import System
import TestSupport
import Testing

/// B5: what others can put where a plugin looks, or hand on to it.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HostileFileTests {
    @Test("B5 a FIFO as resolvConf, or as host-local's pointer, is not waited for", .timeLimit(.minutes(1)))
    func fifos() throws {
        let lab = try Lab()
        try lab.tool("mkfifo", "/run/resolv.fifo")
        try lab.tool("ln", "-s", "/run/resolv.fifo", "/run/resolv.conf")
        try beyondReference("the reference waits for ever") {
            for path in ["/run/resolv.fifo", "/run/resolv.conf", "/run", "/dev/zero"] {
                let config = Inputs.hostLocal("1.0.0").with(
                    ("ipam", ["type": "host-local", "subnet": "10.1.2.0/24", "resolvConf": .string(path)]))
                try lab.run("host-local", "ADD", config).expectRefusal(code: 5, containing: path)
                try lab.run("host-local", "DEL", config).orFail()
            }
            try lab.run("host-local", "ADD", containerID: "a", Inputs.hostLocal("1.0.0")).orFail()
            try lab.tool("rm", "-f", "/var/lib/cni/networks/net/last_reserved_ip.0")
            try lab.tool("mkfifo", "/var/lib/cni/networks/net/last_reserved_ip.0")
            _ = try lab.run("host-local", "ADD", containerID: "b", Inputs.hostLocal("1.0.0"))
            try lab.run("host-local", "DEL", containerID: "a", Inputs.hostLocal("1.0.0")).orFail()
        }
        // A symbolic link to a file is how most hosts have it.
        try lab.write("/run/real.conf", "nameserver 192.0.2.53\n", mode: 0o644)
        try lab.tool("ln", "-sf", "/run/real.conf", "/run/resolv.conf")
        let config = Inputs.hostLocal("1.0.0").with(
            ("ipam", ["type": "host-local", "subnet": "10.1.3.0/24", "resolvConf": "/run/resolv.conf"]), ("name", "dns")
        )
        let answer = try lab.run("host-local", "ADD", containerID: "d", config).orFail()
        #expect(answer["dns"]?["nameservers"]?[0]?.string == "192.0.2.53")
    }

    @Test(
        "B5 host-local's lock does not follow a symbolic link, and a FIFO there is not waited for",
        .timeLimit(.minutes(1)))
    func locks() throws {
        let lab = try Lab()
        try lab.tool("mkdir", "-p", "/var/lib/cni/networks/net")
        try lab.tool("ln", "-s", "/run/victim", "/var/lib/cni/networks/net/lock")
        try beyondReference("the reference makes the file") {
            try lab.run("host-local", "ADD", Inputs.hostLocal("1.0.0")).expectRefusal(code: 5, containing: "net/lock")
            #expect(throws: (any Error).self) { try lab.read("/run/victim") }
            try lab.tool("rm", "/var/lib/cni/networks/net/lock")
            try lab.tool("mkfifo", "/var/lib/cni/networks/net/lock")
            _ = try lab.run("host-local", "ADD", Inputs.hostLocal("1.0.0"))
            try lab.tool("rm", "/var/lib/cni/networks/net/lock")
        }
        try lab.run("host-local", "ADD", containerID: "b", Inputs.hostLocal("1.0.0")).orFail()
    }

    @Test("D tuning's DEL of a container whose id is too long for a file's name")
    func longIdentifier() throws {
        let lab = try Lab()
        let config: Value = ["cniVersion": "1.0.0", "name": "net", "type": "tuning", "mtu": 1400]
        try lab.run("tuning", "DEL", containerID: String(repeating: "a", count: 5000), config).orFail()
    }

    @Test("B5 a runtime that ignores SIGCHLD: a delegate that fails is no success", .timeLimit(.minutes(1)))
    func ignoredSignal() throws {
        let lab = try Lab()
        try lab.write(
            "/run/spies/failing",
            "#!/bin/sh\ncat >/dev/null\necho '{\"code\": 77, \"msg\": \"no address today\"}'\nexit 1\n",
            mode: 0o755)
        // The delegate sees no ignored signal either.
        try lab.write(
            "/run/spies/looking",
            "#!/bin/sh\ncat >/dev/null\ngrep SigIgn /proc/self/status >/run/ignored\n"
                + "[ \"$CNI_COMMAND\" != ADD ] || echo '{\"ips\": [{\"address\": \"10.1.2.9/24\"}]}'\n", mode: 0o755)
        let before = try lab.steadyWorld()
        for (ipam, isGood) in [("failing", false), ("looking", true)] {
            let config: Value = [
                "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0",
                "ipam": ["type": .string(ipam)],
            ]
            let variables = Environment([
                ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c0"),
                ("CNI_IFNAME", "eth0"), ("CNI_NETNS", lab.netns("c0")), ("CNI_PATH", "/run/spies"),
            ])
            let outcome = try lab.inside {
                try ChildProcess.run(
                    "/usr/bin/env", ["--ignore-signal=CHLD", "\(Plugins.directory)/bridge"], environment: variables,
                    input: Array(config.text().utf8))
            }
            #expect(outcome.status == (isGood ? 0 : 1), "\(outcome.text)")
            if isGood { continue }
            #expect(try Value(parsing: outcome.output)["code"]?.integer == 77, "\(outcome.text)")
            try lab.expectReturn(to: before)
        }
        // SIGCHLD is 17: the bit before is 1 << 16.
        let mask = try lab.read("/run/ignored").split(separator: "\t").last?.split(separator: "\n").first ?? "x"
        #expect(UInt64(mask, radix: 16).map { $0 & (1 << 16) } == 0)
    }
}
