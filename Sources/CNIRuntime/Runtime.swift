public import CNI
public import JSON
public import System

/// Calls the plugins of a network list as a container runtime does.
///
/// What libcni does, with four differences: an ADD of an attachment that is there is refused, one that fails is undone by
/// DEL, a DEL goes on after a plugin that fails and reports the first failure, and DEL and CHECK use what the cache
/// remembers of ADD (configuration, arguments, capabilities, namespace) unless they are given something else.
public struct Runtime: Sendable {
    /// Directories of plugins, in order.
    public let path: [String]
    /// Where results are kept between ADD and DEL.
    public let cache: ResultCache
    /// What the plugins inherit; `CNI_*` variables in it are replaced.
    public let environment: Environment
    /// Where networks are defined: what another program remembered of a list leaves out the plugins beside it.
    public let directory: NetworkDirectory
    private let lockDirectory: String?

    /// A runtime that looks for plugins in `path`.
    ///
    /// - Parameter lockDirectory: where lock files are, for tests; nil for `/run/swiftlet/lock`.
    public init(
        path: [String], cache: ResultCache = ResultCache(), directory: NetworkDirectory = NetworkDirectory(),
        environment: Environment, lockDirectory: String? = nil
    ) {
        self.path = path
        self.cache = cache
        self.directory = directory
        self.environment = environment
        self.lockDirectory = lockDirectory
    }

    /// What a container is given beyond the configuration.
    public struct Wishes: Sendable {
        /// `CNI_ARGS` as pairs.
        public var arguments: [(name: String, value: String)]
        /// By capability: ips, mac, portMappings, aliases, …
        public var capabilities: Object

        /// By default nothing.
        public init(arguments: [(name: String, value: String)] = [], capabilities: Object = Object()) {
            self.arguments = arguments
            self.capabilities = capabilities
        }

        /// Whether there is anything.
        public var isEmpty: Bool { arguments.isEmpty && capabilities.members.isEmpty }
    }

    /// ADD of every plugin in order, each with the result of the one before; the last result is remembered.
    ///
    /// When one fails, or the result cannot be remembered, DEL of the plugins that ran undoes what they did; what is
    /// wrong with that goes into the details. Where the container had an interface of the name before, the plugin that
    /// failed gets none: what it refused to touch is not ours to remove. An attachment that the cache remembers and that
    /// is gone, after a reboot, comes back: if the first attempt fails, what is left of it is removed before a second.
    /// - Throws: the plugin's error, with its type and the network in front; code 103 for an attachment that is there.
    public func add(_ list: NetworkList, _ attachment: Attachment, netns: String, _ wishes: Wishes) throws(CNIError)
        -> Value
    {
        let locks = try lock(attachment)
        defer { withExtendedLifetime(locks) {} }
        // A torn cache file protects nothing.
        let cached = (try? cache.load(attachment)) ?? nil
        if let cached, NamespaceState.isLiving(cached, netns: netns) {
            let place = cached.netns.isEmpty || cached.netns == netns ? "" : " in \(cached.netns)"
            throw CNIError(
                CNIError.Code.foreignObject,
                "container \(attachment.containerID) is on network \(list.name) already, by \(attachment.interfaceName)"
                    + place,
                details: "to connect it anew, detach it first ('swiftlet cni del')")
        }
        do throws(CNIError) {
            return try attach(list, attachment, netns: netns, wishes)
        } catch {
            guard let cached else { throw error }
            let old = (try? directory.remembered(cached.configuration)) ?? list
            let result = try? previousResult(old, attachment)
            _ = unwind(
                old, upTo: old.plugins.count - 1, attachment, netns,
                Wishes(arguments: cached.arguments, capabilities: cached.capabilities), result)
            return try attach(list, attachment, netns: netns, wishes)
        }
    }

    private func lock(_ attachment: Attachment) throws(CNIError) -> RuntimeLocks {
        do throws(SystemError) {
            return try RuntimeLocks(attachment, in: lockDirectory)
        } catch {
            throw CNIError(
                CNIError.Code.inputOutput, error.description, details: "ADD must be alone with its container")
        }
    }

