internal import Gossip
internal import NIOCore
internal import NetworkTypes

/// Which address of ours others are told.
enum Advertised {
    /// The endpoint to announce: `wanted` as an address or an interface's name, else the bound address, else the first
    /// address of an interface that leads somewhere.
    static func endpoint(bind: Endpoint, wanted: String?) throws(StartFault) -> Endpoint {
        if let wanted {
            // Only an address with a port of its own, as behind a translation, has another than ours.
            if let endpoint = Endpoint(text: wanted, defaultPort: bind.port) { return endpoint }
            let own = try addresses().filter { $0.name == wanted }.map(\.address)
            guard let address = own.first(where: { $0.family == bind.address.family }) ?? own.first else {
                throw StartFault("--advertise \(wanted): neither an address nor an interface with an address")
            }
            return Endpoint(address: address, port: bind.port)
        }
        guard bind.address.isUnspecified else { return bind }
        let own = try addresses().map(\.address)
        guard let address = own.first(where: { $0.family == bind.address.family }) ?? own.first else {
            throw StartFault("no address to advertise; name one with --advertise")
        }
        return Endpoint(address: address, port: bind.port)
    }

    /// The addresses that other hosts can use, by interface.
    private static func addresses() throws(StartFault) -> [(name: String, address: IPAddress)] {
        let devices: [NIONetworkDevice]
        do {
            devices = try System.enumerateDevices()
        } catch {
            throw StartFault("interfaces cannot be listed: \(error)")
        }
        return devices.compactMap { device in
            guard let address = device.address.flatMap({ Endpoint($0) })?.address else { return nil }
            return isUsable(address) ? (device.name, address) : nil
        }
    }

    private static func isUsable(_ address: IPAddress) -> Bool {
        switch address {
        case .v4(let v4): v4.rawValue >> 24 != 127 && v4.rawValue >> 16 != 0xA9FE
        case .v6(let v6): v6.rawValue != 1 && v6.rawValue >> 118 != 0x3FA
        }
    }
}
