# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what is not used here is for the scripts that source this; root comes from common.sh
# The world beyond a private world's host: a namespace behind an uplink, with no route back to any container, so that
# what reaches a container came by a published port and what a container reaches was masqueraded. Source it after
# common.sh, private.sh and checks.sh.

# TEST-NET-1 of RFC 5737: the host's two addresses on the uplink, and the outside's.
host_address=192.0.2.1
host_second_address=192.0.2.9
outside_address=192.0.2.2

make_outside() {
    ip netns add outside
    ip link add uplink type veth peer name uplink netns outside
    ip address add "$host_address/24" dev uplink
    ip address add "$host_second_address/24" dev uplink
    ip link set uplink up
    ip -n outside address add "$outside_address/24" dev uplink
    ip -n outside link set uplink up
    ip -n outside link set lo up
    start_who outside nsenter --net=/run/netns/outside
}

drop_outside() {
    kill "$who_outside" 2>/dev/null || true
    wait "$who_outside" 2>/dev/null || true
    ip link delete uplink
    ip netns delete outside
}

# start_who NAME COMMAND…: a server on port 8080, TCP and UDP, started by the command (nsenter …), that tells callers the
# address they were seen with. Its process id is in the variable who_NAME.
start_who() {
    local name=$1 attempt
    shift
    rm -f "/run/who-$name"
    "$@" python3 "$root/scripts/lib/who.py" serve "$name" 8080 </dev/null >"/run/who-$name" 2>&1 &
    printf -v "who_$name" %d "$!"
    for ((attempt = 0; attempt < 600; attempt++)); do
        if grep -qs ready "/run/who-$name"; then return 0; fi
        sleep 0.05
    done
    warn "no server $name: $(cat "/run/who-$name")"
}

# Runs a command outside.
outside() { timeout 40 nsenter --net=/run/netns/outside "$@"; }

# Two lost segments are sent again within five seconds.
fetch=(curl --silent --show-error --connect-timeout 5 --max-time 15 --noproxy '*')
ask=(python3 "$root/scripts/lib/who.py" ask)

# check_says NAME EXPECTED COMMAND…: passes when the command's first line is the expected one.
check_says() {
    local name=$1 expected=$2 answer
    shift 2
    answer=$("$@" 2>&1 | head -n 1) || true
    check_equal "$name" "$answer" "$expected"
}

# check_refused NAME COMMAND…: passes when the command fails.
check_refused() {
    local name=$1 answer
    shift
    if answer=$("$@" 2>&1); then
        not_ok "$name: \`$*\` succeeded: $answer"
    else
        ok "$name"
    fi
}

# Whatever of the packet filter belongs to one container: elements of our sets (those that belong to a network are
# left for GC), rules of iptables that name an address or a container. Chains that all share stay.
filter_entries() {
    if have nft; then
        nft -j list ruleset 2>/dev/null | jq -r '.nftables[] | (.set // .map // empty)
            | select(.name != "bridges" and .name != "bridge_pairs") | .name as $name | .elem[]? | "\($name) \(tojson)"'
        nft list ruleset 2>/dev/null | grep -E 'comment "' | grep -E 'dnat to|saddr [0-9]' || true
    fi
    if have iptables-save; then
        iptables-save 2>/dev/null | grep -E -- '-[sd] 10\.|--to-destination|CNI-DN-|CNI-[0-9a-f]{24}' || true
    fi
}

# Connection tracking entries of UDP that would still send packets for PORT to a container that is gone.
tracked_udp() {
    have conntrack || return 0
    conntrack -L -p udp 2>/dev/null | grep -E "dport=$1 " || true
}
