"""Runs on several ranks against the same run in one process: the same weights, logs and state."""

import jobs
import numpy as np
import pytest
from jobs import needs_mpi

pytestmark = needs_mpi
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}


def distance(found, expected):
    """The largest difference, in units of the largest number."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What 50 steps of each model lead to in one process."""
    folder = tmp_path_factory.mktemp("alone")
    out, code, _ = jobs.job(None, "agreement", folder)
    assert code == 0, out
    return folder


@pytest.mark.parametrize(
    ("ranks", "options"),
    [
        (2, []),
        (4, ["shard"]),
        pytest.param(4, [], marks=pytest.mark.slow),
        pytest.param(2, ["shard"], marks=pytest.mark.slow),
    ],
    ids=["2", "4 sharded", "4", "2 sharded"],
)
def test_fifty_steps_are_those_of_one_process(ranks, options, alone, tmp_path):
    out, code, _ = jobs.job(ranks, "agreement", tmp_path, *options)

    assert code == 0, out
    for path in sorted(alone.iterdir()):
        expected = jobs.read(path)
        name, dtype, _ = path.stem.split("-")
        for rank in range(ranks):
            found = jobs.read(tmp_path / f"{name}-{dtype}-{rank}.npz")
            for what, a in expected.items():
                assert distance(found[what], a) < TOLERANCE[dtype], (name, dtype, rank, what)


def test_every_row_counts_once_however_few_a_rank_has(tmp_path):
    out, code, _ = jobs.job(4, "uneven", tmp_path)
    assert code == 0, out

    few, x, y = jobs.normalized()
    few_history = few.fit(
        *(x[:7], y[:7]),
        batch_size=3,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(x[7:9], y[7:9]),
    )
    own, *_ = jobs.normalized()
    rows = [
        [n for share in jobs.SHARES for n in dict(enumerate(share)).get(i, [])] for i in range(3)
    ]
    own_history = own.fit([(x[r], y[r]) for r in rows], shuffle=False, verbose=0)
    jobs.write(tmp_path / "few.npz", few, few_history)
    jobs.write(tmp_path / "own.npz", own, own_history)
    for name in ("few", "own"):
        expected = jobs.read(tmp_path / f"{name}.npz")
        for rank in range(4):
            found = jobs.read(tmp_path / f"{name}-{rank}.npz")
            for what, a in expected.items():
                assert distance(found[what], a) < 1e-11, (name, rank, what)


def test_what_ranks_decide_and_skip_and_read_is_what_one_process_does(tmp_path):
    out, code, _ = jobs.job(2, "alike", tmp_path)

    assert code == 0, out
    plain, sharded = out.splitlines()[-2:]  # the calls of two steps
    assert plain == "Allreduce Allreduce Allreduce Allreduce"
    assert sharded == "Allreduce Reduce_scatter Allgatherv Allreduce Reduce_scatter Allgatherv"
