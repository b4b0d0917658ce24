#!/usr/bin/env bash
# Runs podman 4 (CNI back end, runc) over the plugins of the given directories, in a private world.
#
#   scripts/test-podman.sh [--chain | --own] [--tolerate] [DIR[:DIR2…]]
#
# DIR…        where podman looks for plugins, in this order (default: dist/bin, then the reference plugins)
# --chain     also chain portmap, firewall and tuning, from whichever directory has them, and publish a port
# --own       podman's own networks, as it writes them itself (its default one and one of `podman network create`:
#             bridge with ipMasq, portmap, firewall, tuning), over the first directory alone: published ports and
#             masquerade, tried from outside, from the host and from containers
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
# shellcheck source=scripts/lib/outside.sh
. "$here/lib/outside.sh"
# shellcheck source=scripts/lib/podman-own.sh
. "$here/lib/podman-own.sh"

chained=()
own=
TOLERATE=
directories=$ours:$reference

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --chain) chained=(portmap firewall tuning) ;;
        --own) own=1 ;;
        --tolerate) TOLERATE=1 ;;
        -h | --help) usage && exit 0 ;;
        -*) die "unknown option '$1'" ;;
        *) directories=$1 ;;
        esac
        shift
    done
}

# State in tmpfs; the same options for every call.
podman_() {
    timeout 60 podman --root /run/podman-test/root --runroot /run/podman-test/run --storage-driver vfs \
        --events-backend none --log-level error "$@"
}

configure() {
    local quoted
    mkdir -p /run/podman-test/networks
    make_rootfs /run/podman-test/rootfs
    quoted=$(printf '"%s", ' "${plugin_dirs[@]}")
    podman_configuration "${quoted%, }" /run/podman-test/networks "${1:-alpha}" >/run/podman-test/containers.conf
    export CONTAINERS_CONF=/run/podman-test/containers.conf
}

configure_networks() {
    write_conflist /run/podman-test/networks/87-alpha.conflist alpha cni-alpha 10.231.0.0/24 10.231.0.1 "${chained[@]}"
    write_conflist /run/podman-test/networks/88-beta.conflist beta cni-beta 10.232.0.0/24 10.232.0.1 "${chained[@]}"
}

run_container() {
    local name=$1
    shift
    podman_ run -d --name "$name" --no-hosts "$@" --rootfs /run/podman-test/rootfs /bin/sleep 600
}

field() { podman_ inspect -f "$2" "$1"; }
pid_of() { field "$1" '{{.State.Pid}}'; }
address_on() { field "$1" "{{with index .NetworkSettings.Networks \"$2\"}}{{.IPAddress}}{{end}}"; }
inside() {
    local name=$1
    shift
    timeout 40 nsenter -t "$(pid_of "$name")" -n "$@"
}
link_names() { inside "$1" ip -j link | jq -r '[.[].ifname] | sort | join(" ")'; }
ping_from() { inside "$1" ping -q -c 1 -W 10 "$2"; }

first_containers() {
    check "run a container" run_container one --network alpha
    check "run its sibling with a fixed address and MAC" \
        run_container two --network alpha --ip 10.231.0.77 --mac-address 02:aa:bb:cc:dd:01
    if [ "$failed" -gt 0 ]; then
        return 1
    fi
    check_equal "the fixed address is inside" \
        "$(inside two ip -j -4 addr show eth0 | jq -r '.[0].addr_info[0].local')" 10.231.0.77
    check_equal "the fixed MAC is inside" "$(inside two ip -j link show eth0 | jq -r '.[0].address')" 02:aa:bb:cc:dd:01
    check_equal "podman knows the address" "$(address_on two alpha)" 10.231.0.77
    check_equal "the default route is the gateway" \
        "$(inside one ip -j route show default | jq -r '.[0].gateway')" 10.231.0.1
    check "ping the gateway" ping_from one 10.231.0.1
    check "ping the sibling" ping_from one 10.231.0.77
    check "ping back" ping_from two "$(address_on one alpha)"
    check "ping from the host" ping -q -c 1 -W 10 10.231.0.77
}

second_network() {
    check "connect the running container to a second network" podman_ network connect beta one
    check_equal "it has two interfaces" "$(link_names one)" "eth0 eth1 lo"
    check "ping the second gateway" ping_from one 10.232.0.1
    check "run a container on the second network" run_container three --network beta
    check "ping it over the second network" ping_from one "$(address_on three beta)"
    check "disconnect the second network" podman_ network disconnect beta one
    check_equal "the second interface is gone" "$(link_names one)" "eth0 lo"
    check "the first network still works" ping_from one 10.231.0.1
}

published_port() {
    check "publish a port" run_container web --network alpha -p 18080:80
    check "the port is forwarded" grep -q 18080 <(iptables-save -t nat 2>/dev/null; nft list ruleset 2>/dev/null)
    check "remove it" podman_ rm -f -t 0 web
    check_empty "no forwarding rule is left" \
        "$( (iptables-save -t nat 2>/dev/null; nft list ruleset 2>/dev/null) | grep 18080 || true)"
}

remove_all() {
    local name
    for name in one two three; do
        check "remove container $name" podman_ rm -f -t 0 "$name"
    done
    check_nothing_left cni-alpha cni-beta
}

main() {
    parse "$@"
    if ! have podman || ! have runc || [ ! -x /bin/busybox ]; then
        skip "podman" "podman, runc or busybox-static is not installed and could not be"
        finish_checks
    fi
    if [ -n "$own" ]; then
        own_plugins_alone "${directories%%:*}"
        chained=(portmap firewall tuning)
    else
        parse_plugin_dirs "$directories"
    fi
    say "# $(podman --version), runc $(runc --version | sed -n 's/^runc version //p')"
    report_served_by bridge host-local "${chained[@]}"
    own_cgroup libpod_parent
    if [ -n "$own" ]; then
        configure podman
        own_networks
        drop_cgroup
        finish_checks
    fi
    configure
    configure_networks
    if first_containers; then
        second_network
        [ "${#chained[@]}" -eq 0 ] || published_port
    fi
    remove_all
    drop_cgroup
    finish_checks
}

if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
    case " $* " in *" -h "* | *" --help "*) usage && exit 0 ;; esac
    require_root
    "$root/scripts/dependencies.sh" test
fi
enter_private "$@"
main "$@"
