public import JSON
internal import System

/// What one run of a plugin left behind.
public struct PluginAnswer: Sendable, CustomStringConvertible {
    /// The process's end.
    public let outcome: ChildOutcome
    /// The document on standard output; nil when that is empty or no JSON.
    public let document: Value?

    /// Whether it ended with status 0.
    public var succeeded: Bool { outcome.status == 0 }
    /// The `code` of an error document.
    public var code: Int64? { document?["code"]?.integer }
    /// The `msg` of an error document.
    public var message: String { document?["msg"]?.string ?? "" }
    /// The `details` of an error document.
    public var details: String { document?["details"]?.string ?? "" }
    /// Message and details as a runtime joins them.
    public var words: String { details.isEmpty ? message : "\(message); \(details)" }

    /// For the messages of failed expectations.
    public var description: String {
        "status \(outcome.status)\(outcome.timedOut ? " (time limit)" : "")"
            + " stdout \(outcome.text) stderr \(outcome.errorText)"
    }
}

/// One call of a plugin, as a runtime makes it: environment and standard input.
public struct PluginCall: Sendable {
    /// The executable's name, looked up in ``Plugins/directory``, or an absolute path.
    public var plugin: String
    /// `CNI_COMMAND`; a nil leaves the variable out, here and below.
    public var command: String?
    /// `CNI_CONTAINERID`
    public var containerID: String?
    /// `CNI_NETNS`
    public var netns: String?
    /// `CNI_IFNAME`
    public var ifname: String?
    /// `CNI_ARGS`
    public var arguments: String?
    /// `CNI_PATH`
    public var path: String?
    /// Standard input.
    public var input: String
    /// Other variables.
    public var environment: [(String, String)] = []
    /// Nanoseconds after which the plugin is killed.
    public var killAfter: UInt64?

    /// A call with everything a well-behaved runtime sets.
    public init(
        _ plugin: String, _ command: String?, containerID: String? = "c0", ifname: String? = "eth0",
        netns: String? = "/run/netns/c0", arguments: String? = nil, path: String? = Plugins.directory,
        input: String = ""
    ) {
        self.plugin = plugin
        self.command = command
        self.containerID = containerID
        self.netns = netns
        self.ifname = ifname
        self.arguments = arguments
        self.path = path
        self.input = input
    }

    var variables: Environment {
        let all = [
            ("CNI_COMMAND", command), ("CNI_CONTAINERID", containerID), ("CNI_NETNS", netns), ("CNI_IFNAME", ifname),
            ("CNI_ARGS", arguments), ("CNI_PATH", path),
        ]
        return Environment(
            [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]
                + all.compactMap { name, value in
                    value.map { (name, $0) }
                } + environment)
    }
}

extension Lab {
    /// Runs a plugin in the host's namespaces; it is killed after thirty seconds.
    public func run(_ call: PluginCall) throws -> PluginAnswer {
        let path = call.plugin.hasPrefix("/") ? call.plugin : "\(Plugins.directory)/\(call.plugin)"
        let outcome = try inside {
            try ChildProcess.run(
                path, environment: call.variables, input: Array(call.input.utf8), killAfter: call.killAfter)
        }
        return PluginAnswer(outcome: outcome, document: try? Value(parsing: outcome.output))
    }

    /// Runs a plugin with a configuration given as a value.
    public func run(
        _ plugin: String, _ command: String, containerID: String = "c0", ifname: String = "eth0",
        netns: String? = "/run/netns/c0", arguments: String? = nil, path: String = Plugins.directory, _ config: Value
    ) throws -> PluginAnswer {
        try run(
            PluginCall(
                plugin, command, containerID: containerID, ifname: ifname, netns: netns, arguments: arguments,
                path: path, input: config.text()))
    }
}

/// The executables under test.
public enum Plugins {
    /// `SWIFTLET_PLUGIN_DIR`, or the directory the test bundle was built into.
    public static let directory: String = {
        if let chosen = Environment.current()["SWIFTLET_PLUGIN_DIR"], !chosen.isEmpty { return chosen }
        return ProductsDirectory.path
    }()

    /// Where Debian puts the reference plugins.
    public static let reference = "/usr/lib/cni"

    /// Whether the executables under test are the reference plugins (`SWIFTLET_ORACLE=1`).
    ///
    /// The switch exists to prove the tests themselves: with it, `SWIFTLET_PLUGIN_DIR` names the reference plugins and
    /// exactly those assertions are left out that describe where we do better or know a newer specification. All others
    /// must hold for the reference too.
    public static let areReference = Environment.current()["SWIFTLET_ORACLE"] == "1"

    /// The specification versions the executables under test know, oldest first.
    public static let versions =
        ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] + (areReference ? [] : ["1.1.0"])

    /// Whether the long loops are wanted (`SWIFTLET_LONG=1`).
    public static let wantsLongRuns = Environment.current()["SWIFTLET_LONG"] == "1"
}

extension Value {
    /// The member `key` of an object; setting does nothing to other values.
    public subscript(key: String) -> Value? {
        get { if case .object(let object) = self { object[key] } else { nil } }
        set {
            guard case .object(var object) = self else { return }
            object[key] = newValue
            self = .object(object)
        }
    }

    /// The element at `index` of an array.
    public subscript(index: Int) -> Value? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    /// The string, nil for other values.
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    /// The integer, nil for other values.
    public var integer: Int64? { if case .integer(let number) = self { number } else { nil } }
    /// The boolean, nil for other values.
    public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    /// The elements, none for other values.
    public var elements: [Value] { if case .array(let elements) = self { elements } else { [] } }
    /// The members, none for other values.
    public var members: [Object.Member] { if case .object(let object) = self { object.members } else { [] } }
}
