"""What holds for the library as a whole, whichever form of the kernels runs: a run repeats itself
to the last bit, NaN and infinity go the same ways, and a wrong loop is found."""

import os
import subprocess
import sys

import numpy as np
import pytest
from layer_examples import example
from side_by_side import loop_of

import backprop as bp
from backprop import layers
from backprop.context import TRAINING
from backprop.gradcheck import gradcheck
from backprop.kernels import activations, losses, normalization, smooth, switch
from backprop.nest import as_tuple, each
from backprop.testing import check_law

SPECIAL = (np.nan, np.inf, -np.inf)


# ------------------------------------------------------------------------------------- bit for bit

# A fit of a small network of each kind; prints a digest of all weights and of predictions.
FITS = """
import hashlib
import numpy as np
import backprop as bp
from backprop import layers as L

rng = np.random.default_rng(0)
rows, images = rng.normal(size=(70, 9)), rng.normal(size=(20, 12, 12, 4))
sequences, words = rng.normal(size=(20, 7, 8)), rng.integers(0, 30, (40, 6))
kinds = {
    "perceptron": (rows, [L.Dense(17, "relu"), L.Dense(11, "gelu"), L.BatchNormalization()]),
    "convolution": (images, [L.Conv2D(8, 3, padding="same", activation="relu"), L.MaxPooling2D(),
                             L.Conv2D(5, 3), L.BatchNormalization(), L.Flatten()]),
    "recurrent": (sequences, [L.LSTM(9, return_sequences=True), L.GRU(6)]),
    "transformer": (sequences, [L.TransformerBlock(13, 2), L.LayerNormalization(),
                                L.GlobalAveragePooling1D()]),
    "embedding": (words, [L.Embedding(30, 5), L.GlobalAveragePooling1D(), L.Dense(7, "tanh")]),
}
for name, (x, hidden) in kinds.items():
    bp.random.set_random_seed(5)
    x = x if x.dtype.kind == "i" else x.astype("float32")
    model = bp.Sequential([*hidden, L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, rng.integers(0, 3, len(x)), epochs=3, batch_size=16, verbose=0)
    found = hashlib.sha256(model.predict(x, verbose=0).tobytes())
    for weight in model.get_weights():
        assert np.isfinite(weight).all()
        found.update(weight.tobytes())
    print(name, found.hexdigest())
"""


@pytest.mark.parametrize("form", ["numpy", "numba"])
def test_two_processes_make_the_same_weights_to_the_last_bit(form):
    if form == "numba":
        pytest.importorskip("numba")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", FITS],
            env=os.environ | {switch.VARIABLE: form},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]

    one, two = (run.communicate(timeout=300)[0].splitlines() for run in runs)

    assert [run.returncode for run in runs] == [0, 0]
    assert len(one) == 5
    assert one == two


