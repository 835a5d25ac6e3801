"""Data as batches: whatever it comes in, a model sees the same numbers in the same order."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse

import backprop as bp
from backprop.layers import LSTM, BatchNormalization, Dense, Embedding
from backprop.training.batches import pack_x_y_sample_weight, place, unpack_x_y_sample_weight
from backprop.training.data import ArrayData, Reader
from backprop.training.iterables import IterableData

RNG = np.random.default_rng(0)
X = np.where(RNG.random((23, 4)) < 0.5, 0, RNG.normal(size=(23, 4))).astype(np.float32)
Y = (X[:, :1] - X[:, 1:2] * X[:, 2:3]).astype(np.float32)
W = RNG.uniform(0.5, 2.0, 23).astype(np.float32)
SIZE = 5


def make(first=None, optimizer="adam", **options):
    bp.utils.set_random_seed(3)
    first = [Dense(6, "tanh")] if first is None else first
    model = bp.Sequential([bp.Input((4,)), *first, Dense(1)], **options)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def batches_of(*arrays, size=SIZE):
    n = len(arrays[0])
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, n, size)]


def assert_same_weights(a, b, rtol=0.0):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)


# ------------------------------------------------------------------ what data may come in


class PyDataset(bp.utils.PyDataset):
    """Read by index; it keeps a record of what is called."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self.events = []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        self.events.append(i)
        return self.batches[i]

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


class Indexed:
    """Read by index, and nothing else."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


class DataLoader:
    """Iterated anew in each epoch, of known length, without an index: as PyTorch's."""

    def __init__(self, batches):
        self.batches = batches
        self.passes = 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.passes += 1
        for batch in self.batches:
            yield list(batch)


class Stream:
    """A loader that does not know its length, which PyTorch's says by raising."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        raise TypeError("object of type 'Stream' has no len()")

    def __iter__(self):
        return iter(self.batches)


class Tensor:
    """Another library's array."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __array__(self, dtype=None, copy=None):
        return self.array


def memory_map(array, folder, name):
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def endless():
    while True:
        yield from batches_of(X, Y, W)


