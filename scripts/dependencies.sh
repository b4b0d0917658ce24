#!/usr/bin/env bash
# Installs the Debian packages the other scripts need, and only those that are missing.
#
#   scripts/dependencies.sh [build|run|test|bench]
#
# build  what compiling needs (default)
# run    build, and what looking at a running network needs
# test   run, and what the runtime, parity and lint tests need
# bench  test, and the peers the overlay is measured beside
#
# Without apt-get or without root it says what is missing and goes on: what cannot be installed is skipped later, with
# a reason.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

# One line per package: "package probe", where the probe is a command, a pkg-config module (pc:) or a file.
build_packages='pkg-config pkg-config
libmnl-dev pc:libmnl
libjansson-dev pc:jansson
libnftnl-dev pc:libnftnl'

run_packages='iproute2 ip
iputils-ping ping
jq jq
procps sysctl
curl curl
nftables nft
python3 python3
util-linux unshare'

test_packages='containernetworking-plugins /usr/lib/cni/bridge
podman podman
runc runc
containerd ctr
busybox-static /bin/busybox
dbus-daemon dbus-daemon
firewalld firewalld
serf serf
iptables iptables
shellcheck shellcheck
conntrack conntrack
iperf3 iperf3
tcpdump tcpdump
strace strace'

bench_packages='docker.io dockerd
etcd-server etcd'

# /usr/sbin is not on every user's PATH, and that is where half of these live.
PATH=$PATH:/usr/sbin:/sbin

present() {
    case $1 in
    pc:*) have pkg-config && pkg-config --exists "${1#pc:}" ;;
    /*) [ -e "$1" ] ;;
    *) have "$1" ;;
    esac
}

missing_of() {
    local package probe
    while read -r package probe; do
        present "$probe" || printf '%s\n' "$package"
    done
}

installable() {
    if ! have apt-get; then
        warn "no apt-get here; install by hand: $*"
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        warn "not root; run: apt-get install --no-install-recommends $*"
        return 1
    fi
}

install_packages() {
    local log package
    say "installing: $*"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # A mirror may be busy for a moment, and another apt-get may have the lock.
    local options=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
    if ! apt-get update -qq "${options[@]}" >"$log" 2>&1; then
        warn "apt-get update failed; trying with the lists there are:"
        tail -n 3 "$log" >&2
    fi
    if ! apt-get install -y -qq "${options[@]}" --no-install-recommends "$@" >"$log" 2>&1 </dev/null; then
        warn "apt-get could not install all of them at once; trying one by one:"
        tail -n 3 "$log" >&2
        for package in "$@"; do
            apt-get install -y -qq "${options[@]}" --no-install-recommends "$package" >"$log" 2>&1 </dev/null ||
                warn "could not install $package: $(tail -n 1 "$log")"
        done
    fi
    rm -f "$log"
}

main() {
    local wanted missing
    case ${1:-build} in
    build) wanted=$build_packages ;;
    run) wanted=$build_packages$'\n'$run_packages ;;
    test) wanted=$build_packages$'\n'$run_packages$'\n'$test_packages ;;
    bench) wanted=$build_packages$'\n'$run_packages$'\n'$test_packages$'\n'$bench_packages ;;
    -h | --help) usage && exit 0 ;;
    *) die "unknown set '$1': build, run, test or bench" ;;
    esac
    mapfile -t missing < <(missing_of <<<"$wanted")
    [ "${#missing[@]}" -gt 0 ] || return 0
    installable "${missing[@]}" || return 0
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_of <<<"$wanted")
    [ "${#missing[@]}" -eq 0 ] || warn "still missing: ${missing[*]}"
}

main "$@"
