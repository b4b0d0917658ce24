#!/usr/bin/env bash
# Measures an overlay network as a whole, in a laboratory of its own: how soon after an ADD the other hosts reach the
# container, and what is left and lost when daemons are killed while containers come and go.
#
#   scripts/bench-cluster.sh [--ours DIR] [--rounds PERCENT] [--hosts N] [--seed NUMBER]
#
# A full run (100 percent) makes 1 000 ADDs on 5 hosts, then 60 seconds of 50 ADDs and DELs a second on them.
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

while [ $# -gt 0 ]; do
    case $1 in
    --ours | --rounds | --hosts | --seed)
        [ $# -ge 2 ] || die "$1 needs a value"
        case $1 in
        --ours) ours=$(readlink -f -- "$2") ;;
        --rounds) percent=$2 ;;
        --hosts) hosts=$2 ;;
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
[ "$(id -u)" -eq 0 ] || die "needs root"
[ -x "$ours/overlay-vxlan" ] || die "no executables in $ours: run scripts/build.sh"

trap lab_down EXIT
lab_up "$hosts"
say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
    "$hosts hosts, load $(cut -d ' ' -f 1-3 /proc/loadavg)."
names=()
for ((number = 1; number <= hosts; number++)); do names+=("h$number"); done
adds=$((1000 * percent / 100))
seconds=$((60 * percent / 100))
timeout $((300 + 12 * percent)) python3 "$here/bench/cluster.py" --lab "$lab" --root "$root" --hosts "${names[@]}" \
    --adds "$((adds < 20 ? 20 : adds))" --seconds "$((seconds < 5 ? 5 : seconds))" "${seed[@]}"
