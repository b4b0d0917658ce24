import JSON
import TestSupport
import Testing

/// Runs expectations that hold for us but not for the reference plugins (see ``Plugins/areReference``).
func beyondReference(_ why: String, _ body: () throws -> Void) throws {
    if !Plugins.areReference { try body() }
}

/// Configurations the tables are made of.
enum Inputs {
    /// A `host-local` section with one range set per subnet.
    static func ipam(_ subnets: [String], _ more: [(String, Value)] = []) -> Value {
        let ranges: [Value] = subnets.map { [["subnet": .string($0)]] }
        return .object(Object([("type", "host-local"), ("ranges", .array(ranges))] + more))
    }

    /// A configuration for `host-local` alone.
    static func hostLocal(
        _ version: String, _ subnets: [String] = ["10.1.2.0/24"], name: String = "net",
        ipam more: [(String, Value)] = []
    ) -> Value {
        ["cniVersion": .string(version), "name": .string(name), "type": "host-local", "ipam": ipam(subnets, more)]
    }

    /// A configuration for `bridge` on `br0` with a gateway and default routes; no subnets make it layer 2 only.
    static func bridge(
        _ version: String, _ subnets: [String] = ["10.1.2.0/24"], name: String = "net", bridge: String? = "br0",
        more: [(String, Value)] = []
    ) -> Value {
        var config = Object([("cniVersion", .string(version)), ("name", .string(name)), ("type", "bridge")])
        config["bridge"] = bridge.map { .string($0) }
        if subnets.isEmpty {
            config["ipam"] = [:]
        } else {
            config["isDefaultGateway"] = true
            config["ipam"] = ipam(subnets)
        }
        for (key, value) in more { config[key] = value }
        return .object(config)
    }
}

extension Value {
    /// The value with members added or replaced.
    func with(_ members: (String, Value)...) -> Value {
        var copy = self
        for (key, value) in members { copy[key] = value }
        return copy
    }

    /// The value with the members of every object in alphabetical order, for comparisons: order means nothing in JSON.
    var canonical: Value {
        switch self {
        case .array(let elements): .array(elements.map(\.canonical))
        case .object(let object):
            .object(Object(object.members.sorted { $0.key < $1.key }.map { ($0.key, $0.value.canonical) }))
        default: self
        }
    }

    /// The addresses of a result of any version, in order: `ips`, or `ip4` and `ip6`.
    var addresses: [String] {
        if let ips = self["ips"] { return ips.elements.compactMap { $0["address"]?.string } }
        return ["ip4", "ip6"].compactMap { self[$0]?["ip"]?.string }
    }

    /// The gateways of a result of any version, in order.
    var gateways: [String] {
        if let ips = self["ips"] { return ips.elements.compactMap { $0["gateway"]?.string } }
        return ["ip4", "ip6"].compactMap { self[$0]?["gateway"]?.string }
    }

    /// The routes' destinations of a result of any version, in order.
    var destinations: [String] {
        let routes =
            self["routes"]?.elements ?? ["ip4", "ip6"].flatMap { self[$0]?["routes"]?.elements ?? [] }
        return routes.compactMap { $0["dst"]?.string }
    }
}

extension PluginAnswer {
    /// Fails the test unless the plugin succeeded; gives its document.
    @discardableResult
    func orFail(_ what: String = "", _ location: SourceLocation = #_sourceLocation) -> Value {
        #expect(succeeded, "\(what) \(self)", sourceLocation: location)
        return document ?? nil
    }

    /// Fails the test unless the plugin refused with exit status 1 and one error document.
    func expectRefusal(
        code: Int64? = nil, _ message: String? = nil, details: String? = nil, _ what: String = "",
        _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == 1, "\(what) \(self)", sourceLocation: location)
        #expect(self.code != nil && !self.message.isEmpty, "\(what) \(self)", sourceLocation: location)
        if let code { #expect(self.code == code, "\(what) \(self)", sourceLocation: location) }
        if let message { #expect(self.message == message, "\(what) \(self)", sourceLocation: location) }
        if let details { #expect(self.details == details, "\(what) \(self)", sourceLocation: location) }
    }

    /// Fails the test unless the plugin refused and its message or details contain `part`.
    func expectRefusal(code: Int64? = nil, containing part: String, _ location: SourceLocation = #_sourceLocation) {
        expectRefusal(code: code, nil, "", location)
        #expect(words.contains(part), "\(self)", sourceLocation: location)
    }

    /// Fails the test unless the plugin succeeded without a word.
    func expectSilence(_ what: String = "", _ location: SourceLocation = #_sourceLocation) {
        #expect(succeeded && outcome.output.isEmpty, "\(what) \(self)", sourceLocation: location)
    }
}

/// Whether version text `a` is at least `b`; both of the form "1.0.0".
func atLeast(_ a: String, _ b: String) -> Bool {
    let (left, right) = (a.split(separator: ".").map { Int($0) ?? 0 }, b.split(separator: ".").map { Int($0) ?? 0 })
    return !left.lexicographicallyPrecedes(right)
}
