import JSON
import System
import TestSupport
import Testing

/// A daemon notices that the packet filter was flushed, and nobody has to do anything.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct FilterKeeperTests {
    private static let places = ["--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory]

    @Test("What a running container had in the filter comes back by itself")
    func flushed() throws {
        let cluster = try Cluster()
        let lab = cluster.lab
        try lab.addContainer("c0")
        try lab.writeNetwork(
            "10-demo.conflist",
            [
                "cniVersion": "1.0.0", "name": "demo",
                "plugins": [
                    [
                        "type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipMasq": true,
                        "ipMasqBackend": "nftables",
                        "ipam": ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/24"]]]],
                    ],
                    ["type": "portmap", "backend": "nftables", "capabilities": ["portMappings": true]],
                ],
            ])
        let daemon = try cluster.startDaemon("one", 11)
        try cluster.eventually("the daemon answers") { try !daemon.members().isEmpty }
        func cni(_ arguments: String...) throws -> ChildOutcome { try lab.swiftlet(["cni"] + arguments + Self.places) }
        let added = try cni("add", "demo", "c0", "--publish", "8080:80")
        #expect(added.status == 0, "\(added.errorText)")
        for damage in ["nft flush ruleset", "nft flush table inet swiftlet", "nft delete table inet swiftlet"] {
            try lab.tool("sh", "-c", damage)
            try cluster.eventually("the rules are back after \(damage)") {
                try cni("check", "demo", "c0").status == 0
            }
        }
        #expect(try lab.read(daemon.log).contains("restored demo"))
    }
}
