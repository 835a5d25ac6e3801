"""Hands packets of TUN devices on to each other after a delay, at a rate, where netem is missing.

    python relay.py PREFIX COUNT BITS_A_SECOND DELAY

Device i is that of the namespace PREFIX + i, whose address ends in i. The process ends with its
standard input.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress

TUNSETIFF, TUN, PLAIN = 0x400454CA, 0x0001, 0x1000  # of linux/if_tun.h
TO = 19  # the byte of an IPv4 packet in which its destination ends
AT_ONCE = 16  # packets that are read from one device before the others


def device(name: str, namespace: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), TUN | PLAIN))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    return file


def hand_on(files: list[int], rate: float, delay: float) -> None:
    free = [0.0] * len(files)  # when each device has sent all that it was given
    under_way: list[tuple[float, int, int, bytes]] = []
    number, stdin = 0, sys.stdin.fileno()
    while True:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            *_, to, packet = heapq.heappop(under_way)
            with suppress(OSError):  # its namespace is gone
                os.write(files[to], packet)
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        ready, _, _ = select.select([stdin, *files], [], [], wait)
        if stdin in ready:
            return
        for file in ready:
            source = files.index(file)
            for _ in range(AT_ONCE):
                try:
                    packet = os.read(file, 1 << 16)
                except BlockingIOError:
                    break
                to = packet[TO] - 1 if packet[0] >> 4 == 4 else -1
                if 0 <= to < len(files):
                    free[source] = max(free[source], time.monotonic()) + 8 * len(packet) / rate
                    number += 1
                    heapq.heappush(under_way, (free[source] + delay, number, to, packet))


def main() -> None:
    prefix, count, rate, delay = sys.argv[1:]
    files = [device(f"link{i}", f"{prefix}{i}") for i in range(1, int(count) + 1)]
    with suppress(OSError, AttributeError):  # ahead of the ranks, which it is no part of
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    print("ready", flush=True)
    hand_on(files, float(rate), float(delay))


if __name__ == "__main__":
    main()
