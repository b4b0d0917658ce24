#!/usr/bin/env bash
# Remakes scripts/lib/start-order.txt: the functions that plugins call, ours, those of Swift's runtime and of the C
# libraries, those of every command first. scripts/build.sh has the linker put them side by side in that order, so that
# a plugin touches fewer pages. Worth doing after a new toolchain and before a release; a name that is gone is passed over.
# Needs scripts/build.sh --symbols before it.
#
#   scripts/order-functions.sh
#
# Runs VERSION, ADD and DEL of podman's chain under valgrind, in a private world.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"

chain=(bridge portmap firewall tuning)
order=$root/scripts/lib/start-order.txt

keys_of() {
    case $1 in
    bridge) say '"isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": { "type": "host-local",
        "routes": [{ "dst": "0.0.0.0/0" }], "ranges": [[{ "subnet": "10.99.0.0/16" }]] }' ;;
    portmap) say '"runtimeConfig": { "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }] }' ;;
    firewall) say '"backend": ""' ;;
    tuning) say '"sysctl": {}' ;;
    esac
}

# call COMMAND PLUGIN CONTAINER: prints the plugin's answer, leaves its profile in $profiles.
call() {
    printf '{ "cniVersion": "1.0.0", "name": "order", "type": "%s", %s %s }' "$2" "$(keys_of "$2")" "$previous" |
        env -i PATH="$PATH" CNI_COMMAND="$1" CNI_CONTAINERID="$3" CNI_NETNS="/run/netns/$3" CNI_IFNAME=eth0 \
            CNI_PATH="$programs" valgrind --tool=callgrind --demangle=no --log-file=/dev/null \
            --callgrind-out-file="$profiles/$2-$1-$3" "$programs/$2"
}

main() {
    local plugin container index previous='' answer
    have valgrind || die "needs valgrind"
    profiles=$(mktemp -d)
    programs=$profiles/bin
    mkdir "$programs"
    trap 'rm -rf -- "$profiles"' EXIT
    # The names of the static shape, without the debug information valgrind 3.19 stumbles over.
    for plugin in "${chain[@]}" host-local; do
        [ -x "$root/dist/symbols/$plugin" ] || die "no $root/dist/symbols/$plugin: run scripts/build.sh --symbols"
        strip --strip-debug -o "$programs/$plugin" "$root/dist/symbols/$plugin"
    done
    call VERSION bridge none >/dev/null
    for container in first second; do
        ip netns add "$container"
        previous=''
        for plugin in "${chain[@]}"; do
            answer=$(call ADD "$plugin" "$container") || die "$plugin: $answer"
            previous=", \"prevResult\": $answer"
        done
        for ((index = ${#chain[@]} - 1; index >= 0; index--)); do call DEL "${chain[index]}" "$container"; done
    done
    python3 - "$profiles" >"$order.new" <<'PYTHON'
import os, re, sys
called = {}
for profile in sorted(os.listdir(sys.argv[1])):
    if profile == "bin":
        continue
    names = {}
    for line in open(os.path.join(sys.argv[1], profile), errors="replace"):
        match = re.match(r"c?fn=\((\d+)\)(?: (\S+))?", line)
        if match:
            if match[2]:
                names[match[1]] = re.sub(r"'\d+$", "", match[2])
            called.setdefault(names[match[1]], set()).add(profile)
for name, profiles in sorted(called.items(), key=lambda item: (-len(item[1]), sorted(item[1]), item[0])):
    if re.match(r"[A-Za-z_$][\w$.]*$", name):
        print(name)
PYTHON
    mv -- "$order.new" "$order"
    say "$(wc -l <"$order") functions in $order"
}

enter_private "$@"
main
