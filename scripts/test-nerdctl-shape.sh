#!/usr/bin/env bash
# Calls the plugins of the given directory as nerdctl does, without nerdctl: `firewall` with no environment to learn its
# version, DEL with an empty CNI_NETNS before every ADD, the chain bridge, portmap, firewall, tuning with port mappings
# in capital letters, DEL with an empty CNI_NETNS at the end. In a private world.
#
#   scripts/test-nerdctl-shape.sh [--tolerate] [DIR]
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

# The ids of servers, which start_who sets by name.
who_one=

TOLERATE=
directory=$ours
# What nerdctl gives: a namespace and 64 hexadecimal digits.
first=default-1f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d15ca1ab1e
second=default-2f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d15ca1ab1e
third=default-3f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d1f9e3a57c0de4b28a6d15ca1ab1e

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

# write_network NAME BRIDGE SUBNET GATEWAY POLICY
write_network() {
    jq -n --arg name "$1" --arg bridge "$2" --arg subnet "$3" --arg gateway "$4" --arg policy "$5" '{
        cniVersion: "1.0.0", name: $name, nerdctlID: "17f29b073143d8cd97b5bbe492bdeffec1c5fee55cc1fe2112c8b9335f8b6121",
        nerdctlLabels: {"nerdctl/default-network": "true"},
        plugins: [
            {type: "bridge", bridge: $bridge, isGateway: true, ipMasq: true, hairpinMode: true, ipam: {
                ranges: [[{gateway: $gateway, subnet: $subnet}]], routes: [{dst: "0.0.0.0/0"}], type: "host-local"}},
            {type: "portmap", capabilities: {portMappings: true}},
            {type: "firewall", ingressPolicy: $policy},
            {type: "tuning"}]}' >"/run/nerdctl/$1.conflist"
}

# About text on stderr, nothing on stdout, success; the version on its first line decides what nerdctl dares to write.
version_probe() {
    local plugin about version
    for plugin in bridge portmap firewall tuning; do
        about=$(env -i "$(plugin_file "$plugin")" 2>&1 >/run/nerdctl/stdout </dev/null) ||
            not_ok "$plugin without an environment fails"
        say "# $plugin says: $(head -n 1 <<<"$about")"
        check_empty "$plugin without an environment prints nothing on stdout" "$(cat /run/nerdctl/stdout)"
    done
    about=$(env -i "$(plugin_file firewall)" 2>&1 >/dev/null </dev/null) || true
    version=$(sed -nE '1s/^CNI firewall plugin v([0-9]+\.[0-9]+\.[0-9]+)([-+].*)?$/\1/p' <<<"$about")
    check_equal "firewall's version is 1.7.1 or later, which is where isolated begins" \
        "$(printf '%s\n' 1.7.1 "${version:-0}" | sort -V | head -n 1)" 1.7.1
}

attach_capabilities() { jq -n --argjson mappings "$1" '{portMappings: $mappings}'; }

# start ID NETWORK NAME PORTMAPPINGS [MORE ARGUMENTS]: as nerdctl's hooks do it.
start() {
    local id=$1 network=/run/nerdctl/$2.conflist name=$3 runtime
    runtime=$(attach_capabilities "$4")
    ip netns add "$name"
    check "$name: DEL with an empty namespace before ADD" chain DEL "$network" "$id" "" eth0 "$runtime"
    check "$name: ADD" chain ADD "$network" "$id" "/run/netns/$name" eth0 "$runtime" "IgnoreUnknown=1${5:-}"
    start_who "$name" nsenter "--net=/run/netns/$name"
}

# stop ID NETWORK NAME PORTMAPPINGS: the namespace goes with its process, then comes the DEL.
stop() {
    local server=who_$3
    kill "${!server}" 2>/dev/null || true
    wait "${!server}" 2>/dev/null || true
    ip netns delete "$3"
    check "$3: DEL with an empty namespace" chain DEL "/run/nerdctl/$2.conflist" "$1" "" eth0 "$(attach_capabilities "$4")"
}

from() {
    local name=$1
    shift
    timeout 40 nsenter "--net=/run/netns/$name" "$@"
}

