"""The drills of drill-overlay.sh, in the order in which they are run."""
import json
import os
import subprocess
import threading
import time

from cluster import address_of, percentile
from overlay_drills import seconds


def drills():
    return {drill.__name__: drill for drill in (
        moved, other_mac, crash_short, crash_long, meddled, torn_journal, own_link_down, partition, long_partition,
        udp_blocked, vxlan_blocked, paused, slow, new_address, storm, all_reboot, host_dies, copied_identity)}


def moved(world):
    """A container moves to another host with its address, under traffic."""
    hosts, address, gaps = world.hosts, "10.88.0.77", []
    hosts[0].connect("mover", ip=address)
    watches = [world.watch(host, address) for host in hosts[2:]]
    time.sleep(0.3)
    for number in range(10):
        here, there = hosts[number % 2], hosts[(number + 1) % 2]
        for watch in watches:
            watch.reset()
        here.remove("mover")
        there.connect("mover", ip=address)
        time.sleep(1.2)
        gaps += [watch.silence() for watch in watches]
    hosts[0].remove("mover")
    world.say("a container moves between two hosts with its address, 10 times, asked by three others every 5 ms",
              f"silence, DEL and ADD included: median {seconds(percentile(gaps, .5))}, at most {seconds(max(gaps))}",
              max(gaps) <= 1)


def other_mac(world):
    """An address is used again elsewhere with another MAC."""
    hosts, address, gaps = world.hosts, "10.88.0.78", []
    hosts[0].connect("again", ip=address)
    watches = [world.watch(host, address) for host in hosts[2:]]
    time.sleep(0.3)
    stale, mac = [], None
    for number in range(world.options.rounds):
        here, there = hosts[number % 2], hosts[(number + 1) % 2]
        old, mac = mac, f"02:99:00:00:00:{number:02x}"
        here.remove("again")
        there.connect("again", ip=address, mac=mac)
        returned = time.monotonic()
        gaps += [watch.answered_after(returned, 60) or 60.0 for watch in watches]
        for host in hosts[2:]:
            if host.entries().get(address) != f"{mac} {there.address}":
                stale.append(f"{host.name} {host.entries().get(address)}")
            if old and old in host.overlay("bridge", "fdb", "show"):
                stale.append(f"{host.name} still has {old}")
    hosts[0].remove("again")
    world.say(f"an address is used again on another host with another MAC, {world.options.rounds} times",
              f"right on all hosts when ADD returns ({len(stale)} entries wrong); ADD returned → first answer to three others "
              f"that have spoken to the old one: median {seconds(percentile(gaps, .5))}, at most {seconds(max(gaps))}",
              max(gaps) <= 1 and not stale)


def crash_short(world):
    """SIGKILL of a daemon, started again at once, under traffic."""
    victim, others = world.hosts[1], [host for host in world.hosts if host is not world.hosts[1]]
    watches = world.watch_pairs(world.hosts)
    suspended = []

    def look():
        while not over.is_set():
            for host in others:
                known = (host.statuses() or {}).get("stay-h2")
                if known and known != "h2 live":
                    suspended.append(known)
            time.sleep(0.05)
    over = threading.Event()
    looker = threading.Thread(target=look)
    looker.start()
    victim.kill()
    begin = time.monotonic()
    victim.start()
    back = world.until(lambda: victim.statuses() is not None and len(victim.statuses()) == 5, 30)
    added = victim.add("soon")
    first = time.monotonic() - begin
    time.sleep(5)
    over.set()
    looker.join()
    victim.remove("soon")
    silence = max(watch.silence() for watch in watches)
    world.say("SIGKILL of a daemon, started again at once",
              f"its endpoints are suspended {'never' if not suspended else 'for a while'}; it knows all endpoints after "
              f"{seconds(back)} and serves ADD (done {seconds(first)} after the start); longest silence between containers "
              f"{seconds(silence)}", not suspended and added.returncode == 0 and silence < 0.5)


