// swift-tools-version: 6.2
import PackageDescription

// Every Swift target is compiled with the same strictness; see docs/architecture.md.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A library room of the house: `Sources/<name>`.
func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// One CNI plugin's logic: `Sources/Plugins/<folder>`, module `<folder>Plugin`. No plugin depends on another.
func plugin(_ folder: String, _ extra: [Target.Dependency] = []) -> Target {
    .target(
        name: "\(folder)Plugin",
        dependencies: [
            "Attachment", "PluginKit", "CNI", "DBus", "IPAM", "JSON", "Netfilter", "Netlink", "NetworkTypes", "System",
        ] + extra,
        path: "Sources/Plugins/\(folder)",
        swiftSettings: strict
    )
}

/// One executable: `Sources/Commands/<name>/main.swift`, which hands the process to its plugin.
func command(_ name: String, _ plugin: String) -> Target {
    .executableTarget(
        name: name,
        dependencies: ["PluginKit", .byName(name: "\(plugin)Plugin")],
        path: "Sources/Commands/\(name)",
        swiftSettings: strict
    )
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

let package = Package(
    name: "swiftlet",
    products: [
        .executable(name: "bridge", targets: ["bridge"]),
        .executable(name: "host-local", targets: ["host-local"]),
        .executable(name: "null", targets: ["null"]),
        .executable(name: "loopback", targets: ["loopback"]),
        .executable(name: "portmap", targets: ["portmap"]),
        .executable(name: "firewall", targets: ["firewall"]),
        .executable(name: "gwbridge-nat", targets: ["gwbridge-nat"]),
        .executable(name: "tuning", targets: ["tuning"]),
        .executable(name: "bandwidth", targets: ["bandwidth"]),
        .executable(name: "overlay-vxlan", targets: ["overlay-vxlan"]),
        .executable(name: "swiftletd", targets: ["swiftletd"]),
        .executable(name: "swiftlet", targets: ["swiftlet"]),
    ],
    dependencies: [
        // The daemon's and the command line's alone: no plugin builds them.
        .package(url: "https://github.com/apple/swift-nio.git", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log.git", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto.git", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", exact: "1.8.2"),
    ],
    targets: [
        // C headers and shims only.
        .target(name: "CLinux"),
        .systemLibrary(name: "CLibMNL", pkgConfig: "libmnl", providers: [.apt(["libmnl-dev"])]),
        // What scripts/build.sh takes for libmnl in static executables; here, under other names, for the tests alone.
        .target(name: "CLibMNLStatic", cSettings: [.define("SWIFTLET_OTHER_NAMES")]),
        .systemLibrary(name: "CLibNFTNL", pkgConfig: "libnftnl", providers: [.apt(["libnftnl-dev"])]),
        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),

        // Inner rooms.
        room("NetworkTypes"),
        room("System", ["CLinux"]),
        room("JSON", ["CJansson"]),
        room("CNI", ["JSON", "NetworkTypes", "System"]),
        room("Netlink", ["CLibMNL", "CLinux", "NetworkTypes", "System"]),
        room("Netfilter", ["CLibNFTNL", "CLinux", "Netlink", "NetworkTypes", "System"]),
        room("Overlay", ["CLinux", "Netfilter", "Netlink", "NetworkTypes", "System"]),
        room("Control", ["CLinux", "JSON", "System"]),
        room("DBus", ["NetworkTypes", "System"]),
        room("IPAM", ["JSON", "NetworkTypes", "System"]),
        room("Attachment", ["CNI", "IPAM", "JSON", "Netfilter", "Netlink", "NetworkTypes", "System"]),
        room(
            "PluginKit",
            ["Attachment", "CNI", "DBus", "IPAM", "JSON", "Netfilter", "Netlink", "NetworkTypes", "System"]),
        room("StateMachine"),
        room("Gossip", ["NetworkTypes", "StateMachine"]),
        // The runtime's side of CNI, for the command line and the daemon.
        room("CNIRuntime", ["CNI", "JSON", "NetworkTypes", "System"]),
        room("ClusterGraph"),
        room("Networks", ["CNI", "CNIRuntime", "JSON", "NetworkTypes", "System"]),
        room("Cluster", ["NetworkTypes", "StateMachine"]),

        plugin("Bridge"),
        plugin("HostLocal"),
        plugin("Null"),
        plugin("Loopback"),
        plugin("Portmap"),
        plugin("Firewall"),
        plugin("GwbridgeNAT"),
        plugin("Tuning"),
        plugin("Bandwidth"),
        plugin("OverlayVXLAN", ["Control", "Overlay"]),

        command("bridge", "Bridge"),
        command("host-local", "HostLocal"),
        command("null", "Null"),
        command("loopback", "Loopback"),
        command("portmap", "Portmap"),
        command("firewall", "Firewall"),
        command("gwbridge-nat", "GwbridgeNAT"),
        command("tuning", "Tuning"),
        command("bandwidth", "Bandwidth"),
        command("overlay-vxlan", "OverlayVXLAN"),

        // What the command line and the daemon do of the plugins' work themselves.
        room(
            "Reload",
            [
                "Attachment", "BridgePlugin", "CNI", "CNIRuntime", "FirewallPlugin", "GwbridgeNATPlugin", "JSON",
                "Netlink",
                "NetworkTypes", "OverlayVXLANPlugin", "PluginKit", "PortmapPlugin", "System",
            ]),

        // The daemon and its command line.
        .target(
            name: "Daemon",
            dependencies: [
                "CLinux", "CNIRuntime", "Cluster", "DBus", "Gossip", "JSON", "Netfilter", "Netlink", "NetworkTypes",
                "Networks", "Overlay", "Reload", "StateMachine", "System",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "swiftletd",
            dependencies: [
                "Daemon", "Gossip", "System", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/Commands/swiftletd", swiftSettings: strict),
        .executableTarget(
            name: "swiftlet",
            dependencies: [
                "CNI", "CNIRuntime", "ClusterGraph", "JSON", "Netlink", "Networks", "NetworkTypes", "Reload", "System",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/Commands/swiftlet", swiftSettings: strict),

        // Fixtures and the machinery shared by the test targets.
        .target(
            name: "TestSupport", dependencies: ["CLinux", "DBus", "JSON", "NetworkTypes", "System"],
            path: "Tests/TestSupport", swiftSettings: strict),
        .target(name: "GossipFixtures", path: "Tests/GossipFixtures", swiftSettings: strict),
        tests("NetworkTypesTests", ["NetworkTypes"]),
        tests("SystemTests", ["JSON", "System", "TestSupport"]),
        tests("JSONTests", ["JSON", "TestSupport"]),
        tests("CNITests", ["CNI", "JSON", "NetworkTypes", "System", "TestSupport"]),
        tests("NetlinkTests", ["CLibMNL", "CLibMNLStatic", "Netlink", "NetworkTypes", "System", "TestSupport"]),
        tests("NetfilterTests", ["Netfilter", "NetworkTypes", "System", "TestSupport"]),
        tests("DBusTests", ["CLinux", "DBus", "NetworkTypes", "System", "TestSupport"]),
        tests(
            "OverlayTests", ["Netfilter", "Netlink", "NetworkTypes", "Overlay", "System", "TestSupport"]),
        tests("ControlTests", ["Control", "JSON", "System", "TestSupport"]),
        tests("GossipTests", ["Gossip", "GossipFixtures", "NetworkTypes", "StateMachine"]),
        tests("ClusterGraphTests", ["ClusterGraph"]),
        tests("NetworksTests", ["CNI", "CNIRuntime", "JSON", "NetworkTypes", "Networks", "System", "TestSupport"]),
        tests("TableTests", ["Cluster", "NetworkTypes", "StateMachine"]),
        tests("BlockTests", ["Cluster", "NetworkTypes", "StateMachine"]),
        tests("IPAMTests", ["IPAM", "JSON", "NetworkTypes", "System", "TestSupport"]),
        tests(
            "PluginTests",
            [
                "BandwidthPlugin", "BridgePlugin", "FirewallPlugin", "GwbridgeNATPlugin", "HostLocalPlugin",
                "LoopbackPlugin", "NullPlugin", "OverlayVXLANPlugin", "PortmapPlugin", "TuningPlugin", "PluginKit",
                "Attachment", "CNI", "Control", "DBus", "IPAM", "JSON", "Netfilter", "Netlink", "NetworkTypes",
                "Overlay", "System",
                "TestSupport",
            ]),
        tests("KernelTests", ["Netfilter", "Netlink", "NetworkTypes", "System", "TestSupport"]),
        tests(
            "DaemonTests",
            [
                "Cluster", "Daemon", "Gossip", "JSON", "Netlink", "NetworkTypes", "Overlay", "System", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        tests(
            "ClusterTests", ["Gossip", "GossipFixtures", "JSON", "NetworkTypes", "System", "TestSupport"]),
        tests("CommandTests", ["CNI", "JSON", "Netlink", "NetworkTypes", "Overlay", "System", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6]
)
