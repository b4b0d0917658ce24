#!/usr/bin/env python3
"""The driver of bench-cluster.sh: attaches and detaches containers on the laboratory's hosts by exec'ing the plugin as a
runtime does, and watches from other hosts' containers when, and whether, they are reached.

A prober holds a raw socket that was opened inside its container's namespace: asking costs no process.
"""
import argparse
import concurrent.futures
import ctypes
import ipaddress
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from remains import Remains

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def inside(namespace, body):
    """Runs body in a thread of its own that has entered a network namespace."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        def enter():
            descriptor = os.open(namespace, os.O_RDONLY)
            try:
                if libc.setns(descriptor, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            finally:
                os.close(descriptor)
            return body()
        return pool.submit(enter).result()


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Prober:
    """A container that asks others for an echo (ICMP, RFC 792)."""

    def __init__(self, namespace, number):
        self.number = number
        self.sequence = 0
        self.socket = inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))

    def send(self, address):
        self.sequence = (self.sequence + 1) & 0xFFFF
        body = struct.pack("!BBHHH", 8, 0, 0, self.number, self.sequence)
        body = struct.pack("!BBHHH", 8, 0, checksum(body), self.number, self.sequence)
        try:
            self.socket.sendto(body, (address, 0))
        except OSError:
            pass

    def answered(self, address, seconds):
        """Whether an answer comes from the address within a time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                packet, source = self.socket.recvfrom(512)
            except (socket.timeout, OSError):
                return False
            head = (packet[0] & 15) * 4
            kind, _, _, number, _ = struct.unpack("!BBHHH", packet[head:head + 8])
            if source[0] == address and kind == 0 and number == self.number:
                return True
        return False

    def first_reply(self, address, limit):
        """Seconds to the first answer and how many questions it took; None after the limit. Asks again every millisecond."""
        began = time.monotonic()
        asked = 0
        while time.monotonic() - began < limit:
            self.send(address)
            asked += 1
            if self.answered(address, 0.001):
                return time.monotonic() - began, asked
        return None, asked


class Host:
    def __init__(self, lab, name):
        self.name = name
        with open(f"{lab}/{name}") as file:
            self.pid = int(file.read().split()[0])

    def command(self, *arguments):
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--", "env",
                "PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin", *arguments]

    def run(self, *arguments, text=None, environment=None):
        return subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True,
                              env={**os.environ, **(environment or {})}, timeout=60)

    def must(self, *arguments):
        result = self.run(*arguments)
        if result.returncode != 0:
            sys.exit(f"{self.name}: {' '.join(arguments)}: {result.stdout}{result.stderr}")
        return result.stdout

    def namespace(self, name):
        self.must("ip", "netns", "add", name)
        return f"/proc/{self.pid}/root/run/netns/{name}"

    def plugin(self, verb, document, container, namespace, interface="eth0"):
        return self.run(f"/opt/cni/bin/{document['type']}", text=json.dumps(document), environment={
            "CNI_COMMAND": verb, "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{namespace}",
            "CNI_IFNAME": interface, "CNI_PATH": "/opt/cni/bin"})

    def attach(self, document, container, namespace):
        """Both plugins of a network, as a runtime runs them: what an ADD that fails has done is taken back."""
        result = self.plugin("ADD", document, container, namespace)
        if result.returncode == 0:
            result = self.plugin("ADD", way_out(document, json.loads(result.stdout)), container, namespace)
        if result.returncode != 0:
            gone = self.detach(document, container, namespace)
            return gone if gone.returncode != 0 else result
        return result

    def detach(self, document, container, namespace):
        results = [self.plugin("DEL", each, container, namespace) for each in (way_out(document), document)]
        return next((result for result in results if result.returncode != 0), results[0])


def network(name, subnet):
    return {"cniVersion": "1.0.0", "name": name, "type": "overlay-vxlan", "subnet": subnet,
            "ipam": {"type": "host-local"}}


def way_out(document, previous=None):
    return {"cniVersion": "1.0.0", "name": document["name"], "type": "gwbridge-nat",
            **({"prevResult": previous} if previous else {})}


def address_of(result):
    document = json.loads(result.stdout)
    return str(ipaddress.ip_interface(document["ips"][0]["address"]).ip)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


