#!/usr/bin/env bash
# Failure drills of an overlay network: five hosts with containers that ask each other for an echo every few milliseconds,
# one failure after the other, and what the containers notice. The figures of docs/operations.md, "Faults of the overlay",
# are its output.
#
#   scripts/drill-overlay.sh [--ours DIR] [--list] [DRILL…]
#
# Takes ten minutes. Fails when a drill did not end as it should. Needs root, nft, python3.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
SWIFTLET_LAB=${SWIFTLET_LAB:-/run/swiftlet-drill-overlay}
export SWIFTLET_LAB
# shellcheck source=scripts/lib/lab.sh
. "$here/lib/lab.sh"
# Long enough for a partition of 20 s, short enough to wait for.
grace=45
lab_options="{\"grace\": $grace}"

drills=()
while [ $# -gt 0 ]; do
    case $1 in
    --ours)
        [ $# -ge 2 ] || die "$1 needs a value"
        ours=$(readlink -f -- "$2")
        shift
        ;;
    --list) exec python3 "$here/bench/overlay_drills.py" --list ;;
    -h | --help) usage && exit 0 ;;
    -*) die "unknown option '$1'" ;;
    *) drills+=("$1") ;;
    esac
    shift
done
[ "$(id -u)" -eq 0 ] || die "needs root"
[ -x "$ours/swiftletd" ] || die "no swiftletd in $ours: run scripts/build.sh"

trap lab_down EXIT
lab_up 5
say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
    "5 hosts, profile $lab_profile, load $(cut -d ' ' -f 1-3 /proc/loadavg)."
python3 "$here/bench/overlay_drills.py" ${DRILL_ROUNDS:+--rounds "$DRILL_ROUNDS"} --lab "$lab" --root "$root" --grace "$grace" ${drills[@]+"${drills[@]}"}
