/// What an attachment is made of on a host: namespaces, locks of what is shared, the packet filter.
public protocol AttachmentHost: HostNamespaces, HostLocks, FilterHost {}
