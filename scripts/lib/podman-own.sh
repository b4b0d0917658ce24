# shellcheck shell=bash
# shellcheck disable=SC2154 # the addresses and commands come from outside.sh
# podman's own networks, for scripts/test-podman.sh --own, which has the words this uses: podman_, inside, field, ….

# A container that tells callers over HTTP who it is and whom it saw. run_server NAME OPTIONS…
run_server() {
    local name=$1
    shift
    podman_ run -d --name "$name" --hostname "$name" --no-hosts "$@" --rootfs /run/podman-test/rootfs \
        /bin/busybox httpd -f -p 0.0.0.0:80 -h /www
}

# The same over UDP, and on port 8080 over TCP, from a process that shares the container's network.
run_udp() {
    local pid
    pid=$(pid_of "$1")
    start_who "$1" nsenter -t "$pid" -n
}

who() { "${fetch[@]}" "http://$1/cgi-bin/who"; }
outside_who() { outside "${fetch[@]}" "http://$1/cgi-bin/who"; }
inside_who() { inside "$1" "${fetch[@]}" "http://$2/cgi-bin/who"; }
awaited_who() {
    local attempt
    for ((attempt = 0; attempt < 100; attempt++)); do
        if who "$1" >/dev/null 2>&1; then break; fi
        sleep 0.1
    done
    who "$1"
}

# What holds for a server with published ports on either network: reached_everywhere NAME NETWORK GATEWAY SIBLING PORT
reached_everywhere() {
    local name=$1 network=$2 gateway=$3 sibling=$4 port=$5 address
    address=$(address_on "$name" "$network")
    check_says "$network: outside reaches the published port" "$name saw $outside_address" \
        outside_who "$host_address:$port"
    check_says "$network: at the host's other address, too" "$name saw $outside_address" \
        outside_who "$host_second_address:$port"
    check_says "$network: UDP" "$name saw $outside_address" outside "${ask[@]}" "$host_address" "$port"
    check_says "$network: a port published on one address" "$name saw $outside_address" \
        outside_who "$host_address:$((port + 1))"
    check_refused "$network: which is not on the other" outside_who "$host_second_address:$((port + 1))"
    check_says "$network: the host reaches it by localhost" "$name saw $gateway" who "127.0.0.1:$port"
    check_says "$network: the host reaches it by localhost over UDP" "$name saw $gateway" \
        "${ask[@]}" 127.0.0.1 "$port"
    check_says "$network: the host reaches it by its own address" "$name saw $host_address" who "$host_address:$port"
    check_says "$network: the container reaches its own published port" "$name saw $gateway" \
        inside_who "$name" "$host_address:$port"
    check_says "$network: a sibling reaches the published port" "$name saw $gateway" \
        inside_who "$sibling" "$host_address:$port"
    check_says "$network: a sibling reaches it without, unmasqueraded" \
        "$name saw $(address_on "$sibling" "$network")" inside_who "$sibling" "$address"
    check_says "$network: the container is masqueraded" "outside saw $host_address" \
        inside "$name" "${fetch[@]}" "http://$outside_address:8080"
    check_says "$network: over UDP, too" "outside saw $host_address" inside "$name" "${ask[@]}" "$outside_address" 8080
}

stop_udp() {
    local server=who_$1
    kill "${!server}" 2>/dev/null || true
    wait "${!server}" 2>/dev/null || true
}

default_network() {
    local before=$failed
    check "run a server on podman's default network" run_server web \
        -p 18080:80 -p 18080:8080/udp -p "$host_address:18081:80"
    check "run its sibling" run_server other
    if [ "$failed" -gt "$before" ]; then return 1; fi
    run_udp web
    check_says "the server is up" "web saw 10.88.0.1" awaited_who "$(address_on web podman)"
    reached_everywhere web podman 10.88.0.1 other 18080
}

created_network() {
    local before=$failed
    check "create a network" podman_ network create --subnet 10.89.7.0/24 made
    check_equal "it is podman's own chain" "$(jq -r '[.plugins[].type] | join(" ")' /run/podman-test/networks/made.conflist)" \
        "bridge portmap firewall tuning"
    check "run a server on it" run_server api --network made -p 18090:80 -p 18090:8080/udp -p "$host_address:18091:80"
    check "run its sibling" run_server peer --network made
    if [ "$failed" -gt "$before" ]; then return 1; fi
    run_udp api
    check_says "the server is up" "api saw 10.89.7.1" awaited_who "$(address_on api made)"
    reached_everywhere api made 10.89.7.1 peer 18090
}

two_networks() {
    check "connect the first server to the second network" podman_ network connect made web
    check_says "it is reached there" "web saw $(address_on peer made)" inside_who peer "$(address_on web made)"
    check_says "its published port still works" "web saw $outside_address" outside_who "$host_address:18080"
    check "disconnect it" podman_ network disconnect made web
    check_says "its published port works as before" "web saw $outside_address" outside_who "$host_address:18080"
    check_says "it is masqueraded as before" "outside saw $host_address" \
        inside web "${fetch[@]}" "http://$outside_address:8080"
    check_says "so is the other network" "outside saw $host_address" \
        inside peer "${fetch[@]}" "http://$outside_address:8080"
    # podman publishes a container's ports on all of its networks.
    check "connect it to the second network again" podman_ network connect made web
    check "disconnect the first network" podman_ network disconnect podman web
    check_says "the second network takes the published port over" "web saw 10.89.7.1" who 127.0.0.1:18080
    check_says "the one published on one address, too" "web saw $host_address" who "$host_address:18081"
    check_says "outside reaches it" "web saw $outside_address" outside_who "$host_address:18080"
    check "connect it to the first network again" podman_ network connect podman web
    check "disconnect the second network" podman_ network disconnect made web
    check_says "the first network has the published port back" "web saw 10.88.0.1" who 127.0.0.1:18080
}

restarted() {
    stop_udp web
    check "restart it" podman_ restart -t 0 web
    run_udp web
    check_says "it is up again" "web saw 10.88.0.1" awaited_who "$(address_on web podman)"
    check_says "outside reaches the published port" "web saw $outside_address" outside_who "$host_address:18080"
    check_says "and by UDP, from where it went before" "web saw $outside_address" \
        outside "${ask[@]}" "$host_address" 18080
    check_says "the host reaches it by localhost" "web saw 10.88.0.1" who 127.0.0.1:18080
}

removed() {
    local name
    stop_udp web
    check "remove the first server" podman_ rm -f -t 0 web
    check_refused "its port is gone" outside_who "$host_address:18080"
    check_empty "no UDP connection to it is remembered" "$(tracked_udp 18080)"
    check_says "the other one's port works" "api saw $outside_address" outside_who "$host_address:18090"
    check_says "the other one is masqueraded" "outside saw $host_address" \
        inside api "${fetch[@]}" "http://$outside_address:8080"
    stop_udp api
    for name in other api peer; do
        check "remove $name" podman_ rm -f -t 0 "$name"
    done
    check_empty "no UDP connection is remembered" "$(tracked_udp '18[0-9]*')"
    check "remove the network" podman_ network rm made
}

own_networks() {
    make_outside
    if default_network && created_network; then
        two_networks
        restarted
    fi
    removed
    await_no_veth uplink
    drop_outside
    check_empty "no rule of a container is left" "$(filter_entries)"
    check_nothing_left cni-podman0 cni-podman1
}
