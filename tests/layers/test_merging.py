"""Layers that merge several arrays, beside Keras on JAX, NumPy and central differences."""

import copy
import pickle

import numpy as np
import pytest
from finite_differences import assert_slope
from hypothesis import given, strategies as st
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close

import backprop as bp
from backprop import layers
from backprop.layer import Context
from backprop.layers import (
    Add,
    Average,
    Concatenate,
    Dense,
    Divide,
    Dot,
    Embedding,
    Graph,
    Input,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)

ELEMENTWISE = [Add, Subtract, Multiply, Divide, Average, Maximum, Minimum]
OF_TWO = (Subtract, Divide, Dot)
NAIVE = {
    Add: lambda *x: sum(x[1:], x[0]),
    Subtract: np.subtract,
    Multiply: lambda *x: np.prod(np.broadcast_arrays(*x), axis=0),
    Divide: np.divide,
    Average: lambda *x: np.mean(np.broadcast_arrays(*x), axis=0),
    Maximum: lambda *x: np.max(np.broadcast_arrays(*x), axis=0),
    Minimum: lambda *x: np.min(np.broadcast_arrays(*x), axis=0),
}


def numbers(*shapes, seed=0):
    """Arrays of these shapes, none near 0 and no two numbers near each other: at no kink."""
    rng = np.random.default_rng(seed)
    sizes = [int(np.prod(shape)) for shape in shapes]
    values = rng.permutation(np.linspace(0.5, 2, sum(sizes) + 1)[1:])
    values *= rng.choice([-1, 1], len(values))
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def built(layer, x):
    layer.dtype = np.dtype(x[0].dtype)
    layer.build(tuple((None, *a.shape[1:]) for a in x))
    return layer


def assert_every_dx(layer, x, mask=None):
    """Each dx agrees with central differences in its own array."""
    layer, rng = built(layer, x), np.random.default_rng(0)
    y, cache = layer.forward(x, Context(mask=mask))
    v = rng.standard_normal(y.shape)
    dx = layer.backward(v, cache)

    assert type(dx) is tuple and [d.shape for d in dx] == [a.shape for a in x]
    assert y.shape == tuple(layer.compute_output_shape([a.shape for a in x]))
    for i, d in enumerate(dx):

        def value(t, u, i=i):
            moved = (*x[:i], x[i] + t * u, *x[i + 1 :])
            return (v * layer.forward(moved, Context(mask=mask))[0]).sum()

        assert_slope(value, d, rng, 1e-6, f"dx{i} of {layer!r}")


@st.composite
def shapes_that_meet(draw, counts=(1, 3)):
    """Shapes of one batch, of different numbers of axes, some of them of length 1."""
    whole = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    batch = draw(st.integers(1, 3))
    found = []
    for _ in range(draw(st.integers(*counts))):
        own = whole[draw(st.integers(0, len(whole))) :]
        found.append((batch, *(1 if draw(st.booleans()) else n for n in own)))
    return found


# -------------------------------------------------------------------------------- by hand and NumPy


@pytest.mark.parametrize(
    ("layer", "wanted", "dx"),
    [
        (Add(), [[5, 7]], ([[1, 10]], [[1, 10]])),
        (Subtract(), [[1, -3]], ([[1, 10]], [[-1, -10]])),
        (Multiply(), [[6, 10]], ([[2, 50]], [[3, 20]])),
        (Divide(), [[1.5, 0.4]], ([[0.5, 2]], [[-0.75, -0.8]])),
        (Average(), [[2.5, 3.5]], ([[0.5, 5]], [[0.5, 5]])),
        (Maximum(), [[3, 5]], ([[1, 0]], [[0, 10]])),
        (Minimum(), [[2, 2]], ([[0, 10]], [[1, 0]])),
    ],
)
def test_two_arrays_by_hand(layer, wanted, dx):
    x = np.array([[3.0, 2.0]]), np.array([[2.0, 5.0]])
    y, cache = built(layer, x).forward(x)

    np.testing.assert_allclose(y, wanted)
    np.testing.assert_allclose(layer.backward(np.array([[1.0, 10.0]]), cache), dx)


def test_a_dot_product_by_hand():
    x = np.array([[3.0, 2.0]]), np.array([[2.0, 5.0]])
    y, cache = built(Dot(1), x).forward(x)

    assert y.tolist() == [[16]]
    assert np.array(built(Dot(1), x).backward(np.array([[2.0]]), cache)).tolist() == [
        [[4, 10]],
        [[6, 4]],
    ]


