import GossipFixtures
import System
import TestSupport
import Testing

@testable import Gossip

/// Mutated real packets at the ports of a daemon: it goes on, and it does not grow.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct NoiseTests {
    private static let isLong = Environment.current()["SWIFTLET_LONG"] == "1"
    private static let packets = isLong ? 100_000 : 5000
    private static let batch = 100

    private struct Footprint {
        let residentKiB: Int
        let descriptors: Int
    }

    private func footprint(_ cluster: Cluster, _ daemon: Daemon) throws -> Footprint {
        let status = try Files.text("/proc/\(daemon.pid)/status")
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        let number = line.split(whereSeparator: \.isWhitespace)[1]
        return Footprint(
            residentKiB: try #require(Int(number)),
            descriptors: try Files.list("/proc/\(daemon.pid)/fd").count)
    }

    /// Waits until everything sent before was handled: a ping is answered in its turn.
    private func settle(_ attacker: Attacker, _ daemon: Daemon, _ number: UInt32) throws -> Bool {
        let ping = Ping(sequence: number, node: daemon.name, source: nil).encode()
        for _ in 0..<100 {
            try attacker.send(ping, to: daemon.address)
            while let answer = attacker.receive(within: 100) {
                if Ack.answers(answer, number) { return true }
            }
        }
        return false
    }

    @Test(arguments: [false, true]) func goesOn(_ isEncrypted: Bool) throws {
        var random = SeededGenerator(for: "goesOn")
        let cluster = try Cluster()
        try cluster.lab.write("/run/keys", #"["YWFhYWFhYWFhYWFhYWFhYQ=="]"#)
        try cluster.lab.write(
            "/run/config",
            #"{"join": ["127.0.0.11"], "log": "warning"\#(isEncrypted ? #", "keyring": "/run/keys""# : "")}"#)
        let daemon = try cluster.startDaemon("d1", 11, "--config", "/run/config")
        try cluster.startDaemon("d2", 12, "--config", "/run/config")
        try cluster.everyone(sees: "d2", as: "alive")
        let attacker = try Attacker(in: cluster.lab, at: "127.0.0.99")
        func pour(_ count: Int) throws {
            for begin in stride(from: 0, to: count, by: Self.batch) {
                // One in ten over TCP.
                var streams: [[UInt8]] = []
                for index in 0..<min(Self.batch, count - begin) {
                    let bytes = Mutation.any(&random)
                    if index % 10 == 0 {
                        streams.append(bytes)
                    } else if bytes.count < 60_000 {
                        try attacker.send(bytes, to: daemon.address)
                    }
                }
                #expect(try cluster.lab.pour(streams, into: daemon.address) == streams.count)
                // In clear; a daemon with keys is asked otherwise.
                if !isEncrypted {
                    #expect(try settle(attacker, daemon, UInt32(begin + 1)), "seed \(random.seed), packet \(begin)")
                } else {
                    #expect(try daemon.run("status").status == 0, "seed \(random.seed), packet \(begin)")
                }
            }
        }
        // What comes first fills tables and buffers to their usual size.
        try pour(Self.packets / 5)
        let before = try footprint(cluster, daemon)
        try pour(Self.packets * 4 / 5)
        try cluster.eventually("all streams are closed") {
            try footprint(cluster, daemon).descriptors <= before.descriptors + 4
        }
        let after = try footprint(cluster, daemon)
        print("noise at a daemon \(isEncrypted ? "with" : "without") keys: \(before) → \(after)")
        #expect(after.residentKiB < before.residentKiB + 16 << 10, "seed \(random.seed): \(before) → \(after)")

        // It still is a good member, and takes in another.
        try cluster.startDaemon("d3", 13, "--config", "/run/config")
        for name in ["d1", "d2", "d3"] {
            for observer in cluster.daemons {
                try cluster.eventually("\(observer.name) sees \(name)") {
                    try observer.members()[name]?.status == "alive"
                }
            }
        }
        #expect(cluster.isRunning(daemon.pid))
    }
}

extension Ack {
    /// Whether a datagram is the ack of this ping, alone or with gossip, compressed or not.
    fileprivate static func answers(_ datagram: [UInt8], _ number: UInt32) -> Bool {
        var queue = [datagram]
        while let bytes = queue.popLast() {
            var reader = MessagePackReader(bytes)
            switch (try? reader.byte()).flatMap(MessageType.init(rawValue:)) {
            case .compressed:
                if let plain = try? Envelope.decompress(&reader, limit: 1 << 20) { queue.append(plain) }
            case .compound:
                for part in (try? Compound.parts(&reader)) ?? [] { queue.append(Array(bytes[part])) }
            case .ack:
                if let ack = try? Ack(from: &reader), ack.sequence == number { return true }
            default: break
            }
        }
        return false
    }
}