def crash_long(world):
    """SIGKILL of a daemon, away for fifteen seconds while containers come and go."""
    victim, other = world.hosts[1], world.hosts[3]
    victim.connect("vanishing")
    watches = world.watch_pairs(world.hosts)
    victim.kill()
    down = world.until(lambda: other.statuses().get("stay-h2") == "h2 suspended", 30)
    refused = victim.add("refused")
    victim.remove("vanishing")
    late = other.connect("late")
    time.sleep(15 - (down or 0))
    kept = other.entries().get(world.addresses["h2"]) is not None
    victim.start()
    begin = time.monotonic()
    back = world.until(lambda: world.everywhere("stay-h2", "h2 live") and world.everywhere("late", "h4 live")
                       and world.everywhere("vanishing", None), 30)
    reached = world.until(lambda: late in (victim.entries() or {}), 10)
    total = time.monotonic() - begin
    silence = max(watch.silence() for watch in watches)
    other.remove("late")
    victim.run("ip", "netns", "delete", "refused")
    code = json.loads(refused.stdout or "{}").get("code")
    world.say("SIGKILL of a daemon, away for 15 s", f"its endpoints are suspended after {seconds(down)} and stay in the "
              f"kernels; ADD there answers {code}, DEL works; longest silence between containers {seconds(silence)}; what "
              f"went and came meanwhile is right on all hosts {seconds(total if back is not None else None)} after the start",
              back is not None and reached is not None and kept and code == 11 and silence < 0.5)


def meddled(world):
    """Entries are taken away, and strangers added, while the daemon runs and while it is away."""
    host = world.hosts[2]
    wanted = host.entries()
    address, mac = world.addresses["h1"], host.entries()[world.addresses["h1"]].split()[0]
    watch = world.watch(host, address)

    def damage():
        host.overlay("bridge", "fdb", "replace", mac, "dev", "vxlan0", "dst", world.hosts[4].address, "self",
                     "permanent")
        host.overlay("ip", "neigh", "replace", "10.88.250.1", "lladdr", "02:66:66:66:66:66", "dev", "vxlan0", "nud",
                     "permanent")
        return time.monotonic()
    host.overlay("bridge", "fdb", "delete", mac, "dev", "vxlan0", "dst", wanted[address].split()[1], "self")
    removed = world.until(lambda: host.entries() == wanted, 60)
    again = watch.answered_after(time.monotonic(), 10)
    began = damage()
    running = world.until(lambda: host.entries() == wanted, 60)
    heard = watch.answered_after(began + 0.05, 60)
    host.kill()
    damage()
    host.start()
    began = time.monotonic()
    # It removes strangers only when the others have told what they have.
    right = world.until(lambda: (host.entries() or {}).get(address) == wanted[address], 60)
    whole = world.until(lambda: host.entries() == wanted, 60)
    whole = None if whole is None else time.monotonic() - began
    world.say("somebody removes an entry, or changes one and adds another", f"removed: it is back after {seconds(removed)}; changed: "
              f"all is right, and the containers connected again, at the next look, here after {seconds(running)} (at most 30 s); the "
              f"same while the daemon is away: the changed entry is right {seconds(right)} after its start, the added one gone after "
              f"{seconds(whole)}", None not in (removed, again, running, heard, right, whole))


def torn_journal(world):
    """The journal's last record is cut off, then both copies are lost."""
    host = world.hosts[2]
    watches = world.watch_pairs(world.hosts)
    host.kill()
    host.must("sh", "-c", "f=/var/lib/swiftlet/journal; size=$(stat -c %s $f); truncate -s $((size - 5)) $f")
    host.start()
    torn = world.until(lambda: world.everywhere("stay-h3", "h3 live"), 60)
    added = host.add("after-torn")
    host.kill()
    host.must("sh", "-c", "rm -f /var/lib/swiftlet/journal*")
    begin = time.monotonic()
    host.start()
    lost = world.until(lambda: world.everywhere("stay-h3", "h3 live") and len(host.statuses()) == 6, 60)
    served = world.until(lambda: host.add("after-lost").returncode == 0, 60, 0.2)
    served = None if served is None else time.monotonic() - begin
    silence = max(watch.silence() for watch in watches)
    for name in ("after-torn", "after-lost"):
        host.remove(name)
    world.say("the journal's last record cut off by a crash", f"its endpoints are live everywhere {seconds(torn)} after the "
              f"start, ADD {'works' if added.returncode == 0 else 'fails'}", torn is not None and added.returncode == 0)
    world.say("the journal is lost, the host's key is not", f"its containers are known everywhere again {seconds(lost)} after "
              f"the start, ADD works after {seconds(served)}; longest silence between containers {seconds(silence)}",
              lost is not None and served is not None and silence < 0.5)


