public import JSON
internal import NetworkTypes

extension CNIResult {
    /// The result as a document of a version, members in the order the reference library prints them.
    ///
    /// - 1.0.0 and 1.1.0: members in alphabetical order, `dns` only when there is something in it.
    /// - 0.3.0 to 0.4.0: addresses carry their family, interfaces only name, MAC and sandbox; `dns` is always there.
    /// - 0.1.0 and 0.2.0: the first address of each family with the routes of that family.
    ///
    /// As in the reference library 1.0.0 keeps what only 1.1.0 defines, and routes keep it from 0.3.0 on: a chain must
    /// not lose it, and readers ignore what they do not know.
    /// - Throws: code 7 for 0.1.0 and 0.2.0 when there is no address.
    public func document(_ version: SpecVersion) throws(CNIError) -> JSON.Value {
        if version >= .v1_0_0 { return current(version) }
        if version.hasLists { return lists(version) }
        return try families(version)
    }

    /// 1.0.0 and later.
    private func current(_ version: SpecVersion) -> Value {
        var members: [(String, Value?)] = [("cniVersion", .string(version.rawValue))]
        if !dns.isEmpty {
            members.append(
                (
                    "dns",
                    object([
                        ("domain", text(dns.domain)), ("nameservers", texts(dns.nameservers)),
                        ("options", texts(dns.options)), ("search", texts(dns.search)),
                    ])
                ))
        }
        members.append(
            (
                "interfaces",
                array(interfaces) {
                    object([
                        ("mac", text($0.mac)), ("mtu", number($0.mtu)), ("name", .string($0.name)),
                        ("pciID", text($0.pciID)), ("sandbox", text($0.sandbox)),
                        ("socketPath", text($0.socketPath)),
                    ])
                }
            ))
        members.append(
            (
                "ips",
                array(addresses) {
                    object([
                        ("address", .string($0.address.description)), ("gateway", text($0.gateway?.description)),
                        ("interface", index($0.interface)),
                    ])
                }
            ))
        members.append(
            (
                "routes",
                array(routes) {
                    object([
                        ("advmss", number($0.advertisedMSS)), ("dst", .string($0.destination.description)),
                        ("gw", text($0.gateway?.description)), ("mtu", number($0.mtu)),
                        ("priority", number($0.priority)), ("scope", index($0.scope)), ("table", index($0.table)),
                    ])
                }
            ))
        return object(members)
    }

    /// 0.3.0, 0.3.1 and 0.4.0.
    private func lists(_ version: SpecVersion) -> Value {
        object([
            ("cniVersion", .string(version.rawValue)),
            (
                "interfaces",
                array(interfaces) {
                    object([("name", .string($0.name)), ("mac", text($0.mac)), ("sandbox", text($0.sandbox))])
                }
            ),
            (
                "ips",
                array(addresses) {
                    object([
                        ("version", $0.address.family == .ipv4 ? "4" : "6"), ("interface", index($0.interface)),
                        ("address", .string($0.address.description)), ("gateway", text($0.gateway?.description)),
                    ])
                }
            ),
            (
                "routes",
                array(routes) {
                    object([
                        ("dst", .string($0.destination.description)), ("gw", text($0.gateway?.description)),
                        ("mtu", number($0.mtu)), ("advmss", number($0.advertisedMSS)),
                        ("priority", number($0.priority)), ("table", index($0.table)), ("scope", index($0.scope)),
                    ])
                }
            ),
            ("dns", orderedDNS),
        ])
    }

    /// 0.1.0 and 0.2.0.
    private func families(_ version: SpecVersion) throws(CNIError) -> Value {
        let four = family(.ipv4)
        let six = family(.ipv6)
        guard four != nil || six != nil else {
            throw CNIError(
                CNIError.Code.invalidConfiguration, "cannot convert: no valid IP addresses",
                details: "a result of version \(version.rawValue) needs one; use cniVersion 0.3.0 or later")
        }
        return object([
            ("cniVersion", .string(version.rawValue)), ("ip4", four), ("ip6", six), ("dns", orderedDNS),
        ])
    }

    private func family(_ family: AddressFamily) -> Value? {
        guard let first = addresses.first(where: { $0.address.family == family }) else { return nil }
        return object([
            ("ip", .string(first.address.description)), ("gateway", text(first.gateway?.description)),
            (
                "routes",
                array(routes.filter { $0.destination.family == family }) {
                    object([
                        ("dst", .string($0.destination.description)), ("gw", text($0.gateway?.description)),
                    ])
                }
            ),
        ])
    }

    private var orderedDNS: Value {
        object([
            ("nameservers", texts(dns.nameservers)), ("domain", text(dns.domain)), ("search", texts(dns.search)),
            ("options", texts(dns.options)),
        ])
    }
}

/// An object of the members that have a value.
private func object(_ members: [(String, Value?)]) -> Value {
    .object(Object(members.compactMap { name, value in value.map { (name, $0) } }))
}

/// The elements, nil for none: empty lists are left out.
private func array<Element>(_ elements: [Element], _ value: (Element) -> Value) -> Value? {
    elements.isEmpty ? nil : .array(elements.map(value))
}

private func texts(_ texts: [String]) -> Value? {
    array(texts) { .string($0) }
}

private func text(_ text: String?) -> Value? {
    (text ?? "").isEmpty ? nil : text.map { .string($0) }
}

/// A number for which zero means "not set".
private func number(_ number: Int?) -> Value? {
    number == 0 ? nil : index(number)
}

/// A number for which zero is a value.
private func index(_ number: Int?) -> Value? {
    number.map { .integer(Int64($0)) }
}
