#!/usr/bin/env bash
# Measures what masquerade, port mappings and the firewall add: bridge with ipMasq, then podman's whole chain (bridge with
# ipMasq, portmap with one port, firewall, tuning) beside no and beside 300 live containers, and 16 of them at once. In
# a private world, state on tmpfs.
#
#   scripts/bench-chain.sh [--ours DIR] [--reference DIR] [--rounds PERCENT]
#
# PERCENT scales the live containers, too. Each suite has a network namespace of its own as its host.
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/private.sh
. "$here/lib/private.sh"
# shellcheck source=scripts/lib/bench.sh
. "$here/lib/bench.sh"

# write_chain DIRECTORY NETWORK PLUGIN…: what each plugin of the chain reads, as scripts/bench/harness.c wants it.
write_chain() {
    local directory=$1 network=$2 index=0 plugin keys
    shift 2
    mkdir "$directory"
    for plugin in "$@"; do
        case $plugin in
        bridge) keys='"bridge": "'$network'@INDEX@", "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": { "type": "host-local", "routes": [{ "dst": "0.0.0.0/0" }], "ranges": [[{ "subnet": "10.24@INDEX@.0.0/16" }]] }' ;;
        portmap) keys='"capabilities": { "portMappings": true },
  "runtimeConfig": { "portMappings": [{ "hostPort": @PORT@, "containerPort": 80, "protocol": "tcp" }] }' ;;
        firewall) keys='"backend": ""' ;;
        tuning) keys='"sysctl": {}' ;;
        esac
        printf '{ "cniVersion": "0.4.0", "name": "%s-@SUITE@", "type": "%s",\n  %s @PREVIOUS@ }\n' \
            "$network" "$plugin" "$keys" >"$directory/$index-$plugin.json"
        index=$((index + 1))
    done
}

# chain_rows NAME HARNESS ARGUMENTS…: keeps the rows under another name than "chain".
chain_rows() {
    local name=$1
    shift
    "$bench/harness" "$@" "swiftlet=$ours" "reference=$reference" | sed "s/^chain/$name/" >>"$rows"
}

# Both suites take the same tuning while one has none.
same_tuning() {
    local file
    [ ! -x "$ours/tuning" ] || return 0
    mkdir "$bench/ours"
    for file in "$ours"/*; do ln -s "$(readlink -f -- "$file")" "$bench/ours/"; done
    ln -s "$(readlink -f -- "$reference/tuning")" "$bench/ours/tuning"
    say "No tuning in $ours: both chains end with the reference's."
    ours=$bench/ours
}

growth() {
    awk -F '\t' -v live="$1" '
        { for (command = 1; command <= 2; command++) {
            name = command == 1 ? "ADD" : "DEL"
            if ($1 == "podman chain " name) empty[name, $2] = $3
            if ($1 == "podman chain " name " at " live " live") full[name, $2] = $3 } }
        END { for (command = 1; command <= 2; command++) {
            name = command == 1 ? "ADD" : "DEL"
            printf "| podman chain %s at %d live ÷ at 0 | %.2f | %.2f | | ≤ 1.2 | | |\n", name, live,
                full[name, "swiftlet"] / empty[name, "swiftlet"], full[name, "reference"] / empty[name, "reference"] } }' "$rows"
}

main() {
    local live=$((300 * percent / 100)) before
    if [ "$live" -gt 300 ]; then live=300; fi
    if [ "$live" -lt 10 ]; then live=10; fi
    prepare_bench
    same_tuning
    before=$(cut -d ' ' -f 1-3 /proc/loadavg)
    write_chain "$bench/masquerade" masq bridge
    write_chain "$bench/podman" pod bridge portmap firewall tuning
    chain_rows "bridge+ipMasq" chain "$bench/masquerade" 0 "$(rounds 100)"
    chain_rows "podman chain" chain "$bench/podman" 0 "$(rounds 60)"
    chain_rows "podman chain" chain-parallel "$bench/podman" 32 16 "$(rounds 3)"
    "$bench/harness" chain "$bench/podman" "$live" "$(rounds 30)" "swiftlet=$ours" "reference=$reference" |
        sed -E "s/^chain (ADD|DEL)/podman chain \1 at $live live/" >>"$rows"
    conditions
    say "Load average before: $before; after: $(cut -d ' ' -f 1-3 /proc/loadavg)."
    say
    table <<'BUDGETS'
bridge+ipMasq ADD	0.20
bridge+ipMasq DEL	0.45
podman chain ADD	0.12
podman chain DEL	0.25
podman chain rate 16	10
BUDGETS
    growth "$live"
}

parse_bench "$@"
enter_private "$@"
main
