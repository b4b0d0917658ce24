internal import Attachment
internal import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import PluginKit

/// What an interface had before it was tuned, as far as it was changed: the contents of a backup file, in the reference
/// plugin's format.
struct LinkBackup: Equatable, Sendable {
    var mac: MACAddress?
    var mtu: UInt32?
    var promiscuous: Bool?
    var allMulticast: Bool?
    var transmitQueueLength: UInt32?

    /// Whether nothing was changed.
    var isEmpty: Bool { self == LinkBackup() }

    /// The changes that bring it back, each by itself, so that one that is refused leaves the others.
    var changes: [LinkChange] {
        [
            mac.map { mac in LinkChange { $0.mac = mac } }, mtu.map { mtu in LinkChange { $0.mtu = mtu } },
            promiscuous.map { flag in LinkChange { $0.isPromiscuous = flag } },
            allMulticast.map { flag in LinkChange { $0.isAllMulticast = flag } },
            transmitQueueLength.map { length in LinkChange { $0.transmitQueueLength = length } },
        ].compactMap { $0 }
    }

    /// The file's text.
    var document: Value {
        var object = Object()
        object["mac"] = mac.map { .string($0.description) }
        object["promisc"] = promiscuous.map { .bool($0) }
        object["mtu"] = mtu.map { .integer(Int64($0)) }
        object["allmulti"] = allMulticast.map { .bool($0) }
        object["txQLen"] = transmitQueueLength.map { .integer(Int64($0)) }
        return .object(object)
    }
}

extension LinkBackup {
    /// Reads a file's text, ours or the reference plugin's.
    init(_ root: Reader) throws(DecodingError) {
        let address = try root.member("mac")
        if let text = try address.string(), !text.isEmpty {
            guard let mac = MACAddress(text) else { throw address.error("\"\(text)\" is not a MAC address") }
            self.mac = mac
        }
        let bytes = try root.member("mtu").integer(in: 0...Int64(Int32.max)) ?? 0
        mtu = bytes == 0 ? nil : UInt32(bytes)
        promiscuous = try root.member("promisc").bool()
        allMulticast = try root.member("allmulti").bool()
        transmitQueueLength = try root.member("txQLen").integer(in: 0...Int64(Int32.max)).map { UInt32($0) }
    }
}

/// Everything an ADD will do to the container, worked out before any of it is done.
struct TuningPlan: Equatable {
    /// The changes: parameters first, then the interface, a step for each of its settings.
    var steps: [Step] = []
    /// What DEL has to bring back; empty when the interface already is as it should be.
    var backup = LinkBackup()
    /// The previous result with the interface's MAC and MTU as they will be.
    var result: CNIResult

    /// Works the steps out. Pure: the same input gives the same plan.
    ///
    /// - Parameter link: the container's interface; needed when the configuration changes it.
    static func make(
        _ configuration: TuningConfiguration, _ request: Request, previous: CNIResult, link: Link?
    ) -> TuningPlan {
        let name = request.attachment.interfaceName
        var plan = TuningPlan(result: previous)
        if !configuration.settings.isEmpty {
            let parameters = configuration.settings.map {
                Step.Parameter($0.key.path(interface: name), $0.value)
            }
            plan.steps.append(.setParameters(parameters, .container, isOptional: false))
        }
        if let link {
            plan.change(link, configuration)
            plan.describe(configuration, request)
        }
        return plan
    }

    private mutating func change(_ link: Link, _ configuration: TuningConfiguration) {
        func isNew<Value: Equatable>(_ wanted: Value?, _ found: Value?) -> Bool { wanted != nil && wanted != found }
        if isNew(configuration.mac, link.mac) { backup.mac = link.mac }
        if isNew(configuration.mtu, link.mtu) { backup.mtu = link.mtu }
        if configuration.promiscuous, !link.isPromiscuous { backup.promiscuous = false }
        if isNew(configuration.allMulticast, link.isAllMulticast) { backup.allMulticast = link.isAllMulticast }
        if isNew(configuration.transmitQueueLength, link.transmitQueueLength) {
            backup.transmitQueueLength = link.transmitQueueLength ?? 0
        }
        let changes = [
            backup.mac.map { _ in LinkChange { $0.mac = configuration.mac } },
            backup.mtu.map { _ in LinkChange { $0.mtu = configuration.mtu } },
            backup.promiscuous.map { _ in LinkChange { $0.isPromiscuous = true } },
            backup.allMulticast.map { flag in LinkChange { $0.isAllMulticast = !flag } },
            backup.transmitQueueLength.map { _ in
                LinkChange { $0.transmitQueueLength = configuration.transmitQueueLength }
            },
        ].compactMap { $0 }
        steps += changes.map { .changeLink(link.name, $0, .container) }
    }

    private mutating func describe(_ configuration: TuningConfiguration, _ request: Request) {
        for index in result.interfaces.indices {
            // The host's end may have the same name.
            guard result.interfaces[index].name == request.attachment.interfaceName,
                result.interfaces[index].sandbox == request.invocation.netns
            else { continue }
            if let mac = configuration.mac { result.interfaces[index].mac = mac.description }
            // Results have had an MTU since 1.1.0.
            if let mtu = configuration.mtu, request.configuration.version >= .v1_1_0 {
                result.interfaces[index].mtu = Int(mtu)
            }
        }
    }
}
