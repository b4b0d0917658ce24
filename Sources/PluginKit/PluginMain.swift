public import CNI
internal import System

/// The edge of every plugin: hands environment and standard input to the dispatcher, and its outcome to the streams.
public enum PluginMain {
    /// Runs the plugin's command and ends the process: status 0, or 1 with one error document on standard output.
    public static func run(_ commands: any PluginCommands) -> Never {
        // A runtime that is gone must not kill us half way: writing then fails like any other write.
        ignoreBrokenPipes()
        shareOneHeap()
        let dispatcher = Dispatcher(
            commands: commands, environment: .current(),
            readInput: { limit throws(Errno) in try readFully(0, limit: limit) },
            checkNamespace: Dispatcher.checkNamespacePath, mapError: ErrorMapping.cniError)
        let outcome = dispatcher.run()
        if !outcome.errorOutput.isEmpty { try? writeFully(2, Array(outcome.errorOutput.utf8)) }
        if !outcome.output.isEmpty { try? writeFully(1, Array(outcome.output.utf8)) }
        exitProcess(outcome.exitStatus)
    }
}
