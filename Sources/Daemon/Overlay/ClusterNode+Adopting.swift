internal import CNIRuntime
internal import Cluster
internal import JSON
internal import Logging
internal import NIOCore
internal import Networks

/// `adopt: true`: what other hosts announce becomes a list for this host's runtimes, too.
extension ClusterNode {
    /// Writes the list of a network that another host has announced, unless it is there or hosts differ about it.
    ///
    /// The list stays when the network is withdrawn: containers may be on it.
    func adoptFile(_ id: NetworkID, _ name: String) {
        guard let directory = settings.adoptsInto,
            let shown = definitions.first(where: { $0.id == id && $0.name == name }), !shown.isMixed
        else { return }
        let document = document(shown, isBrief: false)
        let log = log
        // Files are for the thread that may wait.
        kernel.run(on: loop) { _ in
            let definition = try Networks.NetworkDefinition(inspected: Reader(document))
            return try NetworkFiles(NetworkDirectory(directory)).adopt(definition)
        }.whenComplete { result in
            switch result {
            case .success(true):
                log.info("wrote the list of a network", metadata: ["network": "\(name)", "directory": "\(directory)"])
            case .success(false): break
            case .failure(let error):
                log.warning(
                    "cannot write the list of a network", metadata: ["network": "\(name)", "reason": "\(error)"])
            }
        }
    }
}
