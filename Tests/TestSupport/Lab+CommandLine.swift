public import JSON
internal import System

extension Lab {
    /// Runs `swiftlet`, the command line, in the host's namespaces; it is killed after twenty seconds.
    public func swiftlet(_ arguments: String..., environment: [(String, String)] = []) throws -> ChildOutcome {
        try swiftlet(arguments, environment: environment)
    }

    /// Runs `swiftlet` with a list of arguments.
    public func swiftlet(_ arguments: [String], environment: [(String, String)] = []) throws -> ChildOutcome {
        let variables = Environment([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")] + environment)
        return try inside {
            try ChildProcess.run("\(Plugins.directory)/swiftlet", arguments, environment: variables, limit: 20_000)
        }
    }

    /// Writes a network list into `/run/net.d`, where tests of the command line keep theirs.
    public func writeNetwork(_ file: String, _ document: Value) throws {
        try write("/run/net.d/\(file)", document.text(.indented), mode: 0o644)
    }

    /// A plugin `name` in `/run/spies` that writes command, environment and input to `/run/spy.log`, one JSON document a
    /// line, and prints a result on ADD, or fails as told.
    ///
    /// - Parameter failing: the commands it refuses, with code 99.
    public func writeSpy(_ name: String, failing: String...) throws {
        let refused = failing.joined(separator: "|")
        let script = """
            #!/bin/sh
            input=$(cat)
            printf '{"plugin": "%s", "command": "%s", "id": "%s", "netns": "%s", "ifname": "%s", "args": "%s", "input": %s}\\n' \\
                \(name) "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$input" >>/run/spy.log
            case $CNI_COMMAND in
            \(refused.isEmpty ? "none" : refused)) echo '{"code": 99, "msg": "\(name) refuses"}'; exit 1 ;;
            ADD) echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "\(name)"}]}' ;;
            esac
            """
        try write("/run/spies/\(name)", script, mode: 0o755)
    }

    /// What the spies saw, in order; the log begins anew.
    public func spied() throws -> [Value] {
        let lines = (try? read("/run/spy.log"))?.split(separator: "\n") ?? []
        try inside { try Files.remove("/run/spy.log") }
        return try lines.map { try Value(parsing: Array($0.utf8)) }
    }
}