def test_a_concatenation_by_hand():
    x = np.array([[1.0, 2.0]]), np.array([[3.0]])
    y, cache = built(Concatenate(), x).forward(x)
    a, b = Concatenate().backward(np.array([[4.0, 5.0, 6.0]]), cache)

    assert (y.tolist(), a.tolist(), b.tolist()) == ([[1, 2, 3]], [[4, 5]], [[6]])


def test_what_is_stretched_receives_the_sum():
    x = np.zeros((2, 3, 4)), np.zeros((2, 1)), np.zeros((2, 3, 1))
    _, cache = built(Add(), x).forward(x)
    dx = Add().backward(np.ones((2, 3, 4)), cache)

    assert [d.shape for d in dx] == [(2, 3, 4), (2, 1), (2, 3, 1)]
    assert [d.flat[0] for d in dx] == [1, 12, 4]


@pytest.mark.parametrize("cls", ELEMENTWISE)
@given(data=st.data())
def test_arrays_of_any_shapes_that_meet_merge_as_in_numpy(cls, data):
    shapes = data.draw(shapes_that_meet((2, 2) if cls in OF_TWO else (1, 3)))
    x = numbers(*shapes)
    ndim = max(a.ndim for a in x)
    level = [a.reshape(len(a), *(1,) * (ndim - a.ndim), *a.shape[1:]) for a in x]

    np.testing.assert_allclose(built(cls(), x).forward(x)[0], NAIVE[cls](*level), rtol=1e-12)
    assert_every_dx(cls(), x)


@given(data=st.data())
def test_arrays_are_concatenated_as_in_numpy(data):
    whole = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    axis = data.draw(st.integers(1, len(whole) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    x = numbers(*((*whole[:axis], n, *whole[axis + 1 :]) for n in lengths))
    layer = Concatenate(data.draw(st.sampled_from([axis, axis - len(whole)])))

    np.testing.assert_array_equal(built(layer, x).forward(x)[0], np.concatenate(x, axis))
    assert_every_dx(layer, x)


def naive_dot(a, b, i, j):
    """Number by number."""
    y = np.stack([np.tensordot(m, n, (i - 1, j - 1)) for m, n in zip(a, b, strict=True)])
    return y if y.ndim > 1 else y[:, None]


@pytest.mark.parametrize("normalize", [False, True])
@given(data=st.data())
def test_dot_products_along_any_axes(normalize, data):
    shapes = [[2, *data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))] for _ in "ab"]
    i, j = (data.draw(st.integers(1, len(shape) - 1)) for shape in shapes)
    shapes[1][j] = shapes[0][i]
    x = a, b = numbers(*shapes)
    layer = Dot((i, j - len(shapes[1])), normalize)
    if normalize:
        a, b = a / np.linalg.norm(a, 2, i, True), b / np.linalg.norm(b, 2, j, True)

    np.testing.assert_allclose(built(layer, x).forward(x)[0], naive_dot(a, b, i, j), atol=1e-12)
    assert_every_dx(layer, x)


# -------------------------------------------------------------------------------------------- Keras

AB = (3, 4, 5), (3, 4, 5)
CASES = {
    **{
        f"{cls.__name__} {i}": (cls(), numbers(*shapes))
        for cls in ELEMENTWISE
        if cls is not Divide
        for i, shapes in enumerate(
            [AB, ((3, 5), (3, 4, 5)), ((3, 4, 1), (3, 1, 5))]
            if cls in OF_TWO
            else [((3, 5),), AB, (*AB, (3, 4, 5)), ((3, 1), (3, 4, 5), (3, 1, 5))]
        )
    },
    "Maximum ties": (Maximum(), (np.array([[1.0, 2.0, 3.0]]),) * 3),
    "Minimum ties": (Minimum(), (np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 3.0]]))),
    "Concatenate": (Concatenate(), numbers((3, 4, 5), (3, 4, 1), (3, 4, 2))),
    "Concatenate 1": (Concatenate(axis=1), numbers((3, 4, 5), (3, 2, 5))),
    "Dot": (Dot(axes=1), numbers((3, 4), (3, 4))),
    "Dot last": (Dot(axes=-1), numbers((3, 4, 5), (3, 2, 5))),
    "Dot two": (Dot(axes=(1, 2)), numbers((3, 4, 5), (3, 2, 4))),
    "Dot vector": (Dot(axes=(1, 2)), numbers((3, 4), (3, 2, 4))),
    "Dot vector last": (Dot(axes=(2, 1)), numbers((3, 2, 4), (3, 4))),
    "Dot cosine": (Dot(axes=1, normalize=True), numbers((3, 4), (3, 4))),
    "Dot cosines": (Dot(axes=2, normalize=True), numbers((3, 4, 5), (3, 2, 5))),
}


