#!/usr/bin/env bash
# The one test command: installs what is missing, lints, builds, runs the unit and kernel tests in a private world, then
# the scripted tests against real runtimes and the reference plugins.
#
#   scripts/test.sh [--long] [--filter X]
#
# --long      full-size fuzzing and soaking (SWIFTLET_LONG=1)
# --filter X  only the section X (lint, build, swift, install, conf, podman, containerd, nerdctl, firewalld, overlay,
#             parity, demo, upgrade, bench) or, for any other X, only the Swift tests that match X
#
# What failed is repeated after the summary; the last line is `N passed, M failed, K skipped`. Each skip is printed with
# its reason. Needs root.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

sections=(lint build swift install conf podman containerd nerdctl firewalld overlay parity demo upgrade bench)
filter=
passed=0
failed=0
skipped=0
summary=
failing=()
logs=

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --long) export SWIFTLET_LONG=1 ;;
        --filter)
            [ $# -ge 2 ] || die "--filter needs a word"
            filter=$2
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
}

is_section() {
    local section
    for section in "${sections[@]}"; do
        if [ "$section" = "$1" ]; then return 0; fi
    done
    return 1
}

wanted() {
    if [ -z "$filter" ]; then return 0; fi
    if is_section "$filter"; then
        [ "$filter" = "$1" ]
    else
        [ "$1" = swift ]
    fi
}

# count NAME PASSED FAILED SKIPPED SECONDS
count() {
    passed=$((passed + $2))
    failed=$((failed + $3))
    skipped=$((skipped + $4))
    if [ "$3" -gt 0 ]; then failing+=("$1"); fi
    summary+=$(printf '%-22s %5d passed %4d failed %4d skipped  %4d s' "$1" "$2" "$3" "$4" "$5")$'\n'
}

# Runs a command with a time limit, its output both shown and kept in the log of that name.
logged() {
    local name=$1 limit=$2
    shift 2
    timeout --foreground --kill-after=10 "$limit" "$@" </dev/null 2>&1 | tee "$logs/$name"
}

# note NAME WORDS…: says what failed, and keeps that in the section's log.
note() {
    local name=$1
    shift
    say "not ok - $*" | tee -a "$logs/$name"
}

