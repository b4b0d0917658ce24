public import JSON
public import NetworkTypes

/// The addresses a runtime asks for: `IP` of CNI_ARGS, then `args.cni.ips`, then the capability `ips` (CNI conventions).
public enum RequestedAddresses {
    /// Reads them, each once, in that order. A prefix length may be given and says nothing: the subnet decides.
    ///
    /// - Parameter subnets: those of the network; what lies in none of them is for others to refuse.
    /// - Throws: what is not an address, or none a host can have, with the place that holds it.
    public static func parse(
        argument: String?, args: Reader, runtimeConfig: Reader, subnets: [IPPrefix]
    ) throws(DecodingError) -> [IPAddress] {
        var readers = [Reader(argument.flatMap { $0.isEmpty ? nil : .string($0) }, path: "CNI_ARGS IP")]
        readers += try args.member("cni").member("ips").elements()
        readers += try runtimeConfig.member("ips").elements()
        var addresses: [IPAddress] = []
        for reader in readers {
            guard let text = try reader.string() else { continue }
            guard let address = IPAddress(text) ?? IPPrefix(text)?.address else {
                throw reader.error("invalid IP address \(text)")
            }
            for subnet in subnets {
                guard let purpose = subnet.purpose(of: address) else { continue }
                throw reader.error("\(address) is \(purpose.rawValue) of \(subnet), which no host can have")
            }
            if !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }
}
