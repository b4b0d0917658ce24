# shellcheck shell=bash
# shellcheck disable=SC2154 # work, c2, with_podman and the rest come from demo.sh
# podman on two hosts of the laboratory, over the network that is there. Source it after lab.sh, tell.sh and runtimes.sh.

# podman_on HOST ARGUMENTS…: state in the host's memory, the same options for every call.
podman_on() {
    local host=$1
    shift
    in_lab "$host" env CONTAINERS_CONF=/run/podman/containers.conf timeout 60 podman --root /run/podman/root \
        --runroot /run/podman/run --storage-driver vfs --events-backend none --log-level error "$@"
}

configure_podman() {
    local host=$1
    podman_configuration '"/opt/cni/bin"' /etc/cni/net.d demonet | in_lab "$host" bash -euc \
        'mkdir -p /run/podman /run/containers /run/libpod && cat >/run/podman/containers.conf'
}

# podman_run HOST NAME OPTIONS…
podman_run() {
    local host=$1 name=$2
    shift 2
    podman_on "$host" run -d --name "$name" --no-hosts --network demonet "$@" --rootfs "$work/rootfs-$host" \
        /bin/sleep 600
}

podman_ping() {
    in_lab "$1" nsenter --net="/proc/$(podman_on "$1" inspect -f '{{.State.Pid}}' "$2")/ns/net" ping -q -c 1 -W 3 "$3"
}

under_podman() {
    local host
    heading "The same network under podman, on two hosts"
    if [ -z "$with_podman" ]; then
        explain "Left out: --no-podman."
        return 0
    elif ! have podman || ! have runc || [ ! -x /bin/busybox ]; then
        skip podman "podman, runc or busybox-static is not installed"
        return 0
    fi
    own_cgroup libpod_parent
    for host in h1 h3; do
        make_rootfs "$work/rootfs-$host"
        configure_podman "$host"
    done
    explain "podman reads the list that 'network create' wrote; it has no idea that the network spans hosts."
    tell_prompt h1 podman run -d --name P0 --network demonet --ip 192.168.0.50 …
    check "podman runs a container on h1 with an address of its own" podman_run h1 P0 --ip 192.168.0.50
    tell_prompt h3 podman run -d --name P1 --network demonet …
    check "podman runs another on h3" podman_run h3 P1
    check "P1 on h3 reaches P0 on h1" podman_ping h3 P1 192.168.0.50
    check "P0 on h1 reaches C2, which is not podman's, on h3" podman_ping h1 P0 "$c2"
    on h2 swiftlet endpoint ls
    check_equal "the cluster knows P0 by its name" "$(in_lab h2 swiftlet endpoint ls --json |
        jq -r '.endpoints[] | select(.addresses[0] == "192.168.0.50/24").names[0]')" P0
    check "podman removes P0" podman_on h1 rm -f -t 0 P0
    check "podman removes P1" podman_on h3 rm -f -t 0 P1
    drop_cgroup
}
