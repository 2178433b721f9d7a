"""How does a network lose packets without a kernel that knows how? A line between two namespaces, along which this process carries each frame, or does not.

`python -m tests.faults.bad_line SEED PID PID`, started inside a namespace of its own, lays a line to the namespaces of the two processes and prints "ready";
`0.3` on standard input makes it lose three of ten frames from then on. At the end of that input it prints how many it carried and how many it lost.
"""

import ctypes
import fcntl
import random
import select
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Final

SIOCETHTOOL: Final = 0x8946
OFFLOADS: Final = (0x17, 0x1F, 0x24, 0x2C)
"""ETHTOOL_STXCSUM, STSO, SGSO, SGRO: a carried frame must be as on a wire, its sum reckoned by who sends it and not left to a card that is none."""
ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")
LONGEST: Final = 65_600


def lay(place: int, pid: str) -> socket.socket:
    """One end of a line into the namespace of that process, whose own end gets an address; the socket carries its frames."""
    ours, theirs = f"ours{place}", f"line{place}"
    inside = ("nsenter", "-t", pid, "-n")
    for words in (
        ("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs),
        ("ip", "link", "set", theirs, "netns", pid),
        ("ip", "link", "set", ours, "up"),
        (*inside, "ip", "addr", "add", f"{ADDRESSES[place]}/24", "dev", theirs),
        (*inside, "ip", "link", "set", theirs, "up"),
        (*inside, "ip", "link", "set", "lo", "up"),
    ):
        subprocess.run(words, check=True)
    subprocess.run((*inside, sys.executable, "-m", "tests.faults.bad_line", "plain", theirs), check=True)
    plain(ours)
    carrier = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    carrier.bind((ours, 0))
    return carrier


def plain(name: str) -> None:
    """Makes an interface send whole frames."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for offload in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", offload, 0))
            with suppress(OSError):  # one that this kernel does not let go of; the first page that is asked for will tell whether it matters
                fcntl.ioctl(asking, SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(value)))


def carry(ends: list[socket.socket], seed: int) -> tuple[int, int]:
    """Carries frames from each end to the other until standard input ends; how many came through and how many were lost."""
    dice, loses, carried, lost = random.Random(seed), 0.0, 0, 0
    while True:
        ready, _, _ = select.select([*ends, sys.stdin.fileno()], [], [])
        for one in ready:
            if not isinstance(one, socket.socket):
                line = sys.stdin.readline()
                if not line:
                    return carried, lost
                loses = float(line)
                continue
            try:
                frame, (_, _, kind, _, _) = one.recvfrom(LONGEST)
            except OSError:
                return carried, lost  # one of the two processes ended, and its namespace with it
            if kind == socket.PACKET_OUTGOING:
                continue  # what we carried there ourselves
            if dice.random() < loses:
                lost += 1
                continue
            with suppress(OSError):
                ends[1 - ends.index(one)].send(frame)
                carried += 1


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        plain(sys.argv[2])
    else:
        line = [lay(place, pid) for place, pid in enumerate(sys.argv[2:4])]
        print("ready", flush=True)
        print(*carry(line, int(sys.argv[1])), flush=True)
