#!/usr/bin/env bash
# Installs the plugins and ready-made networks where container runtimes look for them.
#
#   scripts/install.sh [--prefix DIR] [--bin DIR] [--conf DIR] [--all-networks] [--uninstall]
#
# --prefix DIR    put everything under DIR (default: the root directory)
# --bin DIR       plugin directory (default: PREFIX/opt/cni/bin)
# --conf DIR      network directory (default: PREFIX/etc/cni/net.d)
# --all-networks  install every conflist of conf/, not only swiftlet-bridge and swiftlet-podman
# --uninstall     remove our executables and the conflists nobody has changed; put back what was replaced
#
# Executables are replaced in one step, so a runtime never meets half a file. A plugin of another suite that has the
# same name is kept beside ours as .NAME.before-swiftlet. A conflist is written only when neither its file nor a
# network of its name is there: what you have configured stays.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

prefix=
bin=
conf=
action=install
networks=(swiftlet-bridge swiftlet-podman)

parse() {
    local file
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix | --bin | --conf)
            [ $# -ge 2 ] || die "$1 needs a directory"
            case $1 in
            --prefix) prefix=${2%/} ;;
            --bin) bin=$2 ;;
            --conf) conf=$2 ;;
            esac
            shift
            ;;
        --all-networks)
            networks=()
            for file in "$root"/conf/*.conflist; do networks+=("$(basename -- "$file" .conflist)"); done
            ;;
        --uninstall) action=uninstall ;;
        -h | --help) usage && exit 0 ;;
        *) die "unknown option '$1'" ;;
        esac
        shift
    done
    bin=${bin:-$prefix/opt/cni/bin}
    conf=${conf:-$prefix/etc/cni/net.d}
}

is_swiftlet() { readelf -n "$1" 2>/dev/null | grep Swiftlet >/dev/null; }

# The order matters: runtimes without a named network take the first file; podman numbers its own from 87.
file_name() {
    case $1 in
    swiftlet-bridge) printf '10-%s.conflist\n' "$1" ;;
    swiftlet-podman) printf '87-%s.conflist\n' "$1" ;;
    *) printf '88-%s.conflist\n' "$1" ;;
    esac
}

# The file in the network directory that already defines a network of this name.
defined_in() {
    local name=$1 file
    for file in "$conf"/*.conflist "$conf"/*.conf "$conf"/*.json; do
        if [ -f "$file" ] && [ "$(jq -r '.name? // empty' "$file" 2>/dev/null)" = "$name" ]; then
            printf '%s\n' "$file"
            return 0
        fi
    done
    return 1
}

install_executable() {
    local source=$1 name target kept
    name=$(basename -- "$source")
    target=$bin/$name
    kept=$bin/.$name.before-swiftlet
    if [ -e "$target" ] && ! is_swiftlet "$target" && [ ! -e "$kept" ]; then
        # A second name first: the old plugin stays callable until the new one takes its place.
        ln -- "$target" "$kept" 2>/dev/null || cp -p -- "$target" "$kept"
        say "kept    $kept"
    fi
    cp -- "$source" "$bin/.$name.new"
    chmod 755 "$bin/.$name.new"
    mv -f -- "$bin/.$name.new" "$target"
    say "wrote   $target"
}

install_network() {
    local name=$1 target existing
    target=$conf/$(file_name "$name")
    if [ -e "$target" ]; then
        if cmp -s "$root/conf/$name.conflist" "$target"; then
            say "have    $target"
        else
            say "left    $target: it differs from ours, and what is there stays"
        fi
    elif existing=$(defined_in "$name"); then
        say "left    network $name: $existing defines one of that name"
    else
        cp -- "$root/conf/$name.conflist" "$conf/.$name.new"
        chmod 644 "$conf/.$name.new"
        mv -f -- "$conf/.$name.new" "$target"
        say "wrote   $target"
    fi
}

install_all() {
    local file name
    if [ ! -x "$ours/bridge" ]; then "$root/scripts/build.sh"; fi
    have jq || "$root/scripts/dependencies.sh" run
    have jq || die "needs jq, to see which networks exist"
    mkdir -p -- "$bin" "$conf"
    for file in "$ours"/*; do
        [ ! -f "$file" ] || [ ! -x "$file" ] || install_executable "$file"
    done
    for name in "${networks[@]}"; do install_network "$name"; done
}

uninstall_all() {
    local file name target
    for file in "$root"/Sources/Commands/*/; do
        name=$(basename -- "$file")
        target=$bin/$name
        [ -e "$target" ] || continue
        if ! is_swiftlet "$target"; then
            say "left    $target: it is not ours"
        elif [ -e "$bin/.$name.before-swiftlet" ]; then
            mv -f -- "$bin/.$name.before-swiftlet" "$target"
            say "put back $target"
        else
            rm -f -- "$target"
            say "removed $target"
        fi
    done
    for file in "$root"/conf/*.conflist; do
        name=$(basename -- "$file" .conflist)
        target=$conf/$(file_name "$name")
        [ -e "$target" ] || continue
        if cmp -s "$file" "$target"; then
            rm -f -- "$target"
            say "removed $target"
        else
            say "left    $target: it differs from ours"
        fi
    done
}

main() {
    parse "$@"
    case $action in
    install) install_all ;;
    uninstall) uninstall_all ;;
    esac
}

main "$@"
