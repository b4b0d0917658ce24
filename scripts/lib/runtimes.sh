# shellcheck shell=bash
# shellcheck disable=SC2154 # reference comes from common.sh
# What the tests with podman and containerd share. Source it after common.sh and checks.sh.

# Splits DIR:DIR2 into the array plugin_dirs, each made absolute.
parse_plugin_dirs() {
    local directory parts
    plugin_dirs=()
    IFS=: read -ra parts <<<"$1"
    for directory in "${parts[@]}"; do
        [ -d "$directory" ] || die "$directory: no such directory of plugins"
        plugin_dirs+=("$(readlink -f -- "$directory")")
    done
}

# The executable a runtime will take for a plugin type: the first in order, as libcni searches.
plugin_file() {
    local directory
    for directory in "${plugin_dirs[@]}"; do
        if [ -x "$directory/$1" ]; then
            printf '%s\n' "$directory/$1"
            return 0
        fi
    done
    return 1
}

is_swiftlet() { head -c 4096 -- "$1" 2>/dev/null | LC_ALL=C grep -a Swiftlet >/dev/null; }

# Says whose executable serves each of the given plugin types.
report_served_by() {
    local plugin file
    for plugin in "$@"; do
        [ -n "$plugin" ] || continue
        if ! file=$(plugin_file "$plugin"); then
            say "# $plugin: in none of the directories"
        elif is_swiftlet "$file"; then
            say "# $plugin: $file (swiftlet)"
        else
            say "# $plugin: $file (another suite)"
        fi
    done
}

# Sets plugin_dirs to the one directory, and after it, where that has no tuning, to a directory with the reference's tuning
# and nothing else.
own_plugins_alone() {
    parse_plugin_dirs "$1"
    if [ ! -x "${plugin_dirs[0]}/tuning" ] && [ -x "$reference/tuning" ]; then
        say "# no tuning in ${plugin_dirs[0]}: taking the reference's for it alone"
        mkdir -p /run/other-plugins
        cp "$reference/tuning" /run/other-plugins/
        plugin_dirs+=(/run/other-plugins)
    fi
}

# podman_configuration PLUGIN_DIRS NETWORK_DIR DEFAULT_NETWORK: podman's containers.conf with the CNI back end, for hosts
# without cgroups and systemd. PLUGIN_DIRS is a list in TOML, without its brackets.
podman_configuration() {
    cat <<CONF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
pids_limit = 0
log_driver = "k8s-file"
[network]
network_backend = "cni"
cni_plugin_dirs = [$1]
network_config_dir = "$2"
default_network = "$3"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
CONF
}

# A root file system that needs no image: one static busybox.
make_rootfs() {
    local directory=$1 applet
    mkdir -p "$directory"/{bin,etc,proc,sys,dev,tmp,run,var}
    cp /bin/busybox "$directory/bin/busybox"
    for applet in sh sleep ip ping cat true httpd; do ln -sf busybox "$directory/bin/$applet"; done
    : >"$directory/etc/resolv.conf"
    : >"$directory/etc/hosts"
    # A page that tells the caller who was asked (the container's host name) and whom it saw.
    mkdir -p "$directory/www/cgi-bin"
    cat >"$directory/www/cgi-bin/who" <<'PAGE'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s saw %s\n' "$(/bin/cat /proc/sys/kernel/hostname)" "$REMOTE_ADDR"
PAGE
    chmod 755 "$directory/www/cgi-bin/who"
}

# Runtimes leave their parent control group behind, the one thing no namespace here contains. own_cgroup NAME, called
# first, remembers whether it was there before; drop_cgroup removes what was not.
own_cgroup() {
    cgroup_name=$1
    cgroup_was_there=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$1" 2>/dev/null || true)
}

drop_cgroup() {
    [ -z "$cgroup_was_there" ] || return 0
    # rmdir takes only groups without processes.
    find /sys/fs/cgroup -depth -type d \( -path "*/$cgroup_name" -o -path "*/$cgroup_name/*" \) \
        -exec rmdir {} + 2>/dev/null || true
}

# write_conflist FILE NAME BRIDGE SUBNET GATEWAY CHAINED...: the word ipMasq among the chained sets that key of bridge.
write_conflist() {
    local file=$1 name=$2 bridge=$3 subnet=$4 gateway=$5 chained
    shift 5
    chained=$(printf '%s\n' "$@" | jq -R 'select(. != "" and . != "ipMasq") | {type: .}
        + (if . == "portmap" then {capabilities: {portMappings: true}} else {} end)' | jq -s .)
    jq -n --arg name "$name" --arg bridge "$bridge" --arg subnet "$subnet" --arg gateway "$gateway" \
        --arg words " $* " --argjson chained "$chained" '{
        cniVersion: "0.4.0", name: $name,
        plugins: ([{type: "bridge", bridge: $bridge, isGateway: true, hairpinMode: true, ipam: {
            type: "host-local", routes: [{dst: "0.0.0.0/0"}],
            ranges: [[{subnet: $subnet, gateway: $gateway}]]}}
            + (if $words | contains(" ipMasq ") then {ipMasq: true} else {} end)] + $chained)}' >"$file"
}
