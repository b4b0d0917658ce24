import CNI
import NetworkTypes

/// Ids of what only this host knows: 64 hex digits as Docker's, always the same for the same names.
enum SHA512Name {
    static func id(_ network: String) -> String { SHA512.hex("local/\(network)", length: 64) }

    static func endpoint(_ attachment: Attachment) -> String {
        SHA512.hex(
            "\(id(attachment.network))/\(attachment.containerID)/\(attachment.interfaceName)", length: 64)
    }
}
