# shellcheck shell=bash
# How the demonstration speaks: headings, explanations, commands with the host they are run on. Source it after lab.sh and
# checks.sh.

bold='' dim='' plain='' chapter=0
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
fi

heading() {
    chapter=$((chapter + 1))
    printf '\n%s== %d. %s%s\n' "$bold" "$chapter" "$*" "$plain"
}

# Each argument is a line.
explain() {
    local line
    for line in "$@"; do printf '%s%s%s\n' "$dim" "$line" "$plain"; done
}

# tell_prompt HOST COMMAND…: the command as one would type it there; no host is this machine.
tell_prompt() {
    local host=$1
    shift
    printf '%s%s$ %s%s\n' "$bold" "$host" "$*" "$plain"
}

# on HOST COMMAND…: shows a command and runs it on a host of the laboratory.
on() {
    tell_prompt "$@"
    in_lab "$@" || printf '(exit status %d)\n' "$?"
}

# eventually SECONDS COMMAND…: until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# Seconds since a value of EPOCHREALTIME, to a tenth.
since() { awk -v begin="$1" -v end="$EPOCHREALTIME" 'BEGIN { printf "%.1f", end - begin }'; }

# check_refused NAME COMMAND…: passes when the command fails.
check_refused() {
    local name=$1 answer
    shift
    if answer=$("$@" 2>&1); then
        not_ok "$name: \`$*\` succeeded: $answer"
    else
        ok "$name"
    fi
}

# check_says_of NAME PATTERN COMMAND…: passes when the command's output has a line that matches.
check_says_of() {
    local name=$1 pattern=$2 answer
    shift 2
    answer=$("$@" 2>&1) || true
    if grep -qE -- "$pattern" <<<"$answer"; then
        ok "$name"
    else
        not_ok "$name: no '$pattern' in: $answer"
    fi
}
