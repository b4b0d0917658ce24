#!/usr/bin/env bash
# Runs containerd's `ctr run --cni` over the plugins of the given directories, in a private world.
#
#   scripts/test-containerd.sh [--chain | --own] [--tolerate] [DIR[:DIR2…]]
#
# ctr takes plugins from /opt/cni/bin alone, so the given directories are joined there (in this mount namespace) into one
# of links, the first in order winning. It sends DEL with an empty CNI_NETNS, after the namespace is gone: what is left
# then is the interesting part.
# --chain     also chain portmap, firewall and tuning, from whichever directory has them
# --own       bridge with ipMasq, portmap, firewall and tuning over the first directory alone: published ports and
#             masquerade, and what ctr's own DEL leaves of them
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

chained=()
own=
TOLERATE=
directories=$ours:$reference
state=/run/containerd-test
# Set by start_who.
who_udp=
socket=$state/containerd.sock

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

ctr_() { timeout 60 ctr -a "$socket" "$@"; }

# Makes a directory visible at a path that may not exist, without touching the host's disk.
show_at() {
    local source=$1 target=$2 top
    top=/$(cut -d / -f 2 <<<"$target")
    if [ ! -d "$target" ]; then
        mkdir -p "$state/overlay$top"/{upper,work}
        mount -t overlay -o "lowerdir=$top,upperdir=$state/overlay$top/upper,workdir=$state/overlay$top/work" \
            overlay "$top" 2>/dev/null || warn "no overlay file system: leaving an empty $target behind"
        mkdir -p "$target"
    fi
    mount --bind "$source" "$target"
}

start_containerd() {
    local directory file attempt
    mkdir -p "$state"/{cni,networks}
    for directory in "${plugin_dirs[@]}"; do
        for file in "$directory"/*; do
            if [ -x "$file" ] && [ ! -e "$state/cni/${file##*/}" ]; then
                ln -s "$file" "$state/cni/${file##*/}"
            fi
        done
    done
    # ctr knows only these two places; ours are seen there inside this mount namespace alone.
    show_at "$state/networks" /etc/cni/net.d
    show_at "$state/cni" /opt/cni/bin
    write_conflist "$state/networks/10-alpha.conflist" alpha cni-alpha 10.231.0.0/24 10.231.0.1 "${chained[@]}"
    if [ -n "$own" ]; then publish_always "$state/networks/10-alpha.conflist"; fi
    make_rootfs "$state/rootfs"
    cat >"$state/config.toml" <<CONF
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
CONF
    containerd --config "$state/config.toml" --root "$state/root" --state "$state/state" --address "$socket" \
        >"$state/log" 2>&1 </dev/null &
    for ((attempt = 0; attempt < 300; attempt++)); do
        if ctr_ version >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    tail -n 5 "$state/log" >&2
    return 1
}

# The container's own view, in one line per question.
one_shot() {
    ctr_ run --rm --rootfs --cni "$state/rootfs" "$@" 2>&1
}

start_sleeper() {
    ctr_ run -d --rootfs --cni "$state/rootfs" "$1" /bin/sleep 600
}

stop_sleeper() {
    ctr_ task kill -s SIGKILL "$1"
    # The attachment is removed with the task.
    ctr_ task rm -f "$1" 2>/dev/null || true
    ctr_ container rm "$1"
}

inside() {
    local pid
    pid=$(ctr_ task ls | awk -v id="$1" '$1 == id {print $2}')
    shift
    timeout 40 nsenter -t "$pid" -n "$@"
}

foreground_container() {
    local output
    output=$(one_shot first /bin/ip -4 addr show dev eth0) || true
    check_equal "a container has an address of the network" \
        "$(grep -c 'inet 10\.231\.0\.' <<<"$output" || true)" 1
    check_empty "its reservation went with it (DEL without a namespace)" "$(reservations)"
    output=$(one_shot second /bin/ping -c 1 -W 10 10.231.0.1) || true
    check_equal "a container pings the gateway" "$(grep -c ' 0% packet loss' <<<"$output" || true)" 1
}

siblings() {
    local address before=$failed
    check "start a container in the background" start_sleeper one
    check "start its sibling" start_sleeper two
    if [ "$failed" -gt "$before" ]; then return 0; fi
    address=$(inside two ip -j -4 addr show eth0 | jq -r '.[0].addr_info[0].local')
    check "ping the sibling" inside one ping -q -c 1 -W 10 "$address"
    check "ping from the host" ping -q -c 1 -W 10 "$address"
    check "stop the first" stop_sleeper one
    check "the sibling still answers" ping -q -c 1 -W 10 "$address"
    check "stop the sibling" stop_sleeper two
}

