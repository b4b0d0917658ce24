#!/usr/bin/env python3
"""Tells callers the address they were seen with, over TCP (as HTTP) and UDP: the other end of a test's connection.

who.py serve NAME PORT      answers every caller of PORT, IPv4 and IPv6, with "NAME saw ADDRESS"; says "ready" when it
                            listens
who.py ask ADDRESS PORT     asks over UDP, from one socket connected to ADDRESS, so that only its own answer counts
"""
import socket
import sys
import threading


def serve_udp(name, server):
    while True:
        _, peer = server.recvfrom(512)
        server.sendto(f"{name} saw {plain(peer[0])}\n".encode(), peer)


def serve_tcp(name, server):
    while True:
        connection, peer = server.accept()
        threading.Thread(target=answer, args=(name, connection, peer), daemon=True).start()


def answer(name, connection, peer):
    try:
        connection.settimeout(5)
        connection.recv(4096)
        body = f"{name} saw {plain(peer[0])}\n"
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall((head + body).encode())
    except OSError:
        pass
    finally:
        connection.close()


def plain(address):
    return address.removeprefix("::ffff:")


def serve(name, port):
    if socket.has_dualstack_ipv6():
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind(("::", port))
        tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    else:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
        tcp = socket.create_server(("0.0.0.0", port), backlog=128)
    print("ready", flush=True)
    threading.Thread(target=serve_udp, args=(name, udp), daemon=True).start()
    serve_tcp(name, tcp)


def ask(address, port):
    caller = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    caller.settimeout(1)
    caller.connect((address, port))
    for _ in range(8):
        try:
            caller.send(b"who?")
            print(caller.recv(512).decode(), end="")
            return 0
        except OSError:
            pass
    return 1


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) == 4 and sys.argv[1] == "ask":
        sys.exit(ask(sys.argv[2], int(sys.argv[3])))
    else:
        sys.exit(__doc__)
