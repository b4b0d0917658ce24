#!/usr/bin/env python3
"""The driver of bench-gossip.sh, inside its private world: namespaces, nodes, faults, and the table.

Every node is watched over a connection of its own: a serf agent by `monitor` of its IPC, a swiftletd by the event stream
of its control socket. An event counts at the moment it arrives here.
"""
import argparse
import json
import os
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time


def run(*command, text=None):
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def pack(value):
    """The msgpack of serf's IPC, as much of it as requests need."""
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcd" + value.to_bytes(2, "big")
    if isinstance(value, str):
        return bytes([0xA0 | len(value)]) + value.encode()
    return bytes([0x80 | len(value)]) + b"".join(pack(key) + pack(item) for key, item in value.items())


class Node:
    """One process, its watch, and what it told."""

    def __init__(self, kind, number, bench):
        self.kind, self.number, self.bench = kind, number, bench
        self.name = f"{kind.prefix}{number}"
        self.address = f"10.9.{kind.index}.{number}"
        self.process = None
        self.watch = None
        self.rest = b""
        self.told = []  # (time, what, name)

    def start(self):
        seed = f"10.9.{self.kind.index}.1:{self.kind.port}"
        with open(f"{self.bench.directory}/{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", f"bench{self.number}"] + self.kind.command(self, seed),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.watch = self.kind.open_watch(self)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    sys.exit(f"{self.name} does not answer: {self.bench.log_of(self)}")
                time.sleep(0.05)
        self.watch.setblocking(False)
        self.bench.selector.register(self.watch, selectors.EVENT_READ, self)

    def kill(self):
        self.bench.selector.unregister(self.watch)
        self.watch.close()
        self.process.send_signal(signal.SIGKILL)
        at = time.monotonic()
        self.process.wait()
        return at

    def heard(self, data, at):
        data = self.rest + data
        end = 0
        for found in self.kind.pattern.finditer(data):
            self.told.append((at, self.kind.words[found[1].decode()], found[2].decode()))
            end = found.end()
        self.rest = data[max(end, len(data) - 4096):]

    def knowledge(self, everybody):
        """The last word on each node."""
        known = {name: "alive" for name in everybody}
        for _, what, name in self.told:
            known[name] = what
        return known

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M)[1])

    def ticks(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


class Serf:
    label, prefix, index, port, is_ours = "serf", "s", 0, 7946, False
    # The pattern need not know the msgpack around a log line.
    pattern = re.compile(rb"serf: EventMember(Failed|Join|Leave): (\S+) 10[.]")
    words = {"Failed": "failed", "Join": "alive", "Leave": "left"}

    def __init__(self, path):
        self.path = path

    def command(self, node, seed):
        join = [] if node.number == 1 else [f"-retry-join={seed}", "-retry-interval=1s"]
        return [self.path, "agent", f"-node={node.name}", f"-bind={node.address}:{self.port}",
                f"-rpc-addr={node.address}:7373", "-log-level=info"] + join

    def open_watch(self, node):
        watch = socket.create_connection((node.address, 7373), 5)
        watch.sendall(pack({"Command": "handshake", "Seq": 0}) + pack({"Version": 1}))
        watch.recv(100)
        watch.sendall(pack({"Command": "monitor", "Seq": 1}) + pack({"LogLevel": "INFO"}))
        return watch

    def members(self, node):
        text = run(self.path, "members", f"-rpc-addr={node.address}:7373", "-status=alive")
        return len(text.splitlines())


class Swiftlet:
    is_ours = True
    pattern = re.compile(rb'"event": ?"member-(failed|joined|left)", ?"name": ?"([^"]+)"')
    words = {"failed": "failed", "joined": "alive", "left": "left"}

    def __init__(self, path, profile, index):
        self.path, self.profile, self.index = path, profile, index
        self.label, self.prefix, self.port = f"swiftletd {profile}", f"{profile}", 7946 + index
        self.seeds = True

    def command(self, node, seed):
        directory = node.bench.directory
        join = ["--join", seed] if node.number > 1 and self.seeds else []
        return [self.path, "--node", node.name, "--bind", f"{node.address}:{self.port}", "--profile", self.profile,
                "--cluster-port", str(self.port + 1000),
                "--socket", f"{directory}/{node.name}.sock", "--state-dir", f"{directory}/{node.name}"] + join

    def request(self, node, path, body=None):
        watch = socket.socket(socket.AF_UNIX)
        watch.settimeout(5)
        watch.connect(f"{node.bench.directory}/{node.name}.sock")
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        watch.sendall(f"{head}\r\n{body or ''}".encode())
        return watch

    def answer(self, node, path, body=None):
        """Status and body."""
        with self.request(node, path, body) as connection:
            text = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()
        head, _, rest = text.partition("\r\n\r\n")
        return int(head.split()[1]) if head else 0, rest

    def open_watch(self, node):
        return self.request(node, "/v1/events?kind=member")

    def members(self, node):
        return int(re.search(r'members\{status="alive"\} (\d+)', self.metrics(node))[1])

    def endpoint_of(self, node, name):
        found = json.loads(self.answer(node, "/v1/members")[1])["members"]
        return next((member["address"] for member in found if member["name"] == name), None)

    def metrics(self, node):
        return self.answer(node, "/metrics")[1]


class Bench:
    def __init__(self, options):
        self.options = options
        self.directory = "/run/gossip"
        os.makedirs(self.directory)
        self.selector = selectors.DefaultSelector()
        self.kinds = [Serf(options.serf), Swiftlet(options.swiftletd, "lan", 1), Swiftlet(options.swiftletd, "fast", 2)]
        self.nodes = {kind: [Node(kind, number, self) for number in range(1, options.nodes + 1)] for kind in self.kinds}
        self.rows = []
        self.faults = []
        self.lag = 0.0

    def log_of(self, node):
        with open(f"{self.directory}/{node.name}.log") as file:
            return file.read()[-2000:]

    def everyone(self):
        return [node for nodes in self.nodes.values() for node in nodes]

    # The network: one bridge, one namespace per host, one address per kind.

    def make_network(self):
        run("ip", "link", "add", "hub", "type", "bridge")
        for kind in self.kinds:
            run("ip", "address", "add", f"10.9.{kind.index}.254/24", "dev", "hub")
        run("ip", "link", "set", "hub", "up")
        for number in range(1, self.options.nodes + 1):
            space = f"bench{number}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", f"host{number}", "master", "hub", "up", "type", "veth", "peer", "eth0", "netns", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
            for kind in self.kinds:
                run("ip", "-n", space, "address", "add", f"10.9.{kind.index}.{number}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            chains = "".join(
                f"counter kind{kind.index} {{}}\ncounter tables{kind.index} {{}}\n" for kind in self.kinds
            ) + "chain faults { type filter hook input priority 0; }\nchain sent { type filter hook output priority 0;\n"
            for kind in self.kinds:
                for end in ("sport", "dport"):
                    chains += f"meta l4proto {{ tcp, udp }} th {end} {kind.port} counter name kind{kind.index} accept\n"
                    if kind.is_ours:
                        chains += (f"meta l4proto {{ tcp, udp }} th {end} {kind.port + 1000} "
                                   f"counter name tables{kind.index} accept\n")
            self.nft(number, f"table ip bench {{\n{chains}}}\n}}\n")

    def nft(self, number, text):
        run("ip", "netns", "exec", f"bench{number}", "nft", "-f", "-", text=text)

    def set_faults(self, number, *rules):
        self.nft(number, "flush chain ip bench faults\n" + "".join(f"add rule ip bench faults {rule}\n" for rule in rules))

    def sent(self, kind, number, what="kind"):
        """Packets and bytes, IP headers included, that a node sent."""
        text = run("ip", "netns", "exec", f"bench{number}", "nft", "list", "counter", "ip", "bench", f"{what}{kind.index}")
        return tuple(int(value) for value in re.search(r"packets (\d+) bytes (\d+)", text).groups())

    # Time.

    def until(self, deadline, is_over=lambda: False):
        """Hears the nodes until then, or until it is over; true if it was."""
        while not is_over():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            begin, wait = time.monotonic(), min(left, 0.2)
            ready = self.selector.select(wait)
            now = time.monotonic()
            if not ready:
                self.lag = max(self.lag, now - begin - wait)
            for key, _ in ready:
                try:
                    data = key.fileobj.recv(1 << 16)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    key.data.heard(data, now)
                else:
                    self.selector.unregister(key.fileobj)
                    sys.exit(f"{key.data.name} ended: {self.log_of(key.data)}")
        return True

    def rest(self, seconds):
        self.until(time.monotonic() + seconds)

    def form(self):
        for number in range(self.options.nodes):
            for kind in self.kinds:
                self.nodes[kind][number].start()
        deadline = time.monotonic() + 60
        for node in self.everyone():
            while node.kind.members(node) < self.options.nodes:
                if time.monotonic() > deadline:
                    sys.exit(f"{node.name} does not see all others: {self.log_of(node)}")
                self.rest(0.2)
        self.forget()

    def forget(self):
        self.rest(1)
        for node in self.everyone():
            node.told = []

    # What is measured.

    def idle(self, seconds):
        before = {}
        for node in self.everyone():
            before[node] = (time.monotonic(), self.sent(node.kind, node.number), node.ticks(),
                            self.sent(node.kind, node.number, "tables"))
        self.rest(seconds)
        row = {}
        for kind in self.kinds:
            rates, packets, cpu, memory, tables = [], [], [], [], []
            for node in self.nodes[kind]:
                begin, sent, ticks, exchanged = before[node]
                passed = time.monotonic() - begin
                now = self.sent(kind, node.number)
                packets.append((now[0] - sent[0]) / passed)
                rates.append((now[1] - sent[1]) / passed)
                tables.append((self.sent(kind, node.number, "tables")[1] - exchanged[1]) / passed)
                cpu.append((node.ticks() - ticks) / os.sysconf("SC_CLK_TCK") / passed * 100)
                memory.append(node.status("VmRSS") / 1024)
            row[kind] = (statistics.mean(rates), statistics.mean(packets), statistics.mean(cpu),
                         statistics.median(memory), statistics.mean(tables))
        self.add("idle, sent per node", {k: f"{r[0]:.0f} B/s, {r[1]:.1f} packets/s" for k, r in row.items()})
        self.add("idle, sent on the tables' port", {k: f"{r[4]:.0f} B/s" for k, r in row.items() if k.is_ours})
        self.add("idle, processor per node", {k: f"{r[2]:.2f} %" for k, r in row.items()})
        self.add("resident memory per node, median", {k: f"{r[3]:.1f} MiB" for k, r in row.items()})

    def kill(self, number):
        self.forget()
        killed = {kind: self.nodes[kind][number - 1] for kind in self.kinds}
        at = {kind: node.kill() for kind, node in killed.items()}
        others = {kind: [node for node in self.nodes[kind] if node.number != number] for kind in self.kinds}

        def seen(kind):
            return [
                next((told for told, what, name in node.told if what == "failed" and name == killed[kind].name), None)
                for node in others[kind]
            ]

        self.until(time.monotonic() + 60, lambda: all(None not in seen(kind) for kind in self.kinds))
        for kind in self.kinds:
            times = [time - at[kind] for time in seen(kind) if time is not None]
            if len(times) < len(others[kind]):
                self.fault(kind, f"{len(others[kind]) - len(times)} nodes never saw {killed[kind].name} fail")
            self.kills.setdefault(kind, []).append((statistics.median(times), max(times)) if times else None)
        for node in killed.values():
            node.told = []
            node.start()
        if not self.until(time.monotonic() + 60, self.all_is_well):
            self.tell_differences("after a restart")

    def kill_some(self, numbers):
        self.kills = {}
        for number in numbers:
            self.kill(number)
        for what, index in (("SIGKILL → failed at half of the others", 0), ("SIGKILL → failed everywhere", 1)):
            self.add(what, {
                kind: ", ".join("never" if kill is None else f"{kill[index]:.1f}" for kill in kills) + " s"
                for kind, kills in self.kills.items()})

    # A host that is new writes at once: the worst moment, since nobody has told it of everybody yet.

    def replace(self, node):
        """The node leaves, and a host that nobody knows takes its place."""
        self.selector.unregister(node.watch)
        node.watch.close()
        node.process.terminate()
        node.process.wait()
        shutil.rmtree(f"{self.directory}/{node.name}", ignore_errors=True)
        node.told = []
        node.start()

    def first_write(self, kind, node, number):
        """Seconds from its first write, which follows its first sight of a member, until each of the others has it."""
        while kind.members(node) < 2:
            pass
        name = f"{kind.prefix}-{number}"
        begin = time.monotonic()
        status, text = kind.answer(node, "/v1/networks", json.dumps({"name": name, "subnet": f"10.{100 + number}.0.0/16"}))
        if status != 200:
            sys.exit(f"{node.name} does not announce a network: {text}")
        missing = [other for other in self.nodes[kind] if other is not node]
        seen = []
        while missing and time.monotonic() < begin + 60:
            for other in list(missing):
                if kind.answer(other, f"/v1/networks/{name}")[0] == 200:
                    seen.append(time.monotonic() - begin)
                    missing.remove(other)
        for other in missing:
            self.fault(kind, f"{other.name} does not have what {node.name} wrote")
        return seen

    def write_after_join(self, rounds):
        row = {}
        for kind in self.kinds:
            if not kind.is_ours:
                continue
            times = []
            for number in range(rounds):
                node = self.nodes[kind][1 + number % (self.options.nodes - 1)]
                self.replace(node)
                times += self.first_write(kind, node, number)
                self.until(time.monotonic() + 60, self.all_is_well)
            times.sort()
            row[kind] = (f"p50 {times[len(times) // 2] * 1000:.0f} ms, p99 {times[len(times) * 99 // 100] * 1000:.0f} ms, "
                         f"{len(times)} observed")
        self.add("first write of a new host → at each of the others", row)

    def fault(self, kind, text):
        print(f"{kind.label}: {text}", file=sys.stderr)
        if kind.is_ours:
            self.faults.append(text)

    def differences(self, kind):
        names = [node.name for node in self.nodes[kind]]
        return [
            f"{node.name} thinks {name} {what}" for node in self.nodes[kind]
            for name, what in node.knowledge(names).items() if what != "alive"
        ]

    def all_is_well(self):
        return not any(self.differences(kind) for kind in self.kinds)

    def tell_differences(self, when):
        for kind in self.kinds:
            for difference in self.differences(kind):
                self.fault(kind, f"{when}: {difference}")

    def loss(self, percent, seconds):
        self.forget()
        ports = ", ".join(str(kind.port) for kind in self.kinds)
        for number in range(1, self.options.nodes + 1):
            # One rule per packet: gossip's datagrams have the port at both ends.
            self.set_faults(number, *(
                f"{match} {{ {ports} }} numgen random mod 100 < {percent} drop"
                for match in ("udp dport", "tcp dport", "tcp sport")))
        before = {kind: self.failed_probes(kind) for kind in self.kinds}
        self.rest(seconds)
        row, probes = {}, {}
        for kind in self.kinds:
            count = sum(what == "failed" for node in self.nodes[kind] for _, what, _ in node.told)
            row[kind] = str(count)
            probes[kind] = str(self.failed_probes(kind) - before[kind])
            # The fast profile buys its speed with judgements on less evidence; half of all packets is beyond it.
            if count and kind.label == "swiftletd lan":
                self.fault(kind, f"{count} false failures under {percent} % loss")
        for number in range(1, self.options.nodes + 1):
            self.set_faults(number)
        self.add(f"false failures in {seconds} s of {percent} % loss", row)
        self.add("… probes that led to a suspicion meanwhile", probes)
        begin = time.monotonic()
        self.until(begin + 90, self.all_is_well)
        self.tell_differences("90 s after the loss")

    def failed_probes(self, kind):
        if kind.is_ours:
            return sum(
                int(re.search(r"gossip_probes_failed_total (\d+)", kind.metrics(node))[1]) for node in self.nodes[kind])
        return sum(self.log_text(node).count("memberlist: Suspect ") for node in self.nodes[kind])

    def log_text(self, node):
        with open(f"{self.directory}/{node.name}.log") as file:
            return file.read()

    def partition(self, seconds):
        self.forget()
        half = self.options.nodes // 2
        for number in range(1, self.options.nodes + 1):
            other = range(half + 1, self.options.nodes + 1) if number <= half else range(1, half + 1)
            sources = ", ".join(f"10.9.{kind.index}.{host}" for kind in self.kinds for host in other)
            self.set_faults(number, f"ip saddr {{ {sources} }} drop")
        begin = time.monotonic()
        self.rest(seconds)
        cut = {}
        for kind in self.kinds:
            times = [at - begin for node in self.nodes[kind] for at, what, _ in node.told if what == "failed"]
            expected = 2 * half * (self.options.nodes - half)
            cut[kind] = f"{max(times):.1f} s" if len(times) >= expected else f"{len(times)} of {expected} judged"
        self.add("partition: the whole other half failed", cut)
        for number in range(1, self.options.nodes + 1):
            self.set_faults(number)
        healed = time.monotonic()
        self.until(healed + 90, self.all_is_well)
        row = {}
        for kind in self.kinds:
            if self.differences(kind):
                row[kind] = "not in 90 s"
                self.fault(kind, f"a partition of {seconds} s did not heal: {self.differences(kind)[:5]}")
            else:
                last = max((at for node in self.nodes[kind] for at, _, _ in node.told), default=healed)
                row[kind] = f"{last - healed:.1f} s"
        self.add(f"partition of {seconds} s: all agree again after", row)

    def add(self, what, row):
        self.rows.append((what, row))

    def print_table(self):
        ours_first = self.kinds[1:] + self.kinds[:1]
        print("| what | " + " | ".join(kind.label for kind in ours_first) + " |")
        print("|---|" + "---:|" * len(ours_first))
        for what, row in self.rows:
            print(f"| {what} | " + " | ".join(row.get(kind, "–") for kind in ours_first) + " |")
        with open("/proc/loadavg") as file:
            load = " ".join(file.read().split()[:3])
        print(f"\nLoad at the end {load}; the driver was woken at most {self.lag * 1000:.0f} ms late.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--swiftletd", required=True)
    parser.add_argument("--serf", required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    bench = Bench(options)
    bench.make_network()
    bench.form()
    try:
        if options.long:
            bench.rest(5)
            bench.idle(60)
            bench.write_after_join(12)
            bench.kill_some([4, 7, options.nodes])
            bench.loss(50, 50)
            bench.partition(90)
        else:
            bench.idle(5)
            bench.write_after_join(2)
            bench.kill_some([4])
            bench.loss(50, 10)
    finally:
        for node in bench.everyone():
            if node.process and node.process.poll() is None:
                node.process.kill()
    bench.print_table()
    sys.exit(1 if bench.faults else 0)


if __name__ == "__main__":
    main()
