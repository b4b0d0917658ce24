#!/usr/bin/env bash
# One subnet over three hosts, without Docker: the walk through an overlay network that Docker's articles made famous, done
# with CNI plugins and a small daemon. Then one host alone, and podman over the same executables.
#
#   scripts/demo.sh [--plugins DIR] [--no-podman]
#
# --plugins DIR  show the executables of DIR instead of dist/bin
# --no-podman    leave podman out
#
# The hosts are namespaces of this machine (scripts/lab.sh keeps such a laboratory for you to play in): its own network
# is not touched, and nothing is left when this ends. A drawing of the cluster is written to dist/demo-cluster.svg.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/checks.sh
. "$here/lib/checks.sh"
# shellcheck source=scripts/lib/lab.sh
. "$here/lib/lab.sh"
# shellcheck source=scripts/lib/tell.sh
. "$here/lib/tell.sh"
# shellcheck source=scripts/lib/runtimes.sh
. "$here/lib/runtimes.sh"
# shellcheck source=scripts/lib/demo-podman.sh
. "$here/lib/demo-podman.sh"

with_podman=1
hosts=(h1 h2 h3)
# Set on the way.
network_id='' overlay='' c0='' c1='' c2=''

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --plugins)
            [ $# -ge 2 ] || die "--plugins needs a directory"
            ours=$(readlink -f -- "$2")
            shift
            ;;
        --no-podman) with_podman= ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
}

welcome() {
    explain "Containers on three hosts will share one subnet, 192.168.0.0/24, as if one Ethernet switch joined them." \
        "A line like 'h1$ command' is a command run on host h1, with its output below it; '$ command' is run on this machine." \
        "A line that begins with 'ok' is something this script has checked; 'not ok' would be a fault."
}

three_hosts() {
    heading "Three hosts"
    explain "Each is made of namespaces and has its own network, processes, files and a daemon, swiftletd. All they share is the" \
        "network 192.0.2.0/24 between them, the underlay. Behind a router is an outside world that knows the hosts, but no container."
    lab_up 3
    lab_status
    explain "One line of a daemon's configuration, 'join', says where to look for others. By gossip each has found them all:"
    on h2 swiftlet members
}

create_network() {
    local host
    heading "A network is created on one host and known on all"
    explain "The options are those of 'docker network create'; gateway.interface=eth1 names a container's way out as Docker would."
    on h1 swiftlet network create -d overlay --subnet 192.168.0.0/24 -o gateway.interface=eth1 demonet
    explain "What it printed is the network's id. It told the other hosts, and wrote a CNI network list, two plugins, into the" \
        "directory where podman, containerd and others look for networks:"
    on h1 jq -c '.plugins[]' /etc/cni/net.d/60-demonet.conflist
    network_id=$(in_lab h1 swiftlet network inspect demonet | jq -r '.[0].Id')
    explain "The others know of it at once. 'adopt' writes the same list there; with \"adopt\": true a daemon does that by itself."
    for host in h2 h3; do
        eventually 5 in_lab "$host" swiftlet network inspect demonet || true
        check_equal "$host knows demonet by the same id" \
            "$(in_lab "$host" swiftlet network inspect demonet | jq -r '.[0].Id')" "$network_id"
        on "$host" swiftlet network adopt demonet
    done
    on h3 swiftlet network ls
}

# attach HOST CONTAINER OPTIONS…: a container is a network namespace here.
attach() {
    local host=$1 name=$2
    shift 2
    on "$host" ip netns add "$name"
    set -- swiftlet cni add demonet "$name" --container-id "$name" --name "$name" "$@"
    tell_prompt "$host" "$@"
    if in_lab "$host" "$@" >"$work/$name.json"; then
        jq -c '.ips[]' "$work/$name.json"
        ok "$name is on demonet"
    else
        not_ok "$name is not on demonet"
    fi
}

# inside HOST CONTAINER COMMAND…
inside() {
    local host=$1 name=$2
    shift 2
    in_lab "$host" ip netns exec "$name" "$@"
}

address_of() { jq -r '.ips[0].address // "" | split("/")[0]' "$work/$1.json"; }

