"""Which addresses of this machine are listened on already, and by which process."""

import os
import socket
from pathlib import Path

LISTENING = "0A"  # a state in /proc/net/tcp
ANY = {"0.0.0.0", "::"}
MAPPED = "::ffff:"  # before an IPv4 address in IPv6


def listeners(address):
    """The sockets that have `ip:port`, also by listening on every address, as `/proc/PID/fd` names them."""
    ip, port = address.rsplit(":", 1)
    return {link for found, number, link in sockets() if number == int(port) and found in ANY | {ip}}


def sockets():
    """IP address, port and name of every socket that listens."""
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        try:
            rows = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue  # without IPv6
        for row in rows:
            words = row.split()
            if words[3] == LISTENING:
                ip, port = words[1].split(":")
                # Words of 32 bits in the machine's order.
                raw = b"".join(bytes.fromhex(ip[at : at + 8])[::-1] for at in range(0, len(ip), 8))
                yield socket.inet_ntop(family, raw).removeprefix(MAPPED), int(port, 16), f"socket:[{words[9]}]"


def taken(address):
    return bool(listeners(address))


def holder(address):
    """Name and pid of the process that listens there; empty if it is another user's."""
    wanted = listeners(address)
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) in wanted:
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended meanwhile
    return ""
