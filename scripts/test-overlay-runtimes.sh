#!/usr/bin/env bash
# Runs containers of podman (CNI back end, runc) and of containerd (`ctr run --cni`) on two hosts of a laboratory, each with
# its own swiftletd, on one overlay network that `swiftlet network create` made.
#
#   scripts/test-overlay-runtimes.sh [DIR]
#
# DIR  the plugins and the daemon (default: dist/bin)
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/checks.sh
. "$here/lib/checks.sh"
# shellcheck source=scripts/lib/runtimes.sh
. "$here/lib/runtimes.sh"
SWIFTLET_LAB=${SWIFTLET_LAB:-/run/swiftlet-runtimes}
export SWIFTLET_LAB
# shellcheck source=scripts/lib/lab.sh
. "$here/lib/lab.sh"

case ${1:-} in
-h | --help) usage && exit 0 ;;
'') ;;
*) ours=$(readlink -f -- "$1") ;;
esac

inner=$lab/on-host

# What every host does, as functions of a file it sources: its /run is its own, the laboratory's directory is not.
write_inner() {
    cat >"$inner" <<'INNER'
set -euo pipefail
podman_() {
    timeout 60 podman --root /run/podman-test/root --runroot /run/podman-test/run --storage-driver vfs \
        --events-backend none --log-level error "$@"
}
ctr_() { timeout 60 ctr -a /run/containerd-test/containerd.sock "$@"; }
pid_of() { podman_ inspect -f '{{.State.Pid}}' "$1"; }
inside_podman() { local name=$1; shift; nsenter -t "$(pid_of "$name")" -n "$@"; }
inside_ctr() {
    local pid
    pid=$(ctr_ task ls | awk -v id="$1" '$1 == id {print $2}')
    shift
    nsenter -t "$pid" -n "$@"
}
ping_podman() { inside_podman "$1" ping -q -c 2 -i 0.2 -W 10 "$2"; }
ping_ctr() { inside_ctr "$1" ping -q -c 2 -i 0.2 -W 10 "$2"; }
# Inside is the container's network namespace alone; its file system is of no interest.
address() { "$1" "$2" ip -j -4 addr show dev "$3" | jq -r '.[0].addr_info[0].local'; }
run_podman() {
    local name=$1
    shift
    podman_ run -d --name "$name" --no-hosts "$@" --rootfs /run/test-rootfs /bin/sleep 600
}
run_ctr() { ctr_ run -d --rootfs --cni /run/test-rootfs "$1" /bin/sleep 600; }
prepare() {
    mkdir -p /run/podman-test /run/containerd-test
    cat >/run/containerd-test/config.toml <<CONF
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
CONF
}
start_containerd() {
    local attempt
    containerd --config /run/containerd-test/config.toml --root /run/containerd-test/root \
        --state /run/containerd-test/state --address /run/containerd-test/containerd.sock \
        >/run/containerd-test/log 2>&1 </dev/null &
    for ((attempt = 0; attempt < 300; attempt++)); do
        if ctr_ version >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    tail -n 5 /run/containerd-test/log >&2
    return 1
}
export CONTAINERS_CONF=/run/podman-test/containers.conf
INNER
}

# on HOST COMMAND…: a command, or one of the functions above, on a host.
on() {
    local host=$1
    shift
    # shellcheck disable=SC2016 # expanded inside
    in_lab "$host" bash -c '. /run/on-host; "$@"' bash "$@"
}

make_hosts() {
    local host
    lab_up 2
    write_inner
    for host in h1 h2; do
        in_lab "$host" tee /run/on-host <"$inner" >/dev/null
        in_lab "$host" mkdir -p /run/test-rootfs
        tar -C "$rootfs" -cf - . | in_lab "$host" tar -C /run/test-rootfs -xf -
        on "$host" prepare
        podman_configuration '"/opt/cni/bin"' /etc/cni/net.d demonet |
            in_lab "$host" tee /run/podman-test/containers.conf >/dev/null
    done
}

podman_hosts() {
    local address
    check "create the network on h1" \
        on h1 swiftlet network create -d overlay --subnet 192.168.0.0/24 demonet
    in_lab h1 bash -c 'cat /etc/cni/net.d/*demonet*' >"$lab/conflist"
    in_lab h2 tee /etc/cni/net.d/50-demonet.conflist <"$lab/conflist" >/dev/null
    check "podman runs C0 on h1 with 192.168.0.100" on h1 run_podman C0 --network demonet --ip 192.168.0.100
    check "podman runs C1 on h2" on h2 run_podman C1 --network demonet
    [ "$failed" -eq 0 ] || return 0
    check_equal "C0 has the address it asked for" "$(on h1 address inside_podman C0 eth0)" 192.168.0.100
    check_equal "its MAC is Docker's for that address" \
        "$(on h1 inside_podman C0 ip -j link show dev eth0 | jq -r '.[0].address')" 02:42:c0:a8:00:64
    address=$(on h2 address inside_podman C1 eth0)
    check "C1 on h2 pings C0 on h1" on h2 ping_podman C1 192.168.0.100
    check "C0 pings back" on h1 ping_podman C0 "$address"
    check "C0 reaches the outside over the gateway bridge" on h1 ping_podman C0 8.8.8.8
    check "swiftlet on h2 knows both" test "$(on h2 swiftlet endpoint ls --json | grep -o '192\.168\.0\.[0-9]*/24' | sort -u | wc -l)" = 2
    connect_running
    check "podman removes C0" on h1 podman_ rm -f -t 0 C0
    check "podman runs it again, on h2, with the same address" on h2 run_podman C0 --network demonet --ip 192.168.0.100
    check "its sibling on h2 reaches it" on h2 ping_podman C1 192.168.0.100
    check "podman removes both" on h2 podman_ rm -f -t 0 C0 C1
}

