#!/usr/bin/env bash
# Measures swiftletd beside Debian's serf agent: how fast a killed node is seen, what packet loss and a partition do, what
# an idle node costs, and how soon what a new host writes is everywhere. Ten namespaces with one node of each kind, all kinds at the same time, so that a busy machine is
# equally busy for all.
#
#   scripts/bench-gossip.sh [--ours DIR] [--nodes N] [--long]
#
# --nodes N  nodes of each kind (default: 10)
# --long     all of it, eight minutes: 60 s idle, twelve hosts that join and write, three kills, 50 s of 50 % loss, a
#            partition of 90 s. Without it two such hosts, one kill, a few seconds of loss and idleness and no partition.
#
# Fails when a kill is not seen, a living node of ours is called failed, or a partition does not heal. How fast it was is
# printed, not judged. Needs root, nft, python3, serf.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"

nodes=10
long=

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --ours | --nodes)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in
            --ours) ours=$2 ;;
            --nodes) nodes=$2 ;;
            esac
            shift
            ;;
        --long) long=--long ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
    [[ $nodes =~ ^([4-9]|[1-9][0-9])$ ]] || die "--nodes is a number from 4 to 99"
    [ -x "$ours/swiftletd" ] || die "no swiftletd in $ours: run scripts/build.sh"
    have serf || die "no serf to compare with: install it, or run scripts/dependencies.sh"
}

main() {
    local agent
    agent=$(command -v serf)
    say "Conditions: $(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)," \
        "load $(cut -d ' ' -f 1-3 /proc/loadavg), $nodes nodes of each kind in $nodes namespaces, all at the same time."
    say
    exec python3 "$root/scripts/bench/gossip.py" --swiftletd "$ours/swiftletd" --serf "$agent" --nodes "$nodes" $long
}

parse "$@"
enter_private "$@"
main
