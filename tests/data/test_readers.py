"""Rows of files as batches: the same as those of arrays, in an order that anyone can ask for."""

import pickle
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from data_files import KINDS, N, W, X, Y, dataset, joined, model, parquet, written

import backprop as bp
from backprop.data import RowDataset, Table
from backprop.data.rows import Window
from backprop.data.windows import Windows


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


class Counted(Table):
    """Rows that are their own numbers; it remembers which were read."""

    def __init__(self, rows, fails=None):
        self.columns = {"x": (np.dtype("f8"), (1,)), "y": (np.dtype("f8"), ())}
        self.rows, self.fails, self.read_rows = rows, fails, []

    def read(self, first, last):
        if self.fails is not None and first <= self.fails < last:
            raise ZeroDivisionError("in the reader")
        self.read_rows.append((first, last))
        n = np.arange(first, last, dtype=float)
        return {"x": n[:, None], "y": n}


def counted(rows, fails=None, **options):
    return RowDataset(Counted(rows, fails), "x", "y", **{"batch_size": 4} | options)


def order(batches):
    return [int(n) for _, y in batches for n in y]


# ------------------------------------------------------------------ the order of a pass


@pytest.mark.parametrize(
    ("n", "buffer", "block"), [(100, 24, 5), (7, 3, 1), (50, 50, 1), (9, 2, 4)]
)
def test_a_pass_has_every_row_once_and_windows_of_no_more_rows_than_they_may(n, buffer, block):
    edges = np.append(np.arange(0, n, block), n)
    windows = Windows(edges, buffer, seed=4, epoch=2)
    read = [
        np.concatenate([np.arange(a, b) for a, b in windows.ranges(i)]) for i in range(len(windows))
    ]
    rows = [numbers[windows.mixed(i)] for i, numbers in enumerate(read)]

    assert sorted(np.concatenate(rows).tolist()) == list(range(n))
    assert [len(r) for r in rows] == np.diff(windows.starts).tolist()
    assert max(map(len, rows)) <= max(buffer, block)
    assert all(
        windows.at(place) == i
        for i in range(len(windows))
        for place in range(*windows.starts[i : i + 2])
    )


def test_the_order_is_a_function_of_the_seed_and_the_epoch():
    def found(epoch, seed):
        return order(counted(60, buffer_size=20).batches(epoch, 0, seed))

    assert found(1, 5) == found(1, 5)
    assert len({tuple(found(epoch, seed)) for epoch in range(3) for seed in (0, 5)}) == 6
    assert found(2, None) == list(range(60))


def test_a_window_that_holds_all_rows_makes_every_order():
    orders = {tuple(order(counted(3).batches(epoch, seed=0))) for epoch in range(60)}

    assert len(orders) == 6


def test_rows_of_a_window_come_from_all_over_the_table():
    first = order(counted(64 * 64, buffer_size=256).batches(0, seed=0))[:256]

    blocks = {n // 4 for n in first}
    assert len(blocks) == 64
    assert max(blocks) - min(blocks) > 800 and np.std(np.diff(first)) > 500


@pytest.mark.parametrize("prefetch", [True, False])
def test_batches_begin_anywhere_and_nothing_is_read_that_lies_before(prefetch):
    data = counted(100, buffer_size=20, prefetch=prefetch)
    whole = order(data.batches(3, 0, 7))
    for start in range(len(data) + 1):
        assert order(data.batches(3, start, 7)) == whole[4 * start :]

    data.table.read_rows.clear()
    assert len(order(data.batches(3, 20, 7))) == 20
    assert sum(last - first for first, last in data.table.read_rows) == 20


def test_shards_divide_the_rows_and_a_split_takes_the_last():
    data = counted(11, buffer_size=4)
    parts = [data.shard(4, i) for i in range(4)]

    assert [len(order(part)) for part in parts] == [2, 3, 3, 3]
    assert [n for part in parts for n in order(part)] == list(range(11))
    assert sorted(order(parts[3].batches(1, seed=2))) == [8, 9, 10]
    train, held_out = data.split(0.2)
    assert (order(train), order(held_out)) == (list(range(8)), [8, 9, 10])
    assert order(counted(2).shard(3, 0)) == [] and len(counted(2).shard(3, 0)) == 0


# ------------------------------------------------------------------ the formats


def test_the_rows_of_files_are_those_of_arrays(kind, tmp_path):
    data = dataset(kind, tmp_path)
    for a, b in zip(joined(data), (X, Y, W), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    np.testing.assert_array_equal(data[3][0], X[24:32])
    np.testing.assert_array_equal(data[-1][1], Y[96:])
    with pytest.raises(IndexError):
        data[13]
    x, y, w = joined(data.batches(1, 0, 9))
    places = [np.flatnonzero(one == W)[0] for one in w]
    assert sorted(places) == list(range(N)) and places != sorted(places)
    np.testing.assert_array_equal(x, X[places])
    np.testing.assert_array_equal(y, Y[places])


def test_a_run_unshuffled_is_that_on_arrays(kind, tmp_path):
    data, found, wanted = dataset(kind, tmp_path), model(), model()

    history = found.fit(data, epochs=3, shuffle=False, verbose=0, validation_data=data)
    same = wanted.fit(
        *(X, Y, 8),
        sample_weight=W,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y, W),
        validation_batch_size=8,
    )

    assert history.history == same.history
    np.testing.assert_equal(found.get_weights(), wanted.get_weights())
    assert found.evaluate(data, verbose=0) == wanted.evaluate(X, Y, 8, 0, W)
    np.testing.assert_array_equal(found.predict(data, verbose=0), wanted.predict(X, 8, verbose=0))


def test_prefetching_changes_no_bit_and_shuffling_does(kind, tmp_path):
    ends = []
    for options in ({"prefetch": True}, {"prefetch": False}, {"shuffle": False}):
        folder = tmp_path / str(len(ends))
        made, shuffle = model(), options.pop("shuffle", True)
        made.fit(dataset(kind, folder, **options), epochs=2, verbose=0, shuffle=shuffle)
        ends.append(made.get_weights())

    np.testing.assert_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0][0], ends[2][0])


