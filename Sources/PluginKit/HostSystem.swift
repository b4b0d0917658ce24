public import Attachment
public import DBus
public import Netfilter
public import NetworkTypes

/// What plugins touch besides their standard streams. Each takes the part it needs.
///
/// ``KernelHost`` is the real one; tests put a fake or a fault injector in its place.
public protocol HostSystem: AttachmentHost, AddressManagement, FirewalldHost, PortHost, KernelFeatures {}

/// A host that may run firewalld.
public protocol FirewalldHost {
    /// The running firewalld; nil when none runs.
    func firewalld() throws -> (any FirewallZones)?
}

/// A host's ports, as far as mappings of them meet others.
public protocol PortHost {
    /// Who listens on a host port in a way that a mapping of it would cut off; nil when nobody does.
    func holder(of mapping: PortMapping) throws -> String?
    /// Makes the kernel forget connections, so that their next packets are looked at afresh.
    func forgetConnections(_ matches: [ConnectionMatch]) throws
}

/// What a kernel can do, found out by trying.
public protocol KernelFeatures {
    /// Whether the kernel filters VLANs on bridges (`CONFIG_BRIDGE_VLAN_FILTERING`), found out by trying in a namespace
    /// that is thrown away.
    func filtersVLANs() throws -> Bool
    /// What the kernel lacks to hold a link to a rate, and if `redirects` to do so with what comes in by it; nil when
    /// nothing. Found out by trying, as before.
    func shapingGap(redirects: Bool) throws -> StepError?
}

/// firewalld's zones, as far as a container's address is concerned. Equivalent: `firewall-cmd --zone … --add-source …`.
public protocol FirewallZones {
    /// Makes a source part of a zone; false when it was.
    func addSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
    /// Takes a source out of a zone; false when it was not in it.
    func removeSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
    /// Whether a source is part of a zone.
    func hasSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool
}

extension Firewalld: FirewallZones {}
