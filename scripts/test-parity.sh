#!/usr/bin/env bash
# Gives our executables and the reference's the same input, and compares results, kernel state and files; then removes
# with one suite what the other has made. In a private world.
#
#   scripts/test-parity.sh [--tolerate] [OURS [REFERENCE]]
#
# OURS, REFERENCE  the directories to compare (default: dist/bin and the reference plugins)
# --tolerate       report differences, but succeed
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/checks.sh
. "$here/lib/checks.sh"

TOLERATE=
id=5ea1ab1e

parse() {
    local given=()
    while [ $# -gt 0 ]; do
        case $1 in
        --tolerate) TOLERATE=1 ;;
        -h | --help) usage && exit 0 ;;
        -*) die "unknown option '$1'" ;;
        *) given+=("$1") ;;
        esac
        shift
    done
    ours=${given[0]:-$ours}
    reference=${given[1]:-$reference}
}

# call DIRECTORY PLUGIN COMMAND CONFIGURATION [CNI_ARGS] [CONTAINER]
call() {
    local directory=$1 plugin=$2 command=$3 configuration=$4 arguments=${5:-} container=${6:-$id}
    timeout 30 env CNI_COMMAND="$command" CNI_CONTAINERID="$container" CNI_NETNS=/run/netns/box CNI_IFNAME=eth0 \
        CNI_ARGS="$arguments" CNI_PATH="$directory" "$directory/$plugin" <<<"$configuration" 2>/dev/null
}

with_previous() { jq -c --argjson previous "$2" '. + {prevResult: $previous}' <<<"$1"; }

fresh_host() {
    local link
    ip netns delete box 2>/dev/null || true
    for link in $(ip -j link show type bridge | jq -r '.[].ifname?'); do ip link delete "$link"; done
    rm -rf /var/lib/cni/networks
    ip netns add box
}

# Names and addresses that are random by nature become fixed words, and an empty dns counts as none, as the specification
# has it; the rest must agree.
normal_result() {
    jq -S 'if .dns == {} then del(.dns) else . end | (.interfaces // [])[] |= (
        if .mac then .mac = "MAC" else . end | if .name | test("^veth") then .name = "VETH" else . end)' 2>/dev/null || echo "not JSON"
}

# What the kernel holds for the container and its host, without what is random.
kernel_state() {
    {
        ip -n box -j address show dev eth0 2>/dev/null | jq -cS '[.[] | {ifname, mtu, operstate,
            addr_info: [.addr_info[] | select(.scope == "global") | {family, local, prefixlen, broadcast}]}]'
        ip -n box -j route 2>/dev/null | jq -cS 'map({dst, gateway, dev, scope, metric}) | sort_by(.dst)'
        ip -n box -j -6 route 2>/dev/null |
            jq -cS 'map(select(.dst | startswith("fe80") | not) | {dst, gateway, dev, metric}) | sort_by(.dst)'
        ip -j address show type bridge | jq -cS '[.[] | select(.ifname) | {ifname, mtu, promisc: (.promiscuity > 0),
            addr_info: [.addr_info[] | select(.scope == "global") | {family, local, prefixlen}]}]'
        ip -j -d link show type veth | jq -cS '[.[] | select(.ifname) | {master, mtu,
            hairpin: .linkinfo.info_slave_data.hairpin, isolated: .linkinfo.info_slave_data.isolated}]'
        sysctl -n net.ipv4.ip_forward
    } 2>&1
}

# Every file of the store with its exact bytes; what is derived from them is hidden.
store_state() {
    local file
    while read -r file; do
        printf '%s: %s\n' "${file#/var/lib/cni/networks/}" "$(od -An -tx1 "$file" | tr -d ' \n')"
    done < <(find /var/lib/cni/networks -mindepth 1 -name '.*' -prune -o -type f -print 2>/dev/null | sort)
}

left_over() {
    ip -o link show type veth
    reservations
}

bridge_network() {
    jq -cn --arg version "$1" --argjson more "$2" --argjson ipam "$3" '{cniVersion: $version, name: "parity",
        type: "bridge", bridge: "parity0", isGateway: true, ipam: ({type: "host-local"} + $ipam)} + $more'
}

# One attachment with one suite: sets result, kernel and store.
attach() {
    local directory=$1 configuration=$2 arguments=$3
    fresh_host
    result=$(call "$directory" bridge ADD "$configuration" "$arguments") || true
    kernel=$(kernel_state)
    store=$(store_state)
}

# Compares two texts; shows the difference when they are not the same.
compare() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1:"$'\n'"$(diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") |
            sed 's/^</    reference:/;s/^>/    ours:/' || true)"
    fi
}