@pytest.fixture(scope="module")
def keras_found(tmp_path_factory):
    asked = {name: (f"keras.layers.{layer!r}", x) for name, (layer, x) in CASES.items()}
    return run_in_keras(asked, tmp_path_factory.mktemp("keras"))


@needs_keras_on_jax
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_y_and_every_dx_are_keras(keras_found, name, dtype):
    layer, x = copy.deepcopy(CASES[name])
    x = tuple(a.astype(dtype) for a in x)
    y, cache = built(layer, x).forward(x)
    dx = layer.backward(gradient_from_above(y), cache)

    np.testing.assert_allclose(y, keras_found[f"{name} {dtype} y"], **close(dtype))
    for i, d in enumerate(dx):
        np.testing.assert_allclose(d, keras_found[f"{name} {dtype} dx{i}"], **close(dtype))
        assert d.dtype == dtype


# --------------------------------------------------------------------------------------- the border


def test_of_a_tie_each_receives_its_share():
    x = (np.ones((1, 1)),) * 3
    for cls in (Maximum, Minimum):
        _, cache = built(cls(), x).forward(x)
        shares = [d.item() for d in cls().backward(np.ones((1, 1)), cache)]

        assert shares == [0.25, 0.25, 0.5]


def test_a_vector_of_zeros_has_a_cosine_of_0_and_passes_back_numbers():
    x = np.zeros((1, 2)), np.ones((1, 2))
    y, cache = built(Dot(1, normalize=True), x).forward(x)
    dx = Dot(1, normalize=True).backward(np.ones((1, 1)), cache)

    assert y == 0 and np.isfinite(dx).all()


@pytest.mark.parametrize("cls", [Add, Multiply, Average, Maximum, Minimum, Concatenate])
def test_one_array_comes_back_as_it_is(cls):
    x = np.array([[1.0, 2.0]])

    np.testing.assert_array_equal(cls()([x]), x)


@pytest.mark.parametrize("cls", ELEMENTWISE)
def test_one_array_twice_receives_the_sum_of_both(cls):
    x = numbers((3, 4))[0]
    both = built(cls(), (x, x))
    y, cache = both.forward((x, x))
    wanted = sum(both.backward(np.ones_like(y), cache))
    symbol = Input((4,), dtype="float64")
    graph = Graph(symbol, cls(dtype="float64")([symbol, symbol]))
    found, caches = graph.forward(x)

    np.testing.assert_array_equal(found, y)
    np.testing.assert_array_equal(graph.backward(np.ones_like(y), caches), wanted)


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (layers.add, Add()),
        (layers.subtract, Subtract()),
        (layers.multiply, Multiply()),
        (layers.average, Average()),
        (layers.maximum, Maximum()),
        (layers.minimum, Minimum()),
        (layers.concatenate, Concatenate()),
        (lambda x: layers.concatenate(x, axis=1), Concatenate(1)),
        (layers.dot, Dot(-1)),
        (lambda x: layers.dot(x, axes=1, normalize=True), Dot(1, True)),
    ],
)
def test_the_functions_make_a_layer_and_call_it(function, layer):
    x = list(numbers((3, 4), (3, 4)))
    symbol = function([Input((4,)), Input((4,))])

    np.testing.assert_array_equal(function(x), layer(x))
    assert symbol.layer.get_config() | {"name": ""} == layer.get_config() | {"name": ""}