containers() {
    heading "Containers on three hosts share one subnet"
    explain "A container is a network namespace here, and 'swiftlet cni' calls the plugins as podman or containerd would." \
        "C0 asks for 192.168.0.100. C1 and C2 take what comes: every host owns some blocks of the subnet and hands their" \
        "addresses out without asking anybody. A container's second address is its way out, by a bridge of its host's own."
    attach h1 C0 --ip 192.168.0.100 --publish 8088:8080
    attach h2 C1
    attach h3 C2
    c0=$(address_of C0) c1=$(address_of C1) c2=$(address_of C2)
    check_equal "C0 has the address it asked for" "$c0" 192.168.0.100
    # The first packet, before anything could have been learnt from another.
    on h2 ip netns exec C1 ping -c 2 -i 0.2 -W 2 192.168.0.100
    explain "That was the first packet between them: nothing had to be looked up or learnt before it."
    check "C1 on h2 reaches C0 on h1" inside h2 C1 ping -q -c 1 -W 10 "$c0"
    check "C2 on h3 reaches C0 on h1" inside h3 C2 ping -q -c 1 -W 10 "$c0"
    check "C0 reaches C2" inside h1 C0 ping -q -c 1 -W 10 "$c2"
    check_equal "the TTL is still 64: no router was in between, as in one Ethernet" \
        "$(inside h2 C1 ping -c 1 -W 10 "$c0" | sed -nE 's/.*ttl=([0-9]+).*/\1/p')" 64
    explain "Every host knows where each container is:"
    on h3 swiftlet endpoint ls
    on h3 bash -c "swiftlet network inspect demonet | jq -c '.[0] | {Name, Id, Driver, IPAM, VNI, MTU}, (.Peers[] | {Name, VTEP, Status})'"
}

inside_a_container() {
    local report
    heading "What C0 sees"
    on h1 ip netns exec C0 ip -4 address show dev eth0
    on h1 ip netns exec C0 ip -br link
    on h1 ip netns exec C0 ip -4 -br address
    on h1 ip netns exec C0 ip route
    report=$(inside h1 C0 ip -j -d address)
    explain "eth0 is on the overlay. Its MAC is 02:42 and then the address, as Docker's; its MTU leaves room for the 50 bytes that" \
        "VXLAN adds. eth1 is on h1's own bridge and has the default route."
    check_equal "C0's MAC" "$(jq -r '.[] | select(.ifname == "eth0").address' <<<"$report")" 02:42:c0:a8:00:64
    check_equal "the overlay's MTU is the underlay's less 50" \
        "$(jq -r '.[] | select(.ifname == "eth0").mtu' <<<"$report")" $((lab_mtu - 50))
    check_equal "the default route leaves by eth1" "$(inside h1 C0 ip -j route show default | jq -r '.[0].dev')" eth1
}

overlay_namespace() {
    heading "What joins them: a namespace with a bridge and a VXLAN device, on every host"
    overlay=/run/swiftlet/netns/1-${network_id:0:10}
    explain "Not in the containers and not in the host, but in a namespace between them, named after the network's id as Docker's is:" \
        "$overlay. br0 joins this host's containers to vxlan0, the tunnel to the other hosts."
    on h1 nsenter --net="$overlay" ip -br link
    on h1 nsenter --net="$overlay" ip -d link show vxlan0
    explain "The tunnel learns nothing from packets and asks nobody: the daemons tell each other who is where, and put it into the" \
        "kernel before the first packet. The forwarding table says behind which host a MAC is, the neighbour table whose it is:"
    on h1 nsenter --net="$overlay" bridge fdb show dev vxlan0
    on h1 nsenter --net="$overlay" ip neigh show dev vxlan0
    check_says_of "vxlan0 learns nothing, and answers for the others" "nolearning proxy l2miss l3miss" \
        in_lab h1 nsenter --net="$overlay" ip -d link show vxlan0
    check_says_of "h1 knows behind which host C1 is" "dst 192.0.2.12" \
        in_lab h1 nsenter --net="$overlay" bridge fdb show dev vxlan0
}

on_the_wire() {
    local capture=$work/capture tcpdump
    heading "What the underlay carries"
    explain "Between the hosts, while C1 pings C0: the containers' packet (every second line) inside VXLAN, which is UDP to port 4789."
    tell_prompt router tcpdump -ln -i underlay -c 2 udp port 4789
    in_lab router timeout 10 tcpdump -ln -i underlay -c 2 udp port 4789 >"$capture" 2>"$capture.errors" &
    tcpdump=$!
    eventually 5 grep -q listening "$capture.errors" || true
    inside h2 C1 ping -q -c 2 -i 0.2 -W 2 "$c0" >/dev/null || true
    wait "$tcpdump" || true
    cat "$capture"
    check_says_of "the packet goes from host to host" "192.0.2.12.* > 192.0.2.11.4789: VXLAN" cat "$capture"
    check_says_of "and has the containers' packet inside" "$c1 > $c0: ICMP echo request" cat "$capture"
}

