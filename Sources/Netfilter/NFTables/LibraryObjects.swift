internal import CLibNFTNL

/// An expression of libnftnl until a rule takes it.
@safe
struct LibraryExpression: ~Copyable {
    private let pointer: OpaquePointer?

    /// An expression of that kind ("payload"); one the library does not know does nothing.
    init(_ name: String) { unsafe pointer = nftnl_expr_alloc(name) }

    func set(_ attribute: Int, _ value: UInt32) {
        if let pointer = unsafe pointer { unsafe nftnl_expr_set_u32(pointer, UInt16(attribute), value) }
    }

    func set(_ attribute: Int, text: String) {
        if let pointer = unsafe pointer { _ = unsafe nftnl_expr_set_str(pointer, UInt16(attribute), text) }
    }

    func set(_ attribute: Int, bytes: [UInt8]) {
        guard let pointer = unsafe pointer else { return }
        _ = unsafe nftnl_expr_set(pointer, UInt16(attribute), bytes, UInt32(bytes.count))
    }

    /// Gives the pointer and with it the duty to free it away.
    consuming func surrender() -> OpaquePointer? {
        let result = unsafe pointer
        discard self
        return unsafe result
    }

    deinit {
        if let pointer = unsafe pointer { unsafe nftnl_expr_free(pointer) }
    }
}

/// A rule of libnftnl.
@safe
struct LibraryRule: ~Copyable {
    private let pointer: OpaquePointer?

    init(_ table: Table.Identifier, chain: String) {
        unsafe pointer = nftnl_rule_alloc()
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_rule_set_u32(pointer, UInt16(NFTNL_RULE_FAMILY.rawValue), UInt32(table.family.rawValue))
        _ = unsafe nftnl_rule_set_str(pointer, UInt16(NFTNL_RULE_TABLE.rawValue), table.name)
        _ = unsafe nftnl_rule_set_str(pointer, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
    }

    func append(_ expression: consuming LibraryExpression) {
        guard let pointer = unsafe pointer, let expression = unsafe expression.surrender() else { return }
        unsafe nftnl_rule_add_expr(pointer, expression)
    }

    func set(handle: UInt64) {
        if let pointer = unsafe pointer {
            unsafe nftnl_rule_set_u64(pointer, UInt16(NFTNL_RULE_HANDLE.rawValue), handle)
        }
    }

    func set(userData: [UInt8]) {
        guard let pointer = unsafe pointer else { return }
        let attribute = UInt16(NFTNL_RULE_USERDATA.rawValue)
        _ = unsafe nftnl_rule_set_data(pointer, attribute, userData, UInt32(userData.count))
    }

    /// Puts the rule's attributes into a message.
    func build(into message: UnsafeMutableRawPointer) {
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_rule_nlmsg_build_payload(message.assumingMemoryBound(to: nlmsghdr.self), pointer)
    }

    deinit {
        if let pointer = unsafe pointer { unsafe nftnl_rule_free(pointer) }
    }
}

/// A table of libnftnl.
@safe
struct LibraryTable: ~Copyable {
    private let pointer: OpaquePointer?

    init(_ table: Table.Identifier, userData: [UInt8] = []) {
        unsafe pointer = nftnl_table_alloc()
        guard let pointer = unsafe pointer else { return }
        _ = unsafe nftnl_table_set_str(pointer, UInt16(NFTNL_TABLE_NAME.rawValue), table.name)
        guard !userData.isEmpty else { return }
        let attribute = UInt16(NFTNL_TABLE_USERDATA.rawValue)
        _ = unsafe nftnl_table_set_data(pointer, attribute, userData, UInt32(userData.count))
    }

    func build(into message: UnsafeMutableRawPointer) {
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_table_nlmsg_build_payload(message.assumingMemoryBound(to: nlmsghdr.self), pointer)
    }

    deinit {
        if let pointer = unsafe pointer { unsafe nftnl_table_free(pointer) }
    }
}

/// A chain of libnftnl.
@safe
struct LibraryChain: ~Copyable {
    private let pointer: OpaquePointer?

    init(_ table: Table.Identifier, _ name: String, hook: BaseHook? = nil, userData: [UInt8] = []) {
        unsafe pointer = nftnl_chain_alloc()
        guard let pointer = unsafe pointer else { return }
        _ = unsafe nftnl_chain_set_str(pointer, UInt16(NFTNL_CHAIN_TABLE.rawValue), table.name)
        _ = unsafe nftnl_chain_set_str(pointer, UInt16(NFTNL_CHAIN_NAME.rawValue), name)
        if let hook {
            _ = unsafe nftnl_chain_set_str(pointer, UInt16(NFTNL_CHAIN_TYPE.rawValue), hook.kind.rawValue)
            unsafe nftnl_chain_set_u32(pointer, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue), hook.hook.rawValue)
            unsafe nftnl_chain_set_s32(pointer, UInt16(NFTNL_CHAIN_PRIO.rawValue), hook.priority)
            unsafe nftnl_chain_set_u32(pointer, UInt16(NFTNL_CHAIN_POLICY.rawValue), hook.policy.rawValue)
        }
        guard !userData.isEmpty else { return }
        let attribute = UInt16(NFTNL_CHAIN_USERDATA.rawValue)
        _ = unsafe nftnl_chain_set_data(pointer, attribute, userData, UInt32(userData.count))
    }