SOURCES = {
    "float64": lambda _: (X.astype(np.float64), Y.astype(np.float64), {"sample_weight": W}),
    "lists": lambda _: (X.tolist(), Y.tolist(), {"sample_weight": W.tolist()}),
    "tuples": lambda _: (tuple(map(tuple, X)), tuple(Y), {"sample_weight": tuple(W)}),
    "lists of arrays": lambda _: (list(X), list(Y), {"sample_weight": list(W)}),
    "a list of the input": lambda _: ([X], Y, {"sample_weight": W}),
    "objects": lambda _: (X.astype(object), Y.astype(object), {"sample_weight": W}),
    "Fortran order": lambda _: (np.asfortranarray(X), Y, {"sample_weight": W}),
    "read-only": lambda _: (np.broadcast_to(X, X.shape), Y, {"sample_weight": W}),
    "targets without an axis": lambda _: (X, Y[:, 0], {"sample_weight": W}),
    "other arrays": lambda _: (Tensor(X), Tensor(Y), {"sample_weight": Tensor(W)}),
    "memory maps": lambda folder: (
        memory_map(X, folder, "x"),
        memory_map(Y, folder, "y"),
        {"sample_weight": memory_map(W, folder, "w")},
    ),
    "a memory map of float64": lambda folder: (
        memory_map(X.astype(np.float64), folder, "x"),
        memory_map(Y.astype(np.float64), folder, "y"),
        {"sample_weight": W},
    ),
    "a list of batches": lambda _: (batches_of(X, Y, W), None, {}),
    "an index": lambda _: (PyDataset(batches_of(X, Y, W)), None, {}),
    "an index without a base class": lambda _: (Indexed(batches_of(X, Y, W)), None, {}),
    "a loader": lambda _: (DataLoader(batches_of(X, Y, W)), None, {}),
    "a stream": lambda _: (Stream(batches_of(X, Y, W)), None, {}),
    "a generator": lambda _: (endless(), None, {"steps_per_epoch": 5}),
    "an iterator": lambda _: (iter(batches_of(X, Y, W) * 3), None, {"steps_per_epoch": 5}),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_all_kinds_of_data_train_alike(source, tmp_path):
    expected = make()
    before = expected.fit(X, Y, SIZE, epochs=3, verbose=0, shuffle=False, sample_weight=W).history
    model = make()
    x, y, options = source(tmp_path)
    if y is not None:
        options["batch_size"] = SIZE

    history = model.fit(x, y, epochs=3, verbose=0, shuffle=False, **options).history

    assert_same_weights(model, expected)
    assert history == before


@pytest.mark.parametrize("kind", [PyDataset, DataLoader, iter])
def test_a_size_of_batches_that_have_one_is_ignored_with_a_word(kind):
    def source():
        return kind(batches_of(X, Y))

    def told(name):
        return pytest.warns(UserWarning, match=rf" ignores {name}=5: x is an iterable of batches")

    model, twin = make(), make()
    with told("batch_size") as caught:
        history = model.fit(source(), batch_size=5, shuffle=False, verbose=0)
    assert caught[0].filename == __file__
    expected = twin.fit(source(), shuffle=False, verbose=0)
    assert history.history == expected.history

    with told("batch_size"):
        value = model.evaluate(source(), batch_size=5, verbose=0)
    assert value == twin.evaluate(source(), verbose=0)
    with told("batch_size"):
        y = model.predict(source(), batch_size=5, verbose=0)
    assert np.array_equal(y, twin.predict(source(), verbose=0))
    with told("validation_batch_size"):
        model.fit(X, Y, validation_data=source(), validation_batch_size=5, verbose=0)
    model.fit(X, Y, validation_data=source(), batch_size=5, verbose=0)  # which is of x alone
    with pytest.raises(ValueError, match=r"fit\(\) expects batch_size to be"):
        model.fit(source(), batch_size=0, verbose=0)


def test_frames_and_series_train_alike():
    pd = pytest.importorskip("pandas", reason="reads data frames")
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=np.arange(23), f=np.arange(23) % 2 == 0)
    wide = np.column_stack([X, np.arange(23), np.arange(23) % 2 == 0])
    runs = []
    for x, y, w in [
        (frame, pd.Series(Y[:, 0]), pd.Series(W)),
        (wide, Y, W),
        (frame, pd.DataFrame(Y), W),
    ]:
        bp.utils.set_random_seed(3)
        model = bp.Sequential([bp.Input((6,)), Dense(6, "tanh"), Dense(1)])
        model.compile("adam", "mse")
        model.fit(x, y, SIZE, epochs=2, verbose=0, sample_weight=w, validation_split=0.2)
        model.evaluate(x, y, verbose=0)
        runs.append((model, model.predict(x, verbose=0)))

    for model, y in runs[1:]:
        assert_same_weights(model, runs[0][0])
        np.testing.assert_array_equal(y, runs[0][1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_of_pytorch_trains_alike(shuffle):
    torch = pytest.importorskip("torch", reason="reads PyTorch's DataLoader")
    samples = torch.utils.data.TensorDataset(*map(torch.from_numpy, (X, Y, W)))
    loader = torch.utils.data.DataLoader(samples, SIZE, shuffle=shuffle)
    torch.manual_seed(0)
    model = make()
    history = model.fit(loader, epochs=3, verbose=0, validation_data=loader).history

    assert len(history["val_loss"]) == 3
    assert history["loss"][2] < history["loss"][0]
    if not shuffle:
        expected = make()
        expected.fit(X, Y, SIZE, epochs=3, verbose=0, shuffle=False, sample_weight=W)
        assert_same_weights(model, expected)


def test_data_are_never_written_to():
    arrays = [X.copy(), Y.copy(), W.copy()]
    for a in arrays:
        a.flags.writeable = False
    model = make(optimizer="sgd")
    model.fit(arrays[0], arrays[1], SIZE, sample_weight=arrays[2], epochs=2, verbose=0)
    model.compile("sgd", "binary_crossentropy")
    labels = (Y > 0).astype(np.float32)
    labels.flags.writeable = False
    model.fit(arrays[0], labels, SIZE, class_weight={0: 2.0}, verbose=0)
    model.predict(arrays[0], verbose=0)

    for a, original in zip(arrays, (X, Y, W), strict=True):
        np.testing.assert_array_equal(a, original)


# ------------------------------------------------------------------ never whole in memory


@pytest.mark.parametrize("shuffle", [True, "batch", False])
@pytest.mark.parametrize("view", [lambda a: a, np.asarray])
def test_a_memory_map_is_never_loaded_whole(view, shuffle, tmp_path):
    n, width = 50_000, 50
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(n, 1, width))
    y = np.memmap(tmp_path / "y", np.float64, "w+", shape=(n, 1, 10))
    w = np.memmap(tmp_path / "w", np.float64, "w+", shape=(n, 1))
    x[::1000], y[::1000], w[:] = 1.0, 1.0, 1.0
    x, y, w = view(x), view(y), view(w)
    model = bp.Sequential([bp.Input((1, width)), Dense(10)])
    model.compile("sgd", "mse")
    model.fit(x[:10], y[:10], verbose=0)  # loads what is loaded once

    tracemalloc.start()
    try:
        model.fit(
            *(x, y, 1000),
            sample_weight=w,
            epochs=1,
            verbose=0,
            validation_split=0.2,
            shuffle=shuffle,
        )
        model.evaluate(x, y, 1000, verbose=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # the order of the rows is 0.4 MB, a batch of x 0.4 and 0.2 MB more as float32
    assert peak < 5e6 < x.nbytes / 3


@pytest.fixture
def densified(monkeypatch):
    """Rows of every sparse matrix that is made dense."""
    counts = []
    for cls in (sparse.csr_array, sparse.csr_matrix, sparse.coo_array, sparse.coo_matrix):
        for name in ("toarray", "todense"):
            original = getattr(cls, name)

            def counted(self, *args, original=original, **kwargs):
                counts.append(self.shape[0])
                return original(self, *args, **kwargs)

            monkeypatch.setattr(cls, name, counted)
    return counts


@pytest.mark.parametrize(
    "kind", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array, sparse.csc_matrix]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_sparse_matrix_is_multiplied_sparse(densified, kind, dtype):
    options = {"epochs": 3, "verbose": 0, "validation_split": 0.2, "sample_weight": W}
    expected = make(dtype=dtype)
    before = expected.fit(X, Y, SIZE, **options).history
    x = kind(X)
    densified.clear()
    model = make(dtype=dtype)
    history = model.fit(x, Y, SIZE, **options).history
    y, on_batch = model.predict(x, verbose=0), model.predict_on_batch(x)
    loss = model.evaluate(x, Y, verbose=0)
    trained = model.train_on_batch(x, Y)

    assert densified == []
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(y, expected.predict(X, verbose=0), rtol, rtol)
    np.testing.assert_allclose(y, on_batch, rtol, rtol)
    np.testing.assert_allclose(loss, expected.evaluate(X, Y, verbose=0), rtol, rtol)
    np.testing.assert_allclose(trained, expected.train_on_batch(X, Y), rtol, rtol)
    assert_same_weights(model, expected, rtol)
    assert y.dtype == dtype
    for name, values in before.items():
        np.testing.assert_allclose(history[name], values, rtol, rtol)


def test_a_layer_that_cannot_multiply_gets_dense_batches(densified):
    def layers():
        return [BatchNormalization(), Dense(6, "tanh")]

    expected = make(layers())
    expected.fit(X, Y, SIZE, epochs=2, verbose=0)
    model = make(layers())
    model.fit(sparse.csr_array(X), Y, SIZE, epochs=2, verbose=0)

    assert max(densified) == SIZE
    assert_same_weights(model, expected)


def test_sparse_targets_and_integers_are_taken():
    expected, model = make(), make()
    expected.fit(X.astype(bool), Y, SIZE, verbose=0)
    model.fit(sparse.csr_array(X.astype(bool)), sparse.csr_array(Y), SIZE, verbose=0)

    assert_same_weights(model, expected, 1e-6)


# ------------------------------------------------------------------ order


def array_data(n=23, size=SIZE, **options):
    model = bp.Sequential([bp.Input((1,)), Dense(1)])
    return ArrayData(Reader(model), np.arange(n, dtype=float), batch_size=size, **options)


def rows_of(batches):
    return [x[:, 0].astype(int).tolist() for x, _, _ in batches]


def test_the_order_is_a_function_of_seed_and_epoch():
    data = array_data(shuffle=True, seed=7)
    again = array_data(shuffle=True, seed=7)
    other = array_data(shuffle=True, seed=8)
    epochs = [rows_of(data.batches(epoch)) for epoch in range(3)]

    assert rows_of(again.batches(2)) == epochs[2]  # whatever came before
    assert epochs[0] != epochs[1] != epochs[2]
    assert rows_of(other.batches(0)) != epochs[0]
    for epoch in epochs:
        assert sorted(itertools.chain(*epoch)) == list(range(23))
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5, 3]


def test_rows_may_be_shuffled_within_their_batches():
    data = array_data(shuffle="batch", seed=7)
    epochs = [rows_of(data.batches(epoch)) for epoch in range(2)]

    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert [sorted(batch) for batch in epoch] == rows_of(array_data().batches(0))
    with pytest.raises(ValueError, match="shuffle to be one of True, False, 'batch', got 'rows'"):
        make().fit(X, Y, shuffle="rows", verbose=0)


def test_without_shuffling_the_order_is_the_given_one():
    assert list(itertools.chain(*rows_of(array_data().batches(4)))) == list(range(23))


@given(
    n=st.integers(1, 40),
    size=st.integers(1, 45),
    epoch=st.integers(0, 6),
    start=st.integers(0, 8),
    shuffle=st.booleans(),
)
def test_an_epoch_can_be_entered_in_the_middle(n, size, epoch, start, shuffle):
    data = array_data(n, size, shuffle=shuffle, seed=1)

    assert rows_of(data.batches(epoch, start)) == rows_of(data.batches(epoch))[start:]


@given(steps=st.integers(1, 9), total=st.integers(1, 20))
def test_epochs_of_some_steps_cover_the_data_pass_by_pass(steps, total):
    in_a_pass = -(-total // steps)
    places = [place(epoch, steps, total) for epoch in range(3 * in_a_pass)]

    assert [number for number, _, _ in places] == [p for p in range(3) for _ in range(in_a_pass)]
    for p in range(3):
        covered = [i for number, a, b in places if number == p for i in range(a, b)]
        assert covered == list(range(total))


@pytest.mark.filterwarnings("ignore:the data ended after 1 of 2 steps")
@pytest.mark.parametrize("kind", ["arrays", "an index", "a loader", "a stream"])
def test_epochs_of_some_steps_go_on_through_the_data(kind):
    data = array_data(10, 2)
    if kind != "arrays":
        batches = [(np.array([[2.0 * i], [2 * i + 1.0]]), np.zeros(2)) for i in range(5)]
        source = {"an index": PyDataset, "a loader": DataLoader, "a stream": Stream}[kind](batches)
        data = IterableData(data.reader, source)
        data.reader.model.build()
        data.first()  # a look does not lose a batch
    epochs = [[rows[0] // 2 for rows in rows_of(data.batches(e, steps=2))] for e in range(6)]

    assert epochs == [[0, 1], [2, 3], [4], [0, 1], [2, 3], [4]]


def test_batches_with_an_index_are_shuffled_and_others_are_not():
    reader = array_data().reader
    reader.model.build()
    batches = [(np.full((2, 1), float(i)), np.zeros(2)) for i in range(8)]

    def order(source, epoch, **options):
        data = IterableData(reader, source, shuffle=True, seed=5)
        return [rows[0] for rows in rows_of(data.batches(epoch, **options))]

    shuffled = order(PyDataset(batches), 0)
    assert sorted(shuffled) == list(range(8)) != shuffled
    assert order(batches, 0) == shuffled  # a list has an index too
    assert order(PyDataset(batches), 1) != shuffled
    assert order(PyDataset(batches), 0, start=3) == shuffled[3:]
    assert order(DataLoader(batches), 0) == list(range(8))


# ------------------------------------------------------------------ iterables


def test_an_iterator_is_read_as_far_as_it_is_needed_and_no_batch_is_lost():
    given_out = []

    def generate():
        for i in itertools.count():
            given_out.append(i)
            yield np.full((2, 4), i / 100), np.zeros((2, 1))

    seen = []
    note = bp.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(len(given_out))
    )
    batches = generate()
    model = make()
    model.fit(batches, epochs=2, steps_per_epoch=3, verbose=0, callbacks=[note])

    assert seen == [1, 2, 3, 4, 5, 6]
    assert next(batches)[0][0, 0] == 0.06


def test_a_data_set_is_told_of_epochs_and_read_once_in_each():
    source = PyDataset(batches_of(X, Y))
    make().fit(source, epochs=2, verbose=0, shuffle=False)

    epoch = ["begin", 0, 1, 2, 3, 4, "end"]
    assert source.events == [0, *epoch, *epoch]  # the first batch is looked at before


def test_a_data_set_may_change_itself_between_epochs():
    class Growing(PyDataset):
        def on_epoch_end(self):
            super().on_epoch_end()
            self.batches = self.batches[::-1]

    source = Growing(batches_of(X, Y))
    model, expected = make(), make()
    model.fit(source, epochs=2, verbose=0, shuffle=False)
    batches = batches_of(X, Y)
    expected.fit(iter(batches + batches[::-1]), epochs=1, verbose=0)

    assert_same_weights(model, expected)


def test_a_loader_is_opened_once_in_an_epoch():
    source = DataLoader(batches_of(X, Y))
    make().fit(source, epochs=3, verbose=0)

    assert source.passes == 3


def test_validation_reads_an_iterable_from_its_beginning():
    expected = make().fit(X, Y, SIZE, epochs=2, verbose=0, validation_data=(X, Y)).history
    for source in (DataLoader, PyDataset, Stream, list):
        validation = source(batches_of(X, Y))
        history = (
            make()
            .fit(X, Y, SIZE, epochs=2, verbose=0, validation_data=validation, validation_steps=None)
            .history
        )

        assert history == expected
    partly = DataLoader(batches_of(X, Y))
    options = {"epochs": 2, "verbose": 0}
    history = make().fit(X, Y, SIZE, validation_data=partly, validation_steps=2, **options).history
    expected = make().fit(X, Y, SIZE, validation_data=(X[:10], Y[:10]), **options).history
    assert history == expected


def test_predict_takes_batches_with_and_without_targets():
    model = make()
    expected = model.predict(X, batch_size=SIZE, verbose=0)

    for source in (
        iter([b[0] for b in batches_of(X)]),
        batches_of(X),
        batches_of(X, Y),
        DataLoader(batches_of(X, np.full((23, 1), "text"))),  # nobody looks at them
    ):
        np.testing.assert_array_equal(model.predict(source, verbose=0), expected)


class Changing:
    """Batches whose number changes at the end of each epoch."""

    def __init__(self, count, change):
        self.count, self.change = count, change
        self.read = [[]]

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if not 0 <= i < self.count:
            raise IndexError(f"batch {i} of {self.count}")
        self.read[-1].append(i)
        return np.full((2, 4), i / 10), np.zeros((2, 1))

    def on_epoch_begin(self):
        self.read.append([])

    def on_epoch_end(self):
        self.count += self.change


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("change", "sizes"), [(1, [3, 3, 3]), (-1, [3, 2, 1])])
def test_a_data_set_that_changes_its_length_is_read_on(change, sizes, shuffle):
    source = Changing(3, change)
    with pytest.warns(UserWarning) as found:
        history = make().fit(source, epochs=3, shuffle=shuffle, verbose=0).history

    assert str(found[0].message).startswith(
        f"the data have {3 + change} batches now and had 3 when the run began; an epoch reads"
    )
    assert [len(epoch) for epoch in source.read[1:]] == sizes
    assert all(len(set(epoch)) == len(epoch) for epoch in source.read[1:])
    assert len(history["loss"]) == 3
    if not shuffle:
        assert source.read[1:] == [list(range(n)) for n in sizes]


@pytest.mark.parametrize("change", [1, -1])
def test_a_changing_data_set_is_read_on_in_epochs_of_some_steps(change):
    source = Changing(4, change)
    with pytest.warns(UserWarning):
        history = make().fit(source, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0).history

    assert len(history["loss"]) == 3


def test_a_data_set_that_shrinks_to_nothing_ends_the_run():
    source = Changing(2, -1)
    with pytest.warns(UserWarning) as found:
        history = make().fit(source, epochs=5, verbose=0).history

    assert len(history["loss"]) == 2
    assert "x ended after 2 of 5 epochs, and so does the run: it has no batches any more" in [
        str(w.message) for w in found
    ]


def test_validation_data_may_change_their_length_too():
    source = Changing(2, -1)
    with pytest.warns(UserWarning) as found:
        history = make().fit(X, Y, epochs=3, verbose=0, validation_data=source).history

    last = "epoch 3 has no validation: it has no batches any more"
    assert [str(w.message) for w in found][-1] == last
    assert len(history["val_loss"]) == 2
    assert len(history["loss"]) == 3


def test_a_data_set_that_shrinks_within_an_epoch_ends_it():
    class Shrinking(Changing):
        def __getitem__(self, i):
            found = super().__getitem__(i)
            if len(self.read) > 2:
                self.count = 2
            return found

    source = Shrinking(4, 0)
    with pytest.warns(UserWarning, match="the data have 2 batches now and had 4"):
        make().fit(source, epochs=3, verbose=0, shuffle=False)

    assert source.read[1:] == [[0, 1, 2, 3], [0, 1], [0, 1]]


def test_an_index_error_of_the_data_sets_own_is_not_hidden():
    class Broken(Changing):
        def __getitem__(self, i):
            return [][i]

    with pytest.raises(IndexError, match="list index out of range"):
        make().fit(Broken(3, 0), verbose=0)


# ------------------------------------------------------------------ several inputs and outputs

LEFT, RIGHT = X[:, :2], X[:, 2:]


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize(
    "use",
    {
        "fit": lambda m, x: m.fit(x, Y, verbose=0),
        "evaluate": lambda m, x: m.evaluate(x, Y, verbose=0),
        "predict": lambda m, x: m.predict(x, verbose=0),
        "train_on_batch": lambda m, x: m.train_on_batch(x, Y),
        "test_on_batch": lambda m, x: m.test_on_batch(x, Y),
        "predict_on_batch": lambda m, x: m.predict_on_batch(x),
        "batches": lambda m, x: m.fit(iter([(x, Y)]), verbose=0),
        "validation": lambda m, x: m.fit(X, Y, validation_data=(x, Y), verbose=0),
    }.items(),
    ids=lambda item: item[0],
)
def test_several_inputs_are_refused_as_such(use, kind, built):
    model = bp.Sequential([bp.Input((4,))] * built + [Dense(1)])
    model.compile("sgd", "mse")
    for parts in ([LEFT, RIGHT], [X, X], [LEFT, RIGHT, X]):
        with pytest.raises(ValueError, match=f"x is a list of {len(parts)} arrays, which stands "):
            use[1](model, kind(parts))
    with pytest.raises(TypeError, match="x is a dict of 'a', 'b', which stands for several inputs"):
        use[1](model, {"a": LEFT, "b": RIGHT})


def test_several_outputs_are_refused_as_such():
    for y in ([Y, Y], (Y, Y, Y)):
        with pytest.raises(ValueError, match="which stands for several outputs"):
            make().fit(X, y, verbose=0)
    with pytest.raises(TypeError, match="y is a dict of 'out', which stands for several outputs"):
        make().fit(X, {"out": Y}, verbose=0)


def test_lists_of_rows_and_a_list_of_the_input_are_no_several_inputs():
    model = make()
    expected = model.predict(X, batch_size=SIZE, verbose=0)

    for rows in (list(X), X.tolist(), tuple(map(tuple, X.tolist())), [X], (X,)):
        found = model.predict(rows, batch_size=SIZE, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    two = model.predict(X[:2], verbose=0)
    np.testing.assert_allclose(model.predict([X[0], X[1]], verbose=0), two, rtol=1e-6)
    np.testing.assert_array_equal(model.evaluate(list(X), [Y]), model.evaluate(X, Y))


def test_images_in_a_list_are_rows():
    model = bp.Sequential([bp.Input((4, 4, 1)), bp.layers.Flatten(), Dense(1)])
    images = RNG.normal(size=(3, 4, 4, 1)).astype(np.float32)
    expected = model.predict(images, verbose=0)

    for given_ in (list(images), list(images[..., 0])):
        np.testing.assert_array_equal(model.predict(given_, verbose=0), expected)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 1), (5, 3), (1,)])
