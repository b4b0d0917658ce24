#!/usr/bin/env python3
"""The part of bench-cluster.sh about large networks: many endpoints on a few hosts, then a host that joins.

A bridge has at most 1 023 ports, so the endpoints are announced through the control API of the hosts' daemons, all of
one host under the link of a real container there: the daemons take them for containers. Tables, messages, signatures and
the kernel's entries on the other hosts are those of as many containers on twenty hosts.
"""
import argparse
import hashlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from cluster import Host, Prober, address_of, network, percentile

TICK = os.sysconf("SC_CLK_TCK")


def ask(host, method, path, body=None):
    """One request to a host's daemon; the status and the document."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"/proc/{host.pid}/root/run/swiftlet/swiftletd.sock")
        text = "" if body is None else json.dumps(body)
        connection.sendall((f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            f"Content-Length: {len(text)}\r\n\r\n{text}").encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, document = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), document


def neighbours():
    """The kernel's count of IPv4 neighbours, of all namespaces: asking costs nothing."""
    with open("/proc/net/stat/arp_cache") as file:
        return int(file.read().split("\n")[1].split()[0], 16)


class Large:
    def __init__(self, options):
        self.hosts = [Host(options.lab, name) for name in options.hosts]
        self.joiner, self.publishers = self.hosts[-1], self.hosts[:-1]
        # A daemon owns 16 384 rows at most.
        self.count = min(options.endpoints, 16000 * len(self.publishers))
        self.many, self.few = network("many", "10.88.0.0/16"), network("few", "10.89.0.0/24")
        self.failures, self.links, self.used = 0, {}, set()
        self.published = 0
        self.rounds, self.seconds, self.roundtrip = options.rounds, options.seconds, options.roundtrip

    def fail(self, text):
        self.failures += 1
        print(f"not ok - {text}", file=sys.stderr)

    def add(self, host, document, interface):
        """Connects the host's one container; its address."""
        result = host.plugin("ADD", document, f"large-{host.name}", "large", interface)
        if result.returncode != 0:
            sys.exit(f"{host.name}: {result.stdout}{result.stderr}")
        self.links[host.name, document["name"]] = json.loads(result.stdout)["interfaces"][1]["name"]
        return address_of(result)

    def daemon(self, host):
        """Processor seconds and resident megabytes of a host's daemon."""
        pid = host.must("cat", "/run/swiftletd.pid").strip()
        with open(f"/proc/{host.pid}/root/proc/{pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
        with open(f"/proc/{host.pid}/root/proc/{pid}/status") as file:
            memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return (int(words[11]) + int(words[12])) / TICK, memory / 1024

    def publish(self, total):
        """Announces more endpoints until there are so many."""
        free = (address for address in ipaddress.ip_network("10.88.0.0/16").hosts() if str(address) not in self.used)
        addresses = [address for _, address in zip(range(total), free)][self.published:]
        began = time.monotonic()

        def work(index):
            host = self.publishers[index]
            for address in addresses[index::len(self.publishers)]:
                mac = "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)
                status, document = ask(host, "POST", "/v1/overlay/endpoints", {
                    "network": "many", "containerID": f"many-{address}", "ifname": "eth0",
                    "addresses": [f"{address}/16"], "mac": mac, "link": self.links[host.name, "many"]})
                if status != 200:
                    self.fail(f"{host.name} {address}: {status} {document.decode()}")
                    return

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(self.publishers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        print(f"| {len(addresses)} endpoints announced by {len(self.publishers)} hosts to each other, one at a time each |"
              f" {len(addresses) / seconds:.0f}/s | |", flush=True)
        self.published = total

    def entries(self, host, name="many"):
        """What the kernel has for other hosts' endpoints: neighbours, forwarding entries, bridge entries."""
        digest = hashlib.sha512(f"swiftlet/swiftlet/{name}".encode()).hexdigest()
        enter = ["nsenter", f"--net=/run/swiftlet/netns/1-{digest[:10]}"]

        def count(*words, mark):
            return sum(mark in line for line in host.must(*enter, *words).splitlines())

        return (count("ip", "neighbour", "show", "dev", "vxlan0", "nud", "permanent", mark="lladdr"),
                count("bridge", "fdb", "show", "dev", "vxlan0", mark=" dst "),
                count("bridge", "fdb", "show", "br", "br0", "dev", "vxlan0", mark="master br0"))

    def join(self):
        """The last host joins; seconds until ADD returned and until all was programmed."""
        wanted = self.published + len(self.publishers)
        before, idle = neighbours(), [self.daemon(host) for host in self.hosts]
        began = time.monotonic()
        self.address = self.add(self.joiner, self.many, "eth0")
        added = time.monotonic() - began
        while neighbours() - before < wanted and time.monotonic() - began < 120:
            time.sleep(0.005)
        programmed = time.monotonic() - began
        # What is programmed goes neighbour first; and somebody else may have made neighbours on a busy machine.
        while True:
            found = self.entries(self.joiner)
            if found[:2] == (wanted, wanted) and found[2] >= wanted:
                break
            programmed = time.monotonic() - began
            if programmed > 120:
                self.fail(f"{self.joiner.name} has {found} entries, not {wanted}")
                break
        time.sleep(1)
        now = [self.daemon(host) for host in self.hosts]
        used = [after[0] - earlier[0] for after, earlier in zip(now, idle)]
        print(f"| a host joins a network of {wanted} endpoints: ADD returned / all entries in its kernel |"
              f" {added * 1e3:.0f} / {programmed * 1e3:.0f} ms | |")
        print(f"| processor time of its daemon for that / of the other daemons together, inspection included |"
              f" {used[-1]:.2f} / {sum(used[:-1]):.2f} s | |")
        print(f"| memory of its daemon before / after, of the others | {idle[-1][1]:.0f} / {now[-1][1]:.0f},"
              f" {min(one[1] for one in now[:-1]):.0f}–{max(one[1] for one in now[:-1]):.0f} MB | |", flush=True)
        return programmed

    def leave(self):
        result = self.joiner.plugin("DEL", self.many, f"large-{self.joiner.name}", "large", "eth0")
        if result.returncode != 0:
            sys.exit(f"{self.joiner.name}: {result.stdout}{result.stderr}")

    def compare(self):
        """Round trips and throughput between two containers over the large network and over a small one, in turns."""
        targets = {"many": (self.target, self.published + len(self.publishers)), "few": (self.small, 2)}
        prober = Prober(f"/proc/{self.joiner.pid}/root/run/netns/large", 4000)
        server = subprocess.Popen(self.publishers[0].command("ip", "netns", "exec", "large", "iperf3", "-s"),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        trips, speeds = {name: [] for name in targets}, {name: [] for name in targets}
        try:
            for name, (address, _) in targets.items():
                if prober.first_reply(address, 5)[0] is None:
                    return self.fail(f"{address} is not reached over {name}")
            for turn in range(self.rounds):
                for name in sorted(targets, reverse=turn % 2 == 1):
                    address = targets[name][0]
                    trips[name].append(int(self.joiner.must(
                        "ip", "netns", "exec", "large", self.roundtrip, address, "5000")) / 1e3)
                    done = self.joiner.run("ip", "netns", "exec", "large", "iperf3", "-J", "-c", address,
                                           "-t", str(self.seconds))
                    if done.returncode != 0:
                        return self.fail(f"iperf3 over {name}: {done.stdout[-300:]}{done.stderr}")
                    speeds[name].append(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9)
        finally:
            server.terminate()
            server.wait()
        for name, (_, entries) in targets.items():
            print(f"| {entries} entries: round trip (median of 5 000) and TCP throughput, medians of {self.rounds} rounds |"
                  f" {percentile(trips[name], .5):.2f} µs, {percentile(speeds[name], .5):.2f} Gbit/s | |")
        print(f"| with many as a share of with few: round trip p50, throughput |"
              f" {percentile(trips['many'], .5) / percentile(trips['few'], .5):.3f},"
              f" {percentile(speeds['many'], .5) / percentile(speeds['few'], .5):.3f} | |", flush=True)

    def run(self):
        for host in self.hosts:
            host.namespace("large")
        for host in self.publishers:
            address = self.add(host, self.many, "eth0")
            self.used.add(address)
            if host is self.publishers[0]:
                self.target = address
        for host in [*self.publishers[:2], self.joiner]:
            address = self.add(host, self.few, "eth1")
            if host is self.publishers[0]:
                self.small = address
        self.publish(self.count // 4)
        quarter = self.join()
        self.leave()
        self.publish(self.count)
        whole = self.join()
        print(f"| time to join, four times the endpoints | {whole / quarter:.2f} × | ≤ 6 × |", flush=True)
        # Short runs are made of constant costs.
        if self.count >= 10000 and whole / quarter > 6:
            self.fail("the time to join grows faster than the network")
        self.compare()
        return self.failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab", required=True)
    parser.add_argument("--hosts", nargs="+", required=True)
    parser.add_argument("--roundtrip", required=True, help="the executable of roundtrip.c")
    parser.add_argument("--endpoints", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    sys.exit(1 if Large(parser.parse_args()).run() else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
