#!/usr/bin/env python3
"""The driver of drill-overlay.sh: containers on five hosts that ask each other for an echo all the time, one failure after
the other, and what the containers, the tables and the kernel make of it."""
import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from cluster import Host, Prober, address_of, network  # noqa: E402

NETWORK = "drill"


class Control(http.client.HTTPConnection):
    """The daemon's control socket, asked without a process."""

    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Watch(threading.Thread):
    """Asks an address every few milliseconds, and keeps when it was answered."""
    numbers = 2000

    def __init__(self, namespace, address, pause=0.005):
        super().__init__(daemon=True)
        Watch.numbers += 1
        self.prober, self.address, self.pause = Prober(namespace, Watch.numbers), address, pause
        self.last = self.begin = time.monotonic()
        self.longest, self.silence_began, self.done, self.paused = 0.0, None, False, False
        self.start()

    def run(self):
        while not self.done:
            self.prober.send(self.address)
            if self.prober.answered(self.address, 0.005):
                now = time.monotonic()
                if now - self.last > self.longest:
                    self.longest, self.silence_began = now - self.last, self.last
                self.last = now
                time.sleep(self.pause)

    def silence(self):
        """The longest time without an answer, the present one among them."""
        return max(self.longest, time.monotonic() - self.last)

    def reset(self):
        self.last = time.monotonic()
        self.longest = 0.0

    def answered_after(self, moment, limit):
        """Seconds from a moment to the first answer after it; None after the limit."""
        while self.last <= moment:
            if time.monotonic() - moment > limit:
                return None
            time.sleep(0.001)
        return max(0.0, self.last - moment)

    def end(self):
        self.done = True
        self.join()
        self.prober.socket.close()


class Machine(Host):
    """A host of the laboratory."""

    def __init__(self, drills, name):
        super().__init__(drills.options.lab, name)
        self.drills, self.address = drills, f"192.0.2.{10 + int(name[1:])}"

    def get(self, path, method="GET", body=None):
        control = Control(f"/proc/{self.pid}/root/run/swiftlet/swiftletd.sock")
        try:
            control.request(method, path, json.dumps(body) if body is not None else None)
            answer = control.getresponse()
            text = answer.read()
            return json.loads(text) if text else {}
        finally:
            control.close()

    def statuses(self):
        """The endpoints the host knows of: container id to 'host status'."""
        try:
            found = self.get(f"/v1/endpoints?network={NETWORK}").get("endpoints", [])
        except (OSError, ValueError, http.client.HTTPException):
            return None
        return {one["containerID"]: f"{one['host']} {one['status']}" for one in found}

    def alive(self):
        try:
            return {one["name"] for one in self.get("/v1/members")["members"] if one["status"] == "alive"}
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return set()

    def lab(self, verb, *more):
        subprocess.run([os.path.join(self.drills.options.root, "scripts/lab.sh"), verb, self.name, *more], check=True,
                       capture_output=True)

    def daemon(self):
        return int(self.must("cat", "/run/swiftletd.pid"))

    def start(self):
        """Starts the daemon with the configuration that is there."""
        self.must("sh", "-c", "setsid swiftletd --config /etc/swiftlet/swiftletd.json </dev/null >>/run/swiftletd.log "
                  "2>&1 & echo $! >/run/swiftletd.pid")

    def kill(self, sign="KILL"):
        pid = self.daemon()
        self.must("sh", "-c", f"kill -{sign} {pid}; while kill -0 {pid} 2>/dev/null && "
                  f"! grep -q '^State:.Z' /proc/{pid}/status; do sleep 0.02; done")

    def log(self):
        return self.must("cat", "/run/swiftletd.log")

    def overlay(self, *command):
        return self.must("nsenter", f"--net={self.drills.namespace}", *command)

    def entries(self):
        """Address to 'MAC VTEP', as the kernel has it; None when the network is not there."""
        try:
            fdb = json.loads(self.run_overlay("bridge", "-j", "fdb", "show", "dev", "vxlan0"))
            neighbours = json.loads(self.run_overlay("ip", "-j", "neigh", "show", "dev", "vxlan0", "nud", "permanent"))
        except ValueError:
            return None
        vteps = {one["mac"]: one["dst"] for one in fdb if "dst" in one}
        return {one["dst"]: f"{one['lladdr']} {vteps.get(one['lladdr'], 'nowhere')}" for one in neighbours}

    def run_overlay(self, *command):
        return self.run("nsenter", f"--net={self.drills.namespace}", *command).stdout or "null"

    def filter(self, *rules):
        """Drops what comes in by some rules; none takes them away."""
        text = "table inet drill {}\ndelete table inet drill\n"
        if rules:
            text += "table inet drill {\nchain wall {\ntype filter hook prerouting priority -400\n" + "\n".join(rules) + "\n}\n}\n"
        if self.run("nft", "-f", "-", text=text).returncode != 0:
            sys.exit(f"{self.name}: nft refuses {text}")

    def add(self, container, ip=None, mac=None):
        if self.run("test", "-e", f"/run/netns/{container}").returncode != 0:
            self.must("ip", "netns", "add", container)
        document = dict(self.drills.document)
        wishes = {}
        if ip:
            wishes["ips"] = [ip]
        if mac:
            wishes["mac"] = mac
        if wishes:
            document["runtimeConfig"] = wishes
        began = time.monotonic()
        result = self.plugin("ADD", document, container, container)
        self.took = time.monotonic() - began
        return result

    def connect(self, container, **wishes):
        result = self.add(container, **wishes)
        if result.returncode != 0:
            sys.exit(f"{self.name}: ADD {container}: {result.stdout}{result.stderr}")
        return address_of(result)

    def remove(self, container):
        result = self.plugin("DEL", self.drills.document, container, container)
        if result.returncode != 0:
            sys.exit(f"{self.name}: DEL {container}: {result.stdout}{result.stderr}")

    def netns(self, container):
        return f"/proc/{self.pid}/root/run/netns/{container}"


