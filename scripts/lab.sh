#!/usr/bin/env bash
# A laboratory of hosts on this machine, made of namespaces, each with its own swiftletd. Needs root.
#
#   scripts/lab.sh up N [--mtu BYTES] [--profile lan|fast|wan] [--keyring FILE] [--no-daemon]
#                           makes hosts h1 … hN, or adds those that are missing
#   scripts/lab.sh exec HOST [COMMAND…]   runs a command, or a shell, on a host, on `router` or `outside`
#   scripts/lab.sh status                 shows hosts, cables, daemons, containers
#   scripts/lab.sh cut HOST | heal HOST   pulls a host's cable; plugs it in again
#   scripts/lab.sh stop HOST [SIGNAL] | start HOST   ends a host's daemon (KILL: as a crash would); starts it
#   scripts/lab.sh down                   takes everything away
#
# To play, after scripts/build.sh:
#
#   scripts/lab.sh up 3
#   scripts/lab.sh exec h1 swiftlet members
#   scripts/lab.sh exec h1 swiftlet network create -d overlay --subnet 192.168.0.0/24 demonet
#   scripts/lab.sh exec h1 ip netns add c0
#   scripts/lab.sh exec h1 swiftlet cni add demonet c0 --ip 192.168.0.100
#   scripts/lab.sh exec h2 ip netns add c1
#   scripts/lab.sh exec h2 swiftlet cni add demonet c1
#   scripts/lab.sh exec h2 ip netns exec c1 ping -c 2 192.168.0.100
#   scripts/lab.sh down
#
# Every host has its own network, processes, /run, /var, /etc and /opt (writes stay in memory), the executables of
# dist/bin as /opt/cni/bin, and a default route to a router; behind that, `outside` (198.51.100.2, also 8.8.8.8) knows
# the hosts' addresses and no container's. On the machine itself there is only the directory /run/swiftlet-lab, or
# what SWIFTLET_LAB names: another name is another laboratory.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"
# shellcheck source=scripts/lib/lab.sh
. "$root/scripts/lib/lab.sh"

host() {
    case ${1:-} in
    '') die "which host?" ;;
    [0-9]*) printf 'h%s\n' "$1" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

parse_up() {
    while [ $# -gt 0 ]; do
        case $1 in
        --mtu | --profile | --keyring)
            [ $# -ge 2 ] || die "$1 needs a value"
            case $1 in
            --mtu) lab_mtu=$2 ;;
            --profile) lab_profile=$2 ;;
            --keyring) lab_keyring=$(readlink -f -- "$2") ;;
            esac
            shift
            ;;
        --no-daemon) lab_daemon= ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
}

up() {
    local count=${1:-}
    [ -n "$count" ] || die "how many hosts?"
    shift
    parse_up "$@"
    [ -z "$lab_daemon" ] || [ -x "$ours/swiftletd" ] || die "no $ours/swiftletd: run scripts/build.sh, or say --no-daemon"
    lab_up "$count"
    lab_status
}

main() {
    local action=${1:-} name
    case $action in
    '' | -h | --help) usage && exit 0 ;;
    esac
    shift
    require_root
    case $action in
    up) up "$@" ;;
    down) lab_down ;;
    status) lab_status ;;
    exec)
        name=$(host "$@")
        shift
        if [ $# -eq 0 ]; then set -- bash --norc -i; fi
        in_lab "$name" "$@"
        ;;
    cut | heal)
        name=$(host "$@")
        "lab_$action" "$name"
        ;;
    stop)
        name=$(host "$@")
        lab_stop_daemon "$name" "${2:-TERM}"
        ;;
    start)
        name=$(host "$@")
        lab_start_daemon "$name"
        ;;
    *) die "unknown command '$action'; --help tells them" ;;
    esac
}

main "$@"
