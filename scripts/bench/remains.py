"""What an overlay network's containers leave on a laboratory's hosts: compared with what was there before they came.

Links, addresses, packet filter rules, reservations and other files, forwarding and neighbour entries must be the same text
as before; the tables of endpoints and address blocks must be the same on all hosts.
"""
import json

# Counters count, and where the next address is looked for moves on; neither is left behind by anybody.
IGNORED_FILES = ("last_reserved_ip", "lock", ".lock")

SHELL = r"""
ip -o link show | sed -E 's/^[0-9]+: ([^:@]+).*/link \1/'
ip -o address show | awk '{ print "address", $2, $4 }'
nft --stateless list ruleset | sed 's/^[\t ]*/rule /'
find /var/lib/cni /run/swiftlet -type f | sed 's/^/file /'
for overlay in /run/swiftlet/netns/*; do
    echo "namespace $overlay"
    nsenter --net="$overlay" ip -o link show | sed -E 's/^[0-9]+: ([^:@]+).*/overlay link \1/'
    nsenter --net="$overlay" ip neighbour show nud permanent | sed 's/^/neighbour /'
    nsenter --net="$overlay" bridge fdb show dev vxlan0 | grep -v '^33:33\|^01:' | sed 's/^/entry /'
done
"""


def of_kernel(host):
    """Lines that must be the same before and after."""
    lines = host.must("bash", "-c", SHELL).splitlines()
    return {line for line in lines
            if not line.startswith("file ") or not line.rsplit("/", 1)[1].startswith(IGNORED_FILES)}


def of_tables(host, network):
    """Blocks with their owners, and endpoints, as this host knows them."""
    document = json.loads(host.must("swiftlet", "network", "inspect", network))[0]
    blocks = {(block["block"], block["ownerID"], block["state"], block["epoch"], block["version"])
              for block in document["Blocks"]}
    used = sum(block["used"] or 0 for block in document["Blocks"] if block.get("owner") == host.name)
    endpoints = json.loads(host.must("swiftlet", "endpoint", "ls", "--json"))["endpoints"]
    ends = {(end["network"], end["containerID"], end["host"], end["status"]) for end in endpoints}
    return blocks, used, ends


class Remains:
    def __init__(self, hosts, network):
        self.hosts, self.network = hosts, network
        self.kernel = {host.name: of_kernel(host) for host in hosts}
        blocks, _, self.ends = of_tables(hosts[0], network)
        self.names = sorted(block[0] for block in blocks)

    def found(self):
        """What differs now, as texts."""
        texts, first = [], None
        for host in self.hosts:
            now = of_kernel(host)
            texts += [f"{host.name} has more: {line}" for line in sorted(now - self.kernel[host.name])]
            texts += [f"{host.name} lacks: {line}" for line in sorted(self.kernel[host.name] - now)]
            blocks, used, ends = of_tables(host, self.network)
            first = blocks if first is None else first
            if sorted(block[0] for block in blocks) != self.names:
                texts.append(f"{host.name} knows other blocks than before")
            texts += [f"{host.name} and {self.hosts[0].name} disagree on block {block}" for block in sorted(blocks ^ first)]
            mine = sum(1 for end in self.ends if end[2] == host.name)
            if used != mine:
                texts.append(f"{host.name} has {used} addresses of its blocks in use, not {mine}")
            texts += [f"{host.name} knows of {end}" for end in sorted(ends - self.ends)]
            texts += [f"{host.name} does not know of {end}" for end in sorted(self.ends - ends)]
        return texts
