import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import close, keras_in
from scipy import sparse

from backprop import Sequential
from backprop.layers import Dense, Normalization, Rescaling

DATA = np.array([[0.0, 7.0, 4.0], [2.0, 9.0, 6.0], [0.0, 7.0, 4.0], [2.0, 9.0, 6.0]])


def test_adapt_by_hand():
    layer = Normalization(dtype="float64")
    layer.adapt(DATA)

    np.testing.assert_array_equal(layer.mean, [1, 8, 5])
    np.testing.assert_array_equal(layer.variance, [1, 1, 1])
    np.testing.assert_array_equal(layer(np.array([[0.0, 7.0, 4.0]])), [[-1, -1, -1]])


def test_invert_undoes_it():
    there, back = Normalization(dtype="float64"), Normalization(invert=True, dtype="float64")
    x = np.random.default_rng(0).normal(3, 2, (50, 4))
    there.adapt(x)
    back.adapt(x)

    np.testing.assert_allclose(there(x).mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(there(x).std(0), 1)
    np.testing.assert_allclose(back(there(x)), x)


def test_batches_of_any_size_give_what_all_rows_give():
    x = np.random.default_rng(0).normal(1000, 2, (50, 3, 4))
    whole, parts = Normalization((1, 2), dtype="float64"), Normalization((1, 2), dtype="float64")
    whole.adapt(x)
    parts.adapt((x[i:j], None) for i, j in ((0, 1), (1, 30), (30, 30), (30, 50)))

    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.variance, whole.variance, rtol=1e-12)
    np.testing.assert_allclose(whole.variance, x.var(0), rtol=1e-12)


def test_what_was_adapted_to_before_is_forgotten():
    layer = Normalization()
    layer.adapt(np.full((3, 2), 100.0))
    layer.adapt(DATA[:, :2])

    np.testing.assert_allclose(layer.mean, [1, 8])


def test_a_model_with_an_adapted_layer_trains_and_is_saved(tmp_path):
    norm = Normalization()
    norm.adapt(DATA)
    model = Sequential([norm, Dense(1)])
    model.compile("sgd", "mse")
    model.fit(DATA, np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "m.npz")

    from backprop.saving import load_model

    loaded = load_model(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(DATA, verbose=0), model.predict(DATA, verbose=0))
    np.testing.assert_array_equal(loaded.layers[0].mean, [1, 8, 5])


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.data(),
)
def test_normalization_agrees_with_keras(shape, dtype, invert, data):
    axis = data.draw(
        st.none()
        | st.just(-1)
        | st.lists(st.integers(1, len(shape) - 1), min_size=1, max_size=3, unique=True).map(tuple)
    )
    x = np.random.default_rng(0).normal(1, 2, shape).astype(dtype)
    layer = Normalization(axis, invert=invert, dtype=dtype)
    layer.adapt(x)
    with keras_in(dtype) as keras:
        theirs = keras.layers.Normalization(axis, invert=invert, dtype=dtype)
        theirs.build(x.shape)
        assert [w.shape for w in layer.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(layer.get_weights())
        theirs.finalize_state()
        wanted = np.asarray(theirs(x))
        theirs.adapt(x)
        learned = [np.asarray(w) for w in theirs.get_weights()]

    np.testing.assert_allclose(layer(x), wanted, **close(dtype))
    for mine, other in zip(layer.weights, learned, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2), (2, 1, 2)])
def test_one_mean_for_everything_suits_inputs_of_any_rank(shape):
    hp = np.array([100.0, 150.0, 200.0, 250.0], np.float32)
    layer = Normalization(axis=None)
    layer.adapt(hp)

    y = layer(hp.reshape(shape))

    assert layer.mean.shape == () and float(layer.mean) == 175
    assert y.shape == shape
    np.testing.assert_allclose(y.ravel(), (hp - 175) / np.sqrt(3125), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"input_shape": [1]}, {"input_shape": (1,)}])
def test_a_model_of_one_feature_learns_from_a_plain_vector(options):
    hp = np.array([100.0, 150.0, 200.0, 250.0], np.float32)
    norm = Normalization(axis=None, **options)
    norm.adapt(hp)
    model = Sequential([norm, Dense(1)])
    model.compile("adam", "mae")

    model.fit(hp, hp / 10, epochs=1, verbose=0)

    assert model.predict(hp, verbose=0).shape == (4, 1)


def test_means_along_the_last_axis_suit_sequences_of_such_rows():
    layer = Normalization()
    layer.adapt(DATA)

    y = layer(np.stack([DATA, DATA + 1], 1))

    np.testing.assert_allclose(y[:, 0], layer(DATA))
    np.testing.assert_allclose(y[:, 1], layer(DATA + 1))


