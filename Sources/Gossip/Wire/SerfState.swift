/// serf's part of a push/pull exchange: the clocks, what is known of members, and recent user events.
struct SerfState: Hashable, Sendable {
    /// The events of one Lamport time.
    struct EventSlot: Hashable, Sendable {
        struct Item: Hashable, Sendable {
            var name: String
            var payload: [UInt8]?

            /// What it takes, about.
            var size: Int { name.utf8.count + (payload?.count ?? 0) }
        }

        var time: UInt64
        var items: [Item]
    }

    /// The status time of one member.
    struct StatusTime: Hashable, Sendable {
        var node: String
        var time: UInt64
    }

    var memberTime: UInt64 = 0
    var eventTime: UInt64 = 0
    var queryTime: UInt64 = 0
    var statusTimes: [StatusTime] = []
    var leftMembers: [String] = []
    /// Agents send their ring of 512 slots, most of them empty; only the filled ones matter.
    var events: [EventSlot?] = []

    init() {}

    /// Reads the state after its type byte.
    init(from reader: inout MessagePackReader) throws(WireFault) {
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "EventLTime": eventTime = try reader.unsigned()
            case "Events":
                let count = try reader.arrayCount()
                events.reserveCapacity(count)
                for _ in 0..<count { events.append(reader.skipNil() ? nil : try EventSlot(from: &reader)) }
            case "LTime": memberTime = try reader.unsigned()
            case "LeftMembers": leftMembers = try reader.stringList()
            case "QueryLTime": queryTime = try reader.unsigned()
            case "StatusLTimes":
                let count = try reader.mapCount()
                statusTimes.reserveCapacity(count)
                for _ in 0..<count {
                    statusTimes.append(StatusTime(node: try reader.nodeName(), time: try reader.unsigned()))
                }
            default: try reader.skip()
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 128 + statusTimes.count * 24 + events.count * 4)
        writer.byte(SerfType.pushPull.rawValue)
        writer.map(6)
        writer.string("EventLTime")
        writer.unsigned(eventTime)
        writer.string("Events")
        writer.array(events.count)
        for slot in events {
            guard let slot else {
                writer.null()
                continue
            }
            slot.write(to: &writer)
        }
        writer.string("LTime")
        writer.unsigned(memberTime)
        writer.string("LeftMembers")
        writer.array(leftMembers.count)
        for name in leftMembers { writer.string(name) }
        writer.string("QueryLTime")
        writer.unsigned(queryTime)
        writer.string("StatusLTimes")
        writer.map(statusTimes.count)
        for status in statusTimes {
            writer.string(status.node)
            writer.unsigned(status.time)
        }
        return writer.bytes
    }
}

extension SerfState.EventSlot {
    fileprivate init(from reader: inout MessagePackReader) throws(WireFault) {
        time = 0
        items = []
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "LTime": time = try reader.unsigned()
            case "Events":
                for _ in 0..<(try reader.arrayCount()) { items.append(try Item(from: &reader)) }
            default: try reader.skip()
            }
        }
    }

    fileprivate func write(to writer: inout MessagePackWriter) {
        writer.map(2)
        writer.string("Events")
        writer.array(items.count)
        for item in items {
            writer.map(2)
            writer.string("Name")
            writer.string(item.name)
            writer.string("Payload")
            writer.dataOrNull(item.payload)
        }
        writer.string("LTime")
        writer.unsigned(time)
    }
}

extension SerfState.EventSlot.Item {
    fileprivate init(from reader: inout MessagePackReader) throws(WireFault) {
        name = ""
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Name": name = try reader.string()
            case "Payload": payload = reader.skipNil() ? nil : try reader.data()
            default: try reader.skip()
            }
        }
    }
}
