public import JSON

/// The plugins of a network list, called one after the other as a runtime calls them.
public struct PluginChain: Sendable {
    /// The list's name.
    public var name: String
    /// `cniVersion`.
    public var version: String
    /// The plugins' configurations, without `name`, `cniVersion`, `prevResult`.
    public var plugins: [Value]
    /// `runtimeConfig` for each plugin.
    public var runtimeConfig: Value?
    /// The directory of executables, and `CNI_PATH`; nil for those under test.
    public var directory: String?

    /// Describes a list.
    public init(
        _ name: String, version: String = "1.0.0", _ plugins: [Value], runtimeConfig: Value? = nil,
        directory: String? = nil
    ) {
        self.name = name
        self.version = version
        self.plugins = plugins
        self.runtimeConfig = runtimeConfig
        self.directory = directory
    }

    /// The list with other executables.
    public func from(_ directory: String?) -> PluginChain {
        var copy = self
        copy.directory = directory
        return copy
    }

    /// One plugin's standard input.
    public func input(_ index: Int, previous: Value? = nil) -> Value {
        var config = plugins.indices.contains(index) ? plugins[index] : [:]
        config["name"] = .string(name)
        config["cniVersion"] = .string(version)
        if let runtimeConfig { config["runtimeConfig"] = runtimeConfig }
        if let previous { config["prevResult"] = previous }
        return config
    }

    fileprivate func call(
        _ index: Int, _ command: String, _ containerID: String?, _ ifname: String?, _ netns: String?,
        previous: Value?, _ more: [(String, Value)] = []
    ) -> PluginCall {
        let type = plugins[index]["type"]?.string ?? "?"
        var config = input(index, previous: previous)
        for (key, value) in more { config[key] = value }
        var call = PluginCall(
            directory.map { "\($0)/\(type)" } ?? type, command, containerID: containerID, ifname: ifname, netns: netns,
            path: directory ?? Plugins.directory, input: config.text())
        // The reference's anti-spoofing hands `nft` a temporary file, and `/tmp` cannot be written in a lab.
        call.environment = [("TMPDIR", "/run")]
        return call
    }
}

extension Lab {
    /// Calls ADD of every plugin.
    ///
    /// - Returns: the last answer: that of the plugin that failed, or of the last one.
    public func add(_ chain: PluginChain, _ containerID: String, _ ifname: String = "eth0") throws -> PluginAnswer {
        var last: PluginAnswer?
        for index in chain.plugins.indices {
            let answer = try run(
                chain.call(index, "ADD", containerID, ifname, netns(containerID), previous: last?.document))
            guard answer.succeeded else { return answer }
            last = answer
        }
        guard let last else { throw LabError("a chain without plugins") }
        return last
    }

    /// Calls DEL of every plugin, last one first.
    ///
    /// - Parameters:
    ///   - netns: nil for the container's own.
    ///   - previous: the result of ADD, as a runtime remembers it.
    /// - Returns: one answer for each plugin.
    public func delete(
        _ chain: PluginChain, _ containerID: String, _ ifname: String = "eth0", netns path: String? = nil,
        previous: Value? = nil
    ) throws -> [PluginAnswer] {
        try chain.plugins.indices.reversed().map { index in
            try run(chain.call(index, "DEL", containerID, ifname, path ?? netns(containerID), previous: previous))
        }
    }

    /// Calls CHECK of every plugin.
    public func check(_ chain: PluginChain, _ containerID: String, _ previous: Value, _ ifname: String = "eth0") throws
        -> [PluginAnswer]
    {
        try chain.plugins.indices.map { index in
            try run(chain.call(index, "CHECK", containerID, ifname, netns(containerID), previous: previous))
        }
    }

    /// Calls GC of every plugin with the attachments that are valid.
    public func collect(_ chain: PluginChain, keeping valid: [(String, String)] = []) throws -> [PluginAnswer] {
        let list = Value.array(valid.map { ["containerID": .string($0.0), "ifname": .string($0.1)] })
        var newest = chain
        newest.version = "1.1.0"
        return try chain.plugins.indices.map { index in
            try run(
                newest.call(
                    index, "GC", nil, nil, nil, previous: nil, [("cni.dev/valid-attachments", list)]))
        }
    }

    /// Calls STATUS of every plugin.
    public func status(_ chain: PluginChain) throws -> [PluginAnswer] {
        var newest = chain
        newest.version = "1.1.0"
        return try chain.plugins.indices.map { try run(newest.call($0, "STATUS", nil, nil, nil, previous: nil)) }
    }
}