def seconds(value):
    if value is None:
        return "never"
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"


class World:
    """The hosts, a container on each that stays, and what every drill asks of them."""

    def __init__(self, options):
        self.options = options
        self.document = network(NETWORK, "10.88.0.0/16")
        self.hosts = [Machine(self, f"h{number}") for number in range(1, 6)]
        self.watches, self.failed = [], 0
        self.addresses = {host.name: host.connect(f"stay-{host.name}") for host in self.hosts}
        names = self.hosts[0].must("ls", "/run/swiftlet/netns").split()
        self.namespace = f"/run/swiftlet/netns/{names[0]}"

    def say(self, what, seen, is_right=True):
        self.failed += not is_right
        print(f"| {what} | {seen}{'' if is_right else ' **(not as it should be)**'} |", flush=True)

    def until(self, condition, limit, pause=0.02):
        """Seconds until something is so; None after the limit."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > limit:
                return None
            time.sleep(pause)
        return time.monotonic() - begin

    def watch(self, host, address, container=None, **more):
        watch = Watch(host.netns(container or f"stay-{host.name}"), address, **more)
        self.watches.append(watch)
        return watch

    def watch_pairs(self, hosts):
        """Each of these hosts' containers asks the next one's."""
        pairs = [self.watch(one, self.addresses[other.name]) for one, other in zip(hosts, hosts[1:] + hosts[:1])]
        time.sleep(0.2)
        for watch in pairs:
            watch.reset()
        return pairs

    def end_watches(self):
        for watch in self.watches:
            watch.end()
        self.watches = []

    def everywhere(self, container, status, hosts=None):
        """Whether all hosts know an endpoint so; status None: do not know it."""
        for host in hosts or self.hosts:
            known = host.statuses()
            if known is None or known.get(container) != status:
                return False
        return True

    def whole(self, hosts=None, limit=60):
        """Seconds until every container reaches every other; None when not."""
        begin, hosts = time.monotonic(), hosts or self.hosts
        for one in hosts:
            prober = Prober(one.netns(f"stay-{one.name}"), 1999)
            for other in hosts:
                if one is not other and prober.first_reply(self.addresses[other.name], limit)[0] is None:
                    return None
        return time.monotonic() - begin

    def settle(self, limit=60):
        names = {host.name for host in self.hosts}
        good = self.until(lambda: all(names <= host.alive() for host in self.hosts) and all(
            self.everywhere(f"stay-{host.name}", f"{host.name} live") for host in self.hosts), limit)
        return good is not None and self.whole(limit=limit) is not None


def main():
    # Here, because both have this file's classes.
    import overlay_faults
    drills = overlay_faults.drills()
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab")
    parser.add_argument("--root")
    parser.add_argument("--grace", type=int, default=45)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("drills", nargs="*")
    options = parser.parse_args()
    if options.list:
        for name, drill in drills.items():
            print(f"{name:18} {drill.__doc__.splitlines()[0]}")
        return
    unknown = set(options.drills) - set(drills)
    if unknown:
        sys.exit(f"no drill {', '.join(unknown)}; --list tells them")
    world = World(options)
    if not world.settle():
        sys.exit("not every container reaches every other at the start")
    print("\n| drill | what was seen |\n|---|---|", flush=True)
    for name, drill in drills.items():
        if options.drills and name not in options.drills:
            continue
        drill(world)
        world.end_watches()
        if not world.settle():
            world.say(name, "afterwards not every container reaches every other", False)
            for host in world.hosts if os.environ.get("DRILL_LOGS") else []:
                print(host.name, host.statuses(), host.entries(), host.log()[-3000:], file=sys.stderr)
    sys.exit(1 if world.failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The drills import this file by its name.
    sys.modules["overlay_drills"] = sys.modules["__main__"]
    main()
