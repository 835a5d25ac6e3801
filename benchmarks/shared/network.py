"""How long collective calls take on a network, and what becomes of a step on more ranks.

A message of m bytes takes α + β m seconds: α is the latency, 1 / β the bandwidth. A call on n ranks
takes `messages` α + `volume` β, which its algorithm says, with L = ⌈log2 n⌉ (Thakur, Rabenseifner
and Gropp, "Optimization of collective communication operations in MPICH", 2005):

    all-reduce, short       L          L m                recursive doubling
    all-reduce              2 L        2 (n - 1)/n m      Rabenseifner: halving, then doubling
    reduce-scatter, short   L          (n - 1)/n m        recursive halving
    all-gather, short       L          (n - 1)/n m        recursive doubling
    the same, long          n - 1      (n - 1)/n m        pairwise, and a ring

A step is what a rank computes for its rows, c_0 + c_1 b for b of them, and then its calls:
``T(n) = compute(b) + Σ calls``. Of a batch of all ranks that stays as it is (strong scaling) a rank
has B / n rows and the efficiency is T(1) / (n T(n)); where each keeps its b (weak), T(1) / T(n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

SUM, SCATTER, GATHER = "Allreduce", "Reduce_scatter", "Allgatherv"
LONG = 512 * 1024  # bytes from which MPICH scatters and gathers in n - 1 messages
SHORTS = (0, 8, 64, 512, 2048, 16384)  # bytes up to which an all-reduce may be "short"
GOOD = 0.8  # efficiency
Call = tuple[str, int]  # a collective call and its bytes


@dataclass(frozen=True)
class Network:
    """What a message costs.

    Attributes
    ----------
    alpha : float
        Seconds.
    beta : float
        Seconds a byte.
    short : int
        Bytes up to which an all-reduce is done by recursive doubling.
    """

    name: str
    alpha: float
    beta: float
    short: int = 8

    def seconds(self, call: Call, ranks: int) -> float:
        messages, volume = terms(call, ranks, self.short)
        return messages * self.alpha + volume * self.beta

    def __str__(self) -> str:
        rate = 8e-9 / self.beta if self.beta else math.inf
        return (
            f"{self.name}: {1e6 * self.alpha:,.1f} µs a message and {rate:.3g} Gbit/s, "
            f"all-reduces in one exchange up to {self.short} bytes"
        )


def terms(call: Call, n: int, short: int) -> tuple[float, float]:
    """How many messages follow each other in a call on n ranks, and how many bytes they have.

    Examples
    --------
    >>> terms((SUM, 8), 4, short=8), terms((SUM, 1000), 4, short=8)
    ((2, 16), (4, 1500.0))
    """
    kind, m = call
    steps = math.ceil(math.log2(n))
    part = (n - 1) / n * m
    if kind == SUM:
        return (steps, steps * m) if m <= short else (2 * steps, 2 * part)
    return (steps if m < LONG else n - 1), part


def fitted(name: str, measured: Sequence[tuple[Call, int, float]]) -> Network:
    """The network of (call, ranks, seconds) with the least squares of relative errors."""
    seconds = np.array([t for _, _, t in measured])
    found = []
    for short in SHORTS:
        rows = [terms(call, n, short) for call, n, _ in measured]
        scale = np.array([1e-3, 1e-8])  # so that both unknowns are about 1
        (alpha, beta), rest = nnls(np.array(rows) * scale / seconds[:, None], np.ones(len(rows)))
        found.append((rest, Network(name, alpha * scale[0], beta * scale[1], short)))
    return min(found, key=lambda pair: pair[0])[1]


@dataclass(frozen=True)
class Work:
    """What training a network takes.

    Attributes
    ----------
    size : int
        Its trainable numbers.
    fixed, each : float
        Seconds a step computes: `fixed` and, for each row of the batch, `each`.
    calls : tuple of Call
        Of a step on several ranks.
    """

    name: str
    size: int
    fixed: float
    each: float
    calls: tuple[Call, ...]

    def compute(self, rows: float) -> float:
        return self.fixed + self.each * rows

    def step(self, network: Network, ranks: int, rows: float) -> float:
        """Seconds of a step in which each rank has so many rows."""
        shared = sum(network.seconds(call, ranks) for call in self.calls) if ranks > 1 else 0.0
        return self.compute(rows) + shared

    def strong(self, network: Network, ranks: int, batch: int) -> float:
        """The efficiency with one batch for all ranks, of which the largest share counts."""
        return self.compute(batch) / (ranks * self.step(network, ranks, math.ceil(batch / ranks)))

    def weak(self, network: Network, ranks: int, batch: int) -> float:
        """The efficiency with a batch for each rank."""
        return self.compute(batch) / self.step(network, ranks, batch)

    def of_size(self, size: float) -> Work:
        """A network like this one with another number of numbers: work and long messages grow as
        they do, what a step computes for no row at all and short messages do not."""
        grown = size / self.size
        calls = tuple((kind, round(m * grown) if m > 1024 else m) for kind, m in self.calls)
        return replace(self, size=round(size), each=self.each * grown, calls=calls)


def line(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """c_0 and c_1, neither below 0, of seconds = c_0 + c_1 rows, by relative errors."""
    rows, seconds = np.array(list(points)).T
    scale = 1e-6
    found, _ = nnls(scale * np.stack([1 / seconds, rows / seconds], 1), np.ones(len(rows)))
    return float(found[0] * scale), float(found[1] * scale)


def largest(
    efficiency: Callable[[float], float], low: float = 1e3, high: float = 1e12, good: float = GOOD
) -> float:
    """The largest size at which the efficiency is still good: 0 where it is at none between `low`
    and `high`, infinity where it is at `high`."""
    sizes = np.geomspace(low, high, 400)
    fine = [size for size in sizes if efficiency(size) >= good]
    if not fine:
        return 0.0
    return math.inf if fine[-1] == sizes[-1] else float(fine[-1])
