#!/usr/bin/env bash
# Runs every example of conf/ through ADD, CHECK and DEL, as a runtime would, in a private world.
#
#   scripts/test-conf.sh [DIR]
#
# DIR  the plugins to use (default: dist/bin)
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

runtime='{"portMappings": [{"hostPort": 18080, "containerPort": 80, "protocol": "tcp"}]}'

run_example() {
    local file=$1 name interface=eth0
    name=$(basename -- "$file" .conflist)
    if [ "$name" = swiftlet-loopback ]; then interface=lo; fi
    ip netns add "$name"
    check "$name: ADD" chain ADD "$file" example "/run/netns/$name" "$interface" "$runtime"
    check "$name: CHECK" chain CHECK "$file" example "/run/netns/$name" "$interface" "$runtime"
    check "$name: DEL" chain DEL "$file" example "/run/netns/$name" "$interface" "$runtime"
    check "$name: DEL again" chain DEL "$file" example "" "$interface" "$runtime"
    check_equal "$name: only lo is left inside" "$(ip -n "$name" -j link | jq -r '[.[].ifname] | join(" ")')" lo
    ip netns delete "$name"
}

# What networks over many hosts need: an address the others would know this host by, and the daemon.
start_daemon() {
    local attempt
    ip address add 192.0.2.1/32 dev lo
    "$(plugin_file swiftletd)" --node example --bind 192.0.2.1 --state-dir /run/swiftletd --log warning &
    daemon=$!
    for ((attempt = 0; attempt < 100; attempt++)); do
        if [ -S /run/swiftlet/swiftletd.sock ]; then return 0; fi
        sleep 0.1
    done
    die "swiftletd has not opened its socket within ten seconds"
}

main() {
    local file daemon bridges=()
    own_plugins_alone "${1:-$ours}"
    start_daemon
    for file in "$root"/conf/*.conflist; do
        run_example "$file"
        mapfile -t -O "${#bridges[@]}" bridges < <(jq -r '.plugins[].bridge // empty' "$file")
    done
    check_empty "no overlay namespace is left" "$(ls /run/swiftlet/netns)"
    kill "$daemon"
    check_equal "no two examples share a bridge" "$(printf '%s\n' "${bridges[@]}" | sort | uniq -d)" ""
    await_no_veth ""
    check_empty "no rule of a container is left" "$(filter_entries)"
    check_nothing_left "${bridges[@]}"
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
