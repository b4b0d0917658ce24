# shellcheck shell=bash
# shellcheck disable=SC2034 # the variables are for the scripts that source this
# Shared by every script here: where the repository is, how to speak, how to find a C compiler. Source it; do not run it.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
script=$(basename -- "$0")

# The reference plugins: Debian's containernetworking-plugins, or wherever REFERENCE_PLUGINS points.
reference=${REFERENCE_PLUGINS:-/usr/lib/cni}
# Our release executables.
ours=${SWIFTLET_PLUGIN_DIR:-$root/dist/bin}

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$script" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The header comment of the calling script is its help text.
usage() {
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
}

require_root() {
    [ "$(id -u)" -eq 0 ] || die "needs root: namespaces, veth pairs and mounts"
}

# The system's C compiler, or the clang beside swift.
c_compiler() {
    local candidate
    for candidate in "${CC:-}" cc gcc clang "$(dirname -- "$(readlink -f -- "$(command -v swift || echo /nonexistent)")")/clang"; do
        if [ -n "$candidate" ] && have "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Makes sure dist/bin holds our executables.
ensure_built() {
    if [ ! -x "$ours/bridge" ]; then
        say "building first: $ours/bridge is not there"
        "$root/scripts/build.sh"
    fi
}
