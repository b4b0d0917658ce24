# shellcheck shell=bash
# shellcheck disable=SC2154 # plugin_dirs comes from runtimes.sh
# Runs a conflist's plugins one after the other as libcni does: each gets the list's name and version, what of the
# runtime's configuration it says it is capable of, and the result of the one before; DEL goes backwards with the last
# result. Source it after common.sh and runtimes.sh.

chain_results=/run/chain-results

# chain_call COMMAND PLUGIN CONFIGURATION: one plugin, with the variables of the chain in progress.
chain_call() {
    local file directories
    file=$(plugin_file "$2") || {
        printf '{"code": 999, "msg": "no plugin %s in %s"}\n' "$2" "${plugin_dirs[*]}"
        return 1
    }
    directories=$(IFS=: && printf '%s' "${plugin_dirs[*]}")
    timeout 30 env CNI_COMMAND="$1" CNI_CONTAINERID="$chain_id" CNI_NETNS="$chain_netns" CNI_IFNAME="$chain_interface" \
        CNI_ARGS="${chain_arguments:-}" CNI_PATH="$directories" "$file" <<<"$3"
}

# chain COMMAND CONFLIST ID NETNS IFNAME [RUNTIME CONFIGURATION [CNI_ARGS]]: prints what the last plugin printed, which is
# the error when one fails. Results are kept in /run/chain-results/ID-IFNAME.json from ADD to DEL.
chain() {
    local command=$1 conflist=$2 runtime=${6:-'{}'} count index step configuration previous=null output status=0
    local chain_id=$3 chain_netns=$4 chain_interface=$5 chain_arguments=${7:-} kept=$chain_results/$3-$5.json
    mkdir -p "$chain_results"
    count=$(jq '.plugins | length' "$conflist")
    if [ "$command" != ADD ] && [ -s "$kept" ]; then previous=$(cat "$kept"); fi
    for ((step = 0; step < count; step++)); do
        index=$step
        if [ "$command" = DEL ]; then index=$((count - 1 - step)); fi
        configuration=$(jq -c --argjson index "$index" --argjson runtime "$runtime" --argjson previous "$previous" '
            .plugins[$index] as $plugin
            | ($runtime | with_entries(select($plugin.capabilities[.key] == true))) as $given
            | {cniVersion, name} + $plugin
            + (if $given == {} then {} else {runtimeConfig: $given} end)
            + (if $previous == null then {} else {prevResult: $previous} end)' "$conflist")
        output=$(chain_call "$command" "$(jq -r .type <<<"$configuration")" "$configuration") || status=$?
        if [ "$status" -ne 0 ]; then break; fi
        if [ "$command" = ADD ]; then
            previous=$output
            printf '%s\n' "$output" >"$kept"
        fi
    done
    printf '%s\n' "$output"
    if [ "$command" = DEL ] && [ "$status" -eq 0 ]; then rm -f "$kept"; fi
    return "$status"
}

# The first address of a chain's result: chain_address ID IFNAME
chain_address() { jq -r '.ips[0].address // "" | split("/")[0]' "$chain_results/$1-$2.json"; }