def test_the_process_that_compiles_makes_the_weights_of_those_that_read(tmp_path):
    pytest.importorskip("numba")
    told = {switch.VARIABLE: "numba", "NUMBA_CACHE_DIR": str(tmp_path)}

    first, later = (
        subprocess.run(
            [sys.executable, "-c", FITS],
            env=os.environ | told,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )

    assert first == later
    assert len(first.splitlines()) == 5


def uniform(*shape):
    return np.random.default_rng(len(shape)).uniform(-3, 3, shape).astype(np.float32)


def arguments(m, n):
    """A kernel and what it takes for m rows; arrays of m rows are those that a row has a part
    of."""
    x, y, dx, bias = uniform(m, n), uniform(m, n), np.empty((m, n), np.float32), uniform(n)
    for name in ("relu", "tanh", "sigmoid", "softmax"):
        yield getattr(activations, name), (x, bias)
        yield getattr(activations, f"{name}_backward"), (x, y, dx, None)
    for kernel in (smooth.gelu, smooth.gelu_by_tanh):
        yield kernel, (x, bias, y, dx)
    yield smooth.along_slope, (x, y, dx, None)
    yield normalization.affine, (x, bias, bias, bias, y)
    yield normalization.affine_of_both, (x, y, bias, bias, bias, bias, dx)
    yield (
        normalization.rows_normalized,
        (x, bias, bias, 1e-5, True, y, np.empty((m, 1), np.float32), dx),
    )
    yield losses.sparse_of_logits, (x, np.arange(m) % n, dx, 0.3)


def placed(a, skipped):
    """A copy that begins some numbers behind a line of the cache."""
    memory = np.empty(a.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + skipped * a.itemsize
    copy = memory[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


@pytest.mark.parametrize("n", [1, 3, 10, 33, 67, 128])
def test_a_row_depends_neither_on_those_beside_it_nor_on_where_it_lies(n):
    m = 9
    for kernel, args in arguments(m, n):
        loop = loop_of(kernel)
        loop.learn(args)
        of_rows = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and len(a) == m]

        def results(part, skipped, args=args, of_rows=of_rows, loop=loop):
            given = [placed(a[part], skipped) if i in of_rows else a for i, a in enumerate(args)]
            loop.dispatcher(*given)
            return [given[i] for i in of_rows]

        whole = results(slice(None), 0)
        for i in range(m):
            alone = results(slice(i, i + 1), i)
            for a, b in zip(alone, whole, strict=True):
                np.testing.assert_array_equal(a, b[i : i + 1], kernel.__name__)


# -------------------------------------------------------------------------------- NaN and infinity


def spoilt(x, value):
    """A copy with this in the middle."""
    x = x.copy()
    x.reshape(-1)[x.size // 2] = value
    return x


def kinds_of(a):
    """0 for a number, 1 for NaN, 2 and 3 for the infinities."""
    return np.select([np.isnan(a), np.isposinf(a), np.isneginf(a)], [1, 2, 3])


def passes(form, name, value):
    """All that a layer makes of an input with such a value, forth and back."""
    bp.config.set_kernels(form)
    layer, x = example(name)
    x = each(lambda a: spoilt(a.astype(bp.config.floatx()), value), x)
    y, cache = layer.forward(x, TRAINING)
    dy = each(lambda a: np.cos(np.arange(a.size, dtype=a.dtype)).reshape(a.shape), y)
    dx = layer.backward(dy, cache)
    found = [p.gradient for p in layer.arrays() if p.gradient is not None]
    return [kinds_of(a) for a in (*as_tuple(y), *as_tuple(dx), *found) if a is not None]


@pytest.mark.parametrize("name", sorted(layers.registry.classes))
def test_nan_and_infinity_go_the_same_ways_in_both_forms(name, chosen):
    pytest.importorskip("numba")
    if any(a.dtype.kind != "f" for a in as_tuple(example(name)[1])):
        pytest.skip("takes no floating-point numbers")
    for value in SPECIAL:
        with np.errstate(all="ignore"):
            ours, theirs = (passes(form, name, value) for form in ("numba", "numpy"))

        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b, f"{name} of {value}")


@pytest.mark.parametrize("form", ["numba", "numpy"])
@pytest.mark.parametrize("value", SPECIAL)
def test_tiles_of_a_convolution_hide_no_nan_and_pass_none_to_other_images(form, value, chosen):
    if form == "numba":
        pytest.importorskip("numba")
    bp.config.set_kernels(form)
    # of these sizes that Winograd's tiles are taken: they spread it among the outputs of a tile,
    # and how far depends on the form
    x = np.random.default_rng(0).normal(size=(8, 16, 16, 64)).astype(np.float32)
    convolution = layers.Conv2D(64, 3)
    x[5, 7, 9, 11] = value
    with np.errstate(all="ignore"):
        finite = np.isfinite(convolution(x))

    assert not finite[5, 5:8, 7:10].any()
    assert finite[np.arange(8) != 5].all()


# ------------------------------------------------------------------------------------ a wrong loop


def test_a_wrong_loop_is_found_by_gradcheck_and_by_the_laws(chosen, monkeypatch):
    right = loop_of(activations.tanh_backward)

    class Wrong:
        """The loop with a slope that is off by a factor."""

        known = right.known
        takes, learn = right.takes, right.learn

        @staticmethod
        def dispatcher(y, dy, dz, dbias):
            right.dispatcher(y, dy, dz, dbias)
            dz *= 1.001

    layer, x = layers.Dense(3, "tanh"), np.random.default_rng(0).normal(size=(5, 4))
    law = "gradients_match_finite_differences"
    bp.config.set_kernels("numba")
    assert gradcheck(layer, x).verdict == "pass"
    check_law(law, layer, x)

    monkeypatch.setattr("backprop.kernels.compiled.activations.tanh_backward", Wrong)
    switch.SWITCH.use("numba")

    assert gradcheck(layers.Dense(3, "tanh"), x).verdict == "fail"
    with pytest.raises(AssertionError, match=law):
        check_law(law, layer, x)
