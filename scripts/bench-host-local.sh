#!/usr/bin/env bash
# Measures host-local ADD and DEL with 0, 1 000, 10 000 and 50 000 addresses already reserved. In a private world, the
# store on tmpfs.
#
#   scripts/bench-host-local.sh [--ours DIR] [--reference DIR] [--rounds PERCENT]
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/bench.sh
. "$here/lib/bench.sh"

# The on-disk contract: a file per address, holding container and interface.
fill_store() {
    local directory=$1 count=$2 number
    mkdir -p "$directory"
    for ((number = 2; number < count + 2; number++)); do
        printf 'filler-%d\r\neth0' "$number" \
            >"$directory/10.$((number >> 16)).$((number >> 8 & 255)).$((number & 255))"
    done
    if [ "$count" -gt 0 ]; then
        number=$((count + 1))
        printf '10.%d.%d.%d' $((number >> 16)) $((number >> 8 & 255)) $((number & 255)) \
            >"$directory/last_reserved_ip.0"
    fi
}

measure() {
    local count=$1 times=$2 suite
    for suite in swiftlet reference; do
        fill_store "/var/lib/cni/networks/bench-$count-$suite" "$count"
    done
    cat >"$bench/host-local.json" <<CONF
{
  "cniVersion": "1.0.0", "name": "bench-$count-@SUITE@",
  "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.0.0.0/8" }]] }
}
CONF
    "$bench/harness" ipam host-local "$bench/host-local.json" "$times" "swiftlet=$ours" "reference=$reference" |
        sed "s/^host-local \([A-Z]*\)/host-local \1, $count reserved/" >>"$rows"
    # How a suite's cost grows is its own: one that reads every file leaves the other nothing in the processor's caches.
    for suite in "swiftlet=$ours" "reference=$reference"; do
        "$bench/harness" ipam host-local "$bench/host-local.json" "$times" "$suite" |
            sed "s/^host-local ADD/$count/" >>"$bench/alone"
    done
    rm -rf "/var/lib/cni/networks/bench-$count-swiftlet" "/var/lib/cni/networks/bench-$count-reference"
}

growth() {
    awk -F '\t' '$1 == "0" { empty[$2] = $3 }
        $1 == "50000" { full[$2] = $3 }
        END { printf "ADD at 50 000 ÷ at 0 reservations, each suite alone: swiftlet %.2f (budget ≤ 1.5), reference %.0f.\n",
            full["swiftlet"] / empty["swiftlet"], full["reference"] / empty["reference"] }' "$bench/alone"
}

main() {
    prepare_bench
    measure 0 "$(rounds 200)"
    measure 1000 "$(rounds 100)"
    measure 10000 "$(rounds 30)"
    measure 50000 "$(rounds 10)"
    conditions
    table </dev/null
    say
    growth
}

parse_bench "$@"
enter_private "$@"
main
