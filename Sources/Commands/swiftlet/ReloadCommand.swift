import ArgumentParser
import CNIRuntime
import Reload

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Put back what running containers have in the packet filter.",
        discussion: """
            After a firewall was reloaded or flushed: masquerade, published ports, firewall rules, firewalld's zones and the \
            overlay's VTEP filter, of all containers of this host that a runtime remembers. Nothing that is there is touched. \
            Needs no daemon, which does the same by itself. Prints what it restored. Exit status 1: something could not be.
            """)
    @Option(help: "Directory of the runtimes' result cache.")
    var cacheDir = "/var/lib/cni"

    func run() throws {
        let report = Reload(cache: ResultCache(cacheDir)).run()
        for line in report.lines {
            if line.hasPrefix("not ") { complain(line) } else { print(line) }
        }
        if !report.isWhole { throw ExitCode(1) }
    }
}
