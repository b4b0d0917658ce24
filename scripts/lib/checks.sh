# shellcheck shell=bash
# Test results one per line, `ok - …`, `not ok - …` or `skip - … # reason`, and a closing count. Source it after
# common.sh; end the script with finish_checks.

passed=0
failed=0
skipped=0

ok() {
    passed=$((passed + 1))
    printf 'ok - %s\n' "$*"
}

not_ok() {
    failed=$((failed + 1))
    printf 'not ok - %s\n' "$*"
}

# skip WHAT REASON
skip() {
    skipped=$((skipped + 1))
    printf 'skip - %s # %s\n' "$1" "$2"
}

# check NAME COMMAND...: passes when the command succeeds; its output is shown when it does not.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        ok "$name"
    else
        not_ok "$name: \`$*\` said: ${output:-nothing}"
    fi
}

# check_equal NAME ACTUAL EXPECTED
check_equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1: got '$2', expected '$3'"
    fi
}

# check_empty NAME TEXT: passes when there is no text; shows it when there is.
check_empty() {
    if [ -z "$2" ]; then
        ok "$1"
    else
        not_ok "$1:"$'\n'"$(printf '%s\n' "$2" | sed 's/^/    /')"
    fi
}

# Prints the count and ends the script: with failure when a check failed, unless TOLERATE is set.
finish_checks() {
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    if [ "$failed" -gt 0 ] && [ -z "${TOLERATE:-}" ]; then
        exit 1
    fi
    exit 0
}

# Reservation files in host-local's store; hidden directories hold what is derived from them.
reservations() {
    find /var/lib/cni/networks -mindepth 1 -name '.*' -prune -o \
        -type f ! -name 'last_reserved_ip*' ! -name lock -print 2>/dev/null | sort
}

# Namespaces of dead containers are dismantled in the background, and their veth with them: waits for that, at most 30
# seconds. await_no_veth [EXCEPT]
# shellcheck disable=SC2120 # the one argument may be left out
await_no_veth() {
    local attempt links
    for ((attempt = 0; attempt < 300; attempt++)); do
        links=$(ip -o link show type veth)
        if [ -n "${1:-}" ]; then links=$(grep -v " $1[@:]" <<<"$links" || true); fi
        if [ -z "$links" ]; then return 0; fi
        sleep 0.1
    done
}

# What a network must not leave behind once its last container is gone. check_nothing_left BRIDGE...
check_nothing_left() {
    local bridge
    check_empty "no veth is left" "$(ip -o link show type veth)"
    for bridge in "$@"; do
        if ip link show "$bridge" >/dev/null 2>&1; then
            check_empty "no port is left on $bridge" "$(ip -o link show master "$bridge")"
        fi
    done
    check_empty "no reservation is left" "$(reservations)"
    check_empty "no cached result is left" "$(find /var/lib/cni/results -type f 2>/dev/null || true)"
    check_empty "no network namespace is left" "$(find /run/netns -type f 2>/dev/null || true)"
}
