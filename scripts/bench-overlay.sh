#!/usr/bin/env bash
# Measures the overlay beside Docker 20.10's (with a key-value store, etcd), a VXLAN made by hand and the bare underlay, in
# one laboratory of two hosts and in one run, turn by turn: attaching and detaching, throughput, round trip.
#
#   scripts/bench-overlay.sh [--ours DIR] [--rounds PERCENT] [--mtu BYTES] [--no-docker] [--only packets|attaching]
#
# --mtu BYTES  the underlay's MTU (default 1500)
# --no-docker  leave Docker out, and install nothing
# --only PART  measure only throughput and round trip, or only attaching and detaching
#
# A ratio is the median of the ratios within each round: what disturbs the machine for a while disturbs both sides of it.
# Throughput is measured with sender and receiver on one processor, where it says what a byte costs, and on two, where it
# also hangs on how far apart they are and varies more.
#
# Docker is Debian's docker.io, with etcd-server; scripts/dependencies.sh bench installs them. Without them its column is
# empty.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/runtimes.sh
. "$here/lib/runtimes.sh"
# shellcheck source=scripts/lib/lab.sh
. "$here/lib/lab.sh"

percent=100
parts=(packets attaching)
suites=(swiftlet docker by-hand underlay)
docker=(docker -H unix:///run/docker.sock)
# Docker's own MTU does not follow the underlay's; everybody else is held to the same here.
overlay_mtu=
processors=$(nproc)
lab_gossip_port=7956

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --ours | --rounds | --mtu | --only)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in
            --ours) ours=$(readlink -f -- "$2") ;;
            --rounds) percent=$2 ;;
            --mtu) lab_mtu=$2 ;;
            --only) parts=("$2") ;;
            esac
            shift
            ;;
        --no-docker) drop docker ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
    [[ $percent =~ ^[0-9]+$ ]] || die "--rounds is a number in percent"
    [[ ${parts[0]} =~ ^(packets|attaching)$ ]] || die "--only: packets or attaching"
    overlay_mtu=$((lab_mtu - 50))
}

rounds() {
    local count=$(($1 * percent / 100))
    printf '%d\n' $((count < 3 ? 3 : count))
}

has() {
    local suite
    for suite in "${suites[@]}"; do [ "$suite" != "$1" ] || return 0; done
    return 1
}

drop() {
    local suite kept=()
    for suite in "${suites[@]}"; do [ "$suite" = "$1" ] || kept+=("$suite"); done
    suites=("${kept[@]}")
}

# eventually SECONDS COMMAND…: until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# --- the three networks; each has its container c1 on h1 and c2 on h2 ------------------------------------------------

make_swiftlet() {
    local host
    for host in h1 h2; do
        if [ "$host" = h1 ]; then
            in_lab h1 swiftlet network create -d overlay --subnet 10.61.0.0/16 -o "mtu=$overlay_mtu" swiftlet >/dev/null
        else
            in_lab h1 cat /etc/cni/net.d/60-swiftlet.conflist |
                in_lab h2 tee /etc/cni/net.d/60-swiftlet.conflist >/dev/null
        fi
        in_lab "$host" ip netns add swiftlet
        in_lab "$host" swiftlet cni add swiftlet swiftlet --container-id measured >/dev/null
    done
}

make_docker() {
    local host
    in_lab router bash -c 'mkdir -p /run/etcd && setsid etcd --data-dir /run/etcd --enable-v2=true \
        --listen-client-urls http://192.0.2.1:2379 --advertise-client-urls http://192.0.2.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380 </dev/null >/run/etcd.log 2>&1 &'
    eventually 20 in_lab router curl -fs http://192.0.2.1:2379/health || die "etcd does not start"
    make_rootfs "$work/rootfs"
    for host in h1 h2; do
        # shellcheck disable=SC2016 # expanded inside
        in_lab "$host" bash -c 'setsid dockerd --data-root /run/dockerd/lib --exec-root /run/dockerd/exec \
            --pidfile /run/dockerd.pid -H unix:///run/docker.sock --storage-driver vfs \
            --cluster-store=etcd://192.0.2.1:2379 --cluster-advertise="$1:2376" </dev/null >/run/dockerd.log 2>&1 &' \
            bash "$(lab_address "$host")"
    done
    for host in h1 h2; do
        eventually 60 in_lab "$host" "${docker[@]}" info || die "dockerd does not start: $(in_lab "$host" tail -n 3 /run/dockerd.log)"
        tar -C "$work/rootfs" -c . | in_lab "$host" "${docker[@]}" import - busybox:1 >/dev/null
    done
    in_lab h1 "${docker[@]}" network create -d overlay --subnet 10.62.0.0/16 \
        -o "com.docker.network.driver.mtu=$overlay_mtu" measured >/dev/null
    for host in h1 h2; do
        in_lab "$host" "${docker[@]}" run -d --ulimit nofile=1024:1024 --net measured --name "measured-$host" \
            busybox:1 /bin/sleep 86400 >/dev/null
        in_lab "$host" ip netns attach docker \
            "$(in_lab "$host" "${docker[@]}" inspect -f '{{.State.Pid}}' "measured-$host")"
    done
    in_lab h1 "${docker[@]}" run -d --ulimit nofile=1024:1024 --name turn busybox:1 /bin/sleep 86400 >/dev/null
}

