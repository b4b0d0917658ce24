#!/usr/bin/env bash
# Measures bridge + host-local without masquerade: ADD and DEL one after the other, each in a fresh namespace, then many
# at once. In a private world, state on tmpfs.
#
#   scripts/bench-add.sh [--ours DIR] [--reference DIR] [--rounds PERCENT]
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/bench.sh
. "$here/lib/bench.sh"

main() {
    local workers
    prepare_bench
    cat >"$bench/bridge.json" <<'CONF'
{
  "cniVersion": "1.0.0", "name": "bench-@SUITE@", "type": "bridge", "bridge": "bench-@SUITE@", "isGateway": true,
  "ipam": {
    "type": "host-local", "ranges": [[{ "subnet": "10.24@INDEX@.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }]
  }
}
CONF
    harness attach bridge "$bench/bridge.json" "$(rounds 100)"
    for workers in 1 4 16; do
        harness parallel bridge "$bench/bridge.json" 48 "$workers" "$(rounds 5)"
    done
    conditions
    printf 'bridge ADD\t0.35\n' | table
}

parse_bench "$@"
enter_private "$@"
main