bridge_case() {
    local name=$1 configuration=$2 arguments=${3:-} theirs their_kernel their_store previous
    attach "$reference" "$configuration" "$arguments"
    theirs=$result their_kernel=$kernel their_store=$store
    # Two equal failures would be parity of nothing.
    check "$name: the reference accepts it" jq -e '.ips | length > 0' <<<"$theirs"
    attach "$ours" "$configuration" "$arguments"
    compare "$name: same result" "$(normal_result <<<"$result")" "$(normal_result <<<"$theirs")"
    compare "$name: same kernel state" "$kernel" "$their_kernel"
    compare "$name: same store" "$store" "$their_store"
    previous=$(with_previous "$configuration" "$result") || previous=$configuration
    case $(jq -r .cniVersion <<<"$configuration") in
    0.3.*) ;;
    *)
        check "$name: CHECK with ours" call "$ours" bridge CHECK "$previous" "$arguments"
        check "$name: CHECK with the reference" call "$reference" bridge CHECK "$previous" "$arguments"
        ;;
    esac
    check "$name: made by ours, removed by the reference" call "$reference" bridge DEL "$previous" "$arguments"
    check_empty "$name: nothing is left" "$(left_over)"
    attach "$reference" "$configuration" "$arguments"
    previous=$(with_previous "$configuration" "$result") || previous=$configuration
    check "$name: made by the reference, removed by ours" call "$ours" bridge DEL "$previous" "$arguments"
    check_empty "$name: nothing is left of that either" "$(left_over)"
}

bridges() {
    local version four both
    four='{"ranges": [[{"subnet": "10.77.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}'
    both='{"ranges": [[{"subnet": "10.77.0.0/24"}], [{"subnet": "fd77::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}'
    for version in 0.3.1 0.4.0 1.0.0; do
        bridge_case "bridge $version" "$(bridge_network "$version" '{}' "$four")"
    done
    bridge_case "bridge dual stack" "$(bridge_network 1.0.0 '{}' "$both")"
    bridge_case "bridge default gateway" "$(bridge_network 1.0.0 '{"isDefaultGateway": true}' \
        '{"subnet": "10.78.0.0/16", "rangeStart": "10.78.1.7", "rangeEnd": "10.78.1.9", "gateway": "10.78.0.1"}')"
    bridge_case "bridge mtu and hairpin" "$(bridge_network 1.0.0 '{"mtu": 1400, "hairpinMode": true}' "$four")"
    bridge_case "bridge promiscuous" "$(bridge_network 1.0.0 '{"promiscMode": true}' "$four")"
    bridge_case "bridge without gateway" "$(bridge_network 1.0.0 '{"isGateway": false}' \
        '{"ranges": [[{"subnet": "10.77.0.0/24"}]], "routes": [{"dst": "10.99.0.0/16", "gw": "10.77.0.9"}]}')"
    bridge_case "bridge fixed address and MAC" "$(bridge_network 1.0.0 '{}' "$four")" \
        'IgnoreUnknown=1;IP=10.77.0.99;MAC=02:aa:bb:cc:dd:01'
}

# A sequence of calls on one store, as text: results and errors' messages, then the files.
allocation_story() {
    local directory=$1 configuration=$2 step command container
    shift 2
    fresh_host
    for step in "$@"; do
        command=${step%% *}
        container=${step#* }
        printf '%s: ' "$step"
        call "$directory" host-local "$command" "$configuration" "" "$container" |
            jq -cS 'if .code then {msg} elif .dns == {} then del(.dns) else . end' 2>/dev/null || true
        echo
    done
    store_state
}

allocation_case() {
    local name=$1 configuration=$2
    shift 2
    compare "host-local $name" "$(allocation_story "$ours" "$configuration" "$@")" \
        "$(allocation_story "$reference" "$configuration" "$@")"
}

allocations() {
    local one='{"cniVersion": "1.0.0", "name": "pool", "ipam": {"type": "host-local",
        "ranges": [[{"subnet": "10.66.0.0/24"}]]}}'
    local tiny='{"cniVersion": "1.0.0", "name": "pool", "ipam": {"type": "host-local",
        "ranges": [[{"subnet": "10.66.0.0/29", "rangeStart": "10.66.0.2", "rangeEnd": "10.66.0.4"}]]}}'
    local sets='{"cniVersion": "0.4.0", "name": "pool", "ipam": {"type": "host-local", "ranges": [
        [{"subnet": "10.66.0.0/30"}, {"subnet": "10.67.0.0/30"}], [{"subnet": "fd66::/120"}]]}}'
    allocation_case "takes the next address" "$one" 'ADD a' 'ADD b' 'DEL a' 'ADD c' 'ADD a'
    allocation_case "wraps around and runs out" "$tiny" 'ADD a' 'ADD b' 'ADD c' 'ADD d' 'DEL b' 'ADD d' 'DEL a' 'ADD e'
    allocation_case "walks through range sets" "$sets" 'ADD a' 'ADD b' 'ADD c' 'DEL a' 'ADD c'
    allocation_case "removes what is not there" "$one" 'DEL ghost' 'ADD a' 'DEL a' 'DEL a'
}

