public import CNI
public import Netfilter

extension FilterOwner {
    /// The owner an attachment is to the packet filter.
    public init(_ attachment: Attachment) {
        self.init(
            network: attachment.network, containerID: attachment.containerID, interfaceName: attachment.interfaceName)
    }

    /// The owner that GC is told to keep.
    public init(network: String, _ entry: ValidAttachments.Entry) {
        self.init(network: network, containerID: entry.containerID, interfaceName: entry.interfaceName)
    }
}