class Bench:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.hosts = [Host(options.lab, name) for name in options.hosts]
        self.document = network("bench", "10.77.0.0/16")
        self.probers = []
        self.failures = 0

    def fail(self, text):
        self.failures += 1
        print(f"not ok - {text}", file=sys.stderr)

    def prepare(self):
        for number, host in enumerate(self.hosts):
            namespace = host.namespace("prober")
            result = host.attach(self.document, f"prober-{host.name}", "prober")
            if result.returncode != 0:
                sys.exit(f"{host.name}: {result.stdout}{result.stderr}")
            prober = Prober(namespace, 1000 + number)
            prober.address = address_of(result)
            self.probers.append(prober)

    def whole(self, limit=60):
        """Every prober reaches every other."""
        for one in self.probers:
            for other in self.probers:
                if one is not other and one.first_reply(other.address, limit)[0] is None:
                    return False
        return True

    # --- ADD returned: who can send to it? ---

    def reach(self):
        count = self.options.adds
        for host in self.hosts:
            host.namespace("target")
        times, attach, lost_first, never = [], [], 0, 0
        for number in range(count):
            here = self.random.randrange(len(self.hosts))
            there = self.random.choice([index for index in range(len(self.hosts)) if index != here])
            host, container = self.hosts[here], f"reach-{number}"
            began = time.monotonic()
            result = host.plugin("ADD", self.document, container, "target")
            attach.append(time.monotonic() - began)
            if result.returncode != 0:
                self.fail(f"ADD {number} on {host.name}: {result.stdout}")
                continue
            seconds, asked = self.probers[there].first_reply(address_of(result), 5)
            if seconds is None:
                never += 1
            else:
                times.append(seconds)
                lost_first += asked > 1
            gone = host.plugin("DEL", self.document, container, "target")
            if gone.returncode != 0:
                self.fail(f"DEL {number} on {host.name}: {gone.stdout}")
        late = sum(seconds > 1 for seconds in times) + never
        print(f"| ADD returned → first reply to a random other host, {len(self.hosts)} hosts, {count} ADDs: p50 / p99 / most |"
              f" {percentile(times, .5) * 1e3:.2f} / {percentile(times, .99) * 1e3:.2f} / {max(times) * 1e3:.2f} ms | p99 ≤ 20 ms |")
        print(f"| of them answered after the first packet | {count - lost_first - never} | |")
        print(f"| not reached after 1 s | {late} | 0 |")
        print(f"| ADD as the caller sees it, process and nsenter included, p50 / p99 | {percentile(attach, .5) * 1e3:.2f} /"
              f" {percentile(attach, .99) * 1e3:.2f} ms | |")
        if never:
            self.fail(f"{never} were never reached")
        # The hundredth part of a short run is one packet of a busy machine.
        if count >= 500 and (late or percentile(times, .99) > self.options.bound):
            self.fail(f"{late} were not reached after a second; p99 {percentile(times, .99) * 1e3:.1f} ms")

    # --- daemons killed while containers come and go ---

    def churn(self):
        end = time.monotonic() + self.options.seconds
        stop, counts, lock = threading.Event(), {"ADD": 0, "DEL": 0, "later": 0, "killed": 0}, threading.Lock()
        gaps = [0.0] * len(self.probers)

        def come_and_go(index):
            host, chance = self.hosts[index], random.Random(self.options.seed + index)
            for slot in range(4):
                host.namespace(f"slot{slot}")
            held, number = {}, 0
            pace = len(self.hosts) / self.options.rate
            due = time.monotonic()
            while not stop.is_set():
                due = max(due + pace, time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))
                slot = chance.randrange(4)
                number += 1
                if slot in held:
                    container = held.pop(slot)
                    result = host.detach(self.document, container, f"slot{slot}")
                    if result.returncode != 0:
                        self.fail(f"DEL {container}: {result.stdout}")
                    with lock:
                        counts["DEL"] += 1
                else:
                    container = f"churn-{index}-{number}"
                    result = host.attach(self.document, container, f"slot{slot}")
                    with lock:
                        counts["ADD"] += 1
                    if result.returncode == 0:
                        held[slot] = container
                    elif json.loads(result.stdout or "{}").get("code") == 11:
                        with lock:
                            counts["later"] += 1
                    else:
                        self.fail(f"ADD {container}: {result.stdout}")
            for slot, container in held.items():
                result = host.detach(self.document, container, f"slot{slot}")
                if result.returncode != 0:
                    self.fail(f"DEL {container}: {result.stdout}")

        def watch(index):
            """Asks a neighbour that stays, every 10 ms; the longest silence is kept."""
            prober, other = self.probers[index], self.probers[(index + 1) % len(self.probers)]
            last = time.monotonic()
            while not stop.is_set():
                prober.send(other.address)
                if prober.answered(other.address, 0.01):
                    gaps[index] = max(gaps[index], time.monotonic() - last)
                    last = time.monotonic()
                    time.sleep(0.01)
            gaps[index] = max(gaps[index], time.monotonic() - last)

        threads = [threading.Thread(target=body, args=(index,))
                   for body in (come_and_go, watch) for index in range(len(self.hosts))]
        for thread in threads:
            thread.start()
        lab = os.path.join(self.options.root, "scripts/lab.sh")
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.5, 3))
            host = self.random.choice(self.hosts)
            subprocess.run([lab, "stop", host.name, "KILL"], capture_output=True)
            counts["killed"] += 1
            time.sleep(self.random.uniform(0, 1))
            subprocess.run([lab, "start", host.name], capture_output=True)
        stop.set()
        for thread in threads:
            thread.join()
        print(f"| containers come and go while daemons are killed: ADD, DEL, kills in {self.options.seconds} s |"
              f" {counts['ADD']}, {counts['DEL']}, {counts['killed']} | {self.options.rate:g}/s |")
        print(f"| ADDs told to come again (code 11) | {counts['later']} | |")
        print(f"| longest silence between running containers, asked every 10 ms | {max(gaps) * 1e3:.0f} ms | undisturbed |")
        if max(gaps) > self.options.silence:
            self.fail(f"running containers did not hear each other for {max(gaps):.2f} s")

    def leaks(self, limit=90):
        """Nothing but the probers is left, on any host, in kernel, files and tables."""
        deadline, found = time.monotonic() + limit, []
        while True:
            found = self.remains.found()
            if not found or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for text in found:
            self.fail(f"left: {text}")
        print(f"| left links, rules, addresses, files, blocks, records, entries | {len(found)} | 0 |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--hosts", nargs="+", required=True)
    parser.add_argument("--adds", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--bound", type=float, default=0.020)
    parser.add_argument("--silence", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFF)
    options = parser.parse_args()
    bench = Bench(options)
    print(f"Seed {options.seed}.\n")
    print("| what | seen | wanted |\n|---|---:|---:|", flush=True)
    bench.prepare()
    if not bench.whole():
        bench.fail("not every container reaches every other at the start")
    bench.remains = Remains(bench.hosts, bench.document["name"])
    if options.adds:
        bench.reach()
    if options.seconds:
        bench.churn()
    if not bench.whole():
        bench.fail("not every container reaches every other at the end")
    bench.leaks()
    sys.exit(1 if bench.failures else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
