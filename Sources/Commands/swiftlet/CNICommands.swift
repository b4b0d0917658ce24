import ArgumentParser
import CNI
import CNIRuntime
import JSON
import System

struct CNICommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni", abstract: "Run a network's plugins by hand, as a container runtime would.",
        discussion: """
            Results are kept where runtimes keep them (/var/lib/cni/results), so what one of them added can be \
            checked or deleted here, and the other way round. NETCONFPATH, CNI_PATH, CNI_ARGS, CAP_ARGS and CNI_IFNAME \
            are heard as cnitool hears them.
            """,
        subcommands: [Add.self, Check.self, Delete.self, Collect.self, Status.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Attach a network namespace to a network; prints the result.",
            discussion: "When a plugin fails, what the plugins before it did is undone.")
        @OptionGroup var places: CNIPlaces
        @OptionGroup var attachment: CNIAttachment
        @OptionGroup var wishes: CNIWishes

        func run() throws {
            try places.perform { runtime in
                let list = try places.list(attachment.network)
                let netns = try attachment.existingNamespace()
                let result = try runtime.add(
                    list, try attachment.named(list.name), netns: netns, try wishes.wishes(for: list))
                print(result.text(.indented))
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask the plugins whether an attachment is still as ADD left it.")
        @OptionGroup var places: CNIPlaces
        @OptionGroup var attachment: CNIAttachment
        @OptionGroup var wishes: CNIWishes

        func run() throws {
            try places.perform { runtime in
                let call = try places.remembered(attachment, wishes, runtime)
                try runtime.check(call.list, call.attachment, netns: call.netns, call.wishes)
            }
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "del", abstract: "Detach a network namespace from a network; it may be gone already.")
        @OptionGroup var places: CNIPlaces
        @OptionGroup var attachment: CNIAttachment
        @OptionGroup var wishes: CNIWishes

        func run() throws {
            try places.perform { runtime in
                let call = try places.remembered(attachment, wishes, runtime)
                try runtime.delete(call.list, call.attachment, netns: call.netns, call.wishes)
            }
        }
    }

    struct Collect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "gc", abstract: "Release what belongs to no container any more.",
            discussion: """
                An attachment of the result cache is kept while its network namespace exists; all others are deleted, \
                and every plugin is told which are left. Attachments of a runtime with a result cache of its own are \
                not known here and would be released: name its directory with --cache-dir.
                """)
        @OptionGroup var places: CNIPlaces
        @Argument(help: "The network's name, or a file that defines it.") var network: String

        func run() throws {
            try places.perform { runtime in
                let list = try places.list(network)
                if list.version < .v1_1_0 {
                    complain(
                        "\(list.name): no GC in version \(list.version.rawValue); only the cache is looked through")
                }
                // Without a path it cannot be seen to be gone.
                let released = try runtime.collectGarbage(list) { $0.netns.isEmpty || Files.exists($0.netns) }
                for attachment in released {
                    print("released \(attachment.containerID) \(attachment.interfaceName)")
                }
            }
        }
    }

    struct Status: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask every plugin of a network whether it could serve an ADD.")
        @OptionGroup var places: CNIPlaces
        @Argument(help: "The network's name, or a file that defines it.") var network: String

        func run() throws {
            try places.perform { runtime in
                let list = try places.list(network)
                if list.version < .v1_1_0 {
                    return complain("\(list.name): plugins have no STATUS in version \(list.version.rawValue)")
                }
                let answers = runtime.status(list)
                if places.json {
                    let documents = answers.map { answer in
                        Value.object(
                            Object([
                                ("type", .string(answer.type)),
                                ("error", answer.error?.document(version: list.version) ?? .null),
                            ]))
                    }
                    print(Value.array(documents).text(.indented))
                } else {
                    var table = Table("PLUGIN", "STATUS")
                    for answer in answers {
                        table.add(answer.type, answer.error.map { "\($0) (code \($0.code))" } ?? "ready")
                    }
                    print(table.text)
                }
                if answers.contains(where: { $0.error != nil }) { throw ExitCode(1) }
            }
        }
    }
}