# What a section's log says of failures: the failed tests' names, then each complaint with the lines that explain it, or
# the log's end where no line complains. Bounded, for whoever keeps no more of the output than its end.
failures_of() {
    local log=$logs/$1 found
    [ -f "$log" ] || return 0
    # Colours, where the runner takes the log for a terminal.
    sed -i 's/\x1b\[[0-9;]*m//g' "$log"
    found=$(
        grep -aE '^✘ Test .* failed after ' "$log" | sed -n '1,20p'
        LC_ALL=C awk '
            /recorded an issue|^✘ Suite|^not ok|^build\.sh: |(^|[ :])([Ff]atal )?error: / { print; following = 12; next }
            /^(◇|✔|✘|➜|ok - |skip - |# |---)/ { following = 0 }
            following > 0 { print; following-- }' "$log" | sed -n '1,60p'
    ) || true
    if [ -n "$found" ]; then printf '%s\n' "$found" | cut -c1-300; fi
    if [ -z "$found" ] || grep -qE '^not ok - .* (did not reach its end|ended with status) ' <<<"$found"; then
        say "its log's end:"
        tail -n 20 "$log" | cut -c1-300
    fi
}

# A step that is one test: it passes when the command does.
step() {
    local name=$1 limit=$2 begin=$SECONDS
    shift 2
    say "--- $name"
    if logged "$name" "$limit" "$@"; then
        count "$name" 1 0 0 $((SECONDS - begin))
    else
        say "not ok - $name"
        count "$name" 0 1 0 $((SECONDS - begin))
        return 1
    fi
}

# A script that prints checks and ends with their count.
scripted() {
    local name=$1 limit=$2 begin=$SECONDS status=0 numbers
    shift 2
    say "--- $name"
    logged "$name" "$limit" "$@" || status=$?
    numbers=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$logs/$name" | tail -n 1)
    if [ -z "$numbers" ]; then
        note "$name" "$name did not reach its end (exit status $status)"
        numbers="0 1 0"
    fi
    # shellcheck disable=SC2086 # three numbers are meant
    count "$name" $numbers $((SECONDS - begin))
}

build_release() {
    step build-release 900 "$root/scripts/build.sh" || return 0
    # build.sh warns of what an executable has lost or gained by accident; here that is a failure.
    if grep -E '^build\.sh: ' "$logs/build-release" >/dev/null; then
        note build-shape "the executables are not in their shape: $(grep -E '^build\.sh: ' "$logs/build-release")"
        count build-shape 0 1 0 0
    else
        count build-shape 1 0 0 0
    fi
}

build_tests() {
    local undeclared
    step build-tests 900 swift build --package-path "$root" --build-tests \
        --explicit-target-dependency-import-check warn || return 1
    # swift-nio imports Apple's System where there is one; SwiftPM takes that for our room of the same name.
    undeclared=$(grep 'imports another target' "$logs/build-tests" | grep -v 'Target _NIO' || true)
    if [ -n "$undeclared" ]; then
        note undeclared-imports "$undeclared"
        count undeclared-imports 0 1 0 0
    fi
}

# The Swift tests make namespaces of their own; this one around them keeps their mistakes from the host, too.
in_private_world() {
    # shellcheck disable=SC2016 # expanded inside
    unshare --net --mount --propagation private -- bash -c 'set -e
        mount -t tmpfs -o mode=755 tmpfs /run
        mkdir -p /run/netns /run/lock
        if [ -d /var/lib/cni ]; then mount -t tmpfs tmpfs /var/lib/cni; fi
        ip link set lo up
        exec "$@"' bash "$@"
}

# "total failed skipped" of a report in JUnit's format: test cases, not attributes, which count skipped ones or not.
count_report() {
    awk '/<testcase / { total++; failing = 0 }
        /<(failure|error)[ >]/ && !failing { failing = 1; failed++ }
        /<skipped/ { skipped++ }
        END { printf "%d %d %d\n", total, failed, skipped }' "$1"
}

swift_tests() {
    local begin=$SECONDS status=0 report=$logs/report-swift-testing.xml total=0 wrong=0 left_out=0 limit=1500
    local options=(--package-path "$root" --skip-build --xunit-output "$logs/report.xml"
        --explicit-target-dependency-import-check warn)
    if [ -n "$filter" ] && ! is_section "$filter"; then options+=(--filter "$filter"); fi
    if [ -n "${SWIFTLET_LONG:-}" ]; then limit=7200; fi
    say "--- swift"
    export SWIFTLET_PLUGIN_DIR=$ours
    logged swift "$limit" bash -c "$(declare -f in_private_world); in_private_world \"\$@\"" bash \
        swift test "${options[@]}" || status=$?
    if [ -f "$report" ]; then
        read -r total wrong left_out < <(count_report "$report")
    fi
    if [ "$status" -ne 0 ] && [ "$wrong" -eq 0 ]; then
        note swift "swift test ended with status $status"
        total=$((total + 1))
        wrong=1
    fi
    if [ "$total" -eq 0 ]; then
        note swift "no Swift test ran"
        total=1 wrong=1
    fi
    grep -aE '^[^ ]+ Test .* skipped(: |$)' "$logs/swift" | sed -E 's/^[^ ]+ Test (.*) skipped:? ?(.*)$/skip - \1 # \2/' || true
    count swift $((total - wrong - left_out)) "$wrong" "$left_out" $((SECONDS - begin))
}

# The benchmarks fail when a call fails; how fast it was is not a test.
benches() {
    local name
    if [ ! -x "$reference/bridge" ]; then
        say "skip - benchmarks # no reference plugins in $reference to compare with"
        count bench 0 0 1 0
        return 0
    fi
    for name in startup add host-local chain packets; do
        if [ "$name" = packets ] && ! have iperf3; then
            say "skip - bench-packets # iperf3 is not installed and could not be"
            count bench-packets 0 0 1 0
            continue
        fi
        step "bench-$name" 300 "$root/scripts/bench-$name.sh" --ours "$ours" --rounds 3 || true
    done
    if have serf; then
        step bench-gossip 600 "$root/scripts/bench-gossip.sh" --ours "$ours" ${SWIFTLET_LONG:+--long} || true
    else
        say "skip - bench-gossip # serf is not installed and could not be"
        count bench-gossip 0 0 1 0
    fi
    if have iperf3; then
        # Docker's column needs packages that no other test needs; those who want it run the script themselves.
        step bench-overlay 300 "$root/scripts/bench-overlay.sh" --ours "$ours" --rounds 3 --no-docker || true
    fi
    step bench-cluster 300 "$root/scripts/bench-cluster.sh" --ours "$ours" --rounds 3 --hosts 3 || true
}

main() {
    local section
    parse "$@"
    require_root
    have swift || die "no swift on PATH: install Swift 6.3 from swift.org"
    logs=$(mktemp -d)
    trap 'rm -rf -- "$logs"' EXIT
    PATH=$PATH:/usr/sbin:/sbin
    "$root/scripts/dependencies.sh" test
    ours=$root/dist/bin

    if wanted lint; then step lint 120 "$root/scripts/lint.sh" || true; fi
    if [ "$filter" != lint ]; then build_release; fi
    if wanted swift; then
        # Without a build there may be an older one about, whose results would mean nothing.
        if build_tests; then swift_tests; fi
    fi
    if wanted install; then scripted install 240 "$root/scripts/test-install.sh"; fi
    if wanted conf; then scripted conf 200 "$root/scripts/test-conf.sh" "$ours"; fi
    if wanted podman; then
        scripted podman 400 "$root/scripts/test-podman.sh" "$ours"
        scripted podman-own 400 "$root/scripts/test-podman.sh" --own "$ours"
        if [ -d "$reference" ]; then
            scripted podman-chain 400 "$root/scripts/test-podman.sh" --chain "$ours:$reference"
        fi
    fi
    if wanted containerd; then
        scripted containerd 400 "$root/scripts/test-containerd.sh" "$ours"
        scripted containerd-own 400 "$root/scripts/test-containerd.sh" --own "$ours"
    fi
    if wanted nerdctl; then scripted nerdctl-shape 400 "$root/scripts/test-nerdctl-shape.sh" "$ours"; fi
    if wanted firewalld; then scripted firewalld 240 "$root/scripts/test-firewalld.sh" "$ours"; fi
    if wanted overlay; then scripted overlay-runtimes 400 "$root/scripts/test-overlay-runtimes.sh" "$ours"; fi
    if wanted parity; then scripted parity 400 "$root/scripts/test-parity.sh" "$ours" "$reference"; fi
    if wanted demo; then scripted demo 240 "$root/scripts/demo.sh" --plugins "$ours"; fi
    # Builds the release before this one.
    if [ -n "${SWIFTLET_LONG:-}" ] && wanted upgrade; then
        step upgrade 3000 "$root/scripts/test-upgrade.sh" || true
    fi
    if wanted bench; then benches; fi

    say
    say "--- summary ($SECONDS s)"
    printf '%s' "$summary"
    for section in "${failing[@]}"; do
        say
        say "--- failed: $section"
        failures_of "$section"
    done
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}

main "$@"
