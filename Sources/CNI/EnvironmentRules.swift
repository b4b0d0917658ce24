internal import NetworkTypes
internal import System

/// The variables of the protocol in the order they are looked at, and what each must be for which command.
enum EnvironmentRules {
    /// Checks what `command` requires; an unknown command (nil) requires nothing more.
    ///
    /// - Throws: code 4. An invalid variable is reported before missing ones, as by the reference library.
    static func check(_ environment: Environment, for command: Command?) throws(CNIError) {
        let isAboutAttachment: Bool
        switch command {
        case .add, .check, .delete: isAboutAttachment = true
        case .garbageCollect, .status: isAboutAttachment = false
        case .version, nil: return
        }
        var missing: [String] = []
        if isAboutAttachment {
            if let id = value("CNI_CONTAINERID", of: environment, orAddTo: &missing) { try checkContainerID(id) }
            if command != .delete { _ = value("CNI_NETNS", of: environment, orAddTo: &missing) }
            if let name = value("CNI_IFNAME", of: environment, orAddTo: &missing) { try checkInterfaceName(name) }
        }
        _ = value("CNI_PATH", of: environment, orAddTo: &missing)
        if !missing.isEmpty { throw Self.missing(missing) }
    }

    /// The variable's value; an empty one is as good as none.
    private static func value(
        _ name: String, of environment: Environment, orAddTo missing: inout [String]
    ) -> String? {
        if let value = environment[name], !value.isEmpty { return value }
        missing.append(name)
        return nil
    }

    static func missing(_ names: [String]) -> CNIError {
        CNIError(
            CNIError.Code.invalidEnvironment, "required env variables [\(names.joined(separator: ","))] missing")
    }

    private static func checkContainerID(_ id: String) throws(CNIError) {
        if !isPlainName(id) {
            throw CNIError(CNIError.Code.invalidEnvironment, "invalid characters in containerID", details: id)
        }
    }

    private static func checkInterfaceName(_ name: String) throws(CNIError) {
        do {
            _ = try InterfaceName(name)
        } catch {
            let details = error == .tooLong ? "interface name should be less than 16 characters" : ""
            throw CNIError(CNIError.Code.invalidEnvironment, error.description, details: details)
        }
    }

    /// Letters, digits, "_", "." and "-", a letter or digit first: container ids and network names.
    static func isPlainName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
    }
}