loopbacks() {
    local version configuration theirs
    for version in 0.3.1 1.0.0; do
        configuration="{\"cniVersion\": \"$version\", \"name\": \"lo\", \"type\": \"loopback\"}"
        fresh_host
        theirs=$(CNI_IFNAME=lo call_loopback "$reference" ADD "$configuration") || true
        fresh_host
        compare "loopback $version: same result" \
            "$(call_loopback "$ours" ADD "$configuration" | addresses_alone || true)" "$(addresses_alone <<<"$theirs")"
        check_equal "loopback $version: lo is up" \
            "$(ip -n box -j link show lo | jq -r '.[0].flags | index("UP") != null')" true
        check "loopback $version: DEL" call_loopback "$ours" DEL "$configuration"
    done
}

# Before 1.0.0 an address has a "version", which the reference's loopback leaves out.
addresses_alone() { jq -S '(if .dns == {} then del(.dns) else . end) | del(.ips[]?.version)'; }

call_loopback() {
    timeout 30 env CNI_COMMAND="$2" CNI_CONTAINERID="$id" CNI_NETNS=/run/netns/box CNI_IFNAME=lo CNI_PATH="$1" \
        "$1/loopback" <<<"$3" 2>/dev/null
}

call_leased() {
    timeout 30 env CNI_COMMAND="$1" CNI_CONTAINERID="$id" CNI_NETNS=/run/netns/box CNI_IFNAME=eth0 CNI_PATH="$reference" \
        "$ours/bridge" <<<"$2"
}

# Our bridge with the reference's dhcp, which asks a server by the container's interface.
leases() {
    local configuration answer address programs=()
    if [ ! -x "$reference/dhcp" ] || ! have busybox; then
        skip leases "no dhcp in $reference or no busybox, which has a DHCP server"
        return
    fi
    fresh_host
    ip link add lan type bridge
    ip address add 10.7.0.1/24 dev lan
    ip link set lan up
    mkdir -p /run/cni
    printf '%s\n' 'start 10.7.0.20' 'end 10.7.0.30' 'interface lan' 'lease_file /run/leases' 'pidfile /run/udhcpd.pid' \
        'option subnet 255.255.255.0' 'option router 10.7.0.1' >/run/udhcpd.conf
    : >/run/leases
    busybox udhcpd -f /run/udhcpd.conf >/run/udhcpd.log 2>&1 &
    programs+=($!)
    "$reference/dhcp" daemon >/run/dhcp.log 2>&1 &
    programs+=($!)
    for _ in {1..100}; do
        [ ! -S /run/cni/dhcp.sock ] || break
        sleep 0.05
    done
    configuration='{"cniVersion": "1.0.0", "name": "lan", "type": "bridge", "bridge": "lan", "ipam": {"type": "dhcp"}}'
    answer=$(call_leased ADD "$configuration") || true
    address=$(jq -r '.ips[0].address // "none"' <<<"$answer")
    check_equal "dhcp: the container has the leased address" \
        "$(ip -n box -j -4 address show eth0 | jq -r '.[0].addr_info[0] | "\(.local)/\(.prefixlen)"')" "$address"
    check "dhcp: it reaches the router" ip netns exec box ping -c 1 -W 5 10.7.0.1
    check "dhcp: DEL" call_leased DEL "$configuration"
    check_equal "dhcp: the lease was released, by the interface" \
        "$(grep -c 'releasing lease' /run/dhcp.log) $(grep -c 'failed to release' /run/dhcp.log)" "1 0"
    check_equal "dhcp: no interface is left" "$(ip -n box -j link show | jq -r '.[].ifname')" lo
    kill "${programs[@]}"
    ip link delete lan
}

main() {
    if [ ! -x "$reference/bridge" ]; then
        skip parity "no reference plugins in $reference and containernetworking-plugins could not be installed"
        finish_checks
    fi
    bridges
    allocations
    loopbacks
    leases
    finish_checks
}

parse "$@"
if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
    require_root
    "$root/scripts/dependencies.sh" test
    ensure_built
fi
enter_private "$@"
main
