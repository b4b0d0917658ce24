#!/usr/bin/env bash
# Lets a real firewalld guard the host, on a private system bus in a private world, and sends traffic through containers
# attached by the given directory's plugins: the chain bridge, portmap, firewall, which has to tell firewalld of them.
#
#   scripts/test-firewalld.sh [--tolerate] [DIR]
#
# With SWIFTLET_LONG=1 every policy meets both of firewalld's back ends.
#
# --tolerate  report differences, but succeed: for looking at another suite's plugins
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/checks.sh
. "$here/lib/checks.sh"
# shellcheck source=scripts/lib/runtimes.sh
. "$here/lib/runtimes.sh"
# shellcheck source=scripts/lib/chain.sh
. "$here/lib/chain.sh"
# shellcheck source=scripts/lib/outside.sh
. "$here/lib/outside.sh"

# The processes that run.
bus=
firewalld=

TOLERATE=
directory=$ours
networks=/run/firewalld-test
# A bridge keeps its network's policy until the runtime's GC, so that each round has bridges of its own.
bridges=()
# RFC 3849's documentation prefix: the uplink's and the two networks'.
host_address6=2001:db8:ffff::1
outside_address6=2001:db8:ffff::2
# What must not get through is dropped in silence, at times: half a second is for the kernel to say no.
refused=(curl --silent --connect-timeout 0.5 --max-time 2 --noproxy '*')
mappings='{"portMappings": [
    {"hostPort": 18080, "containerPort": 8080, "protocol": "tcp"},
    {"hostPort": 18080, "containerPort": 8080, "protocol": "udp"},
    {"hostPort": 18081, "containerPort": 8080, "protocol": "tcp", "hostIP": "192.0.2.1"}]}'

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --tolerate) TOLERATE=1 ;;
        -h | --help) usage && exit 0 ;;
        -*) die "unknown option '$1'" ;;
        *) directory=$1 ;;
        esac
        shift
    done
}

# The system bus with the system's own configuration, at its usual place in this world's /run.
start_bus() {
    local attempt
    mkdir -p /run/dbus
    dbus-daemon --system --nofork --nopidfile </dev/null >"$networks/bus.log" 2>&1 &
    bus=$!
    for ((attempt = 0; attempt < 300; attempt++)); do
        if [ -S /run/dbus/system_bus_socket ]; then return 0; fi
        sleep 0.05
    done
    die "no system bus: $(cat "$networks/bus.log")"
}

# start_firewalld BACKEND: nftables or iptables, with no configuration but that.
start_firewalld() {
    local attempt etc=$networks/etc
    rm -rf "$etc"
    mkdir -p "$etc"
    printf '%s\n' DefaultZone=public "FirewallBackend=$1" >"$etc/firewalld.conf"
    firewalld --nofork --nopid --system-config "$etc" --log-target file --log-file "$networks/firewalld.log" \
        </dev/null >"$networks/firewalld.out" 2>&1 &
    firewalld=$!
    for ((attempt = 0; attempt < 300; attempt++)); do
        if firewall-cmd --state >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    die "no firewalld: $(cat "$networks/firewalld.log" "$networks/firewalld.out")"
}

stop_firewalld() {
    kill "$firewalld"
    wait "$firewalld" 2>/dev/null || true
}

# What firewalld has of the zone, in order.
sources() { firewall-cmd --zone=trusted --list-sources | tr ' ' '\n' | sed '/^$/d' | sort; }

# write_network NAME BRIDGE NUMBER PLUGINS...: 10.88.NUMBER.0/24 and 2001:db8:NUMBER::/64. Each plugin behind bridge and
# portmap is given in JSON.
write_network() {
    local name=$1 bridge=$2 number=$3
    shift 3
    printf '%s\n' "$@" | jq -s --arg name "$name" --arg bridge "$bridge" --arg number "$number" '{
        cniVersion: "1.0.0", name: $name, plugins: ([
            {type: "bridge", bridge: $bridge, isGateway: true, ipMasq: true, hairpinMode: true, ipam: {
                type: "host-local", routes: [{dst: "0.0.0.0/0"}, {dst: "::/0"}],
                ranges: [[{subnet: "10.88.\($number).0/24"}], [{subnet: "2001:db8:\($number)::/64"}]]}},
            {type: "portmap", capabilities: {portMappings: true}}] + .)}' >"$networks/$name.conflist"
}

