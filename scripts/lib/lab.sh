# shellcheck shell=bash
# shellcheck disable=SC2154 # root and ours come from common.sh
# A laboratory of hosts made of namespaces, for scripts/lab.sh, the demonstration, the tests and the benchmarks. Source it
# after common.sh.
#
# One process holds the laboratory: first process of a process namespace, with a network of its own (the router, with the
# bridge `underlay`) and mounts of its own. Every host is the same again inside it, so that ending the one process ends
# everything. Outside there is nothing but a directory with process ids.
#
#     192.0.2.0/24, 2001:db8:1::/64 "underlay"                        198.51.100.0/24, 2001:db8:2::/64
#     h1 .11 ── h2 .12 ── h3 .13 ── … ── .1 router .1 ───────────────── .2 outside (and 8.8.8.8, 2001:4860:4860::8888)

lab=${SWIFTLET_LAB:-/run/swiftlet-lab}
lab_mtu=1500
lab_profile=fast
# Docker with a key-value store wants 7946 for itself.
lab_gossip_port=7946
lab_daemon=1
lab_keyring=
lab_options='{}'

# What PID the file names, if that process is still the one that was started.
lab_pid() {
    local pid began now
    [ -s "$lab/$1" ] || return 1
    read -r pid began <"$lab/$1"
    now=$(lab_began "$pid") || return 1
    [ "$now" = "$began" ] || return 1
    printf '%s\n' "$pid"
}

# When a process began, in ticks: with the id it names a process for ever.
lab_began() {
    local text
    text=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name in parentheses may hold anything; what follows is numbers.
    # shellcheck disable=SC2086 # words are meant
    set -- ${text##*) }
    # A process that has ended and was not waited for is gone.
    [ "$1" != Z ] || return 1
    printf '%s\n' "${20}"
}

lab_remember() { printf '%s %s\n' "$2" "$(lab_began "$2")" >"$lab/$1"; }

# The first process of the namespaces that PID, an unshare or nsenter, makes: found by its name among the descendants.
lab_inner() {
    local pid=$1 attempt child
    for ((attempt = 0; attempt < 500; attempt++)); do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        lab-init)
            printf '%s\n' "$pid"
            return 0
            ;;
        nsenter | unshare)
            child=$(pgrep -P "$pid" | head -n 1) || true
            pid=${child:-$pid}
            ;;
        esac
        sleep 0.01
    done
    return 1
}

# A first process that collects the children others leave behind, and does nothing else.
# shellcheck disable=SC2016 # expanded inside
lab_init='printf lab-init >/proc/self/comm; trap : TERM INT HUP; while :; do sleep 86400 </dev/null & wait $!; done'

lab_is_up() { lab_pid router >/dev/null; }

lab_hosts() {
    local file
    for file in "$lab"/h[0-9]*; do
        [ ! -f "$file" ] || basename -- "$file"
    done | sort -V
}

# in_lab NAME COMMAND…: runs a command on a host, on `router` or `outside`.
in_lab() {
    local pid
    pid=$(lab_pid "$1") || {
        warn "no $1 in the laboratory; there are: $(lab_hosts | paste -sd ' ' -) router outside"
        return 1
    }
    shift
    nsenter --target "$pid" --net --mount --uts --pid -- \
        env PATH="/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" CNI_PATH=/opt/cni/bin "$@"
}

