"""The order of a pass over rows that no memory holds: blocks in windows.

Rows that lie together are read together: a *block*. A pass takes the blocks in an order of its own,
as many of them as fit into a *window*, and mixes the rows of a window. All of it is a function of
the seed and the epoch, of which a window can be had without those before it.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


class Windows:
    """The windows of one pass.

    Parameters
    ----------
    edges : ndarray of int
        Where the blocks begin, and where the last one ends.
    buffer_size : int
        How many rows a window has at most; a block is never divided.
    seed, epoch : int, optional
        Without a seed the rows keep their order.

    Attributes
    ----------
    starts : ndarray of int
        How many rows of the pass lie before each window, and how many there are.

    Examples
    --------
    >>> edges = np.array([0, 2, 4, 6, 8])
    >>> in_order, mixed = Windows(edges, 4), Windows(edges, 4, seed=1)
    >>> [in_order.ranges(i) for i in range(2)]
    [[(0, 4)], [(4, 8)]]
    >>> sorted(mixed.mixed(0).tolist())
    [0, 1, 2, 3]
    """

    def __init__(self, edges: Array, buffer_size: int, seed: int | None = None, epoch: int = 0):
        self.edges, self.seed, self.epoch = edges, seed, epoch
        sizes = np.diff(edges)
        count = len(sizes)
        # numbers behind the epoch tell the generators apart: 0 for blocks, 1 + i for window i
        self.order = np.arange(count) if seed is None else self.rng(0).permutation(count)
        ends = np.cumsum(sizes[self.order])
        firsts, starts = [0], [0]
        while firsts[-1] < count:
            last = int(np.searchsorted(ends, starts[-1] + buffer_size, "right"))
            firsts.append(max(last, firsts[-1] + 1))
            starts.append(int(ends[firsts[-1] - 1]))
        self.firsts = firsts  # number of the first block of each window
        self.starts = np.array(starts)

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def rng(self, number: int) -> np.random.Generator:
        assert self.seed is not None
        return np.random.default_rng([self.seed, self.epoch, number])

    def at(self, place: int) -> int:
        """The window of a row, by its place in the pass."""
        return int(np.searchsorted(self.starts, place, "right")) - 1

    def ranges(self, window: int) -> list[tuple[int, int]]:
        """The rows of a window as they are read: ranges from the first to the last of the table,
        neighbours as one."""
        found: list[tuple[int, int]] = []
        for block in np.sort(self.order[self.firsts[window] : self.firsts[window + 1]]):
            first, last = int(self.edges[block]), int(self.edges[block + 1])
            if found and found[-1][1] == first:
                first = found.pop()[0]
            found.append((first, last))
        return found

    def mixed(self, window: int) -> Array | None:
        """The order of the rows within a window, as places in what was read; None for its own."""
        if self.seed is None:
            return None
        return self.rng(1 + window).permutation(self.starts[window + 1] - self.starts[window])
