public import CNI
public import NetworkTypes

extension CNIResult {
    /// What neighbours should take an interface's addresses for once it is gone, when its MAC was not the usual one: asked for,
    /// or another suite's choice. Whoever gets an address next usually has the usual one, and is not announced.
    ///
    /// - Parameters:
    ///   - interface: the interface's name in its sandbox.
    ///   - usual: the MAC of an interface with some addresses.
    public func usualMACs(
        ofInterface interface: String, _ usual: ([Address]) -> MACAddress
    ) -> [IPAddress: MACAddress] {
        let index = interfaces.firstIndex { $0.name == interface && !($0.sandbox ?? "").isEmpty }
        guard let index, let mac = interfaces[index].mac.flatMap({ MACAddress($0) }) else { return [:] }
        let own = addresses.filter { ($0.interface ?? index) == index }
        guard !own.isEmpty, mac != usual(own) else { return [:] }
        var macs: [IPAddress: MACAddress] = [:]
        for address in own { macs[address.address.address] = usual([address]) }
        return macs
    }
}
