internal import Cluster

extension BlockAllocator.Refusal {
    /// What an operator is told, and what helps.
    func words(_ name: (HostID) -> String) -> (error: String, remedy: String) {
        switch self {
        case .unknownSubnet: ("the address is in no subnet of the network", "choose one of its subnets")
        case .notUsable: ("the address is the gateway's, reserved or excluded", "choose another address")
        case .undecided(let hosts) where hosts.isEmpty: ("the address blocks are being shared out", "try again")
        case .undecided(let hosts):
            (
                "the address blocks are not shared out yet: not heard from \(hosts.joined(separator: ", "))",
                "start those hosts; or correct \"join\"; or set \"seeds\" to the names of the hosts there are, on all of them"
            )
        case .draining: ("this host is being drained", "end that with POST /v1/blocks/drain and \"drain\": false")
        case .exhausted: ("no host has a free address block", "remove containers, or use a larger subnet")
        case .noAnswer(let hosts):
            (
                "hosts that may have free address blocks do not answer: \(hosts.map(name).joined(separator: ", "))",
                "start them, or, if they are gone for good: \(Self.takeover(hosts.map(name)))"
            )
        case .ownerAway(let host):
            (
                "the address belongs to the block of \(name(host)), which does not answer",
                "choose another address, or start \(name(host)), or, if it is gone for good: "
                    + Self.takeover([name(host)])
            )
        case .unowned: ("nobody owns the address's block yet", "try again")
        case .inUse: ("the address is in use on its owner's host", "choose another address")
        case .lent(let host): ("the address is lent to \(name(host))", "choose another address")
        case .resting: ("the address's block rests after a takeover", "try again in a minute")
        case .isAlive(let host, let witness):
            ("\(name(host)) is alive, as \(name(witness)) sees it", "stop its daemon, or drain it instead")
        case .othersAway(let hosts, let subjects):
            (
                "other hosts are away too, and may own blocks that came from there: "
                    + hosts.map(name).joined(separator: ", "),
                "start them, or, if they are gone for good as well: \(Self.takeover((subjects + hosts).map(name)))"
            )
        case .noMajority(let answered, let known, let subjects):
            (
                "only \(answered) of \(known) known hosts answered; a majority is needed",
                "start \(subjects.map(name).joined(separator: ", ")), or, if gone for good: "
                    + Self.takeover(subjects.map(name))
            )
        case .busy(let host): ("another takeover of \(name(host)) goes on", "wait for it")
        case .unknownHost(let host): ("\(name(host)) is this host, or unknown", "name another host")
        }
    }

    /// The command of an operator who vouches that hosts are gone for good.
    private static func takeover(_ names: [String]) -> String {
        "swiftlet blocks takeover \(names.joined(separator: " ")) --gone"
    }
}
