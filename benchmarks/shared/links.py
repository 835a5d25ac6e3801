"""Hosts that are none: network namespaces whose links to each other are slowed to stated figures.

Each namespace has one link with a rate and a delay for what it sends, as a host at a switch has it.
Where the kernel has netem it is a veth pair to a bridge, slowed by ``tc``; where it has not, a
TUN device, and a process that hands packets on when their time has come. Either way needs root.
All of it is gone when the block is left, however it is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NET = "10.213.7"  # /24, within the namespaces alone
PACKET = 5e-4  # seconds that one of the relay's takes at most: as few as a Python program can hold
# mpiexec starts its proxies as ssh would: the last argument before the command is the host
LAUNCHER = """#!/bin/sh
while case $1 in -*) true;; *) false;; esac; do shift; done
host=$1; shift
exec ip netns exec {prefix}${{host##*.}} sh -c "$*"
"""


@dataclass(frozen=True)
class Link:
    """Bits a second, and seconds that a packet is under way."""

    name: str
    rate: float
    delay: float


LINKS = (Link("1 Gbit/s, 1 ms", 1e9, 1e-3), Link("100 Mbit/s, 5 ms", 1e8, 5e-3))


@dataclass(frozen=True)
class Hosts:
    """Namespaces, by number from 1.

    Attributes
    ----------
    means : str
        What slows the links.
    """

    prefix: str
    count: int
    means: str
    launcher: Path

    def mpiexec(self, mpiexec: str | Path, ranks: int) -> list[str]:
        """The beginning of a command that starts a rank on each of the first hosts."""
        names = ",".join(f"{NET}.{i + 1}" for i in range(ranks))
        return [
            *("ip", "netns", "exec", f"{self.prefix}1", str(mpiexec)),
            *("-localhost", f"{NET}.1", "-launcher", "ssh", "-launcher-exec", str(self.launcher)),
            *("-hosts", names, "-n", str(ranks), "-genv", "UCX_TLS", "tcp,self"),
        ]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextmanager
def hosts(count: int, link: Link) -> Iterator[Hosts]:
    """So many hosts, each with such a link to all others."""
    if os.name != "posix" or os.geteuid() != 0:
        raise PermissionError("network namespaces are made by root alone")
    prefix = f"scaling{os.getpid()}-"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        launcher = folder / "launch"
        launcher.write_text(LAUNCHER.format(prefix=prefix))
        launcher.chmod(0o700)
        for i in range(count + 1):  # number 0 has the bridge
            run("ip", "netns", "add", f"{prefix}{i}")
            stack.callback(remove, f"{prefix}{i}")
        try:
            with_netem(prefix, count, link)
            means = "tc netem"
        except OSError as error:  # no qdisc or device of that kind, or no tc
            if "unknown" not in str(error).lower() and not isinstance(error, FileNotFoundError):
                raise
            stack.enter_context(relay(prefix, count, link))
            means = "packets held by a relay, as this kernel has no netem"
        for i in range(1, count + 1):
            run("ip", "-n", f"{prefix}{i}", "link", "set", "lo", "up")
            idle = "net.ipv4.tcp_slow_start_after_idle=0"  # a step computes between its messages
            run("ip", "netns", "exec", f"{prefix}{i}", "sysctl", "-qw", idle)
        yield Hosts(prefix, count, means, launcher)


def remove(name: str) -> None:
    """A namespace, with the processes that may be left in it."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for number in found.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(number), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)


def with_netem(prefix: str, count: int, link: Link) -> None:
    hub = f"{prefix}0"
    run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge")
    run("ip", "-n", hub, "link", "set", "bridge", "up")
    rate, delay = f"{link.rate:.0f}bit", f"{1e6 * link.delay:.0f}us"
    slowed = ("root", "netem", "rate", rate, "delay", delay, "limit", "100000")
    for i in range(1, count + 1):
        name = f"{prefix}{i}"
        peer = ("peer", "name", f"port{i}", "netns", hub)
        run("ip", "link", "add", "link0", "netns", name, "type", "veth", *peer)
        try:
            run("tc", "-n", name, "qdisc", "add", "dev", "link0", *slowed)
        except OSError:
            run("ip", "-n", name, "link", "del", "link0")
            raise
        run("ip", "-n", hub, "link", "set", f"port{i}", "master", "bridge", "up")
        run("ip", "-n", name, "addr", "add", f"{NET}.{i}/24", "dev", "link0")
        run("ip", "-n", name, "link", "set", "link0", "up")


@contextmanager
def relay(prefix: str, count: int, link: Link) -> Iterator[None]:
    """The process of `shared/relay.py`, which ends with this one."""
    script = Path(__file__).with_name("relay.py")
    mtu = int(min(65_000, max(1_500, PACKET * link.rate / 8)))
    process = subprocess.Popen(
        [sys.executable, str(script), prefix, str(count), str(link.rate), str(link.delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        if (told := process.stdout.readline()) != "ready\n":
            raise OSError(f"the relay: {told}{process.stdout.read()}")
        for i in range(1, count + 1):
            run("ip", "-n", f"{prefix}{i}", "addr", "add", f"{NET}.{i}/24", "dev", f"link{i}")
            run("ip", "-n", f"{prefix}{i}", "link", "set", f"link{i}", "mtu", str(mtu), "up")
        yield
    finally:
        process.stdin.close()
        process.wait(5)
        process.stdout.close()
