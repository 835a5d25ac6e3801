"""PyTorch's DistributedDataParallel on gloo: seconds of a step, of ranks with a thread each.

    python ddp_job.py REQUEST ANSWER

REQUEST is that of `rank_job.py`, with "ranks"; the rows' global batches are shared out among them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from shared.peers.with_torch import Way, loss_of, network, optimizer, tensors
from shared.rows import ROWS, Row

LEAST = 5  # steps of a block


def serve(rank: int, ranks: int, meeting: str, request: dict[str, Any], answer: str) -> None:
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=ranks)
    found = {name: step_of(ROWS[name], rank, ranks, request) for name in request["rows"]}
    if rank == 0:
        Path(answer).write_text(json.dumps(found))
    dist.destroy_process_group()


def step_of(row: Row, rank: int, ranks: int, request: dict[str, Any]) -> float:
    """Seconds a step: the median of the blocks'."""
    model = network(row, Way())
    shared, loss_is = DistributedDataParallel(model), loss_of(row)
    update = optimizer(row, model)
    own = slice(rank * row.batch // ranks, (rank + 1) * row.batch // ranks)
    data = [(x[own], y[own]) for x, y in tensors(row, Way())]

    def block(count: int) -> float:
        ends = []
        for i in range(count):
            x, y = data[i % len(data)]
            update.zero_grad()
            loss_is(shared(x), y).backward()
            update.step()
            ends.append(time.perf_counter())
        return median(b - a for a, b in pairwise(ends))

    each = torch.tensor(block(LEAST + 1))
    dist.broadcast(each, 0)
    count = int(max(LEAST + 1, min(200, request["seconds"] / each.item())))
    return median(block(count) for _ in range(request["rounds"]))


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    ranks = request["ranks"]
    with tempfile.TemporaryDirectory() as folder:
        given = (ranks, os.path.join(folder, "meeting"), request, sys.argv[2])
        torch.multiprocessing.spawn(serve, given, nprocs=ranks)


if __name__ == "__main__":
    main()
