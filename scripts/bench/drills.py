#!/usr/bin/env python3
"""The driver of drill.sh, inside its private world: one failure after the other, and what five daemons make of it."""
import argparse
import glob
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import gossip  # noqa: E402
from gossip import run  # noqa: E402


class Drills(gossip.Bench):
    def __init__(self, swiftletd):
        options = argparse.Namespace(nodes=5, swiftletd=swiftletd, serf=None)
        super().__init__(options)
        self.kind = gossip.Swiftlet(swiftletd, "lan", 1)
        self.kinds = [self.kind]
        self.nodes = {self.kind: [gossip.Node(self.kind, number, self) for number in range(1, 6)]}
        self.all = self.nodes[self.kind]
        self.failed = 0

    def say(self, what, seen, is_right):
        self.failed += not is_right
        print(f"| {what} | {seen}{'' if is_right else ' **(not as it should be)**'} |", flush=True)

    def log_since(self, node, mark):
        return self.log_text(node)[mark:]

    def marks(self):
        return {node: len(self.log_text(node)) for node in self.all}

    def status(self, observer, name):
        # The command line's list: NAME ADDRESS STATUS …
        return observer.knowledge([node.name for node in self.all]).get(name)

    def alive_everywhere(self):
        try:
            return all(self.kind.members(node) == 5 for node in self.all if node.process.poll() is None)
        except (OSError, TypeError):
            return False

    def settle(self, limit=90):
        """Seconds until all running daemons list five living members; None when they do not."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit:
            if self.alive_everywhere():
                return time.monotonic() - begin
            self.rest(0.1)
        return None

    def told(self, what, name, observers=None):
        return [
            at for node in observers or self.all for at, event, subject in node.told if event == what and subject == name]

    def verdict(self, victim, limit=60):
        """Seconds until every other daemon has called it failed."""
        begin = time.monotonic()
        others = [node for node in self.all if node is not victim]
        if not self.until(begin + limit, lambda: all(self.told("failed", victim.name, [node]) for node in others)):
            return None
        return max(min(self.told("failed", victim.name, [node])) for node in others) - begin

    @staticmethod
    def seconds(value):
        return "never" if value is None else f"{value:.1f} s"

    def netns(self, number, *command):
        return run("ip", "netns", "exec", f"bench{number}", *command)

    # The drills.

    def crash_short(self):
        self.forget()
        victim = self.all[2]
        victim.kill()
        self.rest(2)
        victim.told = []
        victim.start()
        back = self.settle()
        self.rest(8)
        count = len(self.told("failed", victim.name))
        self.say("SIGKILL, started again after 2 s", f"{count} verdicts of failure; a full member again after "
                 f"{self.seconds(back)}", count == 0 and back is not None)

    def crash_long(self):
        self.forget()
        victim = self.all[2]
        victim.kill()
        verdict = self.verdict(victim)
        self.rest(20)
        victim.told = []
        victim.start()
        back = self.settle()
        self.say("SIGKILL, started again after half a minute", f"failed everywhere after {self.seconds(verdict)}; alive "
                 f"everywhere {self.seconds(back)} after the start", verdict is not None and back is not None)

    def new_address(self):
        self.forget()
        victim = self.all[4]
        victim.kill()
        self.netns(5, "ip", "address", "add", "10.9.1.105/24", "dev", "eth0")
        old, victim.address = victim.address, "10.9.1.105"
        victim.told = []
        begin = time.monotonic()
        victim.start()
        while time.monotonic() < begin + 60 and not all(
                self.kind.endpoint_of(node, victim.name) == "10.9.1.105" for node in self.all):
            self.rest(0.2)
        back, place = time.monotonic() - begin, self.kind.endpoint_of(self.all[0], victim.name)
        self.settle()
        self.say("SIGKILL, started again at once at another address", f"taken for itself at the new address after "
                 f"{self.seconds(back)}", back is not None and place == "10.9.1.105")
        victim.kill()
        victim.address = old
        victim.told = []
        victim.start()
        self.settle()

    def same_name(self):
        marks = self.marks()
        twin = gossip.Node(self.kind, 4, self)
        self.netns(4, "ip", "address", "add", "10.9.1.104/24", "dev", "eth0")
        twin.address = "10.9.1.104"
        log = open(f"{self.directory}/twin.log", "wb")
        process = subprocess.Popen(
            ["ip", "netns", "exec", "bench4", self.kind.path, "--node", "lan4", "--bind", "10.9.1.104:7947",
             "--cluster-port", "8001", "--socket", f"{self.directory}/twin.sock", "--state-dir", "",
             "--join", "10.9.1.1:7947"], stdout=log, stderr=log)
        self.rest(10)
        complaints = [node.name for node in self.all if "two nodes have one name" in self.log_since(node, marks[node])]
        place = self.kind.endpoint_of(self.all[0], "lan4")
        runs = process.poll() is None
        process.kill()
        process.wait()
        back = self.settle()
        self.say("a second host with the name of a living one", f"{len(complaints)} daemons log both addresses; the "
                 f"first keeps its name; nobody ends", complaints and place == "10.9.1.4" and runs and back is not None)

    def all_at_once(self):
        self.forget()
        for node in self.all:
            node.kill()
        for node in self.all:
            node.told = []
            self.kind.seeds = False
            node.start()
        self.kind.seeds = True
        back = self.settle()
        self.say("SIGKILL of all daemons, started again without --join", f"one cluster after {self.seconds(back)}, by the "
                 "peers in their journals", back is not None)

    def seed_is_gone(self):
        self.forget()
        self.all[0].kill()
        self.verdict(self.all[0])
        victim = self.all[3]
        victim.kill()
        self.rest(1)
        victim.told = []
        victim.start()
        begin = time.monotonic()
        found = False
        while not found and time.monotonic() < begin + 60:
            found = self.kind.members(victim) == 4
            self.rest(0.1)
        self.say("the only node of --join is gone, another daemon is restarted",
                 f"it joins by a saved peer after {self.seconds(time.monotonic() - begin if found else None)}", found)
        self.all[0].told = []
        self.all[0].start()
        self.settle()

    def link_down(self):
        self.forget()
        marks = self.marks()
        victim = self.all[1]
        self.netns(2, "ip", "link", "set", "eth0", "down")
        verdict = self.verdict(victim)
        self.rest(90)
        isolated = "no other member is alive" in self.log_since(victim, marks[victim])
        self.netns(2, "ip", "link", "set", "eth0", "up")
        back = self.settle()
        # While the link was down, nothing could be sent; the socket must have survived that.
        marks = self.marks()
        self.rest(15)
        deaf = [node.name for node in self.all if "is UDP blocked?" in self.log_since(node, marks[node])]
        self.say("a host's own link down for a minute and a half", f"failed at the others after {self.seconds(verdict)}; the "
                 f"host {'says' if isolated else 'does not say'} that no other member is alive; one cluster "
                 f"{self.seconds(back)} after the link is up, {'not all' if deaf else 'all'} by datagrams",
                 verdict is not None and isolated and back is not None and not deaf)

    def short_partition(self):
        self.forget()
        for number in range(1, 6):
            other = range(3, 6) if number < 3 else range(1, 3)
            self.set_faults(number, "ip saddr { " + ", ".join(f"10.9.1.{host}" for host in other) + " } drop")
        self.rest(20)
        for number in range(1, 6):
            self.set_faults(number)
        back = self.settle()
        self.say("a partition of 20 s", f"one cluster {self.seconds(back)} after its end", back is not None)

    def udp_blocked(self):
        self.forget()
        marks = self.marks()
        self.set_faults(2, "udp dport 7947 drop")
        self.rest(40)
        count = len([1 for node in self.all for _, what, _ in node.told if what == "failed"])
        warned = [node.name for node in self.all if "is UDP blocked?" in self.log_since(node, marks[node])]
        self.set_faults(2)
        back = self.settle()
        self.say("a firewall that lets only TCP through to a host, 40 s", f"{count} verdicts of failure; {len(warned)} "
                 "daemons warn that it answers over TCP only", count == 0 and warned and back is not None)

    def pause(self):
        self.forget()
        marks = self.marks()
        victim = self.all[2]
        os.kill(self.pid_of(victim), signal.SIGSTOP)
        verdict = self.verdict(victim)
        self.rest(14)
        os.kill(self.pid_of(victim), signal.SIGCONT)
        back = self.settle()
        self.rest(3)
        accused = len([1 for _, what, _ in victim.told if what == "failed"])
        gap = "did not run" in self.log_since(victim, marks[victim])
        self.say("SIGSTOP for 20 s (a paused machine)", f"failed after {self.seconds(verdict)}; alive {self.seconds(back)} "
                 f"after SIGCONT; it {'notices the gap' if gap else 'does not notice the gap'} and accuses {accused}",
                 back is not None and gap and accused == 0)

    def pid_of(self, node):
        return node.process.pid

    def torn_journal(self):
        victim = self.all[2]
        victim.kill()
        files = sorted(glob.glob(f"{self.directory}/{victim.name}/*"), key=os.path.getsize)
        journal = [path for path in files if "journal" in os.path.basename(path)][-1]
        with open(journal, "r+b") as file:
            file.truncate(max(0, os.path.getsize(journal) - 5))
        victim.told = []
        victim.start()
        back = self.settle()
        self.say("the journal's last record cut off by a crash", f"the record is dropped, the daemon starts; a member "
                 f"after {self.seconds(back)}", back is not None)


def main():
    drills = Drills(sys.argv[1])
    drills.make_network()
    drills.form()
    print("| drill | what was seen |\n|---|---|", flush=True)
    wanted = sys.argv[2:]
    try:
        for drill in (
                drills.crash_short, drills.crash_long, drills.new_address, drills.same_name, drills.all_at_once,
                drills.seed_is_gone, drills.link_down, drills.short_partition, drills.udp_blocked, drills.pause,
                drills.torn_journal):
            if not wanted or drill.__name__ in wanted:
                drill()
                # Healths recover, so that one drill does not colour the next.
                drills.rest(15)
    finally:
        for node in drills.all:
            if node.process and node.process.poll() is None:
                node.process.kill()
    if os.environ.get("DRILL_LOGS"):
        for node in drills.all:
            print("---", node.name)
            print(drills.log_text(node))
    sys.exit(1 if drills.failed else 0)


if __name__ == "__main__":
    main()
