#!/usr/bin/env bash
# Tries a rolling upgrade: daemons of the release before this one beside this build's, hosts that change over with their
# containers and state directories, and back.
#
#   scripts/test-upgrade.sh [--previous DIR]
#
# --previous DIR  the directory with the executables of the release before; without it they are built from git, for some
#                 minutes, in a directory of their own below .build
#
# The Swift tests must have been built (`swift build --build-tests`). Needs root.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

# The last commit of the release before.
release=7eb0572
previous=

while [ $# -gt 0 ]; do
    case $1 in
    --previous)
        [ $# -ge 2 ] || die "--previous needs a directory"
        previous=$2
        shift
        ;;
    -h | --help) usage && exit 0 ;;
    *) die "unknown option '$1'" ;;
    esac
    shift
done

cd "$root"
if [ -z "$previous" ]; then
    scratch=$root/.build/previous-$release
    previous=$scratch/bin
    if [ ! -x "$previous/swiftletd" ]; then
        rm -rf "$scratch"
        mkdir -p "$scratch/source" "$previous"
        git archive "$release" | tar -x -C "$scratch/source" || die "commit $release is not here: fetch it, or give --previous"
        (cd "$scratch/source" && swift build -c release --static-swift-stdlib --product swiftletd)
        cp "$scratch/source/.build/release/swiftletd" "$previous/"
        rm -rf "$scratch/source"
    fi
fi
previous=$(cd "$previous" && pwd)
[ -x "$previous/swiftletd" ] || die "no swiftletd in $previous"

export SWIFTLET_PREVIOUS_DIR=$previous
exec unshare --net --mount --propagation private -- bash -c '
    set -e
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/netns /run/lock
    if [ -d /var/lib/cni ]; then mount -t tmpfs tmpfs /var/lib/cni; fi
    ip link set lo up
    exec swift test --skip-build --filter ClusterTests.UpgradeTests'