    private func attach(_ list: NetworkList, _ attachment: Attachment, netns: String, _ wishes: Wishes)
        throws(CNIError) -> Value
    {
        let hadInterface = NamespaceState.has(attachment.interfaceName, in: netns) ?? true
        var result: Value?
        for index in list.plugins.indices {
            do throws(CNIError) {
                let configuration = list.configuration(
                    at: index, previous: result, capabilities: wishes.capabilities)
                let output = try call(list, index, .add, configuration, attachment, netns, wishes.arguments)
                result = try Self.result(of: output, list, index)
            } catch {
                throw undone(error, list, upTo: hadInterface ? index - 1 : index, attachment, netns, wishes, result)
            }
        }
        let final = result ?? .object(Object())
        do throws(CNIError) {
            try cache.store(
                CachedAttachment(
                    attachment: attachment, configuration: list.bytes, netns: netns, arguments: wishes.arguments,
                    capabilities: wishes.capabilities, result: final,
                    namespaceIdentity: NamespaceState.identity(netns)))
        } catch {
            throw undone(error, list, upTo: list.plugins.count - 1, attachment, netns, wishes, result)
        }
        return final
    }

    private func undone(
        _ error: CNIError, _ list: NetworkList, upTo last: Int, _ attachment: Attachment, _ netns: String,
        _ wishes: Wishes, _ result: Value?
    ) -> CNIError {
        var error = error
        for failure in unwind(list, upTo: last, attachment, netns, wishes, result) {
            error.details += (error.details.isEmpty ? "" : "; ") + "undoing: \(failure)"
        }
        return error
    }

    /// DEL of every plugin, last one first, each with the result of ADD; then the attachment is forgotten.
    ///
    /// - Throws: the first plugin's error, the others' in its details; the attachment is then still remembered.
    public func delete(_ list: NetworkList, _ attachment: Attachment, netns: String, _ wishes: Wishes) throws(CNIError)
    {
        // Without the locks DEL has to do its work all the same.
        let locks = try? RuntimeLocks(attachment, in: lockDirectory)
        defer { withExtendedLifetime(locks) {} }
        try detach(list, attachment, netns: netns, wishes)
    }

    private func detach(_ list: NetworkList, _ attachment: Attachment, netns: String, _ wishes: Wishes)
        throws(CNIError)
    {
        // A cache that cannot be read must not keep anything from being removed.
        let result = try? previousResult(list, attachment)
        let failures = unwind(list, upTo: list.plugins.count - 1, attachment, netns, wishes, result)
        guard var first = failures.first else { return try cache.remove(attachment) }
        for other in failures.dropFirst() {
            first.details += (first.details.isEmpty ? "" : "; ") + "\(other)"
        }
        throw first
    }

