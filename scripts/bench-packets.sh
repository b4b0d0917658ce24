#!/usr/bin/env bash
# Measures what address translation costs packets: throughput and connections per second through a published port and
# through masquerade, with nobody else there and with 1 000 other containers, each masqueraded and with a published port.
# The chain is bridge with ipMasq, portmap and firewall. In a private world; each suite has a host of its own in it, so that
# neither's rules are in the other's way.
#
#   scripts/bench-packets.sh [--ours DIR] [--reference DIR] [--rounds PERCENT]
#
# PERCENT scales the other containers, too. A suite that cannot make them all in a minute gets as many as it could, and
# the table says how many. The measured container comes after them, as a new container does.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/bench.sh
. "$here/lib/bench.sh"

host_address=192.0.2.1
outside_address=192.0.2.2
suites=(swiftlet reference)
declare -A directory others

on() {
    local namespace=$1
    shift
    nsenter --net="/run/netns/$namespace" "$@"
}

# write_chain DIRECTORY NETWORK BRIDGE SUBNET MAPPINGS
write_chain() {
    mkdir "$1"
    cat >"$1/0-bridge.json" <<CONF
{ "cniVersion": "1.0.0", "name": "$2-@SUITE@", "type": "bridge", "bridge": "$3", "isGateway": true, "ipMasq": true,
  "hairpinMode": true, "ipam": { "type": "host-local", "routes": [{ "dst": "0.0.0.0/0" }],
    "ranges": [[{ "subnet": "$4" }]] } @PREVIOUS@ }
CONF
    cat >"$1/1-portmap.json" <<CONF
{ "cniVersion": "1.0.0", "name": "$2-@SUITE@", "type": "portmap", "runtimeConfig": { "portMappings": [$5] } @PREVIOUS@ }
CONF
    printf '{ "cniVersion": "1.0.0", "name": "%s-@SUITE@", "type": "firewall" @PREVIOUS@ }\n' "$2" >"$1/2-firewall.json"
}

mapping() { printf '{ "hostPort": %s, "containerPort": %s, "protocol": "tcp" }' "$1" "$2"; }

make_host() {
    local suite=$1 name
    for name in host outside; do ip netns add "$name-$suite"; done
    ip -n "host-$suite" link add uplink type veth peer name uplink netns "outside-$suite"
    ip -n "host-$suite" address add "$host_address/24" dev uplink
    ip -n "outside-$suite" address add "$outside_address/24" dev uplink
    for name in host outside; do
        ip -n "$name-$suite" link set uplink up
        ip -n "$name-$suite" link set lo up
    done
    on "host-$suite" sysctl -q -w net.ipv4.ip_forward=1
    serve "outside-$suite"
}

serve() {
    on "$1" iperf3 --server --daemon --port 5201 >/dev/null
    on "$1" "$bench/connections" serve 9000 >/dev/null </dev/null &
}

# The measured container: published ports FIRST for iperf3 and FIRST+1 for connections. start_measured SUITE NAME FIRST
start_measured() {
    on "host-$1" "$bench/harness" fill "$bench/$2" 1 60 "$1-$2=${directory[$1]}" >/dev/null
    serve "fill-$1-$2-0"
}

# Bits per second, the mean of one second after a short warming up. throughput NAMESPACE ADDRESS PORT
throughput() {
    on "$1" iperf3 --client "$2" --port "$3" --time 1 --omit 0.2 --json | jq '.end.sum_received.bits_per_second | round'
}

# sample WHAT SUITE COMMAND…: keeps a number. A server that has not begun to listen yet, or is not done with the last
# caller, is asked again.
sample() {
    local what=$1 suite=$2 number attempt
    shift 2
    for ((attempt = 0; attempt < 5; attempt++)); do
        if number=$("$@") && [ -n "$number" ]; then
            printf '%s\t%s\t%s\n' "$what" "$suite" "$number" >>"$rows"
            return 0
        fi
        sleep 1
    done
    die "$suite, $what: \`$*\` failed"
}

