internal import NetworkTypes
internal import System

/// The variables of the protocol in the order they are looked at, and what each must be for which command.
struct EnvironmentRules {
    private struct Variable {
        let name: String
        let requiredFor: Set<Command>
        let check: (String) throws(CNIError) -> Void
    }

    private static let attachmentCommands: Set<Command> = [.add, .delete, .check]

    private static func anything(_: String) throws(CNIError) {}

    private static var variables: [Variable] {
        [
            Variable(name: "CNI_CONTAINERID", requiredFor: attachmentCommands, check: checkContainerID),
            Variable(name: "CNI_NETNS", requiredFor: [.add, .check], check: anything),
            Variable(name: "CNI_IFNAME", requiredFor: attachmentCommands, check: checkInterfaceName),
            Variable(
                name: "CNI_PATH", requiredFor: [.add, .delete, .check, .garbageCollect, .status], check: anything),
        ]
    }

    /// Checks what `command` requires; an unknown command (nil) requires nothing more.
    ///
    /// - Throws: code 4. An invalid variable is reported before missing ones, as by the reference library.
    static func check(_ environment: Environment, for command: Command?) throws(CNIError) {
        guard let command else { return }
        var missing: [String] = []
        for variable in variables where variable.requiredFor.contains(command) {
            let value = environment[variable.name] ?? ""
            if value.isEmpty {
                missing.append(variable.name)
            } else {
                try variable.check(value)
            }
        }
        if !missing.isEmpty { throw Self.missing(missing) }
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
