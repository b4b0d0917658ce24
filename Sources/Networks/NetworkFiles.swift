internal import CNI
public import CNIRuntime
internal import JSON
internal import NetworkTypes
internal import System

/// The lists we write into a directory of networks, one file per network, `60-<name>.conflist`: after lists numbered to
/// come first (runtimes without a named network take the first), before podman's own from 87 on.
public struct NetworkFiles: Sendable {
    /// The directory.
    public let directory: NetworkDirectory

    /// Files in that directory.
    public init(_ directory: NetworkDirectory) { self.directory = directory }

    /// Where we write a network of that name.
    public func path(_ name: String) -> String { "\(directory.path)/60-\(name).conflist" }

    /// Writes a network's list, unless it is there already and the same.
    ///
    /// Written to a temporary file, synchronised, renamed; mode 0644.
    /// - Returns: whether anything was written.
    /// - Throws: ``DefinitionFault`` when the definition makes no network, when another file defines a network of that
    ///   name, or when ours defines another one.
    public func write(_ definition: NetworkDefinition) throws(DefinitionFault) -> Bool {
        try definition.validate()
        let file = path(definition.name)
        let text = try definition.conflist().text(.indented) + "\n"
        if let existing = try defining(definition.name) {
            guard existing == file, let bytes = try? Files.read(file) else {
                throw DefinitionFault("\(existing) already defines a network \(definition.name)")
            }
            if bytes.elementsEqual(text.utf8) { return false }
            throw DefinitionFault(
                "\(file) defines \(definition.name) differently; remove it ('swiftlet network rm \(definition.name)') first"
            )
        }
        do throws(SystemError) {
            try Files.makeDirectories(directory.path, mode: 0o755)
            try AtomicFile.replace(file, with: Array(text.utf8), mode: 0o644)
        } catch {
            throw DefinitionFault("\(error)")
        }
        return true
    }

    /// Writes the list of a network another host has announced, unless any file here defines one of that name: whether
    /// that is the same network is for the daemon to say, when a container is to join it.
    ///
    /// - Returns: whether anything was written.
    /// - Throws: ``DefinitionFault`` when the definition makes no network, or the file cannot be written.
    public func adopt(_ definition: NetworkDefinition) throws(DefinitionFault) -> Bool {
        if try defining(definition.name) != nil { return false }
        return try write(definition)
    }

    /// A digest of our file of a network as it is now, 64 hexadecimal digits; nil when there is none.
    public func digest(_ name: String) -> String? {
        (try? Files.read(path(name))).map { SHA512.hex(String(decoding: $0, as: UTF8.self), length: 64) }
    }

    /// Removes our file of a network if it still is as it was when ``digest(_:)`` was asked: what somebody has changed is theirs.
    ///
    /// - Returns: whether it was removed.
    /// - Throws: ``DefinitionFault`` when it cannot be.
    public func remove(_ name: String, ifStill digest: String) throws(DefinitionFault) -> Bool {
        guard self.digest(name) == digest else { return false }
        do throws(SystemError) { try Files.remove(path(name)) } catch { throw DefinitionFault("\(error)") }
        return true
    }

    /// Removes a network's list; none there is success.
    ///
    /// - Returns: whether there was one.
    /// - Throws: ``DefinitionFault`` when it is not ours.
    public func remove(_ name: String) throws(DefinitionFault) -> Bool {
        guard let existing = try defining(name) else { return false }
        guard existing == path(name) else {
            throw DefinitionFault("\(existing), which defines \(name), was not written here; remove it by hand")
        }
        do throws(SystemError) { try Files.remove(existing) } catch { throw DefinitionFault("\(error)") }
        return true
    }

    /// Every subnet any file of the directory names.
    ///
    /// - Parameter name: a network whose own subnets do not matter.
    public func subnetsInUse(except name: String? = nil) throws(DefinitionFault) -> [SubnetUse] {
        try networks().filter { $0.list.name != name }.flatMap { entry in
            entry.list.plugins.flatMap { Self.subnets(.object($0)) }.compactMap(IPPrefix.init).map {
                SubnetUse($0, "network \(entry.list.name) of \(entry.path)")
            }
        }
    }

    private func defining(_ name: String) throws(DefinitionFault) -> String? {
        try networks().first { $0.list.name == name }?.path
    }

    private func networks() throws(DefinitionFault) -> [NetworkDirectory.Entry] {
        do throws(CNIError) { return try directory.networks().usable } catch { throw DefinitionFault("\(error)") }
    }

    private static func subnets(_ value: Value) -> [String] {
        switch value {
        case .array(let elements): return elements.flatMap(subnets)
        case .object(let object):
            return object.members.flatMap { member in
                if member.key == "subnet", case .string(let text) = member.value { return [text] }
                return subnets(member.value)
            }
        default: return []
        }
    }
}
