import ArgumentParser
import CNI
import CNIRuntime
import JSON
import Networks
import System

/// The command line of the daemon. Exit status 0: done; 1: refused, or something is not well; 2: no daemon; 64: misuse.
struct Swiftlet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftlet", abstract: "Networks and endpoints of this host's cluster, and its daemon swiftletd.",
        version: suiteVersion,
        subcommands: [
            Members.self, Status.self, Join.self, Leave.self, ForceLeave.self, Events.self, Event.self, Query.self,
            Tags.self, Keys.self, RoundTrip.self, NetworkCommands.self, BlockCommands.self,
            EndpointCommands.self, GraphCommand.self, CNICommands.self, ReloadCommand.self,
        ])
}

/// What every subcommand takes.
struct Common: ParsableArguments {
    @Option(help: "The daemon's control socket.")
    var socket = "/run/swiftlet/swiftletd.sock"
    @Flag(help: "Print the daemon's JSON.")
    var json = false

    var client: ControlClient { ControlClient(socket: socket) }

    /// Runs a command's body; what goes wrong is said in one line and in the exit status.
    func perform(_ body: (ControlClient) throws -> Void) throws {
        do {
            try body(client)
        } catch let failure as ControlClient.Failure {
            complain("\(failure)")
            if case .unreachable = failure { throw ExitCode(2) }
            throw ExitCode(1)
        } catch let failure as Refusal {
            complain(failure.description)
            throw ExitCode(1)
        } catch let failure as DefinitionFault {
            complain(failure.description)
            throw ExitCode(1)
        } catch let failure as CNIError {
            complain(failure.description)
            throw ExitCode(1)
        }
    }

    /// Prints the document as JSON, or what `table` makes of it.
    func show(_ document: Value, _ table: (Reader) throws -> String) throws {
        if json { say(document) } else { say(try table(Reader(document))) }
    }
}

/// One line on standard error.
func complain(_ reason: String) {
    try? writeFully(2, Array("swiftlet: \(ShownText.lines(reason))\n".utf8))
}

/// Prints text in which there may be values of other hosts.
func say(_ text: String) { print(ShownText.lines(text)) }

/// Prints a document in which there may be values of other hosts.
func say(_ document: Value) { print(ShownText.document(document.text(.indented))) }

/// Says which files of networks nobody looks at, because an earlier one defines a network of the same name.
///
/// - Parameter name: the network that is asked about; nil for all.
func complain(ofShadowedIn usable: [NetworkDirectory.Entry], named name: String? = nil) {
    for (ignored, used) in NetworkDirectory.shadowed(usable) where name == nil || used.list.name == name {
        complain("\(ignored.path) is passed over: \(used.path) defines network \(used.list.name), too, and comes first")
    }
}

extension Reader {
    /// A member as text for a table; "-" when it is not there.
    func cell(_ key: String) throws -> String {
        switch try member(key).value {
        case nil: "-"
        case .string(let text)?: text
        case let value?: value.text()
        }
    }

    /// A number of milliseconds with three digits after the point; "-" when it is not there.
    func milliseconds(_ key: String) throws -> String {
        let value: Double
        switch try member(key).value {
        case .real(let number)?: value = number
        case .integer(let number)?: value = Double(number)
        default: return "-"
        }
        guard value.isFinite, abs(value) < 1e12 else { return "-" }
        let thousandths = Int((value * 1000).rounded())
        let digits = String(abs(thousandths) % 1000)
        return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - digits.count))\(digits) ms"
    }

    /// An object's members as `a=1,b=2`.
    func pairs(_ key: String) throws -> String {
        try member(key).object()?.members.map { member in
            if case .string(let text) = member.value { return "\(member.key)=\(text)" }
            return "\(member.key)=\(member.value.text())"
        }.joined(separator: ",") ?? ""
    }
}
