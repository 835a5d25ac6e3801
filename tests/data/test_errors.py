"""What is wrong with files is an error that names the file, and what in it."""

import os

import numpy as np
import pytest
from data_files import KINDS, N, W, X, Y, dataset, model, parquet, written

import backprop as bp
from backprop.data import HDF5Dataset, NpyDataset, ParquetDataset, RowDataset


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


@pytest.fixture
def h5(tmp_path):
    h5py = pytest.importorskip("h5py")

    def make(**arrays):
        path = tmp_path / "rows.h5"
        with h5py.File(path, "w") as file:
            for name, a in arrays.items():
                file[name] = a
        return path

    return make


# ------------------------------------------------------------------ what is asked for


def test_arguments_are_checked(h5, tmp_path):
    path = h5(x=np.ones((4, 2)), cube=np.ones((4, 2, 2)), y=np.ones(4))
    for arguments, options, error, match in [
        ((path, None), {}, TypeError, "needs x"),
        ((path, ("x", "y")), {}, TypeError, "expects x to be the name of a column"),
        ((path, {"a": {"b": "x"}}), {}, TypeError, "expects x to be the name"),
        ((path, []), {}, TypeError, "expects x to be the name"),
        ((path, ["x", "cube"]), {}, ValueError, r"'cube' has rows of shape \(2, 2\)"),
        ((path, "x", None, "y"), {}, ValueError, "y is missing"),
        ((path, "x"), {"batch_size": 0}, ValueError, "batch_size"),
        ((path, "x"), {"buffer_size": -1}, ValueError, "buffer_size"),
        ((path, "x"), {"prefetch": 3}, ValueError, "prefetch"),
        ((3, "x"), {}, TypeError, "expects path to be a path"),
        ((tmp_path / "none.h5", "x"), {}, FileNotFoundError, "none.h5: there is no such file"),
        (([], "x"), {}, FileNotFoundError, "no file"),
    ]:
        with pytest.raises(error, match=match):
            HDF5Dataset(*arguments, **options)


def test_parts_that_are_none_are_refused(h5):
    data = HDF5Dataset(h5(x=np.ones((4, 2))), "x")
    for index in (-1, 3):
        with pytest.raises(ValueError, match="index"):
            data.shard(3, index)
    for share in (0.0, 0.999999, 1.5):
        with pytest.raises(ValueError, match="split"):
            data.split(share)
    with pytest.raises(ValueError, match="give validation_data"):
        model().fit(data, validation_split=0.5, verbose=0)


def test_an_empty_folder_has_no_data(kind, tmp_path):
    (tmp_path / "notes.txt").touch()
    cls = {"hdf5": HDF5Dataset, "parquet": ParquetDataset, "npy": NpyDataset}[kind]

    with pytest.raises(FileNotFoundError, match=r"found no file \*\."):
        cls(tmp_path, *([] if kind == "npy" else ["x"]))


def test_data_without_rows_are_refused(kind, tmp_path):
    cls, arguments = written(kind, tmp_path, X[:0], Y[:0], W[:0], rows=1)

    with pytest.raises(ValueError, match="found no rows"):
        cls(*arguments)


def test_a_missing_column_is_named_with_those_that_there_are(h5, tmp_path):
    with pytest.raises(ValueError, match=r"rows.h5 has no dataset 'z': 'x', 'y'"):
        HDF5Dataset(h5(x=X, y=Y), "x", "z")
    parquet(tmp_path / "rows.parquet", {"x": X[:, 0], "y": Y[:, 0]})
    with pytest.raises(ValueError, match=r"rows.parquet has no column 'z': 'x', 'y'"):
        ParquetDataset(tmp_path / "rows.parquet", ["x", "z"])


# ------------------------------------------------------------------ what is there


def test_arrays_of_other_lengths_are_refused(h5, tmp_path):
    with pytest.raises(ValueError, match="'x' has 101 rows and 'y' has 100"):
        HDF5Dataset(h5(x=X, y=Y[:-1]), "x", "y")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y[1:])
    with pytest.raises(ValueError, match="'x' has 101 rows and 'y' has 100"):
        NpyDataset(tmp_path / "x.npy", tmp_path / "y.npy")


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (X.astype("float64"), r"\(3,\) and dtype float32.* \(3,\) and dtype float64"),
        (X[:, :2], r"\(3,\) and dtype float32.* \(2,\) and dtype float32"),
    ],
)
def test_files_of_one_data_set_have_rows_of_one_kind(other, match, h5, tmp_path):
    np.save(tmp_path / "part-1.npy", X)
    np.save(tmp_path / "part-2.npy", other)
    with pytest.raises(ValueError, match=f"same columns: 'x' has .*{match} in .*part-2.npy"):
        NpyDataset(tmp_path)
    h5(x=X).rename(tmp_path / "1.h5")
    h5(x=other).rename(tmp_path / "2.h5")
    with pytest.raises(ValueError, match=match):
        HDF5Dataset(tmp_path, "x")
    for i, a in enumerate((X, other)):
        parquet(tmp_path / f"{i}.parquet", {"x": list(a)})
    with pytest.raises(ValueError, match=match):
        ParquetDataset(tmp_path, "x")