way_out_and_no_way_in() {
    local gateway
    heading "A way out, and no way in"
    explain "C0 to the outside world, by eth1, with h1's address:"
    on h1 ip netns exec C0 ping -c 1 -W 2 8.8.8.8
    check "C0 reaches the world outside" inside h1 C0 ping -q -c 1 -W 10 8.8.8.8
    check "C2 does, too" inside h3 C2 ping -q -c 1 -W 10 8.8.8.8
    explain "But h1, on which C0 runs, has no part in the overlay, and no way to it:"
    on h1 ping -q -c 1 -W 1 "$c0"
    check_refused "h1 itself cannot reach C0" in_lab h1 ping -q -c 1 -W 1 "$c0"
    attach h1 sibling
    gateway=$(inside h1 sibling ip -j -4 address show eth1 | jq -r '.[0].addr_info[0].local')
    explain "Containers on one host do not reach each other by the bridge of the way out (Docker: icc=false), but by the overlay:"
    on h1 ip netns exec C0 ping -q -c 1 -W 1 "$gateway"
    on h1 ip netns exec C0 ping -q -c 1 -W 1 "$(address_of sibling)"
    check_refused "C0 cannot reach its sibling there ($gateway)" inside h1 C0 ping -q -c 1 -W 1 "$gateway"
    check "but over the overlay it can" inside h1 C0 ping -q -c 1 -W 10 "$(address_of sibling)"
    explain "The way in is a port that was published: C0 was added with --publish 8088:8080, and serves its port 8080."
    in_lab h1 ip netns exec C0 python3 "$root/scripts/lib/who.py" serve C0 8080 >"$work/who-C0" 2>&1 </dev/null &
    eventually 5 grep -q ready "$work/who-C0" || true
    on outside curl --silent --max-time 4 http://192.0.2.11:8088
    check_says_of "the outside reaches C0 through h1" "C0 saw" \
        in_lab outside curl --silent --show-error --max-time 4 http://192.0.2.11:8088
    check "a drawing of hosts, network and containers is made" draw
    explain "The cluster as it is now is drawn in dist/demo-cluster.svg."
}

draw() {
    mkdir -p "$root/dist"
    in_lab h1 swiftlet graph --format svg >"$work/cluster.svg"
    mv -- "$work/cluster.svg" "$root/dist/demo-cluster.svg"
}

status_of_h2() { in_lab h1 swiftlet members --json | jq -r '.members[] | select(.name == "h2").status'; }
is_h2() { [ "$(status_of_h2)" = "$1" ]; }
endpoint_is() {
    [ "$(in_lab "$1" swiftlet endpoint ls --json | jq -r --arg name "$2" '.endpoints[] | select(.names[0] == $name).status')" = "$3" ]
}

cut_and_heal() {
    local begin
    heading "A host is cut off, and comes back"
    explain "h2's cable is pulled:"
    tell_prompt "" scripts/lab.sh cut h2
    begin=$EPOCHREALTIME
    lab_cut h2
    check "the others notice that h2 is gone" eventually 20 is_h2 failed
    explain "That took $(since "$begin") s. What was on h2 is not forgotten, only marked:"
    check "C1 is marked as suspended" eventually 5 endpoint_is h1 C1 suspended
    on h1 swiftlet endpoint ls
    check "C0 and C2 go on as if nothing had happened" inside h1 C0 ping -q -c 2 -i 0.2 -W 2 "$c2"
    check_refused "C1 is out of reach" inside h1 C0 ping -q -c 1 -W 1 "$c1"
    explain "h2, all alone, still takes in containers: it has addresses of its own to hand out. Then its cable is plugged in again."
    attach h2 C3
    check "C3 reaches C1 beside it" inside h2 C3 ping -q -c 1 -W 10 "$c1"
    tell_prompt "" scripts/lab.sh heal h2
    begin=$EPOCHREALTIME
    lab_heal h2
    check "h2 is back" eventually 30 is_h2 alive
    check "and C3 is known to all" eventually 10 endpoint_is h3 C3 live
    explain "That took $(since "$begin") s."
    check "C0 reaches C1 again" inside h1 C0 ping -q -c 1 -W 10 "$c1"
    check "C0 reaches C3, of whom it had not heard" inside h1 C0 ping -q -c 1 -W 10 "$(address_of C3)"
}

daemon_away() {
    local ping
    heading "A daemon is killed"
    explain "Packets are the kernel's business. While C1 pings C0 ten times a second, C0's daemon is killed and started again:"
    inside h2 C1 ping -q -c 20 -i 0.1 -W 1 "$c0" >"$work/ping" 2>&1 &
    ping=$!
    tell_prompt "" scripts/lab.sh stop h1 KILL
    lab_stop_daemon h1 KILL
    tell_prompt "" scripts/lab.sh start h1
    lab_start_daemon h1
    wait "$ping" || true
    tail -n 2 "$work/ping"
    check_says_of "not one packet was lost meanwhile" " 0% packet loss" cat "$work/ping"
    check "the daemon knows its containers again" eventually 10 endpoint_is h1 C0 live
}

