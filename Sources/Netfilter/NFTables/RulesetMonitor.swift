internal import CLibNFTNL
internal import Netlink
internal import System

/// Notices when somebody takes rules away that containers need. Equivalent: `nft monitor destroy rules chains tables`, with
/// an eye on our names.
///
/// The old iptables tells nobody of its changes.
public final class RulesetMonitor {
    /// `NFNLGRP_NFTABLES`, the seventh group.
    private static let group: UInt32 = 1 << 6

    private let socket: NotificationSocket

    /// Listens in the calling thread's network namespace.
    public init() throws(NetfilterError) {
        do {
            socket = try NotificationSocket(protocolNumber: NETLINK_NETFILTER, groups: Self.group)
        } catch {
            throw NetfilterError.system(error).orUnavailable("nf_tables")
        }
    }

    /// Waits for changes.
    ///
    /// - Returns: whether something went that may have been a container's: a table, a chain or a rule of ours, or a rule or
    ///   chain of iptables' where ours are. True also when the kernel had more to tell than there was room for.
    /// - Throws: ``NetfilterError/system(_:)``.
    public func awaitLoss(milliseconds: Int32) throws(NetfilterError) -> Bool {
        var isLoss = false
        do {
            let isWhole = try socket.receive(milliseconds: milliseconds) { type, payload in
                if !isLoss { isLoss = Self.isLoss(type, payload) }
            }
            return isLoss || !isWhole
        } catch {
            throw .system(SystemError("receive", "nf_tables notifications", error.errno))
        }
    }

    static func isLoss(_ type: Int, _ payload: RawSpan) -> Bool {
        guard type >> 8 == Int(NFNL_SUBSYS_NFTABLES), let family = payload.integer(UInt8.self) else { return false }
        let attributes = Attributes(of: payload.extracting(payload.following(4)).array)
        let table: String?
        var chain: String?
        switch UInt32(type & 0xFF) {
        case NFT_MSG_DELTABLE.rawValue: table = attributes.text(NFTA_TABLE_NAME.rawValue)
        case NFT_MSG_DELCHAIN.rawValue:
            table = attributes.text(NFTA_CHAIN_TABLE.rawValue)
            chain = attributes.text(NFTA_CHAIN_NAME.rawValue)
        case NFT_MSG_DELRULE.rawValue:
            table = attributes.text(NFTA_RULE_TABLE.rawValue)
            chain = attributes.text(NFTA_RULE_CHAIN.rawValue)
        default: return false
        }
        guard let table, let family = TableFamily(rawValue: family) else { return false }
        if table == BaseLayout.inet.name { return true }
        guard [.ip, .ip6].contains(family), ["nat", "filter"].contains(table) else { return false }
        guard let chain else { return true }
        return chain.hasPrefix("CNI-") || ["PREROUTING", "POSTROUTING", "OUTPUT", "FORWARD"].contains(chain)
    }
}
