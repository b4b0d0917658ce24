#!/usr/bin/env bash
# Failure drills: five daemons in namespaces of their own, one failure after the other, and what they make of it. The table
# of docs/operations.md is its output.
#
#   scripts/drill.sh [--ours DIR] [DRILL…]
#
# Takes ten minutes. Fails when a drill did not end as it should. Needs root, nft, python3.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"

drills=()
parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --ours)
            [ $# -ge 2 ] || die "$1 needs a value"
            ours=$2
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        -*) die "unknown option '$1'" ;;
        *) drills+=("$1") ;;
        esac
        shift
    done
    [ -x "$ours/swiftletd" ] || die "no swiftletd in $ours: run scripts/build.sh"
}

parse "$@"
enter_private "$@"
exec python3 "$root/scripts/bench/drills.py" "$ours/swiftletd" ${drills[@]+"${drills[@]}"}
