#!/usr/bin/env bash
# Looks for what the compiler does not: format, who may import whom, long files, forbidden constructs, shell mistakes.
#
#   scripts/lint.sh
#
# Prints one line per finding and fails if there is any.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib/common.sh"

findings=0
found() {
    findings=$((findings + 1))
    printf '%s\n' "$*" >&2
}

# Reports every line of a text as a finding.
found_lines() {
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || found "$1: $line"
    done <<<"$2"
}

swift_files() { find "$@" -name '*.swift' -type f | sort; }

# Which modules each folder may import; the first match counts. Arrows point inwards only, and a plugin's logic knows no
# other plugin. Anything more than this table is a decision for docs/architecture.md.
may_import() {
    local plugin_rooms='Attachment CNI IPAM JSON Netlink NetworkTypes PluginKit System'
    case $1 in
    Sources/NetworkTypes/* | Sources/StateMachine/*) say '' ;;
    Sources/System/*) say 'CLinux Glibc NetworkTypes' ;;
    Sources/JSON/*) say 'CJansson' ;;
    Sources/CNI/*) say 'JSON NetworkTypes System' ;;
    Sources/Netlink/Wire/* | Sources/Netlink/Session/*) say 'CLibMNL CLinux NetworkTypes System' ;;
    Sources/Netlink/*) say 'CLinux NetworkTypes System' ;;
    Sources/Netfilter/*) say 'CLibMNL CLibNFTNL CLinux Netlink NetworkTypes System' ;;
    Sources/Overlay/*) say 'CLinux Netfilter Netlink NetworkTypes System' ;;
    Sources/Control/*) say 'CLinux JSON System' ;;
    Sources/DBus/*) say 'NetworkTypes System' ;;
    Sources/IPAM/*) say 'JSON NetworkTypes System' ;;
    Sources/Attachment/*) say 'CNI IPAM JSON Netfilter Netlink NetworkTypes System' ;;
    Sources/PluginKit/*) say 'Attachment CNI DBus IPAM JSON Netfilter Netlink NetworkTypes System' ;;
    Sources/Plugins/Firewall/*) say "$plugin_rooms DBus Netfilter" ;;
    Sources/Plugins/OverlayVXLAN/*) say "$plugin_rooms Control Netfilter Overlay" ;;
    Sources/Plugins/*) say "$plugin_rooms DBus Netfilter" ;;
    Sources/Gossip/* | Sources/Cluster/*) say 'NetworkTypes StateMachine' ;;
    Sources/ClusterGraph/*) say '' ;;
    Sources/CNIRuntime/*) say 'CNI JSON NetworkTypes System' ;;
    Sources/Reload/*) say 'Attachment CNI CNIRuntime JSON Netlink NetworkTypes PluginKit System *Plugin' ;;
    Sources/Networks/*) say 'CNI CNIRuntime JSON NetworkTypes System' ;;
    Sources/Daemon/* | Sources/Commands/swiftletd/* | Sources/Commands/swiftlet/*) say '*' ;;
    Sources/Commands/*) say 'PluginKit *Plugin' ;;
    *) say 'unknown' ;;
    esac
}

lint_imports() {
    local file module allowed pattern permitted
    while read -r file; do
        allowed=$(may_import "$file")
        if [ "$allowed" = unknown ]; then
            found "$file: no rule says what this folder may import; add it to scripts/lint.sh"
            continue
        fi
        while read -r module; do
            permitted=
            set -f
            for pattern in $allowed; do
                # shellcheck disable=SC2254 # a pattern is meant
                case $module in $pattern) permitted=1 ;; esac
            done
            set +f
            [ -n "$permitted" ] || found "$file: must not import $module"
        done < <(sed -nE 's/^ *(@[A-Za-z_]+ +)*((public|package|internal|fileprivate|private) +)?import +((struct|class|enum|protocol|func|var|let|typealias) +)?([A-Za-z_0-9]+).*/\6/p' "$file")
    done < <(swift_files Sources)
}

lint_length() {
    local file lines
    while read -r file; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 400 ] || found "$file: $lines lines; 400 is the most a file may have"
    done < <(swift_files Sources Tests)
}

# Strings and comments are not looked into closely: a finding there is reworded, which is cheap.
lint_constructs() {
    found_lines "forbidden in Sources" "$(grep -rnE --include='*.swift' \
        '\btry!|\bas!|\bfatalError\(|\bpreconditionFailure\(|\bunsafeBitCast\(' Sources || true)"
    found_lines "unfinished" "$(grep -rnE --include='*.swift' --include='*.c' --include='*.h' \
        '\b(TODO|FIXME|XXX|HACK)\b' Sources Tests || true)"
    found_lines "no async in plugins: it starts threads and costs milliseconds" "$(grep -rnE --include='*.swift' \
        '\b(async|await)\b' Sources --exclude-dir=Daemon --exclude-dir=swiftletd --exclude-dir=swiftlet |
        grep -vE ':[0-9]+: *//' || true)"
    found_lines "a test that is switched off is not a test" \
        "$(grep -rnE --include='*.swift' '\.disabled\(' Tests || true)"
    found_lines "top-level variable in main.swift links libdispatch into the plugin" "$(grep -nE '^(var|let) ' \
        Sources/Commands/*/main.swift | grep -vE '^Sources/Commands/swiftletd?/' || true)"
}

lint_format() {
    have swift || {
        warn "no swift: format not checked"
        return 0
    }
    local output
    output=$(swift format lint --strict --recursive --parallel Sources Tests Package.swift 2>&1) || true
    found_lines format "$output"
}

lint_shell() {
    have shellcheck || {
        warn "no shellcheck: scripts not checked"
        return 0
    }
    local output files
    mapfile -t files < <(find scripts .ci -type f \( -name '*.sh' -o -path '.ci/run' \) | sort)
    output=$(shellcheck -x -f gcc "${files[@]}" 2>&1) || true
    found_lines shellcheck "$output"
    found_lines "no set -euo pipefail" "$(grep -L 'set -euo pipefail' .ci/run scripts/*.sh || true)"
}

lint_data() {
    local file
    have jq || return 0
    for file in conf/*.conflist; do
        jq -e '.cniVersion and .name and (.plugins | length > 0)' "$file" >/dev/null 2>&1 ||
            found "$file: not a network configuration list"
        [ "$(jq -r .name "$file" 2>/dev/null)" = "$(basename -- "$file" .conflist)" ] ||
            found "$file: the network's name is not the file's"
    done
    found_lines "trailing white space" "$(grep -rnIE '[[:space:]]+$' Sources Tests scripts conf .ci \
        --include='*.swift' --include='*.[ch]' --include='*.sh' --include='*.conflist' || true)"
}

main() {
    cd -- "$root"
    lint_imports
    lint_length
    lint_constructs
    lint_data
    lint_shell
    lint_format
    if [ "$findings" -gt 0 ]; then
        warn "$findings findings"
        exit 1
    fi
    say "lint: clean"
}

case ${1:-} in -h | --help) usage && exit 0 ;; esac
main