def test_strings_and_objects_are_refused(h5, tmp_path):
    words = np.array(["a", "b"])
    path = h5(x=words.astype("S1"), s=["a", "b"], z=np.ones(2, complex), none=np.float32(1))
    for name in ("x", "s"):
        with pytest.raises(TypeError, match=f"rows.h5: '{name}' has strings"):
            HDF5Dataset(path, name)
    with pytest.raises(TypeError, match="'z' has dtype complex128"):
        HDF5Dataset(path, "z")
    with pytest.raises(ValueError, match="'none' has no rows"):
        HDF5Dataset(path, "none")
    for a, kind in ((words, "strings"), (words.astype(object), "dtype object")):
        np.save(tmp_path / "x.npy", a)
        with pytest.raises(TypeError, match=f"x.npy: 'x' has {kind}"):
            NpyDataset(tmp_path / "x.npy")
    columns = {"s": words, "l": [["a"], ["b"]], "d": np.array(["2020", "2021"], "M8[s]")}
    parquet(tmp_path / "rows.parquet", columns)
    for name, kind in (("s", "strings"), ("l", "strings"), ("d", "type timestamp")):
        with pytest.raises(TypeError, match=rf"rows.parquet: '{name}' has {kind}"):
            ParquetDataset(tmp_path / "rows.parquet", name)


def test_ragged_rows_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("x", (2,), h5py.vlen_dtype("f4"))
    with pytest.raises(TypeError, match="'x' has ragged rows"):
        HDF5Dataset(tmp_path / "rows.h5", "x")
    rows = [[1.0, 2.0]] * 5 + [[3.0]] + [[4.0, 5.0]]
    parquet(tmp_path / "rows.parquet", {"x": rows, "deep": [[[1.0]] * 2] * 6 + [[[1.0], []]]}, 4)
    for name, row, count in (("x", 5, 1), ("deep", 6, 0)):
        data = ParquetDataset(tmp_path / "rows.parquet", name, batch_size=2)
        with pytest.raises(
            ValueError, match=rf"'{name}' is ragged: a list in row {row} has {count}"
        ):
            list(data)


@pytest.mark.parametrize("statistics", [True, False])
def test_nulls_are_refused_at_once_where_the_file_tells_of_them(statistics, tmp_path):
    path, numbers = tmp_path / "rows.parquet", [1.0, 2.0, 3.0, 4.0, None, 6.0]
    lists = [[n, 1.0] for n in numbers]
    parquet(path, {"x": numbers, "l": lists}, 2, write_statistics=statistics)
    if statistics:
        with pytest.raises(
            ValueError, match=r"rows.parquet: 'x' has nulls, in or behind row 4: fill"
        ):
            ParquetDataset(path, "x")
    else:
        with pytest.raises(ValueError, match=r"'x' has nulls, first in row 4"):
            list(ParquetDataset(path, "x"))
    with pytest.raises(ValueError, match=r"'l' has nulls, first in row 4"):
        list(ParquetDataset(path, "l"))
    parquet(path, {"l": [[1.0], None]})
    with pytest.raises(ValueError, match=r"'l' has nulls, first in row 1"):
        list(ParquetDataset(path, "l"))


def test_an_array_in_fortran_order_and_a_number_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    with pytest.raises(ValueError, match=r"x.npy is in Fortran's order"):
        NpyDataset(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.float32(1))
    with pytest.raises(ValueError, match="is a single number"):
        NpyDataset(tmp_path / "x.npy")


# ------------------------------------------------------------------ damage and change


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_damaged_file_is_named(kind, tmp_path):
    cls, arguments = written(kind, tmp_path)
    path = files(tmp_path)[-1]
    whole = path.read_bytes()
    for damage in (b"", b"some text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(damage)
        with pytest.raises(OSError, match=rf"{path.name}: what is in it cannot be read"):
            cls(*arguments)


def test_damage_within_is_found_where_it_is_read(tmp_path):
    _, (path, *names) = written("hdf5", tmp_path)
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"\x78\x5e") if b"\x78\x5e" in whole else whole.rindex(b"\x78")
    whole[at : at + 9] = bytes(9)  # where a chunk's compressed bytes begin
    path.write_bytes(whole)

    with pytest.raises(OSError, match=r"rows.h5: rows? \d+.* cannot be read"):
        list(HDF5Dataset(path, *names, buffer_size=10))