# attach COMMAND NETWORK NAME [RUNTIME CONFIGURATION]
attach() { chain "$1" "$networks/$2.conflist" "container-$3" "/run/netns/$3" eth0 "${4:-}"; }

# start NETWORK NAME [RUNTIME CONFIGURATION]: attaches and serves.
start() {
    ip netns add "$2"
    check "$2: ADD" attach ADD "$1" "$2" "${3:-}"
    start_who "$2" nsenter "--net=/run/netns/$2"
}

# stop NETWORK NAME [RUNTIME CONFIGURATION]
stop() {
    local server=who_$2
    kill "${!server}" 2>/dev/null || true
    wait "${!server}" 2>/dev/null || true
    check "$2: DEL" attach DEL "$1" "$2" "${3:-}"
    ip netns delete "$2"
}

address() { chain_address "container-$1" eth0; }
address6() { jq -r '.ips[1].address | split("/")[0]' "$chain_results/container-$1-eth0.json"; }

from() {
    local name=$1
    shift
    timeout 40 nsenter "--net=/run/netns/$name" "$@"
}

# Without the plugin nothing gets out: what follows is due to it.
without_the_plugin() {
    write_network bare firewalld-bare 3
    start bare zero
    check_refused "without the firewall plugin firewalld lets nothing out" \
        from zero "${refused[@]}" "http://$outside_address:8080"
    check_refused "nor over IPv6" from zero "${refused[@]}" "http://[$outside_address6]:8080"
    stop bare zero
}

# reachability NAME POLICY: container one is where it should be, for everybody outside and for itself.
reachability() {
    check_says "$1: outside is reached, masqueraded" "outside saw $host_address" \
        from one "${fetch[@]}" "http://$outside_address:8080"
    check_says "$1: over IPv6, too" "outside saw $host_address6" \
        from one "${fetch[@]}" "http://[$outside_address6]:8080"
    check_says "$1: the published port, TCP" "one saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18080"
    check_says "$1: over IPv6, too" "one saw $outside_address6" \
        outside "${fetch[@]}" "http://[$host_address6]:18080"
    check_says "$1: the published port, UDP" "one saw $outside_address" outside "${ask[@]}" "$host_address" 18080
    check_says "$1: over IPv6, too" "one saw $outside_address6" outside "${ask[@]}" "$host_address6" 18080
    check_says "$1: the port published on one address" "one saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18081"
    check_refused "$1: which is not on the other address" \
        outside "${refused[@]}" "http://$host_second_address:18081"
    check_says "$1: the published port by localhost" "one saw 10.88.1.1" "${fetch[@]}" http://127.0.0.1:18080
    if [ "$2" != isolated ]; then
        check_says "$1: the container's own published port" "one saw 10.88.1.1" \
            from one "${fetch[@]}" "http://$host_address:18080"
    fi
    check_refused "$1: no other port of the container" outside_by_route "http://$(address one):8080"
}

# Outside has no route to containers; with one, firewalld has to refuse.
outside_by_route() {
    local status=0
    ip -n outside route add 10.88.1.0/24 via "$host_address"
    outside "${refused[@]}" "$@" || status=$?
    ip -n outside route delete 10.88.1.0/24
    return "$status"
}

# neighbours NAME POLICY: one and two share a network, three is on another; both networks have the policy.
neighbours() {
    local family there
    for family in address address6; do
        if [ "$2" = isolated ]; then
            check_refused "$1: siblings do not reach each other ($family)" \
                from one "${refused[@]}" "http://$(bracketed "$("$family" two)"):8080"
        else
            check_says "$1: siblings reach each other, unmasqueraded ($family)" "two saw $("$family" one)" \
                from one "${fetch[@]}" "http://$(bracketed "$("$family" two)"):8080"
        fi
        there=$(bracketed "$("$family" three)")
        if [ "$2" = open ]; then
            check_says "$1: the other network is reached ($family)" "three saw" \
                first_two_words from one "${fetch[@]}" "http://$there:8080"
        else
            check_refused "$1: the other network is not reached ($family)" \
                from one "${refused[@]}" "http://$there:8080"
        fi
    done
}

bracketed() { if [[ $1 = *:* ]]; then printf '[%s]\n' "$1"; else printf '%s\n' "$1"; fi; }

first_two_words() { "$@" | cut -d ' ' -f 1-2; }