# The same shape: a namespace with a bridge, a VXLAN device born on the underlay, a veth to the container, fixed entries.
make_by_hand() {
    local number host peer
    for number in 1 2; do
        host=h$number
        peer=$((3 - number))
        # shellcheck disable=SC2016 # expanded inside
        in_lab "$host" bash -euc '
            number=$1 peer=$2 mtu=$3
            ip netns add by-hand-overlay
            ip netns add by-hand
            ip link add vxlan63 mtu "$mtu" type vxlan id 63 dstport 4790 local "192.0.2.1$number" nolearning proxy
            ip link set vxlan63 netns by-hand-overlay
            ip -n by-hand-overlay link add br0 mtu "$mtu" type bridge
            ip -n by-hand-overlay link set vxlan63 master br0 up
            ip -n by-hand-overlay link set br0 up
            ip -n by-hand link add eth0 mtu "$mtu" address "02:42:0a:3f:00:0$number" type veth \
                peer name port0 mtu "$mtu" netns by-hand-overlay
            ip -n by-hand-overlay link set port0 master br0 up
            ip -n by-hand link set lo up
            ip -n by-hand link set eth0 up
            ip -n by-hand address add "10.63.0.$number/16" dev eth0
            ip -n by-hand-overlay neigh replace "10.63.0.$peer" lladdr "02:42:0a:3f:00:0$peer" dev vxlan63 nud permanent
            bridge -n by-hand-overlay fdb replace "02:42:0a:3f:00:0$peer" dev vxlan63 dst "192.0.2.1$peer" self permanent
            bridge -n by-hand-overlay fdb replace "02:42:0a:3f:00:0$peer" dev vxlan63 master static' \
            bash "$number" "$peer" "$overlay_mtu"
    done
}

# in_container SUITE HOST COMMAND…: in the suite's container, or on the host itself.
in_container() {
    local suite=$1 host=$2
    shift 2
    if [ "$suite" = underlay ]; then
        in_lab "$host" "$@"
    else
        in_lab "$host" nsenter --net="/run/netns/$suite" "$@"
    fi
}

address_on_h2() {
    if [ "$1" = underlay ]; then
        lab_address h2
    else
        in_container "$1" h2 ip -j -4 address show dev eth0 | jq -r '.[0].addr_info[0].local'
    fi
}

# --- measuring -----------------------------------------------------------------------------------------------------

sample() {
    local what=$1 suite=$2 number
    shift 2
    if ! number=$("$@") || [ -z "$number" ]; then die "$suite, $what: \`$*\` failed"; fi
    printf '%s\t%s\t%s\n' "$what" "$suite" "$number" >>"$rows"
}

# Megabits per second over one second after a short warming up, sender and receiver held to a processor each.
throughput() {
    in_container "$1" h1 iperf3 --client "$2" --time 1 --omit 0.2 --affinity "0,$3" --json |
        jq '.end.sum_received.bits_per_second / 1e6 | round'
}

# Nanoseconds, the median of 10 000 round trips.
round_trip() { in_container "$1" h1 taskset -c 0 "$work/roundtrip" "$2" 10000; }

