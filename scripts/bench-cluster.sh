#!/usr/bin/env bash
# Measures an overlay network as a whole, in a laboratory of its own: how soon after an ADD the other hosts reach the
# container, what is left and lost when daemons are killed while containers come and go, and what a network of 20 000
# endpoints costs.
#
#   scripts/bench-cluster.sh [--ours DIR] [--rounds PERCENT] [--hosts N] [--seed NUMBER] [--only reach|churn|many]
#
# A full run (100 percent) makes 1 000 ADDs on 5 hosts, then 60 seconds of 50 ADDs and DELs a second on them, then 20 000
# endpoints of which a host that joins learns.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
SWIFTLET_LAB=${SWIFTLET_LAB:-/run/swiftlet-bench-cluster}
export SWIFTLET_LAB
# shellcheck source=scripts/lib/lab.sh
. "$here/lib/lab.sh"

percent=100
hosts=5
seed=()
only=

while [ $# -gt 0 ]; do
    case $1 in
    --ours | --rounds | --hosts | --seed | --only)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --ours) ours=$(readlink -f -- "$2") ;;
        --rounds) percent=$2 ;;
        --hosts) hosts=$2 ;;
        --only) only=$2 ;;
        --seed) seed=(--seed "$2") ;;
        esac
        shift
        ;;
    -h | --help) usage && exit 0 ;;
    *) die "unknown option '$1'" ;;
    esac
    shift
done
[[ $percent =~ ^[1-9][0-9]*$ ]] || die "--rounds is a number in percent"
[[ $hosts =~ ^[2-9]$ ]] || die "--hosts: 2 to 9"
[[ $only =~ ^(reach|churn|many)?$ ]] || die "--only reach, churn or many"
[ "$(id -u)" -eq 0 ] || die "needs root"
[ -x "$ours/overlay-vxlan" ] || die "no executables in $ours: run scripts/build.sh"

work=$(mktemp -d)
trap 'lab_down; rm -rf -- "$work"' EXIT
lab_up "$hosts"
say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
    "$hosts hosts, load $(cut -d ' ' -f 1-3 /proc/loadavg)."
names=()
for ((number = 1; number <= hosts; number++)); do names+=("h$number"); done
adds=$((1000 * percent / 100))
seconds=$((60 * percent / 100))
endpoints=$((20000 * percent / 100))
if ((adds < 20)); then adds=20; fi
if ((seconds < 5)); then seconds=5; fi
if ((endpoints < 400)); then endpoints=400; fi
case $only in
reach) seconds=0 ;;
churn) adds=0 ;;
esac
status=0
if [ "$only" != many ]; then
    timeout $((300 + 12 * percent)) python3 "$here/bench/cluster.py" --lab "$lab" --root "$root" --hosts "${names[@]}" \
        --adds "$adds" --seconds "$seconds" "${seed[@]}" || status=$?
else
    printf '| what | seen | wanted |\n|---|---:|---:|\n'
fi
if [ -z "$only" ] || [ "$only" = many ]; then
    turns=$((9 * percent / 100))
    "$(c_compiler)" -O2 -o "$work/roundtrip" "$here/bench/roundtrip.c"
    timeout $((300 + 6 * percent)) python3 "$here/bench/many.py" --lab "$lab" --hosts "${names[@]}" \
        --roundtrip "$work/roundtrip" --endpoints "$endpoints" --rounds "$((turns < 1 ? 1 : turns))" || status=$?
fi
exit "$status"