# round NAME PLUGIN POLICY: three containers come, talk and go.
round() {
    local name=$1 plugin=$2 policy=$3 before container list
    before=$(sources)
    bridges+=("fw-inner-${#bridges[@]}" "fw-other-${#bridges[@]}")
    write_network inner "${bridges[-2]}" 1 "$plugin"
    write_network other "${bridges[-1]}" 2 "$plugin"
    start inner one "$mappings"
    start inner two
    start other three
    list=$(for container in one two three; do printf '%s/32\n%s/128\n' "$(address "$container")" "$(address6 "$container")"; done)
    check_equal "$name: firewalld knows the containers' addresses" "$(sources)" \
        "$(printf '%s\n' "$before" "$list" | sed '/^$/d' | sort)"
    check "$name: CHECK" attach CHECK inner one "$mappings"
    reachability "$name" "$policy"
    neighbours "$name" "$policy"
    if [ "$policy" = open ]; then reload "$name"; fi
    stop inner one "$mappings"
    check_refused "$name: the published port is gone" outside "${refused[@]}" "http://$host_address:18080"
    check_says "$name: the sibling stays" "outside saw $host_address" \
        from two "${fetch[@]}" "http://$outside_address:8080"
    stop inner two
    stop other three
    # The next round has these subnets again.
    ip link delete "${bridges[-2]}"
    ip link delete "${bridges[-1]}"
    check_equal "$name: firewalld's zone is back to what it was" "$(sources)" "$before"
    check_empty "$name: no rule of a container is left" "$(filter_entries)"
}

# The containers outlive firewalld: their end finds nobody to tell.
stopped_before_delete() {
    write_network inner "${bridges[0]}" 1 '{"type": "firewall", "backend": "firewalld"}'
    start inner one "$mappings"
    stop_firewalld
    stop inner one "$mappings"
    ip link delete "${bridges[0]}"
    check_empty "no rule of a container is left without firewalld either" "$(filter_entries)"
}

# Runtime sources do not survive a reload, the reference's neither: CHECK tells, a new ADD of the plugin heals.
reload() {
    firewall-cmd --quiet --reload
    check_equal "$1: after firewall-cmd --reload the zone is empty" "$(sources)" ""
    check_refused "$1: CHECK tells" attach CHECK inner one "$mappings"
    check "$1: DEL after it" attach DEL inner one "$mappings"
    check "$1: ADD after it" attach ADD inner one "$mappings"
    check "$1: CHECK after it" attach CHECK inner one "$mappings"
    reachability "$1, after the reload" open
    check "$1: two is attached again" attach DEL inner two
    check "$1: and is back" attach ADD inner two
}

main() {
    parse "$@"
    PATH=$PATH:/usr/sbin:/sbin
    if ! have firewalld || ! have dbus-daemon; then
        skip "a real firewalld" "firewalld and dbus-daemon are not installed and could not be"
        finish_checks
    fi
    mkdir -p "$networks"
    own_plugins_alone "$directory"
    report_served_by bridge host-local portmap firewall
    start_bus
    make_outside
    ip address add "$host_address6/64" dev uplink nodad
    ip -n outside address add "$outside_address6/64" dev uplink nodad
    start_firewalld nftables
    say "# firewalld $(firewall-cmd --version)"
    without_the_plugin
    round "nftables, told to use firewalld" '{"type": "firewall", "backend": "firewalld"}' open
    round "nftables, by itself" '{"type": "firewall", "ingressPolicy": "same-bridge"}' same-bridge
    if [ -n "${SWIFTLET_LONG:-}" ]; then
        round "nftables, isolated" '{"type": "firewall", "ingressPolicy": "isolated"}' isolated
    fi
    stopped_before_delete
    # firewalld's older way, where the masquerade and the ports are iptables', too.
    start_firewalld iptables
    if [ -n "${SWIFTLET_LONG:-}" ]; then
        without_the_plugin
        round "iptables, told to use firewalld" '{"type": "firewall", "backend": "firewalld"}' open
        round "iptables, by itself" '{"type": "firewall", "ingressPolicy": "same-bridge"}' same-bridge
    fi
    round "iptables, isolated" '{"type": "firewall", "backend": "firewalld", "ingressPolicy": "isolated"}' isolated
    stop_firewalld
    await_no_veth uplink
    drop_outside
    check_nothing_left firewalld-bare
    kill "$bus"
    finish_checks
}

if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
    case " $* " in *" -h "* | *" --help "*) usage && exit 0 ;; esac
    require_root
    "$root/scripts/dependencies.sh" test
    ensure_built
fi
enter_private "$@"
main "$@"
