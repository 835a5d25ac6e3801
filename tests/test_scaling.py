"""The model of `benchmarks/scaling.py`, on made-up networks: what is put in comes out again."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def shared(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shared"]:
        del sys.modules[name]


@pytest.fixture
def net(shared):
    import shared.network as network

    return network


def test_the_messages_and_bytes_of_calls_are_those_of_their_algorithms(net):
    assert net.terms((net.SUM, 8), 2, 8) == (1, 8)
    assert net.terms((net.SUM, 8), 4, 8) == (2, 16)
    assert net.terms((net.SUM, 800), 2, 8) == (2, 800)
    assert net.terms((net.SUM, 800), 4, 8) == (4, 1200)
    assert net.terms((net.SUM, 800), 5, 8) == (6, 1280)
    assert net.terms((net.SCATTER, 800), 4, 8) == (2, 600)
    assert net.terms((net.GATHER, 2**20), 4, 8) == (3, 0.75 * 2**20)


@pytest.mark.parametrize("short", [8, 2048])
def test_a_network_is_found_again_from_its_calls(net, short):
    true = net.Network("made up", 30e-6, 0.9e-9, short)
    calls = [(kind, m) for kind in (net.SUM, net.SCATTER) for m in (8, 64, 4096, 10**5, 10**7)]
    rng = np.random.default_rng(0)
    measured = [
        (call, n, true.seconds(call, n) * rng.uniform(0.97, 1.03)) for call in calls for n in (2, 4)
    ]

    found = net.fitted("made up", measured)

    assert found.alpha == pytest.approx(true.alpha, rel=0.05)
    assert found.beta == pytest.approx(true.beta, rel=0.05)
    assert found.short == (short if short == 8 else 64)  # what lies between was not measured
    assert "30" in str(found) or "29" in str(found) or "31" in str(found)


def test_a_fit_has_nothing_below_zero(net):
    measured = [((net.SUM, m), 2, 1e-3 - 1e-11 * m) for m in (8, 10**4, 10**6)]

    found = net.fitted("faster with more", measured)

    assert found.alpha > 0 and found.beta == 0


def test_what_a_step_computes_is_a_line(net):
    assert net.line([(8, 5e-4 + 8e-6), (64, 5e-4 + 64e-6)]) == pytest.approx((5e-4, 1e-6))
    assert net.line([(8, 6e-6), (64, 64e-6)])[0] == 0


def test_efficiencies_are_those_worked_out_by_hand(net):
    network = net.Network("made up", 1e-3, 1e-8, 8)
    work = net.Work("work", 1000, fixed=0.0, each=1e-3, calls=((net.SUM, 4_000_000),))
    shared = 4 * 1e-3 + 1.5 * 0.04  # of 4 ranks

    assert work.step(network, 4, 25) == pytest.approx(0.025 + shared)
    assert work.strong(network, 4, 100) == pytest.approx(0.1 / (4 * (0.025 + shared)))
    assert work.weak(network, 4, 100) == pytest.approx(0.1 / (0.1 + shared))
    assert work.weak(network, 1, 100) == work.strong(network, 1, 100) == 1
    assert work.strong(network, 3, 100) == pytest.approx(  # the largest share has 34 rows
        0.1 / (3 * (0.034 + 4e-3 + 4 / 3 * 0.04))
    )


def test_a_network_of_another_size_computes_and_sends_as_much_more(net):
    calls = ((net.SUM, 40), (net.SUM, 4000))
    work = net.Work("work", 1000, fixed=1e-5, each=1e-6, calls=calls)

    grown = work.of_size(3000)

    assert grown == replace(work, size=3000, each=3e-6, calls=((net.SUM, 40), (net.SUM, 12000)))


def test_the_largest_that_scales_well_is_found_or_said_not_to_be_there(net):
    assert net.largest(lambda size: 1.0 if size <= 1e7 else 0.5) == pytest.approx(1e7, rel=0.06)
    assert net.largest(lambda size: 0.9) == math.inf
    assert net.largest(lambda size: 0.7) == 0
    # what a step computes for no row at all hides the calls of small networks alone
    work = net.Work("work", 10**5, fixed=1e-3, each=1e-9, calls=((net.SUM, 400_000),))
    network = net.Network("made up", 1e-6, 1e-9)
    size = net.largest(lambda size: work.of_size(size).weak(network, 4, 10))

    assert 1e3 < size < 1e6
    assert work.of_size(size).weak(network, 4, 10) >= 0.8
    assert work.of_size(1.2 * size).weak(network, 4, 10) < 0.8


def test_calls_are_grouped_by_the_steps_that_they_end():
    pytest.importorskip("mpi4py", reason="the job imports it")
    script = (
        "import sys; sys.argv = ['x']\n"
        "from shared.rank_job import Recorder\n"
        "r = Recorder(None)\n"
        "sizes = [8, 40, 900, 8, 40, 900, 40, 900, 8]\n"
        "r.noted = [('Allreduce', m, 0, i) for i, m in enumerate(sizes)]\n"
        "print([[m for _, m, *_ in step] for step in r.steps()])"
    )
    path = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )

    assert run.stdout == "[[8, 40, 900], [40, 900]]\n", run.stderr


def root_with_namespaces():
    if os.name != "posix" or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        return False
    try:
        name = f"scaling-try-{os.getpid()}"
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(not root_with_namespaces(), reason="makes network namespaces, as root")
def test_a_link_is_as_slow_as_it_says_and_is_gone_after_an_error():
    from shared.links import Link, hosts

    link = Link("made up", 20e6, 20e-3)
    with pytest.raises(ZeroDivisionError), hosts(2, link) as made:
        seconds = [exchange(made.prefix, size) for size in (1, 200_000)]
        raise ZeroDivisionError

    # there and back: two delays, and the bytes one way
    assert 0.04 <= seconds[0] < 0.2
    assert seconds[1] >= 0.04 + 8 * 200_000 / link.rate
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert made.prefix not in listed


def exchange(prefix, size):
    """Seconds until a host has sent some bytes to another and has one back, once connected."""
    server = (
        "import socket; s = socket.create_server(('10.213.7.2', 7000)); print(flush=True)\n"
        "c, _ = s.accept(); n = int(c.recv(20)); c.send(b'x')\n"
        "while n: n -= len(c.recv(min(n, 65536)))\n"
        "c.send(b'x')"
    )
    client = (
        f"import socket, time; c = socket.create_connection(('10.213.7.2', 7000))\n"
        f"c.send(b'{size}'); c.recv(1); t = time.perf_counter()\n"
        f"c.sendall(bytes({size})); c.recv(1); print(time.perf_counter() - t)"
    )
    inside = ["ip", "netns", "exec"]
    with subprocess.Popen(
        [*inside, f"{prefix}2", sys.executable, "-c", server], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        run = subprocess.run(
            [*inside, f"{prefix}1", sys.executable, "-c", client],
            capture_output=True,
            text=True,
            timeout=60,
        )
        other.wait(60)
    assert run.returncode == 0, run.stderr
    return float(run.stdout)