def own_link_down(world):
    """A host's cable is pulled for half a minute; it goes on by itself."""
    host, others = world.hosts[1], [one for one in world.hosts if one is not world.hosts[1]]
    host.connect("beside")
    pairs = world.watch_pairs(others)
    host.lab("cut")
    alone = world.until(lambda: host.statuses().get("stay-h1") == "h1 suspended", 60)
    kept = host.entries().get(world.addresses["h1"]) is not None
    added = host.add("lonely")
    took = host.took
    local = world.watch(host, world.addresses["h2"], container="beside")
    time.sleep(30)
    inside = local.silence()
    host.lab("heal")
    begin = time.monotonic()
    back = world.until(lambda: world.everywhere("lonely", "h2 live") and world.everywhere("stay-h2", "h2 live"), 60)
    whole = world.whole()
    total = time.monotonic() - begin
    for name in ("lonely", "beside"):
        host.remove(name)
    silence = max(watch.silence() for watch in pairs)
    world.say("a host's own link is down for half a minute", f"the others' endpoints are suspended there after {seconds(alone)} and "
              f"stay in the kernel; ADD works there ({seconds(took)}), its containers reach each other (longest silence "
              f"{seconds(inside)}), so do the others' ({seconds(silence)}); all is whole {seconds(total)} after the link is up",
              None not in (alone, back, whole) and kept and added.returncode == 0 and inside < 0.5)


def split(world, duration, what):
    left, right = world.hosts[:2], world.hosts[2:]
    pairs = world.watch_pairs(left) + world.watch_pairs(right)
    across = world.watch(left[0], world.addresses["h5"])

    def wall(isUp):
        for side, other in ((left, right), (right, left)):
            for host in side:
                host.filter(*(["ip saddr { " + ", ".join(one.address for one in other) + " } drop"] if isUp else []))
    wall(True)
    begin = time.monotonic()
    seen = world.until(lambda: world.everywhere("stay-h5", "h5 suspended", left) and
                       world.everywhere("stay-h1", "h1 suspended", right), 30)
    addresses = [left[0].connect("west"), right[0].connect("east")]
    inside = [world.watch(left[1], addresses[0]), world.watch(right[1], addresses[1])]
    time.sleep(max(0, duration - (time.monotonic() - begin)))
    silence = max(watch.silence() for watch in pairs)
    met = [watch.answered_after(begin, 1) is not None for watch in inside]
    purged = len(left[0].statuses()) < 6
    wall(False)
    healed = time.monotonic()
    names = {host.name for host in world.hosts}
    members = world.until(lambda: all(names <= host.alive() for host in world.hosts), 90)
    traffic = across.answered_after(healed, 90)
    known = world.until(lambda: world.everywhere("west", "h1 live") and world.everywhere("east", "h3 live") and all(
        world.everywhere(f"stay-{host.name}", f"{host.name} live") for host in world.hosts), 90)
    prober = [world.watch(right[2], addresses[0]), world.watch(left[1], addresses[1])]
    reached = [watch.answered_after(healed, 90) for watch in prober]
    whole = None if known is None or None in reached else time.monotonic() - healed - (members or 0)
    left[0].remove("west")
    right[0].remove("east")
    world.say(what, f"the other side is suspended after {seconds(seen)}{', dropped after the grace' if purged else ''}; ADD works "
              f"on both sides, longest silence within them {seconds(silence)}; after its end containers that knew each other "
              f"speak after {seconds(traffic)}, members see each other after {seconds(members)}, and all is whole "
              f"{seconds(whole)} later",
              None not in (seen, members, traffic, known, whole) and all(met) and silence < 0.5 and addresses[0] != addresses[1]
              and whole <= 2)


def partition(world):
    """A partition of 20 s between two and three hosts."""
    split(world, 20, "a partition of 20 s, two hosts and three")


def long_partition(world):
    """A partition that is longer than the grace."""
    split(world, world.options.grace + 15, f"a partition of {world.options.grace + 15} s, longer than the grace (set to "
          f"{world.options.grace} s)")