measure_packets() {
    local suite round index
    declare -A address
    "$(c_compiler)" -O2 -Wall -o "$work/roundtrip" "$root/scripts/bench/roundtrip.c"
    for suite in "${suites[@]}"; do
        address[$suite]=$(address_on_h2 "$suite")
        in_container "$suite" h2 iperf3 --server --daemon --bind "${address[$suite]}" >/dev/null
        eventually 60 in_container "$suite" h1 ping -q -c 1 -W 1 "${address[$suite]}" || die "$suite: no ping"
    done
    for ((round = 0; round < $(rounds 12); round++)); do
        for ((index = 0; index < ${#suites[@]}; index++)); do
            suite=${suites[(index + round) % ${#suites[@]}]}
            sample "TCP throughput on one processor, Mb/s" "$suite" throughput "$suite" "${address[$suite]}" 0
            if [ "$processors" -gt 1 ]; then
                sample "TCP throughput on two, Mb/s" "$suite" throughput "$suite" "${address[$suite]}" 1
            fi
            sample "round trip, ns" "$suite" round_trip "$suite" "${address[$suite]}"
        done
    done
}

measure_attaching() {
    local arguments=()
    if has swiftlet; then arguments+=(--cni /etc/cni/net.d/60-swiftlet.conflist /opt/cni/bin); fi
    if has docker; then arguments+=(--docker /run/docker.sock measured turn); fi
    [ "${#arguments[@]}" -gt 0 ] || return 0
    # The first of each pays for what others find made.
    in_lab h1 python3 "$root/scripts/bench/attach.py" 1 "${arguments[@]}" >/dev/null
    in_lab h1 python3 "$root/scripts/bench/attach.py" "$(rounds 40)" "${arguments[@]}" |
        awk -F '\t' -v OFS='\t' '{ print $1 ", µs", $2, $3 }' >>"$rows"
}

# The medians beside each other, with the medians of the rounds' ratios (their middle half) and what was promised.
overlay_table() {
    awk -F '\t' '
        { if (!($1 in seen)) { seen[$1] = 1; order[++whats] = $1 }
            values[$1, $2, ++count[$1, $2]] = $3 }
        # The sorted values of a row and suite, or their ratios to another suite, in `list`; their number is returned.
        function sorted(what, suite, other,   n, i, j, value) {
            n = count[what, suite]
            if (other != "" && count[what, other] != n) return 0
            for (i = 1; i <= n; i++) {
                value = values[what, suite, i]
                if (other != "") value /= values[what, other, i]
                for (j = i; j > 1 && list[j - 1] > value; j--) list[j] = list[j - 1]
                list[j] = value
            }
            return n
        }
        function at(n, share) { return list[int((n - 1) * share + 0.5) + 1] }
        function cell(what, suite,   n, unit) {
            n = sorted(what, suite, "")
            if (!n) return "–"
            unit = what ~ /ns$/ ? "µs" : what ~ /µs$/ ? "ms" : "Gb/s"
            return sprintf("%.2f %s (%.2f–%.2f)", at(n, 0.5) / 1e3, unit, at(n, 0) / 1e3, at(n, 1) / 1e3)
        }
        function ratio(what, suite,   n) {
            n = sorted(what, "swiftlet", suite)
            if (!n) return "–"
            return sprintf("%.2f (%.2f–%.2f)", at(n, 0.5), at(n, 0.25), at(n, 0.75))
        }
        END {
            print "| what | swiftlet | Docker 20.10 | by hand | underlay | ÷ Docker | budget | ÷ by hand | budget | rounds |"
            print "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
            for (i = 1; i <= whats; i++) {
                what = order[i]; toDocker = ""; toHand = ""
                if (what ~ /^attach, µs/) toDocker = "≤ 0.15"
                if (what ~ /throughput/) { toDocker = "≥ 1.0"; toHand = "≥ 0.99" }
                if (what ~ /round trip/) toDocker = "≤ 1.0"
                name = what; sub(/, [^,]*$/, "", name)
                runs = count[what, "swiftlet"] ? count[what, "swiftlet"] : count[what, "docker"]
                printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %d |\n", name, cell(what, "swiftlet"),
                    cell(what, "docker"), cell(what, "by-hand"), cell(what, "underlay"),
                    ratio(what, "docker"), toDocker, ratio(what, "by-hand"), toHand, runs
            }
        }' "$rows"
}

# What a killed docker leaves in the control groups, the one thing no namespace here contains.
leave() {
    lab_down
    [ -z "$was_no_docker" ] || drop_cgroup
    rm -rf -- "$work"
}

main() {
    local before suite part
    before=$(cut -d ' ' -f 1-3 /proc/loadavg)
    work=$(mktemp -d)
    rows=$work/rows
    lab=$work/lab
    : >"$rows"
    own_cgroup docker
    was_no_docker=1
    trap leave EXIT
    if [ ! -x "$ours/overlay-vxlan" ]; then
        warn "no overlay-vxlan in $ours: measuring the others alone"
        drop swiftlet
        lab_daemon=
    fi
    if has docker && { ! have dockerd || ! have etcd || [ ! -x /bin/busybox ]; }; then
        warn "no docker.io, etcd-server or busybox-static: measuring without Docker"
        drop docker
    fi
    have iperf3 || die "no iperf3: install it"
    lab_up 2
    for suite in "${suites[@]}"; do
        case $suite in
        swiftlet) make_swiftlet ;;
        docker) make_docker ;;
        by-hand) make_by_hand ;;
        esac
    done
    for part in "${parts[@]}"; do "measure_$part"; done
    say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
        "load before $before, underlay MTU $lab_mtu; two namespaced hosts on one machine; medians (least–most)," \
        "suites turn by turn; ratios of the same round (middle half). Docker is asked over its API on a kept connection; ours is a process per call."
    say
    overlay_table
}

parse "$@"
if [ -z "${SWIFTLET_OUTSIDE_NETNS:-}" ]; then
    require_root
    if has docker; then "$root/scripts/dependencies.sh" bench; fi
fi
enter_private "$@"
main