    private func unwind(
        _ list: NetworkList, upTo last: Int, _ attachment: Attachment, _ netns: String, _ wishes: Wishes,
        _ result: Value?
    ) -> [CNIError] {
        var failures: [CNIError] = []
        for index in list.plugins.indices.prefix(last + 1).reversed() {
            // Before 0.4.0 plugins were not given a result on DEL.
            let configuration = list.configuration(
                at: index, previous: list.version < .v0_4_0 ? nil : result, capabilities: wishes.capabilities)
            do throws(CNIError) {
                _ = try call(list, index, .delete, configuration, attachment, netns, wishes.arguments)
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    /// CHECK of every plugin in order with the result of ADD; nothing when the list has it switched off.
    ///
    /// - Throws: the first plugin's error; code 1 before version 0.4.0.
    public func check(_ list: NetworkList, _ attachment: Attachment, netns: String, _ wishes: Wishes) throws(CNIError) {
        guard list.version >= .v0_4_0 else {
            throw CNIError(
                CNIError.Code.incompatibleVersion,
                "configuration version \"\(list.version.rawValue)\" does not support the CHECK command")
        }
        if list.disablesCheck { return }
        let result = try previousResult(list, attachment)
        for index in list.plugins.indices {
            let configuration = list.configuration(
                at: index, previous: result, capabilities: wishes.capabilities)
            _ = try call(list, index, .check, configuration, attachment, netns, wishes.arguments)
        }
    }

    /// Releases what belongs to no container any more.
    ///
    /// Remembered attachments that `isAlive` denies get a DEL; then, from version 1.1.0 on and unless the list has it
    /// switched off, every plugin gets a GC with the attachments that stay.
    /// - Returns: the attachments released.
    /// - Throws: the first error, the others' in its details, after everything was tried.
    public func collectGarbage(_ list: NetworkList, isAlive: (CachedAttachment) -> Bool) throws(CNIError)
        -> [Attachment]
    {
        var failures: [CNIError] = []
        var released: [Attachment] = []
        if list.disablesGC { return [] }
        let locks = try? RuntimeLocks(network: list.name, in: lockDirectory)
        defer { withExtendedLifetime(locks) {} }
        let known = cache.attachments(of: list.name)
        for stale in known where !isAlive(stale) {
            let remembered = (try? directory.remembered(stale.configuration)) ?? list
            do throws(CNIError) {
                try detach(
                    remembered, stale.attachment, netns: stale.netns,
                    Wishes(arguments: stale.arguments, capabilities: stale.capabilities))
                released.append(stale.attachment)
            } catch {
                failures.append(error)
            }
        }
        if list.version >= .v1_1_0 {
            // What could not be released stays valid: its DEL is tried again next time.
            let valid = Value.array(
                cache.attachments(of: list.name).map {
                    [
                        "containerID": .string($0.attachment.containerID),
                        "ifname": .string($0.attachment.interfaceName),
                    ]
                })
            for index in list.plugins.indices {
                // libcni says it under an older key, too.
                let configuration = list.configuration(
                    at: index, previous: nil,
                    more: [("cni.dev/valid-attachments", valid), ("cni.dev/attachments", valid)])
                do throws(CNIError) {
                    _ = try call(list, index, .garbageCollect, configuration)
                } catch {
                    failures.append(error)
                }
            }
        }
        guard var first = failures.first else { return released }
        for other in failures.dropFirst() { first.details += (first.details.isEmpty ? "" : "; ") + "\(other)" }
        throw first
    }

    /// STATUS of every plugin: its type, and its error unless it can serve ADD. Empty before version 1.1.0.
    public func status(_ list: NetworkList) -> [(type: String, error: CNIError?)] {
        guard list.version >= .v1_1_0 else { return [] }
        return list.plugins.indices.map { index in
            do throws(CNIError) {
                _ = try call(list, index, .status, list.configuration(at: index, previous: nil))
                return (list.type(at: index), nil)
            } catch {
                return (list.type(at: index), error)
            }
        }
    }

    // MARK: -

    private func call(
        _ list: NetworkList, _ index: Int, _ command: Command, _ configuration: [UInt8],
        _ attachment: Attachment? = nil, _ netns: String = "", _ arguments: [(name: String, value: String)] = []
    ) throws(CNIError) -> [UInt8] {
        var variables = environment
        let values = [
            ("CNI_CONTAINERID", attachment?.containerID ?? ""), ("CNI_NETNS", netns),
            ("CNI_IFNAME", attachment?.interfaceName ?? ""),
            ("CNI_ARGS", arguments.map { "\($0.name)=\($0.value)" }.joined(separator: ";")),
            ("CNI_PATH", path.joined(separator: ":")),
        ]
        for (name, value) in values { variables[name] = value }
        let type = list.type(at: index)
        do throws(CNIError) {
            return try Delegate.run(
                Delegate.find(type, in: path), command: command,
                invocation: Invocation(
                    command: command, environment: variables), configuration: configuration)
        } catch {
            var failure = error
            failure.message = "plugin \(type) of network \(list.name), \(command.rawValue): \(error.message)"
            throw failure
        }
    }

    /// The plugin's answer, once it is known to be a result, in the list's version: the next plugin expects that one.
    private static func result(of output: [UInt8], _ list: NetworkList, _ index: Int) throws(CNIError) -> Value {
        func unreadable(_ reason: String) -> CNIError {
            CNIError(
                CNIError.Code.decoding,
                "plugin \(list.type(at: index)) of network \(list.name), ADD: its result cannot be read: \(reason)")
        }
        do {
            guard case .object(var object) = try Value(parsing: output) else { throw unreadable("it is no object") }
            let spoken = try Reader(.object(object)).member("cniVersion").string() ?? ""
            guard let version = spoken.isEmpty ? list.version : SpecVersion(rawValue: spoken) else {
                throw unreadable("cniVersion \"\(spoken)\"")
            }
            let result = try CNIResult(decoding: .object(object), version: version)
            // A result the list's version has no words for is handed on as it is.
            if version != list.version, let converted = try? result.document(list.version) { return converted }
            if spoken.isEmpty { object["cniVersion"] = .string(version.rawValue) }
            return .object(object)
        } catch let error as CNIError {
            throw error
        } catch {
            throw unreadable("\(error)")
        }
    }

    /// The remembered result in the list's version, which may have changed since ADD.
    private func previousResult(_ list: NetworkList, _ attachment: Attachment) throws(CNIError) -> Value? {
        guard let result = try cache.load(attachment)?.result else { return nil }
        let spoken = (try? Reader(result).member("cniVersion").string()) ?? ""
        guard spoken != list.version.rawValue else { return result }
        guard let version = spoken.isEmpty ? list.version : SpecVersion(rawValue: spoken) else {
            throw CNIError(
                CNIError.Code.incompatibleVersion, "\(cache.path(attachment)): result of version \"\(spoken)\"")
        }
        return try CNIResult(decoding: result, version: version).document(list.version)
    }
}
