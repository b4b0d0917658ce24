"""Times attaching a container to an existing overlay network, and detaching it: ours by running the network list's plugins
as a runtime does, Docker's by its API on a kept connection, both turn by turn from one process. Run it on a host of the
laboratory. Prints tab separated rows, one per sample: what, suite, microseconds.

    attach.py ROUNDS [--cni CONFLIST PLUGIN_DIRECTORY] [--docker SOCKET NETWORK CONTAINER]
"""
import http.client
import json
import os
import socket
import subprocess
import sys
import time


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def row(what, suite, begin):
    print(f"{what}\t{suite}\t{(time.monotonic() - begin) * 1e6:.0f}", flush=True)


class Docker:
    def __init__(self, path, network, container):
        self.path, self.network, self.container = path, network, container
        self.connection = UnixConnection(path)

    def call(self, action):
        body = json.dumps({"Container": self.container})
        self.connection.request(
            "POST", f"/networks/{self.network}/{action}", body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        words = answer.read()
        if answer.status != 200:
            sys.exit(f"docker {action}: {answer.status} {words.decode()}")

    def round(self, number):
        begin = time.monotonic()
        self.call("connect")
        row("attach", "docker", begin)
        begin = time.monotonic()
        self.call("disconnect")
        row("detach", "docker", begin)


class Plugins:
    def __init__(self, conflist, directory):
        with open(conflist) as file:
            self.list = json.load(file)
        self.directory = directory

    def call(self, command, plugin, name, previous):
        configuration = dict(plugin, name=self.list["name"], cniVersion="1.0.0")
        if previous:
            configuration["prevResult"] = previous
        environment = {
            "CNI_COMMAND": command, "CNI_CONTAINERID": name, "CNI_NETNS": f"/run/netns/{name}", "CNI_IFNAME": "eth0",
            "CNI_PATH": self.directory, "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [f"{self.directory}/{plugin['type']}"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _ = process.communicate(json.dumps(configuration).encode())
        if process.returncode:
            sys.exit(f"{plugin['type']} {command}: {output.decode()}")
        return json.loads(output) if output else None

    def round(self, number):
        name = f"attach{number}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        previous = None
        begin = time.monotonic()
        for index, plugin in enumerate(self.list["plugins"]):
            previous = self.call("ADD", plugin, name, previous)
            if index == 0:
                row("attach", "swiftlet", begin)
        if len(self.list["plugins"]) > 1:
            row("attach, with the way out", "swiftlet", begin)
        begin = time.monotonic()
        for plugin in reversed(self.list["plugins"][1:]):
            self.call("DEL", plugin, name, previous)
        last = time.monotonic()
        self.call("DEL", self.list["plugins"][0], name, previous)
        row("detach", "swiftlet", last)
        if len(self.list["plugins"]) > 1:
            row("detach, with the way out", "swiftlet", begin)
        subprocess.run(["ip", "netns", "delete", name], check=True)


def main():
    words = sys.argv[1:]
    rounds = int(words.pop(0))
    suites = []
    while words:
        kind = words.pop(0)
        if kind == "--cni":
            suites.append(Plugins(words.pop(0), words.pop(0)))
        elif kind == "--docker":
            suites.append(Docker(words.pop(0), words.pop(0), words.pop(0)))
        else:
            sys.exit(__doc__)
    for number in range(rounds):
        for suite in suites if number % 2 else reversed(suites):
            suite.round(number)


main()
