#!/usr/bin/env bash
# Remakes scripts/lib/daemon-order.txt: what swiftletd calls, what it calls again and again first. scripts/build.sh has the
# linker put it side by side in that order: the kernel maps a file's pages in windows of 64 KiB, so scattered calls hold most
# of the file in memory. Worth doing after a new toolchain or new packages; a name that is gone is passed over.
#
#   scripts/order-daemon.sh
#
# Runs a daemon under valgrind between two others, in clear and with keys, in a private world. Takes four minutes. Needs
# scripts/build.sh --symbols before it.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"

order=$root/scripts/lib/daemon-order.txt
symbols=$root/dist/symbols

# start NUMBER PROGRAM…: a node at 127.0.0.NUMBER.
start() {
    local number=$1
    shift
    "$@" --node "m$number" --bind "127.0.0.$number" --state-dir "$state/$number" --socket "$state/$number.sock" \
        --join 127.0.0.1,127.0.0.3 "${keyring[@]}" >"$state/$number.log" 2>&1 &
    started=$!
}

ask() { curl -s -m 20 --unix-socket "$state/2.sock" "http://localhost$1" >/dev/null || true; }

# profile NAME: one life of the daemon; NAME.1 is its start, NAME.2 its everyday, NAME its end.
profile() {
    local name=$1 first third daemon
    start 1 "$state/swiftletd" && first=$started
    start 3 "$state/swiftletd" && third=$started
    start 2 valgrind --tool=callgrind --demangle=no --log-file=/dev/null --callgrind-out-file="$state/$name" \
        "$state/swiftletd"
    daemon=$started
    sleep 25
    callgrind_control -d "$daemon" >/dev/null
    for _ in 1 2; do
        ask /metrics && ask /v1/members && ask /healthz && sleep 12
    done
    kill -KILL "$third"
    wait "$third" 2>/dev/null || true
    sleep 15
    callgrind_control -d "$daemon" >/dev/null
    kill -TERM "$daemon"
    wait "$daemon" || true
    kill -KILL "$first"
    wait "$first" 2>/dev/null || true
    rm -rf -- "$state"/[123]*
}

main() {
    local keyring=()
    have valgrind || die "needs valgrind"
    [ -f "$symbols/daemon.map" ] || die "no $symbols/daemon.map: run scripts/build.sh --symbols --product swiftletd"
    state=$(mktemp -d)
    trap 'rm -rf -- "$state"' EXIT
    # Without the debug information valgrind 3.19 stumbles over.
    strip --strip-debug -o "$state/swiftletd" "$symbols/swiftletd"
    profile clear
    printf '["%s"]\n' "$(head -c 32 /dev/urandom | base64)" >"$state/keys"
    chmod 600 "$state/keys"
    keyring=(--keyring "$state/keys")
    profile sealed
    python3 - "$state" "$symbols/daemon.map" >"$order.new" <<'PYTHON'
import collections, os, re, subprocess, sys
state, map_file = sys.argv[1:]

def called(profile):
    names, found = {}, set()
    for line in open(os.path.join(state, profile), errors="replace"):
        match = re.match(r"c?fn=\((\d+)\)(?: (\S+))?", line)
        if match:
            if match[2]:
                names[match[1]] = re.sub(r"'\d+$", "", match[2])
            found.add(names[match[1]])
    return found

size, count = {}, collections.Counter()
for line in subprocess.run(["nm", "-S", "--defined-only", f"{state}/swiftletd"],
                           capture_output=True, text=True, check=True).stdout.splitlines():
    parts = line.split()
    if len(parts) == 4 and parts[2] in "tTwW":
        size[parts[3]] = int(parts[1], 16)
        count[parts[3]] += 1
everyday = called("clear.2") | called("sealed.2")
everything = everyday.union(*(called(f"{name}{part}") for name in ("clear", "sealed") for part in ("", ".1")))
# A name that several files have would draw in all of them.
everything = {name for name in everything if count[name] == 1}

# The linker moves sections: most hold one function, some a whole file's.
sections, part = [], ""
for line in open(map_file):
    match = re.match(r"\s*[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+\d+( +)(.*)$", line)
    if not match:
        continue
    depth = len(match[2])
    if depth == 1:
        part = match[3]
    elif part == ".text" and depth == 9:
        sections.append((int(match[1], 16), []))
    elif part == ".text" and depth > 9 and sections:
        sections[-1][1].append(match[3])
small, large = [], []
for length, names in sections:
    found = [name for name in names if name in everything]
    if found:
        share = sum(size[name] for name in found) / max(1, length)
        rank = 0 if any(name in everyday for name in found) else 1
        if length <= 8192 or share > 0.5:
            small.append((rank, 0, found[0]))
        else:
            large.append((rank, -share, found[0]))
for _, _, name in sorted(small) + sorted(large):
    print(name)
PYTHON
    mv -- "$order.new" "$order"
    say "$(wc -l <"$order") names in $order"
}

enter_private "$@"
main