def test_a_pickled_copy_reads_the_same(kind, tmp_path):
    data = dataset(kind, tmp_path)
    copy = pickle.loads(pickle.dumps(data))

    assert repr(copy) == repr(data)
    for a, b in zip(joined(copy.batches(2, 5, 1)), joined(data.batches(2, 5, 1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_several_files_follow_each_other_by_their_numbers(kind, tmp_path):
    cls, arguments = written(kind, tmp_path / "a")
    if kind == "npy":
        data = cls(arguments[0], batch_size=N)
        assert [file.path[-6:-4] for file in data.table.arrays["x"].files][-2:] == ["-9", "10"]
        np.testing.assert_array_equal(data[0][0], X)
        return
    for i, rows in ((10, slice(60, N)), (9, slice(0, 60))):
        _, (path, *names) = written(kind, tmp_path / str(i), X[rows], Y[rows], W[rows])
        path.rename(tmp_path / f"part{i}{path.suffix}")
    (tmp_path / "notes.txt").touch()

    data = cls(tmp_path, *names, batch_size=7, buffer_size=20)

    np.testing.assert_array_equal(joined(data)[0], X)
    assert sorted(joined(data.batches(0, 0, 1))[2].tolist()) == sorted(W.tolist())


def test_several_inputs_and_outputs_go_by_their_names(kind, tmp_path):
    cls, arguments = written(kind, tmp_path)
    if kind == "npy":
        x, y, w = arguments
        data = cls({"a": x, "b": y}, {"u": y, "v": w}, {"u": w})
    else:
        path, x, y, w = arguments
        data = cls(path, {"a": x, "b": [y, w]}, {"u": y, "v": w}, {"u": w})
    wide = data[0][0]["b"].shape[1]
    a, b = bp.Input((3,), name="a"), bp.Input((wide,), name="b")
    h = bp.layers.Concatenate()([a, b])
    made = bp.Model([a, b], [bp.layers.Dense(1, name="u")(h), bp.layers.Dense(1, name="v")(h)])
    made.compile("adam", "mse")
    second = Y if kind == "npy" else np.concatenate([Y, W[:, None]], 1)

    made.fit(data, epochs=1, verbose=0)
    found = made.evaluate(data, verbose=0, return_dict=True)

    wanted = made.evaluate([X, second], [Y, W], 32, 0, {"u": W}, return_dict=True)
    assert found == wanted and len(found) == 3


def test_lists_in_parquet_are_rows_of_their_shape(tmp_path):
    pa = pytest.importorskip("pyarrow")
    cubes = np.arange(48, dtype="int16").reshape(8, 2, 3)
    columns = {
        "nested": pa.array(cubes.tolist(), pa.list_(pa.list_(pa.int16()))),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array(cubes.ravel()), 6),
        "large": pa.array(cubes.reshape(8, 6).tolist(), pa.large_list(pa.float32())),
        "half": pa.array(cubes[:, 0, 0].astype("float16")),
        "flag": pa.array([True, False] * 4),
    }
    parquet(tmp_path / "rows.parquet", columns, rows=3)

    data = bp.data.ParquetDataset(
        tmp_path / "rows.parquet", {name: name for name in columns}, batch_size=5
    )

    found = [np.concatenate([x[name] for (x,) in data]) for name in columns]
    wanted = cubes, cubes.reshape(8, 6), cubes.reshape(8, 6), cubes[:, 0, 0], [True, False] * 4
    cut = data.shard(2, 1)[0][0]  # from the middle of a row group on
    for name, a, b in zip(columns, found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(cut[name], b[4:])
    assert [a.dtype.str for a in found] == ["<i2", "<i2", "<f4", "<f2", "|b1"]


def test_numbers_of_other_machines_and_of_all_kinds_are_read(tmp_path):
    for name, dtype in (("big", ">f8"), ("whole", "<u2"), ("flag", "?")):
        np.save(tmp_path / f"{name}.npy", np.arange(6).astype(dtype))
        (x,) = bp.data.NpyDataset(tmp_path / f"{name}.npy")[0]
        np.testing.assert_array_equal(x, np.arange(6).astype(dtype))
        assert x.dtype.isnative
    np.save(tmp_path / "column.npy", np.asfortranarray(np.ones((4, 1))))
    assert bp.data.NpyDataset(tmp_path / "column.npy")[0][0].shape == (4, 1)


@pytest.mark.parametrize(
    ("name", "package"), [("HDF5Dataset", "h5py"), ("ParquetDataset", "pyarrow")]
)
def test_a_missing_package_is_named(name, package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ImportError, match=rf"{package}: pip install .backprop\[data\]"):
        getattr(bp.data, name)(tmp_path, "x")


# ------------------------------------------------------------------ the thread


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("batches")]


class At(bp.callbacks.Callback):
    """Does something behind the third batch of the second epoch."""

    def __init__(self, work):
        self.work, self.left = work, 16

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            self.work()


def raising(error):
    def work():
        assert readers()
        raise error

    return At(work)


def test_the_thread_is_gone_when_a_run_is_over_or_has_failed(tmp_path):
    data, made = dataset("npy", tmp_path, buffer_size=8), model()
    made.fit(data, epochs=2, verbose=0, validation_data=data)
    assert not readers()
    made.fit(data, epochs=2, steps_per_epoch=3, verbose=0)
    assert not readers()
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error):
            made.fit(data, epochs=3, verbose=0, callbacks=[raising(error)])
        assert not readers()
    made.predict(data, steps=2, verbose=0)
    assert not readers()
    batches = data.batches()
    next(batches)
    assert readers()
    batches.close()
    assert not readers()


@pytest.mark.parametrize("prefetch", [True, False])
def test_an_error_of_the_reader_is_raised_in_the_run_with_its_traceback(prefetch):
    made = bp.Sequential([bp.Input((1,)), bp.layers.Dense(1)])
    made.compile("sgd", "mse")
    data = counted(100, fails=70, buffer_size=16, prefetch=prefetch)

    with pytest.raises(ZeroDivisionError, match="in the reader") as caught:
        made.fit(data, epochs=1, verbose=0)

    assert caught.traceback[-1].name == "read"
    assert not readers()


def test_reading_is_no_further_ahead_than_one_window():
    data = counted(1000, buffer_size=10, batch_size=10)
    read, until = data.table.read_rows, time.monotonic() + 60
    batches = data.batches()
    next(batches)
    while len(read) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)  # in which it could read on
    batches.close()

    assert read == [(0, 10), (10, 20)]


def test_while_a_window_is_read_one_other_is_in_memory(monkeypatch):
    made, alive = [], []

    class Watched(Window):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    class Looks(Counted):
        def read(self, first, last):
            time.sleep(0.002)  # the model goes on to the window before this one
            alive.append(sum(one() is not None for one in made))
            return super().read(first, last)

    monkeypatch.setattr("backprop.data.rows.Window", Watched)
    data = RowDataset(Looks(100), "x", batch_size=10, buffer_size=10)
    for batch in data.batches():
        time.sleep(0.01)
        del batch

    assert len(made) == 10 and np.median(alive) == 1  # on a busy machine one of them may come late


def test_batches_are_copies_and_keep_no_window():
    (x, y), *_ = counted(100, batch_size=5)

    assert x.base is None and y.base is None


def test_a_stateful_model_is_told_of_batches_of_another_size():
    made = bp.Sequential([bp.Input(batch_shape=(4, 1)), bp.layers.Reshape((1, 1))])
    made.add(bp.layers.LSTM(1, stateful=True))
    made.compile("sgd", "mse")

    with pytest.raises(ValueError, match=r"batch 6 of .* would have 1"):
        made.fit(counted(21), verbose=0)
    made.fit(counted(20), verbose=0, shuffle=False)