# measure LABEL CONTAINER FIRST
measure() {
    local label=$1 name=$2 first=$3 round suite order times
    times=$((3000 * percent / 100))
    for ((round = 0; round < $(rounds 7); round++)); do
        order=("${suites[@]}")
        if ((round % 2)); then order=("${suites[1]}" "${suites[0]}"); fi
        for suite in "${order[@]}"; do
            sample "published port, $label: Gb/s" "$suite" throughput "outside-$suite" "$host_address" "$first"
            sample "masquerade, $label: Gb/s" "$suite" throughput "fill-$suite-$name-0" "$outside_address" 5201
            sample "published port, $label: connections/s" "$suite" on "outside-$suite" \
                "$bench/connections" count "$host_address" $((first + 1)) $((times < 500 ? 500 : times))
            sample "masquerade, $label: connections/s" "$suite" on "fill-$suite-$name-0" \
                "$bench/connections" count "$outside_address" 9000 $((times < 500 ? 500 : times))
        done
    done
}

packets_table() {
    sort -t $'\t' -k 1,1 -k 2,2 -k 3,3n "$rows" | awk -F '\t' '
        function cell(what, suite, at,   value) {
            value = values[what, suite, at]
            return what ~ /Gb/ ? sprintf("%.1f", value / 1e9) : sprintf("%d", value)
        }
        function middle(what, suite) { return int((count[what, suite] + 1) / 2) }
        { if (!($1 in seen)) { seen[$1] = 1; order[++whats] = $1 }
            values[$1, $2, ++count[$1, $2]] = $3 }
        END {
            print "| what | swiftlet, median (least–most) | reference, median (least–most) | ratio | runs |"
            print "|---|---:|---:|---:|---:|"
            for (i = 1; i <= whats; i++) {
                what = order[i]
                line = "| " what
                for (j = 0; j < 2; j++) {
                    suite = j ? "reference" : "swiftlet"
                    line = line " | " cell(what, suite, middle(what, suite)) " (" cell(what, suite, 1) "–" \
                        cell(what, suite, count[what, suite]) ")"
                }
                a = values[what, "swiftlet", middle(what, "swiftlet")]
                b = values[what, "reference", middle(what, "reference")]
                printf "%s | %.2f | %d |\n", line, a / b, count[what, "swiftlet"]
            }
        }'
}

main() {
    local suite wanted=$((1000 * percent / 100)) before
    if [ "$wanted" -gt 1000 ]; then wanted=1000; fi
    if [ "$wanted" -lt 20 ]; then wanted=20; fi
    have iperf3 || die "no iperf3: install it"
    prepare_bench
    "$(c_compiler)" -O2 -Wall -o "$bench/connections" "$root/scripts/bench/connections.c"
    directory=([swiftlet]=$ours [reference]=$reference)
    before=$(cut -d ' ' -f 1-3 /proc/loadavg)
    write_chain "$bench/alone" alone packets0 10.240.0.0/24 "$(mapping 6000 5201), $(mapping 6001 9000)"
    write_chain "$bench/last" last packets2 10.242.0.0/24 "$(mapping 6010 5201), $(mapping 6011 9000)"
    write_chain "$bench/others" others packets1 10.241.0.0/16 "$(mapping @PORT@ 80)"
    for suite in "${suites[@]}"; do
        make_host "$suite"
        start_measured "$suite" alone
    done
    measure "alone" alone 6000
    for suite in "${suites[@]}"; do
        others[$suite]=$(on "host-$suite" "$bench/harness" fill "$bench/others" "$wanted" 60 "$suite=${directory[$suite]}")
        start_measured "$suite" last
    done
    measure "among others" last 6010
    conditions
    say "Others: swiftlet ${others[swiftlet]}, reference ${others[reference]}, of $wanted wanted." \
        "Load average before: $before; after: $(cut -d ' ' -f 1-3 /proc/loadavg)."
    say
    packets_table
}

parse_bench "$@"
enter_private "$@"
main