def test_a_single_sample_is_refused_with_the_way_to_make_it_a_batch(shape):
    model = bp.Sequential([bp.Input(shape), bp.layers.Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((2, *shape), np.float32)
    if shape == (1,):
        assert model.predict(x[0], verbose=0).shape == (1, 1)
        return
    for use in (
        lambda: model.predict(x[0], verbose=0),
        lambda: model.evaluate(x[0], np.ones(1), verbose=0),
        lambda: model.predict_on_batch(x[0].tolist()),
    ):
        with pytest.raises(ValueError, match=r"which is a single sample: give x\[np.newaxis\]"):
            use()


# ------------------------------------------------------------------ splitting, weights, tuples


def test_a_split_takes_the_last_rows():
    model = bp.Sequential([bp.Input((1,)), Dense(1)])
    x = np.arange(10.0)
    data = ArrayData(Reader(model), x, x + 100, x / 10, batch_size=4, shuffle=True)
    rest = data.split(0.25)

    assert rows_of(rest.batches(3)) == [[7, 8, 9]]  # never shuffled
    assert sorted(itertools.chain(*rows_of(data.batches(0)))) == list(range(7))
    for part in (data, rest):
        for batch_x, batch_y, batch_w in part.batches(0):
            np.testing.assert_allclose(batch_y, batch_x[:, 0] + 100)
            np.testing.assert_allclose(batch_w, batch_x[:, 0] / 10, rtol=1e-6)


def test_class_weights_have_the_dtype_of_the_model():
    models = []
    for options in (
        {"class_weight": {0: 0.1, 1: 0.7}},
        {"sample_weight": np.where(Y > 0, 0.7, 0.1)[:, 0]},
    ):
        bp.utils.set_random_seed(0)
        model = bp.Sequential([bp.Input((4,)), Dense(1, "sigmoid")], dtype="float64")
        model.compile("sgd", "binary_crossentropy")
        model.fit(X, Y > 0, epochs=3, verbose=0, **options)
        models.append(model)

    assert_same_weights(*models)


def test_batches_are_packed_and_unpacked_as_in_keras():
    x, y, w = object(), object(), object()

    assert unpack_x_y_sample_weight(x) == (x, None, None)
    assert unpack_x_y_sample_weight((x,)) == (x, None, None)
    assert unpack_x_y_sample_weight([x, y]) == (x, y, None)
    assert unpack_x_y_sample_weight((x, y, w)) == (x, y, w)
    assert pack_x_y_sample_weight(x) is x
    assert pack_x_y_sample_weight([x]) == ([x],)
    assert pack_x_y_sample_weight(x, y) == (x, y)
    assert pack_x_y_sample_weight(x, y, w) == (x, y, w)


# ------------------------------------------------------------------ rank and dtype


def test_inputs_are_cast_once_and_to_the_dtype_of_the_model():
    for dtype in (np.float32, np.float64):
        model = make(dtype=dtype)
        for array in (X.astype(np.float64), (X * 10).astype(np.uint8), X > 0):
            data = ArrayData(model.trainer.reader, array, Y.astype(np.float64))

            assert data.x.dtype == data.y.dtype == dtype
    assert ArrayData(make().trainer.reader, X, Y > 0).y.dtype == bool  # integers are labels


@pytest.mark.parametrize("declared", [True, False])
def test_tokens_stay_integers(declared):
    tokens = np.array([[1, 2], [16_777_217, 3]])  # the first integer that float32 cannot hold
    layers = [Embedding(16_777_218, 1, embeddings_initializer="zeros"), LSTM(2), Dense(1)]
    model = bp.Sequential([bp.Input((2,), dtype="int32"), *layers] if declared else layers)
    seen = ArrayData(Reader(model), tokens).x

    assert seen.dtype.kind == "i"
    np.testing.assert_array_equal(seen, tokens)


def test_a_last_axis_of_length_one_is_added_and_taken():
    column = bp.Sequential([bp.Input((1,)), Dense(1)])
    rows = bp.Sequential([bp.Input((4,)), Dense(1)])

    assert column.predict(np.zeros(3), verbose=0).shape == (3, 1)
    assert rows.predict(np.zeros((3, 4, 1)), verbose=0).shape == (3, 1)
    unknown = bp.Sequential([Dense(2)])
    assert unknown.predict(np.zeros(3), verbose=0).shape == (3, 2)


def test_an_iterator_that_begins_anew_at_iter_is_read_to_its_end():
    read = []

    class Anew:
        def __iter__(self):
            self.i = 0
            return self

        def __next__(self):
            assert len(read) < 20, "it is begun for each batch, and has no end"
            if self.i == 3:
                raise StopIteration
            self.i += 1
            read.append(self.i)
            return np.full((2, 2), self.i, "float32"), np.zeros((2, 1))

    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    model.compile("sgd", "mse")

    model.fit(Anew(), epochs=2, verbose=0)

    assert read[:6] == [1, 2, 3, 1, 2, 3]
