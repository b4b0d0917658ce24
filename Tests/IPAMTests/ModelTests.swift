import NetworkTypes
import System
import Testing

@testable import IPAM

/// What the reference plugin does, written down as plainly as possible: a dictionary, and counting upwards.
private struct Model {
    var records: [IPAddress: String] = [:]
    var pointers: [Int: IPAddress] = [:]
    let sets: [RangeSet]

    mutating func allocate(_ owner: Owner, requests: [IPAddress]) -> [IPAddress]? {
        let record = "\(owner.containerID)\r\n\(owner.interfaceName)"
        var rest = requests
        var assigned: [IPAddress?] = []
        for set in sets {
            let position = rest.firstIndex(where: set.contains)
            assigned.append(position.map { rest.remove(at: $0) })
        }
        guard rest.isEmpty else { return nil }
        var chosen: [IPAddress] = []
        for (number, set) in sets.enumerated() {
            if let request = assigned[number] {
                let isGateway = set.ranges.contains { $0.contains(request) && $0.gateway == request }
                guard !isGateway, records[request] == nil else { return nil }
                chosen.append(request)
                continue
            }
            let holds = records.contains { set.contains($0.key) && [record, owner.containerID].contains($0.value) }
            guard !holds else { return nil }
            let all = set.ranges.flatMap { range in
                range.numbers.map { (range, IPAddress(family: set.family, number: $0)) }
            }
            let start = pointers[number].flatMap { last in all.firstIndex { $0.1 == last } }.map { $0 + 1 } ?? 0
            let order = all[start...] + all[..<start]
            guard let free = order.first(where: { $0.1 != $0.0.gateway && records[$0.1] == nil }) else { return nil }
            chosen.append(free.1)
        }
        for (number, address) in chosen.enumerated() {
            records[address] = record
            pointers[number] = address
        }
        return chosen
    }

    mutating func release(_ owner: Owner) {
        let record = "\(owner.containerID)\r\n\(owner.interfaceName)"
        let wanted = records.values.contains(record) ? record : owner.containerID
        records = records.filter { $0.value != wanted }
    }

    mutating func collect(_ valid: Set<Owner>) {
        records = records.filter { record in
            valid.contains { [$0.containerID, "\($0.containerID)\r\n\($0.interfaceName)"].contains(record.value) }
        }
    }
}

