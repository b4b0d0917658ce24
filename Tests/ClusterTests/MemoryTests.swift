import JSON
import System
import TestSupport
import Testing

/// Memory that a stranger can take: connections to the gossip port and to the cluster port that send much and say nothing.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct MemoryTests {
    private static let during = 64 << 10
    private static let afterwards = 16 << 10

    /// The line of `/proc/PID/status`, KiB.
    private func memory(_ name: String, _ daemon: Daemon) throws -> Int {
        let status = try Files.text("/proc/\(daemon.pid)/status")
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("\(name):") })
        return try #require(Int(line.split(whereSeparator: \.isWhitespace)[1]))
    }

    /// A cluster of two, with keys or without.
    private func form(_ keys: String?) throws -> Cluster {
        let cluster = try Cluster()
        if let keys { try cluster.lab.write("/run/keys", #"["\#(keys)"]"#) }
        let keyring = keys == nil ? "" : #", "keyring": "/run/keys""#
        try cluster.lab.write("/run/config", #"{"join": ["127.0.0.11"], "log": "warning"\#(keyring)}"#)
        try cluster.startDaemon("d1", 11, "--config", "/run/config")
        try cluster.startDaemon("d2", 12, "--config", "/run/config")
        try cluster.everyone(sees: "d2", as: "alive")
        return cluster
    }

    /// Pours at the first daemon and looks at its memory: the highest while it goes on, and what is left of it.
    private func attack(_ cluster: Cluster, joining: Int? = 13, rounds: Int = 3, _ open: () throws -> Flood) throws {
        let daemon = cluster.daemons[0]
        let before = try memory("VmRSS", daemon)
        // The highest mark begins anew.
        _ = try cluster.lab.tool("sh", "-c", "echo 5 > /proc/\(daemon.pid)/clear_refs")
        var poured: [String] = []
        for round in 0..<rounds {
            let flood = try open()
            let outcome = flood.pour(milliseconds: 4000)
            poured.append("\(flood.count) streams, \(outcome.bytes >> 20) MiB taken, \(outcome.closed) closed")
            // While the streams are open a new member is taken in, and the old ones hear of each other.
            if round == 0, let joining {
                try cluster.startDaemon("d3", joining, "--config", "/run/config")
                try cluster.everyone(sees: "d3", as: "alive")
            }
            withExtendedLifetime(flood) {}
        }
        let peak = try memory("VmHWM", daemon)
        print("memory of a daemon: \(before) KiB, at most \(peak) KiB while \(poured)")
        #expect(peak < before + Self.during, "\(before) → \(peak) KiB: \(poured)")
        try cluster.eventually("the memory is given back") { try memory("VmRSS", daemon) < before + Self.afterwards }
        #expect(cluster.isRunning(daemon.pid))
        for name in ["d1", "d2", "d3"] { try cluster.everyone(sees: name, as: "alive") }
    }

    /// The heads of encrypted messages: of 16 MiB, which is refused at once, and of 11, which is waited for.
    private static let hugeHead: [UInt8] = [10, 1, 0, 0, 0, 1]
    private static let sealedHead: [UInt8] = [10, 0, 0xB0, 0, 0, 1]
    /// The head of a full-state exchange in clear whose user state has 16 MiB: type, then a map of three.
    private static let plainHead: [UInt8] =
        [6, 0x83, 0xA4] + Array("Join".utf8) + [0xC2, 0xA5] + Array("Nodes".utf8) + [0, 0xAC]
        + Array("UserStateLen".utf8) + [0xCE, 1, 0, 0, 0]

    @Test(arguments: [hugeHead, sealedHead, plainHead]) func gossipStreams(_ head: [UInt8]) throws {
        let cluster = try form(head == Self.plainHead ? nil : "YWFhYWFhYWFhYWFhYWFhYQ==")
        try attack(cluster) {
            try Flood(
                in: cluster.lab, from: ["127.0.0.99"], count: 128, to: "127.0.0.11", port: 7946, head: head,
                limit: 16 << 20)
        }
    }

    /// From many addresses, which no limit for one address holds.
    @Test func gossipStreamsFromMany() throws {
        let cluster = try form("YWFhYWFhYWFhYWFhYWFhYQ==")
        try attack(cluster) {
            try Flood(
                in: cluster.lab, from: (1...100).map { "127.0.1.\($0)" }, count: 4, to: "127.0.0.11", port: 7946,
                head: Self.sealedHead, limit: 16 << 20)
        }
    }

    /// Whoever asks for the state and does not read it is not waited for, and the streams that ask nothing end.
    @Test func silentStreams() throws {
        let cluster = try form(nil)
        let daemon = cluster.daemons[0]
        let descriptors = try Files.list("/proc/\(daemon.pid)/fd").count
        try attack(cluster, rounds: 1) {
            try Flood(
                in: cluster.lab, from: (1...8).map { "127.0.1.\($0)" }, count: 100, to: "127.0.0.11", port: 7946,
                head: [], limit: 0)
        }
        try cluster.eventually("they are closed") {
            try Files.list("/proc/\(daemon.pid)/fd").count < descriptors + 32
        }
    }

    /// Frames of almost 1 MiB with a head that could be a peer's: the digest of the cluster's name, no key, any sender.
    @Test func clusterPort() throws {
        let cluster = try form(nil)
        let length: [UInt8] = [0, 0x0F, 0xFF, 0xF0]
        let head: [UInt8] =
            [1, 81, 209, 115, 157, 0, 0, 0, 0] + Array(repeating: 7, count: 24) + [0x80, 0, 0, 0, 0, 0, 0, 1]
        try attack(cluster) {
            try Flood(
                in: cluster.lab, from: (1...40).map { "127.0.1.\($0)" }, count: 16, to: "127.0.0.11", port: 7947,
                head: length + head, limit: 0xFFF0)
        }
        try attack(cluster, joining: nil) {
            try Flood(
                in: cluster.lab, from: (1...40).map { "127.0.1.\($0)" }, count: 16, to: "127.0.0.11", port: 7947,
                head: length + head, limit: 0xF_FFF0)
        }
    }
}