fails() { ! "$@"; }

# A second overlay network for containers that run: podman's `network connect` and `disconnect`.
connect_running() {
    local address
    check "create a second network on h1, internal" \
        on h1 swiftlet network create -d overlay --internal --subnet 10.66.0.0/24 second
    check "h2 adopts it" on h2 swiftlet network adopt second
    check "podman connects the running C0 to it" on h1 podman_ network connect second C0
    check "podman connects the running C1 to it" on h2 podman_ network connect second C1
    address=$(on h1 address inside_podman C0 eth1)
    check_equal "C0 has an address on it" "${address%.*}" 10.66.0
    check "C1 pings C0 over it" on h2 ping_podman C1 "$address"
    check "and over demonet, as before" on h2 ping_podman C1 192.168.0.100
    check "podman disconnects C0" on h1 podman_ network disconnect second C0
    check "C0's interface is gone" fails on h1 inside_podman C0 ip link show dev eth1
    check "C1 reaches it no more there" fails on h2 inside_podman C1 ping -q -c 1 -W 1 "$address"
    check "C1 reaches it over demonet" on h2 ping_podman C1 192.168.0.100
    check "C0 still has its way out" on h1 ping_podman C0 8.8.8.8
    check "podman connects C0 again" on h1 podman_ network connect second C0
    check "C1 reaches it there again" on h2 ping_podman C1 "$(on h1 address inside_podman C0 eth1)"
}

containerd_hosts() {
    local address
    check "containerd starts on h1" on h1 start_containerd
    check "containerd starts on h2" on h2 start_containerd
    check "ctr runs D0 on h1" on h1 run_ctr D0
    check "ctr runs D1 on h2" on h2 run_ctr D1
    [ "$failed" -eq 0 ] || return 0
    address=$(on h1 address inside_ctr D0 eth0)
    check "D1 on h2 pings D0 on h1" on h2 ping_ctr D1 "$address"
    check "D0 pings back" on h1 ping_ctr D0 "$(on h2 address inside_ctr D1 eth0)"
    check "podman runs C2 on h2 beside it" on h2 run_podman C2 --network demonet
    check "podman's container pings containerd's" on h2 ping_podman C2 "$address"
    check "D0 is stopped" on h1 ctr_ task kill -s SIGKILL D0
    check "D1 is stopped" on h2 ctr_ task kill -s SIGKILL D1
    check "podman removes C2" on h2 podman_ rm -f -t 0 C2
    # ctr removes nothing of a container it ran in the background: DEL by hand, from its cached result, with no namespace.
    check "DEL of D0" on h1 swiftlet cni del demonet --container-id default-D0
    check "DEL of D1" on h2 swiftlet cni del demonet --container-id default-D1
}

# Nothing is left of the containers on a host.
clean() {
    local host=$1 attempt
    for ((attempt = 0; attempt < 100; attempt++)); do
        if [ -z "$(leftovers "$host")" ]; then break; fi
        sleep 0.2
    done
    check_empty "nothing is left on $host" "$(leftovers "$host")"
}

leftovers() {
    in_lab "$1" bash -c '
        ip -o link show type veth | grep -v "eth0" || true
        ls /run/swiftlet/netns 2>/dev/null || true
        find /var/lib/cni/networks -name "[0-9]*" 2>/dev/null || true
        swiftlet endpoint ls --json | grep -o "[0-9.]*/24" || true'
}

main() {
    [ "$(id -u)" -eq 0 ] || die "needs root"
    "$root/scripts/dependencies.sh" test
    [ -x "$ours/overlay-vxlan" ] || die "no executables in $ours: run scripts/build.sh"
    if ! have podman || ! have runc || ! have ctr || [ ! -x /bin/busybox ]; then
        skip "overlay under podman and containerd" "podman, runc, containerd or busybox-static is not installed and could not be"
        finish_checks
    fi
    own_cgroup libpod_parent
    trap 'lab_down; rm -rf -- "$rootfs"' EXIT
    rootfs=$(mktemp -d)
    make_rootfs "$rootfs"
    make_hosts
    podman_hosts
    containerd_hosts
    clean h1
    clean h2
    drop_cgroup
    finish_checks
}

main "$@"