    func build(into message: UnsafeMutableRawPointer) {
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_chain_nlmsg_build_payload(message.assumingMemoryBound(to: nlmsghdr.self), pointer)
    }

    deinit {
        if let pointer = unsafe pointer { unsafe nftnl_chain_free(pointer) }
    }
}

/// A set of libnftnl, with or without elements.
@safe
struct LibrarySet: ~Copyable {
    private let pointer: OpaquePointer?

    init(_ table: Table.Identifier, _ name: String) {
        unsafe pointer = nftnl_set_alloc()
        guard let pointer = unsafe pointer else { return }
        _ = unsafe nftnl_set_set_str(pointer, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        _ = unsafe nftnl_set_set_str(pointer, UInt16(NFTNL_SET_NAME.rawValue), name)
    }

    func set(_ attribute: nftnl_set_attr, _ value: UInt32) {
        if let pointer = unsafe pointer { unsafe nftnl_set_set_u32(pointer, UInt16(attribute.rawValue), value) }
    }

    func set(_ attribute: nftnl_set_attr, bytes: [UInt8]) {
        guard let pointer = unsafe pointer else { return }
        _ = unsafe nftnl_set_set_data(pointer, UInt16(attribute.rawValue), bytes, UInt32(bytes.count))
    }

    /// Puts the set's own attributes into a message.
    func build(into message: UnsafeMutableRawPointer) {
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_set_nlmsg_build_payload(message.assumingMemoryBound(to: nlmsghdr.self), pointer)
    }

    /// Puts the set's name and its elements into a message.
    func buildElements(into message: UnsafeMutableRawPointer) {
        guard let pointer = unsafe pointer else { return }
        unsafe nftnl_set_elems_nlmsg_build_payload(message.assumingMemoryBound(to: nlmsghdr.self), pointer)
    }

    /// Adds an element.
    func append(
        key: [UInt8], keyEnd: [UInt8]? = nil, value: Element.Value? = nil, flags: UInt32 = 0, userData: [UInt8] = []
    ) {
        guard let pointer = unsafe pointer, let element = unsafe nftnl_set_elem_alloc() else { return }
        _ = unsafe nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_KEY), key, UInt32(key.count))
        if let keyEnd {
            _ = unsafe nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_KEY_END), keyEnd, UInt32(keyEnd.count))
        }
        if flags != 0 { unsafe nftnl_set_elem_set_u32(element, UInt16(NFTNL_SET_ELEM_FLAGS), flags) }
        if !userData.isEmpty {
            _ = unsafe nftnl_set_elem_set(
                element, UInt16(NFTNL_SET_ELEM_USERDATA), userData, UInt32(userData.count))
        }
        switch value {
        case nil: break
        case .verdict(let verdict):
            let number = UInt32(bitPattern: verdict.code)
            unsafe nftnl_set_elem_set_u32(element, UInt16(NFTNL_SET_ELEM_VERDICT), number)
            if let chain = verdict.chain {
                _ = unsafe nftnl_set_elem_set_str(element, UInt16(NFTNL_SET_ELEM_CHAIN), chain)
            }
        case .data(let parts):
            let bytes = registerBytes(parts)
            _ = unsafe nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_DATA), bytes, UInt32(bytes.count))
        }
        unsafe nftnl_set_elem_add(pointer, element)
    }

    deinit {
        if let pointer = unsafe pointer { unsafe nftnl_set_free(pointer) }
    }
}

extension Verdict {
    /// The kernel's number (`NF_ACCEPT`, `NFT_JUMP`, …).
    var code: Int32 {
        switch self {
        case .drop: 0
        case .accept: 1
        case .jump: NFT_JUMP.rawValue
        case .goto: NFT_GOTO.rawValue
        case .return: NFT_RETURN.rawValue
        }
    }

    /// The chain it leads to.
    var chain: String? {
        switch self {
        case .jump(let chain), .goto(let chain): chain
        default: nil
        }
    }

    /// Reads the kernel's number; nil for one not used here.
    init?(code: Int32, chain: String?) {
        switch (code, chain) {
        case (0, _): self = .drop
        case (1, _): self = .accept
        case (NFT_RETURN.rawValue, _): self = .return
        case (NFT_JUMP.rawValue, let chain?): self = .jump(chain)
        case (NFT_GOTO.rawValue, let chain?): self = .goto(chain)
        default: return nil
        }
    }
}

/// User data as `nft` reads it: one text of a type, with its final NUL. Texts are cut to the 128 bytes `nft` allows.
func userData(type: UInt8, text: String?) -> [UInt8] {
    guard let text else { return [] }
    var bytes = Array(text.utf8.prefix(Int(NFTNL_UDATA_COMMENT_MAXLEN) - 1))
    // A cut must not leave half a character.
    while !bytes.isEmpty, String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
    bytes.append(0)
    return [type, UInt8(bytes.count)] + bytes
}

/// The text of a type in user data; nil when there is none.
func userText(type: UInt8, inUserData bytes: [UInt8]) -> String? {
    var rest = bytes[...]
    while rest.count >= 2 {
        let (found, length) = (rest[rest.startIndex], Int(rest[rest.startIndex + 1]))
        let value = rest.dropFirst(2)
        guard value.count >= length else { return nil }
        if found == type { return String(decoding: value.prefix(length).prefix { $0 != 0 }, as: UTF8.self) }
        rest = value.dropFirst(length)
    }
    return nil
}
