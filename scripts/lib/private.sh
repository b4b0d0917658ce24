# shellcheck shell=bash
# A world of one's own for scripts that make networks: fresh network, mount and process namespaces, tmpfs on /run and
# /var/lib/cni. Nothing done inside reaches the host, and every process started inside dies with the script.
# Source it after common.sh, then call: enter_private "$@"

inode_of_netns() { stat -L -c %i /proc/self/ns/net; }

# Restarts the calling script inside the namespaces; returns only there.
enter_private() {
    local outside
    if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
        require_root
        outside=$(inode_of_netns)
        # bash as process 1 would not pass signals on, so the kernel is asked to end the children with unshare itself.
        SWIFTLET_OUTSIDE_NETNS=$outside exec unshare --net --mount --pid --fork --kill-child --mount-proc \
            --propagation private -- bash "$0" "$@"
    fi
    [ "$(inode_of_netns)" != "$SWIFTLET_OUTSIDE_NETNS" ] || die "still in the network namespace it was started from"
    # Scripts started from here may make a private world of their own.
    unset SWIFTLET_OUTSIDE_NETNS
    mount -t tmpfs -o mode=755 tmpfs /run
    if [ -d /var/lib/cni ]; then
        mount -t tmpfs -o mode=700 tmpfs /var/lib/cni
    else
        # The machine never had CNI; a tmpfs over /var/lib gives the room without touching its disk.
        mount -t tmpfs -o mode=755 tmpfs /var/lib
        mkdir -m 700 /var/lib/cni
    fi
    mkdir -p /run/netns /run/lock
    ip link set lo up
    sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 2>/dev/null || true
}
