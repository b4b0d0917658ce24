#!/usr/bin/env bash
# Shows the plugins at work, called as a runtime calls them: network namespaces joined by a bridge, kept apart, let out
# under the host's address, reached by a published port; then podman over the same executables.
#
#   scripts/demo.sh [--plugins DIR] [--no-podman]
#
# --plugins DIR  show the plugins of DIR instead of dist/bin
# --no-podman    leave podman out
#
# Everything happens in network, mount and process namespaces of its own: the host's network is not touched, and
# nothing is left when it ends.
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

# Set by start_who.
who_erin=
with_podman=1
bold='' dim='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

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

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
explain() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }

# Shows a command, then runs it.
show() {
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@" || printf '(exit status %d)\n' "$?"
}

# What a runtime hands a plugin: one plugin of the list, with the list's name and version, and the previous result.
request() {
    jq -c --argjson previous "${2:-null}" '{cniVersion, name} + .plugins[0]
        + (if $previous == null then {} else {prevResult: $previous} end)' "$1"
}

# call COMMAND CONFLIST CONTAINER [PREVIOUS RESULT]
call() {
    local plugin
    plugin=$(jq -r '.plugins[0].type' "$2")
    request "$2" "${4:-null}" | env CNI_COMMAND="$1" CNI_CONTAINERID="demo-$3" CNI_NETNS="/run/netns/$3" \
        CNI_IFNAME=eth0 CNI_PATH="$ours" "$ours/$plugin"
}

# Adds a container and keeps its result in /run/demo/CONTAINER.json.
add() {
    mkdir -p /run/demo
    if call ADD "$1" "$2" >"/run/demo/$2.json" && [ -n "$(address_of "$2")" ]; then
        ok "ADD $2"
    else
        not_ok "ADD $2: $(cat "/run/demo/$2.json")"
    fi
}

address_of() { jq -r '.ips[0].address // "" | split("/")[0]' "/run/demo/$1.json"; }

plugin_versions() {
    local plugin
    heading "1. The plugins"
    explain "A runtime asks each plugin which versions of the protocol it speaks: CNI_COMMAND=VERSION."
    for plugin in bridge gwbridge-nat portmap firewall tuning bandwidth host-local null loopback; do
        if [ -x "$ours/$plugin" ]; then
            printf '%-13s ' "$plugin"
            printf '{"cniVersion":"1.0.0"}' | env CNI_COMMAND=VERSION "$ours/$plugin" | jq -c . || true
        fi
    done
}

two_containers() {
    local network=$root/conf/swiftlet-bridge.conflist result
    heading "2. Two containers on a bridge network"
    explain "A container is a network namespace here. The network is conf/swiftlet-bridge.conflist:"
    show jq -c '.plugins[0]' "$network"
    show ip netns add alice
    show ip netns add bob
    explain "ADD: configuration on stdin, the container in the environment, the result on stdout."
    printf '%s$ CNI_COMMAND=ADD CNI_CONTAINERID=demo-alice CNI_NETNS=/run/netns/alice CNI_IFNAME=eth0 CNI_PATH=%s bridge%s\n' \
        "$bold" "$ours" "$plain"
    add "$network" alice
    add "$network" bob
    show jq . /run/demo/alice.json

    heading "3. What that made"
    show ip -br -n alice address
    show ip -n alice route
    show ip -br -n bob address
    show ip -br address show dev swiftlet0
    show bridge link
    explain "host-local keeps one file per address, holding the container and its interface:"
    show ls -A /var/lib/cni/networks/swiftlet-bridge

    heading "4. They reach each other, and the gateway"
    show ip netns exec alice ping -c 2 -i 0.2 -W 2 "$(address_of bob)"
    check "alice reaches bob" ip netns exec alice ping -q -c 1 -W 10 "$(address_of bob)"
    check "bob reaches alice" ip netns exec bob ping -q -c 1 -W 10 "$(address_of alice)"
    check "alice reaches the gateway" ip netns exec alice ping -q -c 1 -W 10 10.90.0.1
    check "the host reaches bob" ping -q -c 1 -W 10 "$(address_of bob)"

    heading "5. CHECK compares the result with the kernel"
    result=$(cat /run/demo/alice.json)
    check "CHECK alice" call CHECK "$network" alice "$result"
    show ip -n alice address flush dev eth0
    if call CHECK "$network" alice "$result" >/run/demo/check.json; then
        not_ok "CHECK did not see that alice lost her address"
    else
        ok "CHECK sees that alice lost her address"
        show jq -c . /run/demo/check.json
    fi

    heading "6. DEL, and nothing is left"
    result=$(cat /run/demo/bob.json)
    check "DEL alice" call DEL "$network" alice "$(cat /run/demo/alice.json)"
    show ip netns delete bob
    explain "bob's namespace is gone already, as it is when a container crashed: DEL succeeds all the same, twice."
    check "DEL bob" call DEL "$network" bob "$result"
    check "DEL bob again" call DEL "$network" bob "$result"
    show ip netns delete alice
    await_no_veth ""
    show bridge link
    show ls -A /var/lib/cni/networks/swiftlet-bridge
    check_nothing_left swiftlet0
}