# `ctr run -d` leaves CNI removal to whoever removes the task, and ctr 1.6 does none: DEL by hand, as it would be sent.
delete_as_runtime() {
    local id file
    file=$(plugin_file bridge)
    for id in "$@"; do
        jq -c '{cniVersion, name} + .plugins[0]' "$state/networks/10-alpha.conflist" |
            env CNI_COMMAND=DEL CNI_CONTAINERID="default-$id" CNI_NETNS="" CNI_IFNAME=eth0 \
                CNI_PATH="$state/cni" "$file"
    done
}

# ctr hands over no port mappings, and libcni leaves a runtimeConfig that is there already alone: the network publishes
# the ports of its one container.
publish_always() {
    jq '(.plugins[] | select(.type == "portmap")) += {runtimeConfig: {portMappings: [
        {HostPort: 18080, ContainerPort: 80, Protocol: "tcp"},
        {HostPort: 18080, ContainerPort: 8080, Protocol: "udp"}]}}' "$1" >"$1.new"
    mv "$1.new" "$1"
}

outside_who() { outside "${fetch[@]}" "http://$1/cgi-bin/who"; }

# A container in the foreground of a ctr in the background: when it ends, ctr itself sends DEL, with no namespace.
masqueraded_container() {
    local pid='' attempt run name
    ctr_ run --rm --rootfs --cni "$state/rootfs" web /bin/busybox httpd -f -p 0.0.0.0:80 -h /www \
        >"$state/web" 2>&1 </dev/null &
    run=$!
    for ((attempt = 0; attempt < 300; attempt++)); do
        pid=$(ctr_ task ls | awk '$1 == "web" && $3 == "RUNNING" {print $2}')
        if [ -n "$pid" ] && nsenter -t "$pid" -n ss -ltn | grep -q ':80 '; then break; fi
        sleep 0.1
    done
    if [ -z "$pid" ]; then
        not_ok "the container runs: $(cat "$state/web")"
        return 0
    fi
    ok "the container runs"
    start_who udp nsenter -t "$pid" -n
    # Its host name is this machine's: ctr gives it no other.
    name=$(cat /proc/sys/kernel/hostname)
    check_says "outside reaches the published port" "$name saw $outside_address" outside_who "$host_address:18080"
    check_says "over UDP" "udp saw $outside_address" outside "${ask[@]}" "$host_address" 18080
    check_says "the host reaches it by localhost" "$name saw 10.231.0.1" \
        "${fetch[@]}" http://127.0.0.1:18080/cgi-bin/who
    check_says "the container reaches its own published port" "$name saw 10.231.0.1" \
        inside web "${fetch[@]}" "http://$host_address:18080/cgi-bin/who"
    check_says "the container is masqueraded" "outside saw $host_address" \
        inside web "${fetch[@]}" "http://$outside_address:8080"
    check_says "over UDP, too" "outside saw $host_address" inside web "${ask[@]}" "$outside_address" 8080
    kill "$who_udp"
    wait "$who_udp" 2>/dev/null || true
    check "end it" ctr_ task kill -s SIGKILL web
    wait "$run" || true
    check_empty "no rule of it is left" "$(filter_entries)"
    check_empty "no UDP connection to it is remembered" "$(tracked_udp 18080)"
    check_refused "its port is gone" outside_who "$host_address:18080"
}

main() {
    local daemon
    parse "$@"
    if ! have ctr || ! have containerd || ! have runc || [ ! -x /bin/busybox ]; then
        skip "containerd" "containerd, runc or busybox-static is not installed and could not be"
        finish_checks
    fi
    if [ -n "$own" ]; then
        own_plugins_alone "${directories%%:*}"
        chained=(ipMasq portmap firewall tuning)
        make_outside
    else
        parse_plugin_dirs "$directories"
    fi
    say "# $(containerd --version)"
    report_served_by bridge host-local "${chained[@]#ipMasq}"
    own_cgroup default
    if ! start_containerd; then
        not_ok "containerd does not start here"
        finish_checks
    fi
    daemon=$!
    if [ -n "$own" ]; then
        masqueraded_container
        await_no_veth uplink
        drop_outside
    else
        foreground_container
        siblings
        check "remove the background containers' attachments, without a namespace" delete_as_runtime one two
        # libcni's cache is the runtime's to clean, and no runtime sent that DEL.
        rm -rf /var/lib/cni/results
        await_no_veth ""
    fi
    check_nothing_left cni-alpha
    kill "$daemon"
    wait "$daemon" 2>/dev/null || true
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
