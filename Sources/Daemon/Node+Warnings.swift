internal import Gossip
internal import JSON
internal import Logging
internal import NetworkTypes

/// What an operator should know and might not look for.
extension Node {
    /// One sentence each, with what is to be done.
    var warnings: [String] {
        var warnings: [String] = []
        if instance.keyRing == nil, !configuration.bind.address.isLoopback { warnings.append(openWarning) }
        if let fault = journal.lastFault {
            warnings.append("nothing can be kept: \(fault); what needs no writes is served, make room on the disk")
        }
        return warnings
    }

    private var openWarning: String {
        let ports =
            engine.hasGossipPort ? "ports \(configuration.bind.port) and \(clusterPort)" : "port \(clusterPort)"
        return
            "there are no keys: whoever reaches \(configuration.bind.address), \(ports), can read and change what hosts tell "
            + "each other; name a file of keys with --keyring on all hosts, or keep strangers from these ports"
    }

    /// Says at the start what is to be said.
    func warn() {
        for warning in warnings { log.warning("\(warning)") }
    }
}