isolated_containers() {
    local network=$root/conf/swiftlet-isolated.conflist name
    heading "7. A network whose containers cannot reach each other: icc off"
    explain "conf/swiftlet-isolated.conflist sets \"icc\": false: every port of the bridge is isolated."
    for name in carol dave; do
        ip netns add "$name"
        add "$network" "$name"
    done
    show bridge -d link
    check "carol reaches the gateway" ip netns exec carol ping -q -c 1 -W 10 10.93.0.1
    if ip netns exec carol ping -q -c 1 -W 1 "$(address_of dave)" >/dev/null 2>&1; then
        not_ok "carol reaches dave, and should not"
    else
        ok "carol does not reach dave"
    fi
    for name in carol dave; do
        check "DEL $name" call DEL "$network" "$name" "$(cat "/run/demo/$name.json")"
        ip netns delete "$name"
    done
    check_nothing_left swiftlet3
}

# A web server in a container, published; the outside has no route to the container and no interest in one.
published_port() {
    local network=$root/conf/swiftlet-default.conflist address
    local runtime='{"portMappings": [{"hostPort": 8088, "containerPort": 8080, "protocol": "tcp"}]}'
    plugin_dirs=("$ours")
    heading "8. The way out and the way in: masquerade and a published port"
    explain "conf/swiftlet-default.conflist chains bridge with ipMasq, portmap and firewall; the runtime hands over the port."
    show jq -c '.plugins[] | {type, ipMasq, capabilities, ingressPolicy} | del(.[] | nulls)' "$network"
    explain "The world outside is a namespace that knows the host's address, $host_address, and no container's."
    make_outside
    ip netns add erin
    check "ADD erin, publishing her port 8080 as the host's 8088" \
        chain ADD "$network" demo-erin /run/netns/erin eth0 "$runtime"
    address=$(chain_address demo-erin eth0)
    start_who erin nsenter --net=/run/netns/erin
    show ip netns exec erin "${fetch[@]}" "http://$outside_address:8080"
    check_says "the outside sees erin ($address) as the host" "outside saw $host_address" \
        ip netns exec erin "${fetch[@]}" "http://$outside_address:8080"
    show ip netns exec outside "${fetch[@]}" "http://$host_address:8088"
    check_says "the outside reaches erin through the host" "erin saw $outside_address" \
        ip netns exec outside "${fetch[@]}" "http://$host_address:8088"
    check_says "so does the host by localhost" "erin saw 10.95.0.1" "${fetch[@]}" http://127.0.0.1:8088
    if have nft; then
        explain "A container is one element in each map; every rule is there once per host, however many containers there are:"
        show nft list map inet swiftlet hostports4
        show nft list map inet swiftlet masquerade4
    fi
    explain "DEL after a crash, with nothing but the container's id: CNI_NETNS is empty."
    kill "$who_erin"
    wait "$who_erin" 2>/dev/null || true
    ip netns delete erin
    check "DEL erin" chain DEL "$network" demo-erin "" eth0 "$runtime"
    check_empty "no rule of hers is left" "$(filter_entries)"
}

gateway_network() {
    local network=$root/conf/swiftlet-nat.conflist
    heading "9. Only a way out: gwbridge-nat"
    explain "conf/swiftlet-nat.conflist: a bridge and a subnet the plugin picks itself; containers do not see each other."
    ip netns add frank
    check "ADD frank" chain ADD "$network" demo-frank /run/netns/frank eth0
    show ip -br -n frank address
    check_says "the outside sees frank as the host" "outside saw $host_address" \
        ip netns exec frank "${fetch[@]}" "http://$outside_address:8080"
    check "DEL frank" chain DEL "$network" demo-frank /run/netns/frank eth0
    ip netns delete frank
    await_no_veth uplink
    drop_outside
    check_empty "no rule of his is left" "$(filter_entries)"
    check_nothing_left swiftlet5 swiftlet-gw
}

under_podman() {
    local output
    heading "10. The same executables under podman"
    if [ -z "$with_podman" ]; then
        explain "Left out: --no-podman."
    elif ! have podman || ! have runc || [ ! -x /bin/busybox ]; then
        skip podman "podman, runc or busybox-static is not installed"
    else
        explain "scripts/test-podman.sh --own: podman's default network and one it makes itself, with published ports."
        output=$("$root/scripts/test-podman.sh" --own "$ours" 2>&1) || true
        printf '%s\n' "$output"
        passed=$((passed + $(grep -c '^ok - ' <<<"$output" || true)))
        failed=$((failed + $(grep -c '^not ok - ' <<<"$output" || true)))
        grep -qE '^[0-9]+ passed, ' <<<"$output" || not_ok "scripts/test-podman.sh did not reach its end"
    fi
}

main() {
    plugin_versions
    two_containers
    isolated_containers
    published_port
    gateway_network
    under_podman
    heading "Summary"
    explain "Containers joined, kept apart, let out, published and released by executables alone; nothing outlives this script."
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
