#!/usr/bin/env bash
# Installs into an empty prefix, over another suite's plugin and over a user's networks, and uninstalls again.
#
#   scripts/test-install.sh
set -euo pipefail
here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=scripts/lib/checks.sh
. "$here/lib/checks.sh"

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

install_here() { "$root/scripts/install.sh" --prefix "$work" "$@"; }

# Every shell that is here must take its file; bash must complete a word with it.
check_completions() {
    local share=$work/usr/local/share words
    check "bash takes its completions" bash -n "$share/bash-completion/completions/swiftlet"
    # shellcheck disable=SC2016 # expanded inside
    words=$(bash -c '. "$1"; COMP_WORDS=(swiftlet netw) COMP_CWORD=1 COMP_LINE="swiftlet netw" COMP_POINT=13
        "$(complete -p swiftlet | sed "s/.*-F \([^ ]*\).*/\1/")" swiftlet netw swiftlet; echo "${COMPREPLY[@]}"' \
        bash "$share/bash-completion/completions/swiftlet" 2>&1)
    check_equal "bash completes 'swiftlet netw'" "${words% }" network
    check "zsh has completions" grep -q '^#compdef swiftlet' "$share/zsh/site-functions/_swiftlet"
    check "fish has completions" grep -q 'complete -c' "$share/fish/vendor_completions.d/swiftlet.fish"
    if have zsh; then check "zsh takes them" zsh -n "$share/zsh/site-functions/_swiftlet"; fi
    if have fish; then check "fish takes them" fish -n "$share/fish/vendor_completions.d/swiftlet.fish"; fi
}

main() {
    local bin=$work/opt/cni/bin conf=$work/etc/cni/net.d name
    ensure_built
    check "install into an empty prefix" install_here
    for name in "$ours"/*; do
        case $(basename -- "$name") in
        swiftletd) check "swiftletd is what was built" cmp "$name" "$work/usr/local/sbin/swiftletd" ;;
        swiftlet) check "swiftlet is what was built" cmp "$name" "$work/usr/local/bin/swiftlet" ;;
        *) check "$(basename -- "$name") is what was built" cmp "$name" "$bin/$(basename -- "$name")" ;;
        esac
    done
    check_completions
    check "the network for plain runtimes is there" test -f "$conf/10-swiftlet-bridge.conflist"
    check "the network for podman is there" test -f "$conf/87-swiftlet-podman.conflist"
    check "no temporary file is left" test -z "$(find "$work" -name '.*.new')"

    printf '{"name": "swiftlet-bridge", "mine": true}\n' >"$conf/10-swiftlet-bridge.conflist"
    check "install again" install_here
    check_empty "our own executables are not kept as another suite's" "$(find "$work" -name '*.before-swiftlet')"
    check "a changed conflist stays as it is" grep -q mine "$conf/10-swiftlet-bridge.conflist"

    rm "$conf/87-swiftlet-podman.conflist"
    printf '{"name": "swiftlet-podman", "plugins": []}\n' >"$conf/20-other.conflist"
    check "install over a network of the same name" install_here
    check "no second network of that name is written" test ! -e "$conf/87-swiftlet-podman.conflist"

    check "uninstall" install_here --uninstall
    check_empty "no executable of ours is left" "$(find "$bin" "$work/usr" -type f)"
    check "the changed conflist is left" test -f "$conf/10-swiftlet-bridge.conflist"

    printf '#!/bin/sh\necho another suite\n' >"$bin/bridge"
    chmod 755 "$bin/bridge"
    check "install over another suite's bridge" install_here --all-networks
    check "bridge is ours now" cmp "$ours/bridge" "$bin/bridge"
    check "install a second time" install_here
    check "uninstall again" install_here --uninstall
    check_equal "the other suite's bridge is back" "$("$bin/bridge")" "another suite"
    finish_checks
}

main
