internal import CLibNFTNL
internal import Netlink
internal import NetworkTypes

/// An element as the kernel lists it.
struct RawElement {
    let element: Element
    /// Ends the interval before it.
    let isIntervalEnd: Bool
}

/// Joins the kernel's half-open intervals.
func intervals(_ elements: [RawElement]) -> [Element] {
    let sorted = elements.sorted {
        registerBytes($0.element.key).lexicographicallyPrecedes(registerBytes($1.element.key))
    }
    var result: [Element] = []
    for (index, raw) in sorted.enumerated() where !raw.isIntervalEnd {
        var last = [UInt8](repeating: 255, count: registerBytes(raw.element.key).count)
        if index + 1 < sorted.count {
            last = registerBytes(sorted[index + 1].element.key)
            for index in last.indices.reversed() {
                last[index] &-= 1
                if last[index] != 255 { break }
            }
        }
        guard let end = parts(raw.element.key.map(\.type), of: last) else { continue }
        result.append(
            Element(
                raw.element.key, through: end == raw.element.key ? nil : end, value: raw.element.value,
                comment: raw.element.comment))
    }
    return result
}
extension RawSpan {
    /// The elements in one message (`NFTA_SET_ELEM_LIST_ELEMENTS`).
    ///
    /// - Parameter tag: skip, before anything is decoded, elements whose comment does not begin so.
    func rawElements(of set: ElementSet, tag: [UInt8]? = nil) -> [RawElement] {
        var result: [RawElement] = []
        AttributeReader.forEach(in: extracting(following(4))) { type, list in
            guard type == Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue) else { return }
            AttributeReader.forEach(in: list) { _, element in
                if let tag, !element.hasComment(beginning: tag) { return }
                if let raw = element.rawElement(of: set) { result.append(raw) }
            }
        }
        return result
    }

    /// An element (`NFTA_SET_ELEM_*`). There may be thousands to read, so nothing is copied that is not kept.
    private func rawElement(of set: ElementSet) -> RawElement? {
        var key: [Datum]?, end: [Datum]?
        var value: Element.Value?
        var comment: String?
        var flags: UInt32 = 0
        AttributeReader.forEach(in: self) { type, payload in
            switch UInt32(type) {
            case NFTA_SET_ELEM_KEY.rawValue: key = parts(set.key, of: payload.dataValue)
            case NFTA_SET_ELEM_KEY_END.rawValue: end = parts(set.key, of: payload.dataValue)
            case NFTA_SET_ELEM_FLAGS.rawValue: flags = payload.integer(UInt32.self).map(UInt32.init(bigEndian:)) ?? 0
            case NFTA_SET_ELEM_USERDATA.rawValue:
                comment = userText(type: UInt8(NFTNL_UDATA_SET_ELEM_COMMENT.rawValue), inUserData: payload.array)
            case NFTA_SET_ELEM_DATA.rawValue:
                if case .data(let types) = set.value {
                    value = parts(types, of: payload.dataValue).map { .data($0) }
                } else {
                    value = Attributes(of: payload.array).verdict.map { .verdict($0) }
                }
            default: break
            }
        }
        guard let key else { return nil }
        return RawElement(
            element: Element(key, through: end == key ? nil : end, value: value, comment: comment),
            isIntervalEnd: flags & UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue) != 0)
    }

    /// Whether an element's user data begins with a comment that begins with some text.
    private func hasComment(beginning tag: [UInt8]) -> Bool {
        var isFound = false
        AttributeReader.forEach(in: self) { type, payload in
            guard type == Int(NFTA_SET_ELEM_USERDATA.rawValue), payload.byteCount >= tag.count + 2,
                payload.integer(UInt8.self) == UInt8(NFTNL_UDATA_SET_ELEM_COMMENT.rawValue)
            else { return }
            isFound = tag.indices.allSatisfy { payload.integer(UInt8.self, at: $0 + 2) == tag[$0] }
        }
        return isFound
    }

    /// The bytes in a nest of `NFTA_DATA_VALUE`.
    private var dataValue: [UInt8] {
        var bytes: [UInt8] = []
        AttributeReader.forEach(in: self) { type, payload in
            if type == Int(NFTA_DATA_VALUE.rawValue) { bytes = payload.array }
        }
        return bytes
    }
}

extension Attributes {
    /// A chain (`NFTA_CHAIN_*`).
    var chain: Chain? {
        guard let name = text(NFTA_CHAIN_NAME.rawValue) else { return nil }
        var hook: BaseHook?
        if let nest = nested(NFTA_CHAIN_HOOK.rawValue),
            let number = nest.number(NFTA_HOOK_HOOKNUM.rawValue), let place = BaseHook.Hook(rawValue: number),
            let kind = text(NFTA_CHAIN_TYPE.rawValue).flatMap(BaseHook.Kind.init(rawValue:))
        {
            let policy = self.number(NFTA_CHAIN_POLICY.rawValue).flatMap(BaseHook.Policy.init(rawValue:))
            hook = BaseHook(
                kind, place, priority: Int32(bitPattern: nest.number(NFTA_HOOK_PRIORITY.rawValue) ?? 0),
                policy: policy ?? .accept)
        }
        let comment = bytes(NFTA_CHAIN_USERDATA.rawValue).flatMap {
            userText(type: UInt8(NFTNL_UDATA_CHAIN_COMMENT.rawValue), inUserData: $0)
        }
        return Chain(name, hook: hook, comment: comment)
    }

    /// A set or map (`NFTA_SET_*`); nil for types not known here.
    var elementSet: ElementSet? {
        guard let name = text(NFTA_SET_NAME.rawValue), let number = number(NFTA_SET_KEY_TYPE.rawValue),
            let key = TableCommand.types(ofNumber: number)
        else { return nil }
        var value: ElementSet.ValueType?
        let flags = self.number(NFTA_SET_FLAGS.rawValue) ?? 0
        if flags & NFT_SET_MAP.rawValue != 0 {
            let type = self.number(NFTA_SET_DATA_TYPE.rawValue) ?? 0
            if type == UInt32(truncatingIfNeeded: Int64(NFT_DATA_VERDICT.rawValue)) {
                value = .verdict
            } else if let types = TableCommand.types(ofNumber: type) {
                value = .data(types)
            } else {
                return nil
            }
        }
        let known: ElementSet.Flags = [.constant, .interval]
        return ElementSet(
            name, key: key, value: value, flags: ElementSet.Flags(rawValue: flags).intersection(known))
    }
}