lab_address() { printf '192.0.2.%d\n' $((10 + ${1#h})); }
lab_address6() { printf '2001:db8:1::%d\n' $((10 + ${1#h})); }

# lab_up COUNT: makes the laboratory or adds the hosts that are missing; all is taken down again when that fails.
lab_up() {
    local count=$1 maker status=0
    if ! [[ $count =~ ^[1-9][0-9]?$ ]]; then die "how many hosts? 1 to 99"; fi
    mkdir -p -- "$lab"
    trap 'lab_down; exit 130' INT TERM
    # In the background: where a command's status is asked for, the shell does not stop at errors in it.
    lab_make "$count" &
    maker=$!
    wait "$maker" || status=$?
    trap - INT TERM
    if [ "$status" -ne 0 ]; then
        warn "taking the laboratory down again"
        lab_down
        return 1
    fi
}

lab_make() {
    local count=$1 number
    lab_is_up || lab_make_router
    for ((number = 1; number <= count; number++)); do
        lab_pid "h$number" >/dev/null || lab_make_host "h$number"
    done
    if [ -n "$lab_daemon" ]; then lab_start_daemons "$count"; fi
}

lab_make_router() {
    local pid
    lab_hold router unshare --net --mount --uts --pid --fork --kill-child --mount-proc --propagation private -- \
        bash -c "$lab_init"
    pid=$(lab_pid router)
    lab_hold outside nsenter --target "$pid" --mount --pid -- \
        unshare --net --mount --uts --pid --fork --kill-child --mount-proc --propagation private -- bash -c "$lab_init"
    # shellcheck disable=SC2016 # expanded inside
    in_lab router bash -euc '
        mount -t tmpfs -o mode=755 tmpfs /run
        hostname router
        sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip link set lo up
        ip link add underlay mtu "$1" type bridge
        ip address add 192.0.2.1/24 dev underlay
        ip -6 address add 2001:db8:1::1/64 dev underlay nodad
        ip link set underlay up' bash "$lab_mtu"
    # The other end is named by its process id as the router sees it.
    nsenter --target "$pid" --net -- ip link add outside mtu "$lab_mtu" type veth \
        peer name eth0 mtu "$lab_mtu" netns "$(lab_pid outside)"
    in_lab router bash -euc '
        ip address add 198.51.100.1/24 dev outside
        ip -6 address add 2001:db8:2::1/64 dev outside nodad
        ip link set outside up
        ip route add default via 198.51.100.2
        ip -6 route add default via 2001:db8:2::2'
    # It knows the way to the underlay and to no container.
    in_lab outside bash -euc '
        mount -t tmpfs -o mode=755 tmpfs /run
        hostname outside
        ip link set lo up
        ip address add 8.8.8.8/32 dev lo
        ip -6 address add 2001:4860:4860::8888/128 dev lo
        ip address add 198.51.100.2/24 dev eth0
        ip -6 address add 2001:db8:2::2/64 dev eth0 nodad
        ip link set eth0 up
        ip route add 192.0.2.0/24 via 198.51.100.1
        ip -6 route add 2001:db8:1::/64 via 2001:db8:2::1'
}

# lab_hold NAME COMMAND…: starts what makes namespaces in the background, and remembers their first process.
lab_hold() {
    local name=$1 outer inner
    shift
    setsid "$@" </dev/null >/dev/null 2>&1 &
    outer=$!
    if ! inner=$(lab_inner "$outer"); then
        kill -KILL "$outer" 2>/dev/null || true
        die "the namespaces of $name could not be made: needs root and unshare(1)"
    fi
    lab_remember "$name" "$inner"
}

lab_make_host() {
    local name=$1 router address
    router=$(lab_pid router)
    address=$(lab_address "$name")
    lab_hold "$name" nsenter --target "$router" --mount --pid -- \
        unshare --net --mount --uts --pid --fork --kill-child --mount-proc --propagation private -- bash -c "$lab_init"
    nsenter --target "$router" --net -- ip link add "$name" mtu "$lab_mtu" type veth \
        peer name eth0 mtu "$lab_mtu" netns "$(lab_pid "$name")"
    nsenter --target "$router" --net -- ip link set "$name" master underlay up
    # shellcheck disable=SC2016 # expanded inside
    in_lab "$name" bash -euc '
        hostname "$1"
        # What a host writes stays in its memory: /run is new, the rest of the machine shows through.
        mount -t tmpfs -o mode=755 tmpfs /run
        mkdir -p /run/netns /run/lock /run/bin /run/layers
        for place in etc var opt; do
            mkdir "/run/layers/$place" "/run/layers/$place.work"
            mount -t overlay overlay \
                -o "lowerdir=/$place,upperdir=/run/layers/$place,workdir=/run/layers/$place.work" "/$place"
        done
        rm -rf /etc/cni/net.d /opt/cni/bin
        mkdir -p /etc/cni/net.d /etc/swiftlet /opt/cni/bin /var/lib/cni /var/lib/swiftlet
        mount -t tmpfs -o mode=700 tmpfs /var/lib/cni
        mount -t tmpfs -o mode=700 tmpfs /var/lib/swiftlet
        mount --bind "$2" /opt/cni/bin
        ln -s "$2/swiftlet" "$2/swiftletd" /run/bin/
        sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip link set lo up
        ip address add "$3/24" dev eth0
        ip -6 address add "$4/64" dev eth0 nodad
        ip link set eth0 up
        ip route add default via 192.0.2.1
        ip -6 route add default via 2001:db8:1::1' bash "$name" "$ours" "$address" "$(lab_address6 "$name")"
}

# Writes every host's configuration, starts its daemon unless it runs, and waits until all see each other.
lab_start_daemons() {
    local count=$1 name attempt alive
    for name in $(lab_hosts); do lab_start_daemon "$name"; done
    for name in $(lab_hosts); do
        for ((attempt = 0; attempt < 300; attempt++)); do
            alive=$(in_lab "$name" swiftlet members --status alive --json 2>/dev/null | jq '.members | length') || alive=0
            if [ "${alive:-0}" -ge "$count" ]; then continue 2; fi
            sleep 0.1
        done
        in_lab "$name" tail -n 20 /run/swiftletd.log >&2 || true
        die "$name sees ${alive:-0} of $count hosts alive"
    done
}

# lab_start_daemon HOST: every host is told the same three to join.
lab_start_daemon() {
    local name=$1 peers=()
    if lab_daemon_of "$name" >/dev/null; then return 0; fi
    mapfile -t peers < <(lab_hosts | head -n 3)
    for index in "${!peers[@]}"; do peers[index]=$(lab_address "${peers[index]}"):$lab_gossip_port; done
    jq -n --arg node "$name" --arg bind "0.0.0.0:$lab_gossip_port" --arg address "$(lab_address "$name")" --arg profile "$lab_profile" \
        --arg keyring "$lab_keyring" --argjson more "$lab_options" '{
            node: $node, bind: $bind, advertise: $address, join: $ARGS.positional,
            stateDir: "/var/lib/swiftlet", socket: "/run/swiftlet/swiftletd.sock", profile: $profile}
            + (if $keyring == "" then {} else {keyring: $keyring} end) + $more' \
        --args "${peers[@]}" | in_lab "$name" tee /etc/swiftlet/swiftletd.json >/dev/null
    # shellcheck disable=SC2016 # expanded inside
    in_lab "$name" bash -c '
        setsid swiftletd --config /etc/swiftlet/swiftletd.json </dev/null >>/run/swiftletd.log 2>&1 &
        printf "%d\n" "$!" >/run/swiftletd.pid'
}

# The daemon's process id inside the host, if it runs.
lab_daemon_of() {
    # shellcheck disable=SC2016 # expanded inside
    in_lab "$1" bash -c 'pid=$(cat /run/swiftletd.pid) && [ "$(cat "/proc/$pid/comm")" = swiftletd ] &&
        ! grep -q "^State:.Z" "/proc/$pid/status" && printf "%d\n" "$pid"' 2>/dev/null
}

# lab_stop_daemon HOST [SIGNAL]: and waits until it is gone.
lab_stop_daemon() {
    local pid attempt
    pid=$(lab_daemon_of "$1") || return 0
    in_lab "$1" kill -s "${2:-TERM}" "$pid"
    for ((attempt = 0; attempt < 200; attempt++)); do
        lab_daemon_of "$1" >/dev/null || return 0
        sleep 0.1
    done
    die "the daemon of $1 does not end"
}

# Pulls a host's cable, and plugs it in again.
lab_cut() { in_lab router ip link set "$1" down; }
lab_heal() { in_lab router ip link set "$1" up; }

# Ends the laboratory: the kernel ends with its first process everything in it, and takes the links and mounts away.
lab_down() {
    local pid attempt
    if pid=$(lab_pid router); then
        kill -KILL "$pid"
        for ((attempt = 0; attempt < 200; attempt++)); do
            lab_pid router >/dev/null || break
            sleep 0.05
        done
    fi
    [ ! -d "$lab" ] || rm -rf -- "$lab"
}

lab_status() {
    local name link daemon members
    lab_is_up || {
        say "no laboratory; scripts/lab.sh up 3 makes one"
        return 1
    }
    {
        say "HOST ADDRESS CABLE DAEMON ALIVE CONTAINERS"
        for name in $(lab_hosts); do
            link=plugged
            in_lab router ip -o link show "$name" | grep -q '[<,]UP[,>]' || link=pulled
            daemon=runs
            lab_daemon_of "$name" >/dev/null || daemon="-"
            members=$(in_lab "$name" swiftlet members --status alive --json 2>/dev/null | jq '.members | length') || true
            say "$name $(lab_address "$name") $link $daemon ${members:--} $(in_lab "$name" ls /run/netns | paste -sd , -)"
        done
    } | awk '{ for (i = 1; i <= 6; i++) { cell[NR, i] = $i == "" ? "-" : $i
            if (length(cell[NR, i]) > width[i]) width[i] = length(cell[NR, i]) } }
        END { for (row = 1; row <= NR; row++) { line = ""
            for (i = 1; i <= 6; i++) line = line sprintf("%-" (i < 6 ? width[i] + 2 : 0) "s", cell[row, i]); print line } }'
}
