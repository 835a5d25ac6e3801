"""Several ranks on data that lie in files: who reads what, and that the numbers are the same."""

import numpy as np
import pytest
from jobs import job, needs_mpi, read, small

import backprop as bp

RANKS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A job on 23 rows in shards, and on 2 rows."""
    folder = tmp_path_factory.mktemp("job")
    _, x, y = small()
    for name, a in (("x", x[:23]), ("y", y[:23])):
        (folder / name).mkdir()
        for i in range(0, 23, 4):
            np.save(folder / name / f"{i}.npy", a[i : i + 4])
    np.save(folder / "few.npy", x[:2])
    np.save(folder / "few_y.npy", y[:2])
    out, code, _ = job(RANKS, "from_files", folder)
    assert code == 0, out
    return folder


def alone(data, epochs=3, **options):
    model, *_ = small()
    history = model.fit(data, epochs=epochs, verbose=0, validation_data=data, **options)
    return model, history.history


def same(folder, name, model, history):
    for rank in range(RANKS):
        found = read(folder / f"{name}-{rank}.npz")
        weights = np.concatenate([np.ravel(a) for a in model.get_weights()])
        np.testing.assert_allclose(found["weights"], weights, 1e-11)
        logs = [history[k][-1] for k in sorted(history)]
        np.testing.assert_allclose(found["logs"], logs, 1e-11)


@needs_mpi
def test_ranks_that_are_given_all_rows_compute_what_one_process_does(folder):
    data = bp.data.NpyDataset(folder / "x", folder / "y", batch_size=5, buffer_size=8)

    same(folder, "every", *alone(data))


@needs_mpi
def test_each_rank_reads_its_own_rows_in_an_order_of_the_seed_and_the_epoch(folder):
    y = np.concatenate([np.load(folder / "y" / f"{i}.npy") for i in range(0, 23, 4)]).ravel()

    for rank in range(RANKS):
        seen = np.load(folder / f"rows-{rank}.npy").reshape(3, -1)
        own = y[rank * 23 // 3 : (rank + 1) * 23 // 3]
        assert [sorted(epoch) for epoch in seen] == [sorted(own)] * 3
        assert len({tuple(epoch) for epoch in seen}) == 3
        first, again = (read(folder / f"{name}-{rank}.npz") for name in ("own", "again"))
        np.testing.assert_equal(first, again)


@needs_mpi
def test_batches_of_all_ranks_are_those_of_their_parts(folder):
    data = bp.data.NpyDataset(folder / "x", folder / "y", batch_size=5, buffer_size=8)
    parts = [data.shard(RANKS, rank) for rank in range(RANKS)]

    class Together:
        """Batch i of every part as one; it counts the epochs by itself."""

        epoch = -1

        def __iter__(self):
            self.epoch += 1
            batches = [list(part.batches(self.epoch, 0, self.seed)) for part in parts]
            for several in zip(*batches, strict=True):
                yield tuple(np.concatenate(arrays) for arrays in zip(*several, strict=True))

    together = Together()
    model, *_ = small()
    together.seed = model.trainer.seed
    history = model.fit(together, epochs=3, verbose=0, validation_data=data)

    same(folder, "own", model, history.history)


@needs_mpi
def test_a_rank_without_rows_takes_part(folder):
    data = bp.data.NpyDataset(folder / "few.npy", folder / "few_y.npy", batch_size=5)

    same(folder, "few", *alone(data))


@needs_mpi
def test_a_report_is_written_by_the_first_rank_and_certifies_the_gradients(tmp_path):
    out, code, _ = job(2, "reported", tmp_path)

    assert code == 0, out
    assert sorted(out.split("\n")) == ["", "0 none", "3 pass"]
    assert [path.name for path in tmp_path.iterdir()] == ["report-of-0.html"]