one_host() {
    local address
    heading "One host alone: a bridge network"
    explain "For this no daemon is needed: plugins, a list, and the kernel."
    on h3 swiftlet network create --subnet 10.90.0.0/24 web
    on h3 ip netns add alice
    on h3 ip netns add bob
    explain "A plugin reads its configuration on standard input and the container in its environment, and prints a result:"
    on h3 bash -c 'jq -c "{cniVersion, name} + .plugins[0]" /etc/cni/net.d/60-web.conflist | CNI_COMMAND=ADD \
        CNI_CONTAINERID=bob CNI_NETNS=/run/netns/bob CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin /opt/cni/bin/bridge | jq -c .ips'
    check "alice joins, and publishes her port 8080 as the host's 8090" \
        in_lab h3 swiftlet cni add web alice --container-id alice --publish 8090:8080
    address=$(inside h3 alice ip -j -4 address show eth0 | jq -r '.[0].addr_info[0].local')
    check "bob reaches alice" inside h3 bob ping -q -c 1 -W 10 "$address"
    check "so does h3 itself" in_lab h3 ping -q -c 1 -W 10 "$address"
    in_lab h3 ip netns exec alice python3 "$root/scripts/lib/who.py" serve alice 8080 >"$work/who-alice" 2>&1 </dev/null &
    eventually 5 grep -q ready "$work/who-alice" || true
    check_says_of "the outside reaches alice through the host" "alice saw 198.51.100.2" \
        in_lab outside curl --silent --show-error --max-time 4 http://192.0.2.13:8090
    check "CHECK finds alice as she was left" in_lab h3 swiftlet cni check web alice --container-id alice
    in_lab h3 ip -n alice address flush dev eth0
    check_refused "CHECK sees that she lost her address" in_lab h3 swiftlet cni check web alice --container-id alice
    check "DEL alice" in_lab h3 swiftlet cni del web alice --container-id alice
    explain "bob's namespace goes first, as when a container crashes: DEL succeeds all the same, twice."
    in_lab h3 ip netns delete bob
    for _ in 1 2; do check "DEL bob" in_lab h3 swiftlet cni del web bob --container-id bob; done
    check "the network is removed" in_lab h3 swiftlet network rm web
}

the_end() {
    local host name
    heading "All is taken away, and nothing is left"
    for name in h1/C0 h1/sibling h2/C1 h2/C3 h3/C2; do
        host=${name%/*}
        check "DEL ${name#*/} on $host" in_lab "$host" swiftlet cni del demonet --container-id "${name#*/}"
        in_lab "$host" ip netns delete "${name#*/}"
    done
    for host in "${hosts[@]}"; do
        check "no overlay namespace is left on $host" eventually 10 in_lab "$host" test ! -e "$overlay"
        check_empty "no veth is left on $host" \
            "$(in_lab "$host" ip -o link show type veth | grep -v ' eth0[@:]' || true)"
        check_empty "no result and no reservation is left on $host" "$(in_lab "$host" find /var/lib/cni -type f \
            -not -name 'last_reserved_ip*' -not -name lock -not -path '*/.*' 2>/dev/null || true)"
        check "demonet is removed from $host" in_lab "$host" swiftlet network rm demonet
    done
    check "no host knows of it any more" eventually 10 no_network
}

no_network() { [ "$(in_lab h3 swiftlet network ls --json | jq length)" = 0 ]; }

main() {
    work=$(mktemp -d)
    lab=$work/lab
    trap 'lab_down; rm -rf -- "$work"' EXIT
    welcome
    three_hosts
    create_network
    containers
    inside_a_container
    overlay_namespace
    on_the_wire
    way_out_and_no_way_in
    cut_and_heal
    daemon_away
    one_host
    under_podman
    the_end
    heading "Summary"
    explain "One subnet over three hosts: attached, reached, shown, published, cut off, healed and taken away, in $SECONDS seconds." \
        "Nothing of it is left on this machine. To play with hosts of your own: scripts/lab.sh --help"
    lab_down
    finish_checks
}

parse "$@"
if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
    require_root
    if [ -n "$with_podman" ]; then
        "$root/scripts/dependencies.sh" test
    else
        "$root/scripts/dependencies.sh" run
    fi
    ensure_built
fi
enter_private "$@"
main