def rewritten(path):
    os.utime(path, ns=(1, 1))


def replaced(path):
    path.with_suffix(".new").write_bytes(path.read_bytes() + b"x")
    path.with_suffix(".new").replace(path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-64])


@pytest.mark.parametrize(
    ("happens", "error", "match"),
    [
        (rewritten, RuntimeError, "has changed since"),
        (replaced, RuntimeError, "has changed since"),
        (cut_short, RuntimeError, "has changed since"),
        (os.remove, FileNotFoundError, "the file is gone"),
    ],
)
def test_a_file_that_changes_in_a_run_ends_it(happens, error, match, kind, tmp_path):
    data, made = dataset(kind, tmp_path, buffer_size=16), model()

    class Meddles(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                for path in files(tmp_path):
                    happens(path)

    with pytest.raises(error, match=rf"{tmp_path}.*{match}"):
        made.fit(data, epochs=2, verbose=0, callbacks=[Meddles()])


def test_no_file_stays_open(kind, tmp_path):
    data = dataset(kind, tmp_path, buffer_size=16)
    opened = f"/proc/{os.getpid()}/fd"
    if not os.path.isdir(opened):
        pytest.skip("the system does not tell which files are open")

    def of_ours():
        links = [os.path.join(opened, fd) for fd in os.listdir(opened)]
        return [link for link in links if os.path.realpath(link).startswith(str(tmp_path))]

    model().fit(data, epochs=1, verbose=0)
    batches = data.batches()
    next(batches)
    batches.close()

    assert of_ours() == []


# ------------------------------------------------------------------ at the model


def test_what_does_not_fit_the_model_is_an_error_before_the_first_step(kind, tmp_path):
    cls, arguments = written(kind, tmp_path)
    x = arguments.index("y") - 1 if kind != "npy" else 0
    wrong = bp.Sequential([bp.Input((4,)), bp.layers.Dense(1)])
    wrong.compile("sgd", "mse")
    before = wrong.get_weights()

    with pytest.raises(ValueError, match=r"inputs of shape \(4,\) and got \(3,\)"):
        wrong.fit(cls(*arguments), verbose=0)
    with pytest.raises(ValueError, match="y is missing"):
        model().fit(cls(*arguments[: x + 1]), verbose=0)

    np.testing.assert_equal(wrong.get_weights(), before)


def test_what_is_not_finite_is_named_with_its_batch(tmp_path):
    bad = X.copy()
    bad[20, 1] = np.nan
    cls, arguments = written("npy", tmp_path, bad)

    with pytest.raises(ValueError, match="batch 3 of x: x holds NaN, first in row 4"):
        model().fit(cls(*arguments, batch_size=8), verbose=0, shuffle=False)


@pytest.mark.parametrize(
    ("shape", "dtype", "match"),
    [
        ((-1, 2), "f4", "asked for 101 rows, and 100 were read"),
        ((0, 1), "f4", r"expects 101 rows of 'x' to have shape \(101, 2\)"),
        ((0, 2), "f8", "dtype float32, and read .* float64"),
    ],
)
def test_a_table_that_returns_something_else_is_told(shape, dtype, match):
    class Wrong(bp.data.Table):
        def __init__(self):
            self.columns, self.rows = {"x": (np.dtype("f4"), (2,))}, N

        def read(self, first, last):
            return {"x": np.zeros((last - first + shape[0], shape[1]), dtype)}

    with pytest.raises(ValueError, match=match):
        list(RowDataset(Wrong(), "x"))


@pytest.mark.parametrize("wrong", [None, "a", 2.5, [1], slice(1, 3), -1])
@pytest.mark.parametrize("argument", ["epoch", "start", "seed"])
def test_a_pass_is_asked_for_by_integers_and_refused_at_once(argument, wrong, tmp_path):
    cls, arguments = written("npy", tmp_path)
    data = cls(*arguments, batch_size=8)
    if (argument, wrong) == ("seed", None):  # in their own order
        assert len(list(data.batches(seed=None))) == len(data)
        return

    with pytest.raises(ValueError, match=rf"batches\(\) expects {argument} to be an integer"):
        data.batches(**{argument: wrong})


def test_a_batch_is_asked_for_by_its_number(tmp_path):
    cls, arguments = written("npy", tmp_path)
    data = cls(*arguments, batch_size=8)

    for wrong in (None, "x", 2.5, [1], slice(1, 3)):
        with pytest.raises(TypeError, match="expects the number of a batch to be an integer"):
            data[wrong]
    for wrong in (len(data), -len(data) - 1):
        with pytest.raises(IndexError, match=f"has {len(data)} batches, and none of number"):
            data[wrong]
    np.testing.assert_equal(data[-1], data[len(data) - 1])