def udp_blocked(world):
    """A firewall lets only TCP through to a host."""
    host, other = world.hosts[1], world.hosts[3]
    mark = len(host.log())
    host.filter("udp dport != 53 udp sport != 53 ip saddr 192.0.2.0/24 drop")
    time.sleep(10)
    address = other.connect("unheard")
    took = other.took
    known = world.until(lambda: host.statuses().get("unheard") == "h4 live", 30)
    watch = world.watch(host, address)
    mute = watch.answered_after(time.monotonic(), 2)
    statuses = {one.statuses().get("stay-h2") for one in world.hosts if one is not host}
    warned = [one.name for one in world.hosts if "is UDP blocked?" in one.log()]
    host.filter()
    begin = time.monotonic()
    heard = watch.answered_after(begin, 30)
    other.remove("unheard")
    world.say("a firewall lets only TCP through to a host", f"{len(warned)} daemons warn that it answers over TCP only; its "
              f"endpoints are {' and '.join(sorted(str(status).split()[-1] for status in statuses))}; an ADD elsewhere takes "
              f"{seconds(took)} and is known there {seconds(known)} later, by TCP; its containers hear "
              f"{'nobody' if mute is None else 'others'}, and are heard {seconds(heard)} after the end",
              known is not None and mute is None and heard is not None and bool(warned))


def vxlan_blocked(world):
    """A firewall drops VXLAN alone."""
    host, other = world.hosts[1], world.hosts[3]
    watch = world.watch(other, world.addresses["h2"])
    time.sleep(0.2)
    host.filter("udp dport 4789 drop")
    time.sleep(5)
    statuses = {one.statuses().get("stay-h2") for one in world.hosts}
    mute = watch.silence() > 4
    host.filter()
    begin = time.monotonic()
    heard = watch.answered_after(begin, 30)
    world.say("a firewall drops VXLAN to a host, and nothing else", f"its endpoints are "
              f"{' and '.join(sorted(str(status).split()[-1] for status in statuses))}, its containers are "
              f"{'out of reach' if mute else 'reached'}; {seconds(heard)} after the end they are reached", mute and heard is not None)


def paused(world):
    """A daemon does not run for 20 s, as in a paused machine whose kernel goes on."""
    host, others = world.hosts[2], [one for one in world.hosts if one is not world.hosts[2]]
    watches = world.watch_pairs(world.hosts)
    host.must("kill", "-STOP", str(host.daemon()))
    down = world.until(lambda: others[0].statuses().get("stay-h3") == "h3 suspended", 30)
    time.sleep(20 - (down or 0))
    late = others[1].connect("late")
    host.must("kill", "-CONT", str(host.daemon()))
    back = world.until(lambda: world.everywhere("stay-h3", "h3 live") and world.everywhere("late", f"{others[1].name} live"), 30)
    reached = world.until(lambda: late in host.entries(), 10)
    wrong = [one.name for one in others for status in host.statuses().values() if "suspended" in status]
    others[1].remove("late")
    silence = max(watch.silence() for watch in watches)
    world.say("SIGSTOP of a daemon for 20 s", f"its endpoints are suspended after {seconds(down)}, live again {seconds(back)} after "
              f"SIGCONT, and what came meanwhile is in its kernel; it suspends {'nobody' if not wrong else 'others'}; longest silence "
              f"between containers {seconds(silence)}", None not in (down, back, reached) and not wrong and silence < 0.5)


def slow(world):
    """A daemon gets a fifth of the time, for 20 s."""
    host, others = world.hosts[2], [one for one in world.hosts if one is not world.hosts[2]]
    seen, took, end = set(), [], time.monotonic() + 20
    pid = str(host.daemon())

    def stutter():
        while time.monotonic() < end:
            host.must("kill", "-STOP", pid)
            time.sleep(0.2)
            host.must("kill", "-CONT", pid)
            time.sleep(0.05)
    thread = threading.Thread(target=stutter)
    thread.start()
    number = 0
    while time.monotonic() < end:
        for one in others:
            seen |= {status for status in one.statuses().values() if "suspended" in status}
        one = others[number % 4]
        one.connect("beside-slow")
        took.append(one.took)
        one.remove("beside-slow")
        number += 1
        time.sleep(0.1)
    thread.join()
    world.say("a daemon that runs a fifth of the time for 20 s", f"{'nobody is suspended' if not seen else ', '.join(sorted(seen))}; "
              f"{number} ADDs on other hosts take {seconds(percentile(took, .5))} (median), at most {seconds(max(took))}", not seen)