def test_a_function_hands_its_options_to_the_layer():
    assert layers.add([Input((4,)), Input((4,))], name="sum").name == "sum"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Add()(np.ones((2, 3))),
            r"Add\(\) expects arrays in a list.*got none, or one that stands alone",
        ),
        (lambda: Add()([]), r"Add\(\) expects arrays in a list.*got none"),
        (lambda: Concatenate()([]), "expects arrays in a list"),
        (lambda: Subtract()([np.ones((2, 3))]), r"Subtract\(\) expects 2 arrays.*got 1"),
        (lambda: Dot(1)([np.ones((2, 3))] * 3), r"Dot\(1\) expects 2 arrays.*got 3"),
        (
            lambda: Add()([np.ones((2, 3)), np.ones((2, 4))]),
            r"Add\(\) cannot merge arrays of shapes \(3,\) and \(4,\): .*equal or 1",
        ),
        (lambda: Add()([np.ones((2, 3)), np.ones((1, 3))]), "as many rows, and got 2 and 1"),
        (lambda: Add()([Input((3,)), Input((4,))]), "cannot merge"),
        (
            lambda: Concatenate()([np.ones((2, 3)), np.ones((2, 3, 1))]),
            r"shapes \(3,\) and \(3, 1\): give them as many axes",
        ),
        (
            lambda: Concatenate(1)([np.ones((2, 3, 4)), np.ones((2, 3, 5))]),
            "may differ along axis 1 alone",
        ),
        (lambda: Concatenate(0)([np.ones((2, 3))] * 2), "axis=0 is not one of theirs beside the"),
        (lambda: Concatenate(2)([np.ones((2, 3))] * 2), "axis=2 is not one of theirs"),
        (lambda: Dot(0)([np.ones((2, 3))] * 2), "beside the batch"),
        (lambda: Dot(2)([np.ones((2, 3))] * 2), "beside the batch"),
        (
            lambda: Dot((1, 2))([np.ones((2, 3, 4)), np.ones((2, 3, 4))]),
            "3 along axis 1 and 4 along axis 2",
        ),
        (lambda: Dot((1, 2, 3)), r"Dot expects axes"),
        (lambda: Dot(1.5), r"Dot expects axes"),
    ],
)
def test_what_does_not_merge_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_layer_that_refused_its_inputs_can_still_be_called():
    layer = Add()
    with pytest.raises(ValueError, match="cannot merge"):
        layer([np.ones((2, 3)), np.ones((2, 4))])

    assert not layer.built
    assert layer([np.ones((2, 3)), np.ones((2, 3))]).tolist() == [[2, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize(
    ("layer", "given", "wanted"),
    [
        (Add(), ((None, None, 3), (None, 5, 1)), (None, None, 3)),
        (Add(), ((None, 3), (None, 5, 3)), (None, 5, 3)),
        (Add(), ((None, 1, 3), (None, None, 3)), (None, None, 3)),
        (Concatenate(), ((None, None, 3), (None, 5, 1)), (None, 5, 4)),
        (Concatenate(1), ((None, None, 3), (None, 5, 3)), (None, None, 3)),
        (Dot((1, 2)), ((None, 3), (None, None, 3)), (None, None)),
        (Dot(1), ((None, 3), (None, 3)), (None, 1)),
    ],
)
def test_shapes_that_are_free_stay_free(layer, given, wanted):
    assert layer.compute_output_shape(given) == wanted


@pytest.mark.parametrize("layer", [Add(), Concatenate(1), Dot((1, -1), normalize=True)])
def test_a_layer_is_what_its_configuration_says(layer):
    twin = layers.deserialize(layers.serialize(layer))

    assert vars(twin).get("axes") == vars(layer).get("axes")
    assert twin.get_config() == layer.get_config()
    assert repr(pickle.loads(pickle.dumps(layer))) == repr(layer)


def test_integers_are_added_as_floats():
    assert Add()([np.array([[1, 2]]), np.array([[0.5, 0.5]])]).dtype == np.float32


# -------------------------------------------------------------------------------------------- masks


LONG = np.array([[True, True, False], [True, False, False]])
SHORT = np.array([[True, False, False], [True, True, False]])


def mask_of(layer, x, *masks):
    return layer.compute_mask(x, masks)


@pytest.mark.parametrize("layer", [cls() for cls in ELEMENTWISE] + [Concatenate()])
def test_a_step_is_real_where_it_is_so_in_all_arrays_with_a_mask(layer):
    x = numbers((2, 3, 4), (2, 3, 4))

    np.testing.assert_array_equal(mask_of(layer, x, LONG, SHORT), LONG & SHORT)
    np.testing.assert_array_equal(mask_of(layer, x, None, SHORT), SHORT)
    np.testing.assert_array_equal(mask_of(layer, x, LONG, None), LONG)
    assert layer.compute_mask(x, None) is None


def test_the_mask_of_what_is_stretched_is_stretched_too():
    one = np.array([[True], [False]])
    x = numbers((2, 1, 4), (2, 3, 4))

    np.testing.assert_array_equal(mask_of(Add(), x, one, None), np.repeat(one, 3, 1))
    np.testing.assert_array_equal(mask_of(Add(), x, one, LONG), LONG & one)


def test_a_mask_goes_with_the_axes_of_its_array():
    x = numbers((2, 3, 4), (2, 5, 3, 4))
    found = mask_of(Add(), x, LONG, None)

    np.testing.assert_array_equal(found, np.broadcast_to(LONG[:, None], (2, 5, 3)))
    rows = np.array([True, False])
    np.testing.assert_array_equal(mask_of(Add(), numbers((2, 4), (2, 3, 4)), rows, None), rows)
    np.testing.assert_array_equal(
        mask_of(Add(), numbers((2, 4), (2, 3, 4)), rows, LONG), LONG & rows[:, None]
    )


def test_steps_that_are_joined_along_the_time_keep_their_masks():
    x = numbers((2, 3, 4), (2, 3, 4), (2, 1, 4))
    found = mask_of(Concatenate(1), x, LONG, SHORT, None)

    np.testing.assert_array_equal(found, np.concatenate([LONG, SHORT, np.ones((2, 1), bool)], 1))


def test_the_scores_of_an_attention_have_the_mask_of_both():
    x = numbers((2, 3, 4), (2, 3, 4))
    both = LONG[:, :, None] & SHORT[:, None]

    np.testing.assert_array_equal(mask_of(Dot(2), x, LONG, SHORT), both)
    np.testing.assert_array_equal(mask_of(Dot(2), x, LONG, None), LONG)
    wide = np.broadcast_to(SHORT[:, None], (2, 3, 3))
    np.testing.assert_array_equal(mask_of(Dot(2), x, None, SHORT), wide)
    scores = numbers((2, 3, 3))[0]
    np.testing.assert_array_equal(mask_of(Dot((2, 1)), (scores, x[1]), both, SHORT), LONG)
    assert mask_of(Dot(1), x, LONG, SHORT) is None  # the time has been summed


@pytest.mark.parametrize("masks", [(LONG, SHORT), (LONG, None), (None, SHORT)])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_dot_product_along_the_time_is_that_of_the_real_steps(masks, normalize):
    x = numbers((2, 3, 4), (2, 3, 2))
    layer = built(Dot(1, normalize), x)
    zeroed = tuple(
        a if m is None else np.where(m[:, :, None], a, 0) for a, m in zip(x, masks, strict=True)
    )
    noisy = tuple(
        a if m is None else np.where(m[:, :, None], a, 1e3) for a, m in zip(x, masks, strict=True)
    )

    wanted = layer.forward(zeroed)[0]

    np.testing.assert_allclose(layer.forward(noisy, Context(mask=masks))[0], wanted)
    assert_every_dx(Dot(1, normalize), x, mask=masks)


@pytest.mark.parametrize("layer", [Add(), Multiply(), Maximum(), Concatenate(), Concatenate(1)])
def test_what_stands_at_masked_steps_moves_no_gradient(layer):
    """From tokens to a pooling: padding may be of any length."""

    def gradients(a, b):
        one, two = Input((None,), name="one"), Input((None,), name="two")
        bp.random.set_random_seed(0)
        x = [Embedding(7, 3, mask_zero=True)(one), Embedding(7, 3, mask_zero=True)(two)]
        y = layers.GlobalAveragePooling1D()(Dense(2)(copy.deepcopy(layer)(x)))
        model = Graph([one, two], y)
        y, caches = model.forward((np.array(a), np.array(b)))
        model.backward(np.ones_like(y), caches)
        return [y, *(p.gradient.copy() for p in model.arrays())]

    short = gradients([[1, 2], [3, 0]], [[5, 4], [2, 0]])
    long = gradients([[1, 2, 0, 0], [3, 0, 0, 0]], [[5, 4, 0, 0], [2, 0, 0, 0]])

    for a, b in zip(short, long, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_a_masked_divisor_of_0_divides_nothing():
    x = numbers((2, 3, 4))[0]
    zero = np.where(LONG[:, :, None], x, 0)
    layer = built(Divide(), (x, zero))
    y, cache = layer.forward((x, zero), Context(mask=(None, LONG)))
    dy = np.where(LONG[:, :, None], 1.0, 0.0)

    np.testing.assert_array_equal(y[LONG], 1)
    assert np.isfinite(y).all() and all(np.isfinite(d).all() for d in layer.backward(dy, cache))


def test_branches_joined_along_the_time_say_so_of_their_mask():
    layer = layers.Parallel([layers.Linear(), layers.Linear()], axis=1)
    x = numbers((2, 3, 4))[0]
    layer.build((None, 3, 4))

    np.testing.assert_array_equal(layer.compute_mask(x, LONG), np.concatenate([LONG, LONG], 1))