/// Where networks, plugins and results are.
struct CNIPlaces: ParsableArguments {
    @Option(help: "Directory of networks (default: $NETCONFPATH or /etc/cni/net.d).")
    var confDir: String?
    @Option(help: "Directory of plugins; may be repeated (default: $CNI_PATH, or where Linux distributions put them).")
    var pluginDir: [String] = []
    @Option(help: "Directory of the result cache.")
    var cacheDir = "/var/lib/cni"
    @Flag(help: "Print errors as the plugins' JSON, too.")
    var json = false

    static let usualPluginDirectories = [
        "/opt/cni/bin", "/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni",
    ]

    private func variable(_ name: String) -> String? {
        Environment.current()[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    var directory: NetworkDirectory {
        NetworkDirectory(confDir ?? variable("NETCONFPATH") ?? "/etc/cni/net.d")
    }

    private var runtime: Runtime {
        let fromEnvironment = variable("CNI_PATH")?.split(separator: ":").map(String.init)
        return Runtime(
            path: pluginDir.isEmpty ? fromEnvironment ?? Self.usualPluginDirectories : pluginDir,
            cache: ResultCache(cacheDir), directory: directory, environment: Environment.current())
    }

    /// Runs a command's body; a refusal is said in one line and in the exit status.
    func perform(_ body: (Runtime) throws -> Void) throws {
        do {
            try body(runtime)
        } catch let error as CNIError {
            if json { print(error.document(version: nil).text(.indented)) }
            complain("\(error) (code \(error.code))")
            throw ExitCode(1)
        }
    }

    /// The network of that name, or in that file.
    func list(_ network: String) throws(CNIError) -> NetworkList {
        if network.contains("/") { return try NetworkDirectory.read(network) }
        complain(ofShadowedIn: (try? directory.networks().usable) ?? [], named: network)
        return try directory.network(named: network).list
    }

    /// A call about an attachment that ADD has been called for: what is not given comes from the cache.
    struct Call {
        let list: NetworkList
        let attachment: Attachment
        let netns: String
        let wishes: Runtime.Wishes
    }

    func remembered(_ given: CNIAttachment, _ wishes: CNIWishes, _ runtime: Runtime) throws -> Call {
        // The configuration as it was at ADD is the one to undo, and the file may be gone.
        let name = given.network.contains("/") ? try NetworkDirectory.read(given.network).name : given.network
        let attachment = try given.named(name)
        let cached = (try? runtime.cache.load(attachment)) ?? nil
        let list: NetworkList
        if let cached, !cached.configuration.isEmpty {
            list = try directory.remembered(cached.configuration)
        } else {
            list = try self.list(given.network)
        }
        var asked = try wishes.wishes(for: list)
        if asked.isEmpty, let cached {
            asked = Runtime.Wishes(arguments: cached.arguments, capabilities: cached.capabilities)
        }
        return Call(
            list: list, attachment: attachment, netns: given.netns ?? cached?.netns ?? "", wishes: asked)
    }
}

/// Which interface of which container.
struct CNIAttachment: ParsableArguments {
    @Argument(help: "The network's name, or a file that defines it.")
    var network: String
    @Argument(help: "The network namespace: a path, or a name as 'ip netns' has it.")
    var namespace: String?
    @Option(help: "The interface's name inside (default: $CNI_IFNAME or eth0).")
    var ifname: String?
    @Option(help: "The container's id (default: as cnitool derives it from the namespace's path).")
    var containerId: String?

    /// The namespace's path; nil when none is given.
    var netns: String? { namespace.map { $0.contains("/") ? $0 : "/run/netns/\($0)" } }

    func existingNamespace() throws -> String {
        guard let netns else { throw ValidationError("which network namespace?") }
        if !Files.exists(netns) {
            throw CNIError(
                CNIError.Code.invalidNamespace, "no network namespace at \(netns)",
                details: "'ip netns add NAME' makes one that NAME stands for")
        }
        return netns
    }

    func named(_ network: String) throws -> Attachment {
        let id: String
        if let containerId {
            id = containerId
        } else if let netns {
            id = CNIAttachment.defaultID(netns: netns)
        } else {
            throw ValidationError("which container? Give a network namespace or --container-id")
        }
        let interface = ifname ?? Environment.current()["CNI_IFNAME"].flatMap { $0.isEmpty ? nil : $0 } ?? "eth0"
        return Attachment(network: network, containerID: id, interfaceName: interface)
    }
}