def readdress(host, address):
    # The first address of a subnet takes the later ones with it.
    host.must("ip", "address", "del", f"{host.address}/24", "dev", "eth0")
    host.must("ip", "address", "add", f"{address}/24", "dev", "eth0")
    host.must("sed", "-i", f"s/\"advertise\": *\"{host.address}\"/\"advertise\": \"{address}\"/", "/etc/swiftlet/swiftletd.json")
    host.run("ip", "route", "replace", "default", "via", "192.0.2.1")
    host.address = address


def new_address(world):
    """A host comes back with another address, and with it another VTEP."""
    host, old = world.hosts[1], world.hosts[1].address
    texts = []
    for address in ("192.0.2.112", old):
        host.kill()
        readdress(host, address)
        watches = [world.watch(one, world.addresses["h2"]) for one in world.hosts if one is not host]
        begin = time.monotonic()
        host.start()
        heard = [watch.answered_after(begin, 120) for watch in watches]
        vteps = {one.entries()[world.addresses["h2"]].split()[1] for one in world.hosts if one is not host}
        texts.append((None if None in heard else max(heard), vteps == {address}))
        world.end_watches()
        world.settle(90)
    times = [time for time, _ in texts]
    world.say("a daemon is killed and started again at another address of its host, and back", "its containers are reached from all "
              f"hosts {' and '.join(seconds(time) for time in times)} after the start", None not in times and all(
                  right for _, right in texts))


def storm(world):
    """A hundred containers are added at once, twenty on each host."""
    failed, took = [], []

    def fill(host):
        for number in range(20):
            result = host.add(f"storm-{host.name}-{number}")
            took.append(host.took)
            if result.returncode != 0:
                failed.append(f"{host.name} {result.stdout}")
    threads = [threading.Thread(target=fill, args=(host,)) for host in world.hosts]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.monotonic()
    known = world.until(lambda: all(len(host.statuses()) == 105 and len(host.entries()) == 84 for host in world.hosts), 30)
    for host in world.hosts:
        for number in range(20):
            host.remove(f"storm-{host.name}-{number}")
            host.must("ip", "netns", "delete", f"storm-{host.name}-{number}")
    world.say("a hundred ADDs on five hosts at once", f"{len(failed)} fail; {100 / (ended - begin):.0f} ADDs a second, each "
              f"{seconds(percentile(took, .5))} (median), at most {seconds(max(took))}; all kernels have all of it {seconds(known)} "
              "after the last", not failed and known is not None)


def forget_kernel(host):
    """What a reboot takes: containers, namespaces, the packet filter, /run/swiftlet."""
    host.must("sh", "-c", "for n in $(ls /run/swiftlet/netns); do nsenter --net=/run/swiftlet/netns/$n ip link delete vxlan0;"
              " umount /run/swiftlet/netns/$n; done; for n in $(ls /run/netns); do ip netns delete $n; done;"
              " rm -rf /run/swiftlet; nft flush ruleset")


def all_reboot(world):
    """All hosts lose power together, and come back with their state directories."""
    before = {host.name: len(host.statuses()) for host in world.hosts}
    for host in world.hosts:
        host.kill()
    for host in world.hosts:
        forget_kernel(host)
        host.must("python3", "-c", "import json; p='/etc/swiftlet/swiftletd.json'; d=json.load(open(p)); d['join']=[]; "
                  "json.dump(d, open(p, 'w'))")
    begin = time.monotonic()
    for host in world.hosts:
        host.start()
    names = {host.name for host in world.hosts}
    members = world.until(lambda: all(names <= host.alive() for host in world.hosts), 60)
    gone = world.until(lambda: all(host.statuses() == {} for host in world.hosts), 60)
    gone = None if gone is None else time.monotonic() - begin
    failed = []
    for host in world.hosts:
        # The runtime knows that its containers are gone.
        for name in (f"stay-{host.name}",):
            host.remove(name)
        result = host.add(f"stay-{host.name}")
        if result.returncode != 0:
            failed.append(f"{host.name} {result.stdout}")
        else:
            world.addresses[host.name] = address_of(result)
    whole = world.whole()
    world.say("power fails on all hosts at once; no --join when they are back", f"one cluster after {seconds(members)}; the "
              f"{before['h1']} records of vanished containers are gone everywhere after {seconds(gone)}; {len(failed)} of 5 ADDs fail, "
              f"and the new containers reach each other ({seconds(whole)})", None not in (members, gone, whole) and not failed)


