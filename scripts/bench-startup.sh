#!/usr/bin/env bash
# Measures the start of every plugin both suites have (CNI_COMMAND=VERSION) against the reference's, and the floor: a C
# program that only prints.
#
#   scripts/bench-startup.sh [--ours DIR] [--reference DIR] [--rounds PERCENT]
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/bench.sh
. "$here/lib/bench.sh"

main() {
    local plugin budgets=''
    parse_bench "$@"
    prepare_bench
    for plugin in "$ours"/*; do
        plugin=$(basename -- "$plugin")
        [ -x "$reference/$plugin" ] || continue
        harness version "$plugin" "$(rounds 500)"
        budgets+="$plugin VERSION"$'\t'"0.65"$'\n'
    done
    conditions
    table <<<"$budgets"
    say
    "$bench/harness" version bridge "$(rounds 500)" "floor=$bench/floor" |
        awk -F '\t' '{ printf "Floor, a C program that only prints: %d µs (%d).\n", $3, $4 }'
}

main "$@"