@pytest.mark.parametrize(
    "given",
    [
        lambda x: x.tolist(),
        lambda x: x.astype(np.int8),
        lambda x: x.astype(bool).astype(int) * x.astype(np.uint8),
        lambda x: sparse.csr_matrix(x),
        lambda x: sparse.csr_array(x),
        lambda x: sparse.coo_matrix(x),
        lambda x: pytest.importorskip("pandas").DataFrame(x),
        lambda x: [x[:1], x[1:]],
        lambda x: ((rows, None) for rows in np.split(x, 2)),
        lambda x: [row[None] for row in x],
    ],
)
def test_adapt_takes_numbers_in_any_container(given):
    layer, plain = Normalization(dtype="float64"), Normalization(dtype="float64")
    plain.adapt(DATA)

    layer.adapt(given(DATA))

    np.testing.assert_allclose(layer.mean, plain.mean, rtol=1e-15)
    np.testing.assert_allclose(layer.variance, plain.variance, rtol=1e-15)


def test_a_list_of_numbers_is_a_vector():
    layer = Normalization(axis=None, dtype="float64")

    layer.adapt([1, 2, 3, 6])

    assert (float(layer.mean), float(layer.variance)) == (3, 3.5)


@pytest.mark.parametrize("offset", [0.1, 1e6 + 0.1, -1e12])
@pytest.mark.parametrize("batches", [1, 3])
def test_what_never_varies_becomes_zero(offset, batches):
    x = np.full((30, 2), offset)
    layer = Normalization(dtype="float64")
    layer.adapt(np.split(x, batches))

    assert layer.variance.tolist() == [0, 0]
    assert not layer(x).any()


@pytest.mark.parametrize("offset", [1e4, 1e8, 1e12])
def test_the_variance_keeps_its_digits_beside_a_large_mean(offset):
    x = offset + np.random.default_rng(0).integers(-9, 9, (60, 2)).astype(float)
    layer = Normalization(dtype="float64")

    layer.adapt(x[i : i + 7] for i in range(0, 60, 7))

    np.testing.assert_allclose(layer.variance, (x - offset).var(0), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_given_numbers_and_rescaling_agree_with_keras(dtype):
    x = np.random.default_rng(0).normal(1, 2, (3, 4, 2)).astype(dtype)
    given = {"mean": [1.0, -1.0], "variance": [0.25, 0.0], "dtype": dtype}
    scaled = {"scale": 1 / 127.5, "offset": [-1.0, 1.0], "dtype": dtype}
    with keras_in(dtype) as keras:
        wanted = np.asarray(keras.layers.Normalization(**given)(x))
        rescaled = np.asarray(keras.layers.Rescaling(**scaled)(x))

    np.testing.assert_allclose(Normalization(**given)(x), wanted, **close(dtype))
    np.testing.assert_allclose(Rescaling(**scaled)(x), rescaled, **close(dtype))


@pytest.mark.parametrize(
    "layer",
    [
        Normalization((1, 2)),
        Normalization(mean=2.0, variance=3.0, invert=True),
        Rescaling([2.0, 0.5, -1.0], 0.3),
    ],
)
def test_gradients(layer):
    assert_gradients(layer, np.random.default_rng(0).normal(size=(4, 2, 3)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Normalization(mean=1.0), ValueError, "mean and variance together"),
        (lambda: Normalization(mean=1.0, variance=-1.0), ValueError, "not to be negative"),
        (
            lambda: Normalization(mean=[1.0, 2.0], variance=[1.0, 1.0])(np.ones((2, 3))),
            ValueError,
            "broadcast to (3,)",
        ),
        (lambda: Normalization(2)(np.ones((2, 3))), ValueError, "expects inputs with its axes"),
        (lambda: Normalization(0)(np.ones((2, 3))), ValueError, "beside the batch"),
        (lambda: Normalization((1, -1))(np.ones((2, 3))), ValueError, "each once"),
        (lambda: Normalization().adapt(np.ones(3)), ValueError, "x[:, None], or pass axis=None"),
        (lambda: Normalization().adapt([1.0, 2.0]), ValueError, "x[:, None], or pass axis=None"),
        (lambda: Normalization(mean=1, variance=1).adapt(DATA), ValueError, "was given its mean"),
        (lambda: Normalization().adapt(DATA[:0]), ValueError, "was given no data"),
        (lambda: Normalization().adapt([]), ValueError, "was given no data"),
        (lambda: Normalization().adapt(np.array([[np.nan]])), ValueError, "NaN or infinity"),
        (lambda: Normalization().adapt(np.array([[np.inf], [1]])), ValueError, "NaN or infinity"),
        (
            lambda: Normalization().adapt([DATA, DATA[:, :2]]),
            ValueError,
            "3 along axis -1, and got",
        ),
        (lambda: Normalization().adapt(3), TypeError, "an array or an iterable of batches"),
        (lambda: Normalization().adapt(np.array([["a"]])), TypeError, "batches of numbers"),
        (lambda: Rescaling([1.0, 2.0])(np.ones((2, 3))), ValueError, "scale of shape (2,)"),
        (lambda: Rescaling(1.0, np.ones((4, 3)))(np.ones((4, 3))), ValueError, "offset of shape"),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error) as caught:
        make()

    assert message in str(caught.value)