@Suite("The store against a plain model")
struct ModelTests {
    private static let sets =
        #"""
        {"ranges": [[{"subnet": "10.0.0.0/28"}, {"subnet": "10.0.1.0/29", "rangeStart": "10.0.1.1", "rangeEnd": "10.0.1.6",
          "gateway": "10.0.1.4"}], [{"subnet": "2001:db8::/123", "rangeEnd": "2001:db8::12"}]]}
        """#

    @Test("random commands, foreign writers and damage", arguments: 0..<6)
    func property(round: Int) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("model seed \(seed) of round \(round)")
        var random = Seeded(state: seed)
        let scratch = try Scratch()
        let host = scratch.host()
        let sets = try configuration(Self.sets).rangeSets
        var model = Model(sets: sets)
        var saved: [UInt8] = []
        for step in 0..<250 {
            let owner = owner(
                "c\(Int.random(in: 0..<24, using: &random))", "eth\(Int.random(in: 0..<2, using: &random))")
            let set = sets[Int.random(in: 0..<2, using: &random)]
            let range = set.ranges.randomElement(using: &random) ?? set.ranges[0]
            let address = IPAddress(family: set.family, number: .random(in: range.numbers, using: &random))
            var what = "\(step): "
            switch Int.random(in: 0..<100, using: &random) {
            case ..<35:
                what += "ADD \(owner)"
                let result = try? host.allocate(configuration(Self.sets), for: owner)
                #expect(result?.addresses.map(\.prefix.address) == model.allocate(owner, requests: []), "\(what)")
            case ..<45:
                what += "ADD \(owner) \(address)"
                let parsed = try configuration(Self.sets, requestedIP: "\(address)")
                let result = try? host.allocate(parsed, for: owner)
                #expect(
                    result?.addresses.map(\.prefix.address) == model.allocate(owner, requests: [address]), "\(what)")
            case ..<70:
                what += "DEL \(owner)"
                try host.release(owner)
                model.release(owner)
            case ..<73:
                let valid = Set(model.records.values.filter { _ in Bool.random(using: &random) }.map(Self.recorded))
                what += "GC \(valid)"
                try host.collectGarbage(valid: valid)
                model.collect(valid)
            case ..<80:
                what += "foreign ADD of \(address)"
                if model.records[address] == nil {
                    let record =
                        Bool.random(using: &random)
                        ? "\(owner.containerID)\r\n\(owner.interfaceName)" : owner.containerID
                    try scratch.write("\(address)", record)
                    try scratch.write("last_reserved_ip.\(set.family == .ipv4 ? 0 : 1)", "\(address)")
                    model.records[address] = record
                    model.pointers[set.family == .ipv4 ? 0 : 1] = address
                }
            case ..<84:
                what += "foreign DEL of \(address)"
                try Files.remove("\(scratch.path)/net/\(address)")
                model.records[address] = nil
            case ..<87:
                what += "crash that left \(address) empty"
                if model.records[address] == nil { try scratch.write("\(address)", "") }
            case ..<89:
                what += "crash that left a temporary file"
                try scratch.write(".\(address).1.tmp", "junk")
            case ..<95:
                what += "damage"
                try damage(scratch, &random, &saved)
            default:
                what += "CHECK \(owner)"
                let record = "\(owner.containerID)\r\n\(owner.interfaceName)"
                let expected = model.records.values.contains { [record, owner.containerID].contains($0) }
                #expect((failure { try host.check(owner) } == "no error") == expected, "\(what)")
            }
            try compare(scratch, model, what)
        }
        // Whatever was left, the next command clears it away.
        try scratch.write("unrelated", "")
        try? host.check(owner("nobody"))
        #expect(try !Files.list("\(scratch.path)/net").contains { $0.hasSuffix(".tmp") })
    }

    private static func recorded(_ record: String) -> Owner {
        let parts = record.utf8.split(separator: 0x0D).map { String(decoding: $0, as: UTF8.self) }
        return Owner(containerID: parts[0], interfaceName: parts.count > 1 ? String(parts[1].dropFirst()) : "any")
    }

    private func compare(_ scratch: Scratch, _ model: Model, _ what: String) throws {
        guard Files.exists("\(scratch.path)/net") else { return #expect(model.records.isEmpty) }
        let files = try scratch.files()
        let reservations = files.filter { IPAddress($0.key) != nil && !$0.value.isEmpty }
        let expected = Dictionary(uniqueKeysWithValues: model.records.map { ("\($0.key)", $0.value) })
        #expect(reservations == expected, "\(what)")
        for (number, pointer) in model.pointers {
            #expect(files["last_reserved_ip.\(number)"] == "\(pointer)", "\(what)")
        }
    }

    private func damage(_ scratch: Scratch, _ random: inout Seeded, _ saved: inout [UInt8]) throws {
        guard var bytes = try? Files.read(scratch.index), !bytes.isEmpty else { return }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[Int.random(in: bytes.indices, using: &random)] ^= 0x40
        case 1: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
        case 2:
            // An unfinished change, as a killed process leaves it.
            if var index = IndexHeader(bytes[..<512]) {
                index.isClean = false
                bytes.replaceSubrange(..<512, with: index.encoded)
            }
        case 3:
            // An older state of the file, as a restored backup has it.
            swap(&bytes, &saved)
            if bytes.isEmpty { bytes = saved }
        case 4:
            saved = bytes
            return
        default:
            // Zeroed blocks, as a full disk leaves them.
            let block = Int.random(in: 0..<(bytes.count / 512), using: &random) * 512
            bytes.replaceSubrange(block..<(block + 512), with: [UInt8](repeating: 0, count: 512))
        }
        try AtomicFile.replace(scratch.index, with: bytes, isDurable: false)
    }
}
