import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Listening sockets in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct SocketDiagnosticsTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    /// What is listening, one line each: "127.0.0.1 8080 inode".
    private func list(_ port: UInt16?, _ transport: SocketTransport) throws -> [String] {
        try SocketDiagnostics.listeners(port: port, transport: transport).map {
            "\($0.address) \($0.port) \($0.inode)\($0.isIPv6Only ? " only" : "")"
        }.sorted()
    }

    @Test("Nobody listens in a new namespace", arguments: SocketTransport.allCases)
    func nobody(transport: SocketTransport) throws {
        try inFreshNamespace { _ in
            for port: UInt16? in [nil, 80, 0] {
                let found = try list(port, transport)
                #expect(found == [])
            }
        }
    }

    @Test("All addresses and one, both families, with the port asked for", arguments: [SocketTransport.tcp, .udp])
    func listeners(transport: SocketTransport) throws {
        try inFreshNamespace { _ in
            try command("ip link set lo up")
            let all4 = try TestSocket(transport, "0.0.0.0", 8080)
            let all6 = try TestSocket(transport, "::", 8080, isIPv6Only: true)
            let both = try TestSocket(transport, "::", 8081)
            let one4 = try TestSocket(transport, "127.0.0.1", 8082)
            let other4 = try TestSocket(transport, "127.0.0.2", 8082)
            let one6 = try TestSocket(transport, "::1", 8082)
            let mapped = try TestSocket(transport, "::ffff:127.0.0.3", 8083)
            let inodes = [all4.inode, all6.inode, both.inode, one4.inode, other4.inode, one6.inode, mapped.inode]
            #expect(try list(8080, transport) == ["0.0.0.0 8080 \(all4.inode)", ":: 8080 \(all6.inode) only"])
            #expect(try list(8081, transport) == [":: 8081 \(both.inode)"])
            #expect(
                try list(8082, transport) == [
                    "127.0.0.1 8082 \(one4.inode)", "127.0.0.2 8082 \(other4.inode)", "::1 8082 \(one6.inode) only",
                ])
            #expect(try list(8083, transport) == ["127.0.0.3 8083 \(mapped.inode)"])
            #expect(try list(8084, transport) == [])
            #expect(Set(try SocketDiagnostics.listeners(port: nil, transport: transport).map(\.inode)) == Set(inodes))
            // The bytes of 8080 the other way round.
            #expect(try list(36895, transport) == [])
            let other: SocketTransport = transport == .tcp ? .udp : .tcp
            #expect(try list(nil, other) == [])
            let shown = try command("ss -Hln\(transport == .tcp ? "t" : "u") sport = 8082")
            #expect(shown.split(separator: "\n").count == 3)
        }
    }

    @Test("What is connected does not listen")
    func connected() throws {
        try inFreshNamespace { _ in
            try command("ip link set lo up")
            let datagrams = try TestSocket(.udp, "127.0.0.1", 5353)
            #expect(try list(5353, .udp).count == 1)
            try datagrams.connect("127.0.0.1", 53)
            #expect(try list(5353, .udp) == [])

            let server = try TestSocket(.tcp, "127.0.0.1", 80)
            let client = try TestSocket(connectedTo: "127.0.0.1", 80)
            #expect(try list(nil, .tcp) == ["127.0.0.1 80 \(server.inode)"])
            #expect(client.inode != server.inode)
        }
    }

    @Test("Sockets of the kernel have no holder, sockets on a link have it, and other namespaces have theirs")
    func kernelAndLink() throws {
        try inFreshNamespace { _ in
            try command("ip link set lo up")
            try command("ip link add vxlan0 type vxlan id 4097 dstport 4789 local 127.0.0.1 dev lo")
            try command("ip link set vxlan0 up")
            let kernel = try SocketDiagnostics.listeners(port: 4789, transport: .udp)
            #expect(!kernel.isEmpty)
            for socket in kernel { #expect(try SocketHolder.holders(ofSocket: socket.inode).isEmpty) }
            #expect(try SocketHolder.holders(ofSocket: 0).isEmpty)

            let bound = try TestSocket(.udp, "0.0.0.0", 67)
            try bound.bind(toLink: "lo")
            #expect(try SocketDiagnostics.listeners(port: 67, transport: .udp).map(\.link) == [1])

            let inner = try FreshNamespace()
            let there = try SocketDiagnostics(in: try inner.open())
            #expect(try there.listeners(port: 67, transport: .udp).isEmpty)
            try inner.run {
                let socket = try TestSocket(.udp, "0.0.0.0", 68)
                #expect(try SocketDiagnostics.listeners(port: 68, transport: .udp).map(\.inode) == [socket.inode])
                #expect(try SocketDiagnostics.listeners(port: 67, transport: .udp).isEmpty)
            }
        }
    }

    @Test("More listeners than one datagram holds are all found")
    func many() throws {
        try inFreshNamespace { _ in
            try command("ip link set lo up")
            var sockets: [TestSocket] = []
            for port in UInt16(20000)..<20400 {
                sockets.append(try TestSocket(.udp, "127.0.0.1", port))
            }
            let diagnostics = try SocketDiagnostics()
            #expect(try diagnostics.listeners(port: nil, transport: .udp).count == 400)
            #expect(try diagnostics.listeners(port: 20399, transport: .udp).count == 1)
        }
    }

    @Test("The holder is found: we ourselves, by name, our own ancestor")
    func holders() throws {
        try inFreshNamespace { _ in
            let socket = try TestSocket(.tcp, "0.0.0.0", 443)
            let inode = try #require(try SocketDiagnostics.listeners(port: 443, transport: .tcp).first).inode
            let holders = try SocketHolder.holders(ofSocket: inode)
            let ours = try #require(holders.first { $0.process == TestSocket.ourProcess })
            #expect(ours.command == (try Files.text("/proc/self/comm")).dropLast())
            #expect(ours.isAncestor)
            #expect(inode == socket.inode)
            #expect(try SocketHolder.holders(ofSocket: .max).isEmpty)
        }
        #expect(SocketHolder.lineage().prefix(2) == [TestSocket.ourProcess, TestSocket.ourParent])
        #expect(SocketHolder(process: TestSocket.ourParent, command: "").isAncestor)
        #expect(!SocketHolder(process: .max, command: "").isAncestor)
        #expect(SocketHolder.lineage(of: 1) == [1])
        #expect(SocketHolder.lineage(of: .max) == [.max])
    }
}