same_bridge() {
    local ports='[{"HostPort": 18080, "ContainerPort": 8080, "Protocol": "tcp", "HostIP": "0.0.0.0"},
        {"HostPort": 18080, "ContainerPort": 8080, "Protocol": "udp", "HostIP": "0.0.0.0"},
        {"HostPort": 18081, "ContainerPort": 8080, "Protocol": "tcp", "HostIP": "192.0.2.1"}]'
    local one two
    start "$first" bridge one "$ports" ";IP=10.4.0.77;MAC=02:aa:bb:cc:dd:01"
    start "$second" bridge two '[]'
    start "$third" other three '[]'
    one=$(chain_address "$first" eth0)
    two=$(chain_address "$second" eth0)
    check_equal "the address asked for was given" "$one" 10.4.0.77
    check_equal "the MAC asked for was given" "$(ip -n one -j link show eth0 | jq -r '.[0].address')" 02:aa:bb:cc:dd:01
    check_says "outside reaches the published port, TCP" "one saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18080"
    check_says "outside reaches the published port, UDP" "one saw $outside_address" \
        outside "${ask[@]}" "$host_address" 18080
    check_says "outside reaches the port published on one address" "one saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18081"
    check_refused "it is not on the other address" outside "${fetch[@]}" "http://$host_second_address:18081"
    check_says "the host reaches it by localhost" "one saw 10.4.0.1" "${fetch[@]}" http://127.0.0.1:18080
    check_says "the container reaches its own published port" "one saw 10.4.0.1" \
        from one "${fetch[@]}" "http://$host_address:18080"
    check_says "the container is masqueraded" "outside saw $host_address" \
        from one "${fetch[@]}" "http://$outside_address:8080"
    check_says "siblings reach each other, unmasqueraded" "two saw $one" from one "${fetch[@]}" "http://$two:8080"
    check_refused "another network does not reach it" from three "${fetch[@]}" "http://$one:8080"
    check_refused "nor it another network" from one "${fetch[@]}" "http://$(chain_address "$third" eth0):8080"
    restart "$ports" ";IP=10.4.0.77;MAC=02:aa:bb:cc:dd:01"
    check_says "the published port works after it" "one saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18080"
    stop "$first" bridge one "$ports"
    check_empty "no UDP connection to the container is remembered" "$(tracked_udp 18080)"
    check_refused "the published port is gone" outside "${fetch[@]}" "http://$host_address:18080"
    check_says "the sibling is masqueraded as before" "outside saw $host_address" \
        from two "${fetch[@]}" "http://$outside_address:8080"
    stop "$second" bridge two '[]'
    stop "$third" other three '[]'
}

# nerdctl restart: the namespace went with the process, nobody sent a DEL; the one before the ADD must do.
restart() {
    kill "$who_one"
    wait "$who_one" 2>/dev/null || true
    ip netns delete one
    start "$first" bridge one "$1" "$2"
}

isolated() {
    local ports='[{"HostPort": 18082, "ContainerPort": 8080, "Protocol": "tcp", "HostIP": ""}]'
    start "$first" isolated four "$ports"
    start "$second" isolated five '[]'
    check_says "isolated: outside reaches the published port" "four saw $outside_address" \
        outside "${fetch[@]}" "http://$host_address:18082"
    check_says "isolated: the container is masqueraded" "outside saw $host_address" \
        from four "${fetch[@]}" "http://$outside_address:8080"
    check_refused "isolated: siblings do not reach each other" \
        from four "${fetch[@]}" "http://$(chain_address "$second" eth0):8080"
    check_refused "isolated: nor the other way" from five "${fetch[@]}" "http://$(chain_address "$first" eth0):8080"
    stop "$first" isolated four "$ports"
    stop "$second" isolated five '[]'
}

main() {
    parse "$@"
    mkdir -p /run/nerdctl
    own_plugins_alone "$directory"
    report_served_by bridge host-local portmap firewall tuning
    write_network bridge nerdctl0 10.4.0.0/24 10.4.0.1 same-bridge
    write_network other br-0123456789ab 10.4.1.0/24 10.4.1.1 same-bridge
    write_network isolated br-ba9876543210 10.4.2.0/24 10.4.2.1 isolated
    version_probe
    make_outside
    same_bridge
    isolated
    await_no_veth uplink
    drop_outside
    check_empty "no rule of a container is left" "$(filter_entries)"
    check_nothing_left nerdctl0 br-0123456789ab br-ba9876543210
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
