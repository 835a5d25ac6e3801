"""A graph on paper: nodes in rows, so that arrows go one way and cross little.

A node stands one row below the lowest that it reads. An edge over several rows passes each by a
point of its own, which takes part in all that follows as a narrow node, so that no edge runs
through a box. The order within rows comes from barycentres: each goes to the mean place of those
that it is joined to, in sweeps down and up, and the order with the fewest crossings stays
(Sugiyama, Tagawa and Toda, 1981). Then each is drawn to the mean of its neighbours, as near as the
order and the widths allow, which is an isotonic regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Edge = tuple[int, int]
SWEEPS = 12  # down and up
LIGHT = 0.2  # what a point of a long edge weighs beside a node: it gives way
APART, NARROW = 28.0, 10.0  # between neighbours in a row; the width of a point that an edge passes


class Layout(NamedTuple):
    """Where the nodes are.

    Attributes
    ----------
    across : list of float
        The middle of each node in its row.
    rows : list of int
        Of each node.
    ways : dict
        For each edge the points, (across, row), that it passes between its ends.
    width : float
        Of the widest row.
    """

    across: list[float]
    rows: list[int]
    ways: dict[Edge, list[tuple[float, int]]]
    width: float


def layered(widths: Sequence[float], edges: Iterable[Edge]) -> Layout:
    """Place nodes of these widths, which edges join from the former to the latter.

    An edge must lead to a node of a higher number.

    Examples
    --------
    >>> layout = layered([10, 10, 10], [(0, 1), (1, 2), (0, 2)])
    >>> layout.rows, len(layout.ways[0, 2])
    ([0, 1, 2], 1)
    """
    edges = sorted(set(edges))
    rows = rows_of(len(widths), edges)
    sizes = list(widths)
    places = list(rows)
    chains = {}
    for a, b in edges:
        chain = [a]
        for row in range(rows[a] + 1, rows[b]):
            chain.append(len(sizes))
            sizes.append(NARROW)
            places.append(row)
        chains[a, b] = [*chain, b]
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    for chain in chains.values():
        for a, b in itertools.pairwise(chain):
            below[a].append(b)
            above[b].append(a)
    order = ordered(places, above, below)
    x = coordinates(order, sizes, above, below, len(widths))
    left = min(x[i] - sizes[i] / 2 for i in range(len(sizes)))
    x = [value - left for value in x]
    ways = {edge: [(x[i], places[i]) for i in chain[1:-1]] for edge, chain in chains.items()}
    width = max(x[i] + sizes[i] / 2 for i in range(len(sizes)))
    return Layout(x[: len(widths)], rows, ways, width)


def rows_of(count: int, edges: list[Edge]) -> list[int]:
    """The longest way to each node; a source stands just above the first that reads it."""
    rows = [0] * count
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        rows[b] = max(rows[b], rows[a] + 1)
    for node in {a for a, _ in edges} - {b for _, b in edges}:
        rows[node] = min(rows[b] for a, b in edges if a == node) - 1
    return rows


def ordered(places: list[int], above: list[list[int]], below: list[list[int]]) -> list[list[int]]:
    """The nodes of each row from left to right."""
    order: list[list[int]] = [[] for _ in range(max(places) + 1)]
    for node, row in enumerate(places):
        order[row].append(node)
    best, fewest = [list(row) for row in order], crossings(order, below)
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        joined = above if down else below
        for row in order if down else order[::-1]:
            rank = {node: i for other in order for i, node in enumerate(other)}
            row.sort(key=lambda n, r=rank, j=joined: mean([r[m] for m in j[n]], r[n]))
        found = crossings(order, below)
        if found < fewest:
            best, fewest = [list(row) for row in order], found
        if not fewest:
            break
    return best


def mean(values: list, otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def crossings(order: list[list[int]], below: list[list[int]]) -> int:
    """How many pairs of edges cross."""
    rank = {node: i for row in order for i, node in enumerate(row)}
    total = 0
    for row in order:
        met: list[int] = []
        for node in row:
            ends = sorted(rank[b] for b in below[node])
            total += sum(other > end for end in ends for other in met)
            met += ends
    return total


def coordinates(
    order: list[list[int]],
    sizes: list[float],
    above: list[list[int]],
    below: list[list[int]],
    nodes: int,
) -> list[float]:
    """The middle of each node, in its row."""
    x = [0.0] * len(sizes)
    for row in order:
        shift(row, x, sizes, [0.0] * len(row), [1.0] * len(row))
    for sweep in range(6 * SWEEPS):
        last = sweep >= 4 * SWEEPS
        for row in order if sweep % 2 == 0 else order[::-1]:
            joined = above if sweep % 2 == 0 else below
            goals = [goal(n, above[n] + below[n] if last else joined[n], x, nodes) for n in row]
            shift(row, x, sizes, goals, [LIGHT if n >= nodes else 1.0 for n in row])
    return x


def goal(node: int, joined: list[int], x: list[float], nodes: int) -> float:
    """The mean place of those that a node is joined to: of nodes if there are some, so that a chain
    stays straight; a point of a long edge goes with the others of it."""
    kin = [other for other in joined if (other >= nodes) == (node >= nodes)]
    return mean([x[other] for other in kin or joined], x[node])


def shift(
    row: list[int], x: list[float], sizes: list[float], goals: list[float], weights: list[float]
) -> None:
    """Put a row as near to its goals, in the mean square, as its order and widths allow."""
    offsets, at = [], 0.0
    for i, node in enumerate(row):
        if i:
            at += (sizes[row[i - 1]] + sizes[node]) / 2 + APART
        offsets.append(at)
    blocks: list[list[float]] = []  # weight, mean, count
    for goal, offset, weight in zip(goals, offsets, weights, strict=True):
        blocks.append([weight, goal - offset, 1])
        while len(blocks) > 1 and blocks[-2][1] > blocks[-1][1]:
            w, m, n = blocks.pop()
            v, k, c = blocks[-1]
            blocks[-1] = [v + w, (v * k + w * m) / (v + w), c + n]
    found = [m for _, m, n in blocks for _ in range(int(n))]
    for node, value, offset in zip(row, found, offsets, strict=True):
        x[node] = value + offset