def host_dies(world):
    """A host dies; it comes back later without anything, under its name."""
    victim, others = world.hosts[4], world.hosts[:4]
    watches = world.watch_pairs(others)
    address, old = world.addresses["h5"], victim.get("/v1/tables")["hostID"]
    os.kill(victim.pid, 9)
    begin = time.monotonic()
    suspended = world.until(lambda: world.everywhere("stay-h5", "h5 suspended", others), 30)
    kept = all(address in host.entries() for host in others)
    refused = others[0].add("wants-it", ip=address)
    purged = world.until(lambda: world.everywhere("stay-h5", None, others) and not any(
        address in host.entries() for host in others), world.options.grace + 30, 0.1)
    purged = None if purged is None else time.monotonic() - begin
    silence = max(watch.silence() for watch in watches)
    code = json.loads(refused.stdout or "{}").get("code")
    world.say("a host dies", f"its endpoints are suspended on all others after {seconds(suspended)} and stay in the kernels; its "
              f"addresses are refused (code {code}); all of it is gone after {seconds(purged)} (grace {world.options.grace} s); longest "
              f"silence between the others' containers {seconds(silence)}",
              suspended is not None and suspended <= 3 and kept and code == 11 and purged is not None and silence < 0.5)
    # It comes back as it was made: with a new state directory.
    subprocess.run([os.path.join(world.options.root, "scripts/lab.sh"), "up", "5"], check=True, capture_output=True)
    world.hosts[4] = type(victim)(world, "h5")
    served = world.until(lambda: world.hosts[4].add("stay-h5").returncode == 0, 60, 0.2)
    if served is not None:
        known = json.loads(world.hosts[4].must("swiftlet", "network", "inspect", "drill"))[0]["Containers"]
        world.addresses["h5"] = known["stay-h5"]["IPv4Address"].split("/")[0]
    answer = others[0].get("/v1/blocks/takeover", "POST", {"host": old})
    world.say("it comes back with an empty state directory", f"a new host under the old name; ADD works after {seconds(served)}; "
              f"its former blocks {'stay: ' + answer['error'] if 'error' in answer else 'are taken over when asked for by its former id'}",
              served is not None and "error" not in answer)


def copied_identity(world):
    """A second host is started from a copy of the first one's state directory."""
    first, second = world.hosts[0], world.hosts[3]
    second.remove("stay-h4")
    second.kill("TERM")
    copy = subprocess.run(first.command("tar", "-C", "/var/lib/swiftlet", "-cf", "-", "."), capture_output=True, check=True).stdout
    second.must("sh", "-c", "mkdir /var/lib/swiftlet.own; mv /var/lib/swiftlet/* /var/lib/swiftlet.own/")
    subprocess.run(second.command("tar", "-C", "/var/lib/swiftlet", "-xf", "-"), input=copy, check=True)
    marks = {host: len(host.log()) for host in world.hosts}
    watches = world.watch_pairs([world.hosts[0], world.hosts[1], world.hosts[2]])
    second.start()
    time.sleep(10)
    silence = max(watch.silence() for watch in watches)
    words = [f"{host.name}: {line.split('[Daemon] ')[-1]}" for host in world.hosts
             for line in host.log()[marks[host]:].splitlines() if "warning" in line or "error" in line]
    second.kill()
    second.must("sh", "-c", "rm -rf /var/lib/swiftlet/*; mv /var/lib/swiftlet.own/* /var/lib/swiftlet/")
    second.start()
    result = world.until(lambda: second.add("stay-h4").returncode == 0, 60, 0.5)
    known = json.loads(second.must("swiftlet", "network", "inspect", "drill"))[0]["Containers"]
    world.addresses["h4"] = known["stay-h4"]["IPv4Address"].split("/")[0]
    world.say("a second host started from a copy of the first one's state directory", f"said: {'; '.join(sorted(set(words)))[:300] or 'nothing'}; "
              f"longest silence between other containers {seconds(silence)}", bool(words) and result is not None)
