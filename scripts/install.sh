#!/usr/bin/env bash
# Installs the plugins and ready-made networks where container runtimes look for them.
#
#   scripts/install.sh [--prefix DIR] [--bin DIR] [--conf DIR] [--all-networks] [--uninstall]
#
# --prefix DIR    put everything under DIR (default: the root directory); the daemon goes to PREFIX/usr/local/sbin, its
#                 command line to PREFIX/usr/local/bin, its unit to PREFIX/etc/systemd/system, neither started nor enabled
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

# Our executables bear a note, in their first page; readelf is not on every host.
is_swiftlet() { head -c 4096 -- "$1" 2>/dev/null | LC_ALL=C grep -a Swiftlet >/dev/null; }

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

# Plugins go where runtimes look for them, the daemon and its command line where people do.
directory_of() {
    case $1 in
    swiftletd) printf '%s\n' "$prefix/usr/local/sbin" ;;
    swiftlet) printf '%s\n' "$prefix/usr/local/bin" ;;
    *) printf '%s\n' "$bin" ;;
    esac
}

# The daemon's files: "name in conf/" and where it goes.
daemon_files() {
    printf '%s %s\n' swiftletd.json "$prefix/etc/swiftlet/swiftletd.json" \
        swiftletd.service "$prefix/etc/systemd/system/swiftletd.service"
}

# The command line's completions: "shell" and where its file goes.
completion_files() {
    printf '%s %s\n' bash "$prefix/usr/local/share/bash-completion/completions/swiftlet" \
        zsh "$prefix/usr/local/share/zsh/site-functions/_swiftlet" \
        fish "$prefix/usr/local/share/fish/vendor_completions.d/swiftlet.fish"
}

# They belong to the executable they were made by, so they are written every time and not looked at.
install_completions() {
    local shell target
    while read -r shell target; do
        mkdir -p -- "$(dirname -- "$target")"
        "$ours/swiftlet" --generate-completion-script "$shell" >"$target.new"
        chmod 644 "$target.new"
        mv -f -- "$target.new" "$target"
        say "wrote   $target"
    done < <(completion_files)
}

install_executable() {
    local source=$1 name target kept directory
    name=$(basename -- "$source")
    directory=$(directory_of "$name")
    target=$directory/$name
    kept=$directory/.$name.before-swiftlet
    mkdir -p -- "$directory"
    if [ -e "$target" ] && ! is_swiftlet "$target" && [ ! -e "$kept" ]; then
        # A second name first: the old plugin stays callable until the new one takes its place.
        ln -- "$target" "$kept" 2>/dev/null || cp -p -- "$target" "$kept"
        say "kept    $kept"
    fi
    cp -- "$source" "$directory/.$name.new"
    chmod 755 "$directory/.$name.new"
    mv -f -- "$directory/.$name.new" "$target"
    say "wrote   $target"
}

# Nothing is started or enabled: the peers in the configuration are an example.
install_daemon_file() {
    local source=$root/conf/$1 target=$2
    if [ -e "$target" ]; then
        if cmp -s "$source" "$target"; then say "have    $target"; else say "left    $target: it differs from ours"; fi
        return 0
    fi
    mkdir -p -- "$(dirname -- "$target")"
    cp -- "$source" "$target.new"
    chmod 644 "$target.new"
    mv -f -- "$target.new" "$target"
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
    if [ -x "$ours/swiftlet" ]; then install_completions; fi
    if [ -x "$ours/swiftletd" ]; then
        while read -r name file; do install_daemon_file "$name" "$file"; done < <(daemon_files)
    fi
}

uninstall_all() {
    local file name target directory
    for file in "$root"/Sources/Commands/*/; do
        name=$(basename -- "$file")
        directory=$(directory_of "$name")
        target=$directory/$name
        [ -e "$target" ] || continue
        if ! is_swiftlet "$target"; then
            say "left    $target: it is not ours"
        elif [ -e "$directory/.$name.before-swiftlet" ]; then
            mv -f -- "$directory/.$name.before-swiftlet" "$target"
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

uninstall_daemon_files() {
    local name target
    while read -r name target; do
        [ -e "$target" ] || continue
        rm -f -- "$target"
        say "removed $target"
    done < <(completion_files)
    while read -r name target; do
        [ -e "$target" ] || continue
        if cmp -s "$root/conf/$name" "$target"; then
            rm -f -- "$target"
            say "removed $target"
        else
            say "left    $target: it differs from ours"
        fi
    done < <(daemon_files)
}

main() {
    parse "$@"
    case $action in
    install) install_all ;;
    uninstall)
        uninstall_all
        uninstall_daemon_files
        ;;
    esac
}

main "$@"
