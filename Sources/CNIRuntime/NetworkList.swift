public import CNI
public import JSON

/// A network as runtimes know it: a name and the plugins that make it, one after the other.
///
/// The text of a `.conflist`, or of a `.conf` with one plugin, which is a list of one.
public struct NetworkList: Sendable {
    /// The network's name.
    public let name: String
    /// The version every plugin is called with: the highest that we speak of `cniVersion` and `cniVersions`.
    public let version: SpecVersion
    /// CHECK is not to be called.
    public let disablesCheck: Bool
    /// GC is not to be called.
    public let disablesGC: Bool
    /// The plugins' configurations in order, as they stand in the list.
    public let plugins: [Object]
    /// The list as text, as it is remembered in the result cache; plugins from beside it are part of it.
    public let bytes: [UInt8]

    /// Reads a list.
    ///
    /// - Parameters:
    ///   - isSingle: the text is one plugin's configuration.
    ///   - more: configurations from beside the list, see ``NetworkDirectory``.
    /// - Throws: code 6 for what cannot be decoded, 1 for a version we do not speak, 7 for what makes no list.
    public init(parsing bytes: [UInt8], isSingle: Bool = false, more: [Object] = []) throws(CNIError) {
        let text: [UInt8]
        var document: Value
        do {
            document = try Value(parsing: bytes)
            if isSingle {
                let root = Reader(document)
                let pairs: [(String, Value?)] = [
                    ("name", try root.member("name").value), ("cniVersion", try root.member("cniVersion").value),
                    ("plugins", .array([document])),
                ]
                document = .object(Object(pairs.compactMap { pair in pair.1.map { (pair.0, $0) } }))
                text = Array(document.text().utf8)
            } else {
                text = bytes
            }
            let root = Reader(document)
            name = try root.member("name").string() ?? ""
            disablesCheck = try Self.flag(root.member("disableCheck"))
            disablesGC = try Self.flag(root.member("disableGC"))
            version = try Self.version(root)
            var plugins: [Object] = []
            for element in try root.member("plugins").elements() {
                guard let plugin = try element.object() else { throw element.error("expected an object", kind: .type) }
                plugins.append(plugin)
            }
            self.plugins = plugins + more
        } catch let error as SyntaxError {
            throw CNIError(error)
        } catch let error as JSON.DecodingError {
            throw CNIError(error)
        } catch let error as CNIError {
            throw error
        } catch {
            throw CNIError(CNIError.Code.internal, "\(error)")
        }
        self.bytes = more.isEmpty ? text : Self.selfContained(document, plugins)
        if plugins.isEmpty {
            throw CNIError(CNIError.Code.invalidConfiguration, "network \(name): no plugins in the list")
        }
        for (index, plugin) in plugins.enumerated() {
            guard case .string(let type)? = plugin.value(caseInsensitive: "type"), !type.isEmpty else {
                throw CNIError(CNIError.Code.invalidConfiguration, "plugins[\(index)].type: missing")
            }
        }
        // The name's rules are those every plugin holds its configuration to.
        _ = try NetworkConfiguration(parsing: configuration(at: 0, previous: nil))
    }

    /// What is remembered must not depend on files that may be others by the time of DEL, or gone.
    private static func selfContained(_ document: Value, _ plugins: [Object]) -> [UInt8] {
        guard case .object(var object) = document else { return [] }
        object["plugins"] = .array(plugins.map { .object($0) })
        object["loadOnlyInlinedPlugins"] = true
        return Array(Value.object(object).text().utf8)
    }

    /// The type of the plugin at `index`.
    public func type(at index: Int) -> String {
        guard case .string(let type)? = plugins[index].value(caseInsensitive: "type") else { return "" }
        return type
    }

    /// What the plugin at `index` reads on its standard input.
    ///
    /// - Parameters:
    ///   - previous: the result of the plugin before, or of the whole list.
    ///   - capabilities: what the runtime has to give; the plugin gets those it says it is capable of.
    ///   - more: other members, for GC.
    public func configuration(
        at index: Int, previous: Value?, capabilities: Object = Object(), more: [(String, Value)] = []
    ) -> [UInt8] {
        var document = plugins[index]
        document["name"] = .string(name)
        document["cniVersion"] = .string(version.rawValue)
        if let previous { document["prevResult"] = previous }
        let given = Object(
            capabilities.members.filter { isCapable(at: index, of: $0.key) }.map { ($0.key, $0.value) })
        if !given.members.isEmpty { document["runtimeConfig"] = .object(given) }
        for (key, value) in more { document[key] = value }
        return Array(Value.object(document).text().utf8)
    }

    /// Whether any plugin takes the capability.
    public func isCapable(of capability: String) -> Bool {
        plugins.indices.contains { isCapable(at: $0, of: capability) }
    }

    private func isCapable(at index: Int, of capability: String) -> Bool {
        guard case .object(let capabilities)? = plugins[index].value(caseInsensitive: "capabilities") else {
            return false
        }
        return capabilities[capability] == .bool(true)
    }

    /// The specification allows the words "true" and "false" as well.
    static func flag(_ reader: Reader) throws(JSON.DecodingError) -> Bool {
        if case .string(let word)? = reader.value {
            switch word {
            case "true": return true
            case "false", "": return false
            default: throw reader.error("expected true or false, found \"\(word)\"")
            }
        }
        return try reader.bool() ?? false
    }

    private static func version(_ root: Reader) throws -> SpecVersion {
        let own = try root.member("cniVersion").string()
        let others = try root.member("cniVersions").strings()
        let known = ((own.map { [$0] } ?? []) + others).compactMap(SpecVersion.init(rawValue:))
        if let highest = known.max() { return highest }
        guard let named = own ?? others.first, !named.isEmpty else { return .v0_1_0 }
        throw CNIError(
            CNIError.Code.incompatibleVersion, "cniVersion: \"\(named)\" is none we speak",
            details: "we speak \(SpecVersion.allCases.map(\.rawValue).joined(separator: ", "))")
    }
}
