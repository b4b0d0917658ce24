import System
import Testing

@testable import Netfilter

@Suite("Choice of the packet filter")
struct BackendChoiceTests {
    private func decide(
        _ choice: BackendChoice, _ nftables: String?, _ iptables: String?, _ refusal: String? = nil
    ) throws(NetfilterError) -> BackendChoice {
        let host = BackendChoice.Observation(nftablesProblem: nftables, iptablesProblem: iptables, refusal: refusal)
        return try choice.decide(host).backend
    }

    @Test("auto takes what works and what lets traffic through")
    func automatic() throws {
        #expect(try decide(.automatic, nil, nil) == .nftables)
        #expect(try decide(.automatic, nil, "none") == .nftables)
        #expect(try decide(.automatic, "none", nil) == .iptables)
        #expect(try decide(.automatic, nil, nil, "policy") == .iptables)
        #expect(try decide(.automatic, nil, "none", "policy") == .nftables)
        let error = #expect(throws: NetfilterError.self) { try decide(.automatic, "no module", "no program") }
        #expect(error?.description == "no packet filter: nftables: no module; iptables: no program")
    }

    @Test("What a kernel without nf_tables answers is told from any other refusal")
    func missingPart() {
        let refusal = { NetfilterError.kernel(subject: "list tables", errno: $0, message: nil) }
        #expect(
            refusal(.invalidArgument).orUnavailable("nf_tables") == .unavailable("the kernel has no nf_tables (EINVAL)")
        )
        #expect(refusal(.notPermitted).orUnavailable("nf_tables") == refusal(.notPermitted))
        let socket = { NetfilterError.system(SystemError("open", "netlink socket", $0)) }
        #expect(
            socket(.protocolNotSupported).orUnavailable("ctnetlink")
                == .unavailable("the kernel has no ctnetlink (EPROTONOSUPPORT)"))
        #expect(socket(.noBufferSpace).orUnavailable("nf_tables") == socket(.noBufferSpace))
    }

    @Test("A forced back end is taken or refused with what is missing")
    func forced() throws {
        #expect(try decide(.nftables, nil, "none", "policy") == .nftables)
        #expect(try decide(.iptables, "none", nil) == .iptables)
        let error = #expect(throws: NetfilterError.self) { try decide(.nftables, "no module", nil) }
        #expect(error == .unavailable("back end nftables: no module"))
        #expect(BackendChoice(rawValue: "auto") == .automatic)
    }
}
