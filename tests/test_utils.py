import itertools
import math
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from backprop import Sequential, layers, preprocessing, utils
from backprop.layers import Dense
from backprop.utils.sequences import Windows

keras = pytest.importorskip("keras", reason="parity needs Keras")

# ----------------------------------------------------------------------------------- to_categorical


@given(
    labels=hnp.arrays(
        np.int64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.integers(0, 6)
    ),
    classes=st.one_of(st.none(), st.integers(7, 9)),
)
def test_to_categorical_agrees_with_keras(labels, classes):
    expected = keras.utils.to_categorical(labels.tolist(), classes)

    y = utils.to_categorical(labels, classes)

    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype


def test_to_categorical_takes_a_scalar_a_list_and_whole_floats():
    assert utils.to_categorical(1, 3).tolist() == [0, 1, 0]
    assert utils.to_categorical([[1.0], [0.0]]).tolist() == [[0, 1], [1, 0]]
    assert utils.to_categorical([], 2).shape == (0, 2)


@pytest.mark.parametrize(
    ("x", "classes", "error", "message"),
    [
        ([0, 3], 3, ValueError, "labels from 0 to 2 and got 3"),
        ([0, -1], None, ValueError, "got -1"),
        ([0.5], None, ValueError, "whole numbers"),
        ([math.nan], None, ValueError, "whole numbers"),
        (["cat"], None, TypeError, "np.unique"),
        ([], None, ValueError, "num_classes"),
        ([0], 0, ValueError, "num_classes to be a positive integer"),
        ([0], 2.5, ValueError, "num_classes"),
    ],
)
def test_to_categorical_refuses_labels_that_are_none(x, classes, error, message):
    with pytest.raises(error, match=message):
        utils.to_categorical(x, classes)


# ---------------------------------------------------------------------------------------- normalize


@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
        elements=st.floats(-10, 10, width=32),
    ),
    order=st.sampled_from([1, 2, 3, np.inf]),
)
def test_normalize_agrees_with_keras_along_the_last_axis(x, order):
    tolerance = 2e-5 if x.dtype == np.float32 else 1e-12

    y = utils.normalize(x, order=order)

    with np.errstate(under="ignore"):
        expected = keras.utils.normalize(x, order=order)
    sound = np.abs(x).max(-1) > 1e-6  # Keras' powers of smaller entries underflow
    np.testing.assert_allclose(y[sound], expected[sound], rtol=tolerance, atol=1e-12)
    assert y.dtype == x.dtype


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_normalized_vectors_have_norm_1_along_every_axis(axis):
    x = np.random.default_rng(0).normal(size=(3, 3, 3))

    y = utils.normalize(x, axis)

    np.testing.assert_allclose(np.linalg.norm(y, axis=axis), 1)


def test_normalize_keeps_zeros_shapes_and_its_input():
    x = np.array([3, 4])

    assert utils.normalize(x).tolist() == [0.6, 0.8]
    assert utils.normalize([[0, 0], [0, 2]]).tolist() == [[0, 0], [0, 1]]
    assert x.tolist() == [3, 4]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_normalize_neither_overflows_nor_underflows(scale):
    np.testing.assert_allclose(utils.normalize(np.array([3.0, 4.0]) * scale), [0.6, 0.8])


@pytest.mark.parametrize(("x", "axis"), [([1.0], 1), ([1.0], None), (1.0, -1), ([[1.0]], 0.5)])
def test_normalize_refuses_an_axis_that_is_not_there(x, axis):
    with pytest.raises(ValueError, match="axis"):
        utils.normalize(x, axis)


def test_normalize_refuses_an_order_that_is_no_number():
    with pytest.raises(ValueError, match="order to be a number, got 'fro'"):
        utils.normalize(np.ones((2, 2)), order="fro")


def test_normalize_refuses_text():
    with pytest.raises(TypeError, match="numbers"):
        utils.normalize(["a"])


# ------------------------------------------------------------------------------------ split_dataset


@given(
    rows=st.integers(2, 12),
    left=st.one_of(st.none(), st.integers(1, 12), st.floats(0.05, 0.95)),
    right=st.one_of(st.none(), st.integers(1, 12), st.floats(0.05, 0.95)),
)
def test_split_dataset_has_the_sizes_of_keras(rows, left, right):
    from keras.src.utils import dataset_utils

    x = np.arange(rows)
    try:
        if left is None and right is None:
            raise ValueError
        expected = dataset_utils._rescale_dataset_split_sizes(left, right, rows)
    except ValueError:
        with pytest.raises(ValueError, match="split_dataset"):
            utils.split_dataset(x, left, right)
        return

    first, last = utils.split_dataset(x, left, right)

    assert (len(first), len(last)) == expected
    np.testing.assert_array_equal(first, x[: expected[0]])
    np.testing.assert_array_equal(last, x[rows - expected[1] :])


def test_split_dataset_keeps_rows_together_when_it_shuffles():
    x = np.arange(20)

    (a, b), (c, d) = utils.split_dataset((x, -x), 0.5, shuffle=True, seed=3)
    again = utils.split_dataset([x, -x], 0.5, shuffle=True, seed=3)

    np.testing.assert_array_equal(a, -b)
    np.testing.assert_array_equal(c, -d)
    assert sorted([*a, *c]) == list(range(20))
    assert list(a) != list(range(10))
    np.testing.assert_array_equal(again[0][0], a)
    assert isinstance(again[0], list)


@pytest.mark.parametrize(
    ("dataset", "sizes", "error", "message"),
    [
        ((np.ones(3), np.ones(4)), {"left_size": 1}, ValueError, r"one length, got \[3, 4\]"),
        ([[1, 2]], {"left_size": 1}, TypeError, "got list"),
        ((), {"left_size": 1}, TypeError, "got nothing"),
        (np.ones(3), {"left_size": "half"}, TypeError, "left_size"),
        (np.ones(3), {"left_size": 1, "preferred_backend": "tensorflow"}, ValueError, "numpy"),
    ],
)
def test_split_dataset_refuses_what_it_cannot_split(dataset, sizes, error, message):
    with pytest.raises(error, match=message):
        utils.split_dataset(dataset, **sizes)


# ------------------------------------------------------------------------------------ pad_sequences


@given(
    sequences=st.lists(st.lists(st.integers(-9, 9), max_size=6), min_size=1, max_size=5),
    maxlen=st.one_of(st.none(), st.integers(1, 7)),
    dtype=st.sampled_from(["int32", "float32", "float64"]),
    ends=st.tuples(*[st.sampled_from(["pre", "post"])] * 2),
    value=st.sampled_from([0.0, -1, 7]),
)
def test_pad_sequences_agrees_with_keras(sequences, maxlen, dtype, ends, value):
    arguments = maxlen, dtype, *ends, value
    expected = keras.utils.pad_sequences(sequences, *arguments)

    y = utils.pad_sequences(sequences, *arguments)

    np.testing.assert_array_equal(y, expected)
    assert y.dtype == expected.dtype


def test_pad_sequences_pads_vectors_and_words():
    vectors = [np.ones((1, 2)), np.zeros((0, 2)), np.ones((3, 2))]
    words = [["a"], ["b", "c"]]

    padded = utils.pad_sequences(vectors, dtype="float32", padding="post")

    np.testing.assert_array_equal(
        padded, keras.utils.pad_sequences(vectors, dtype="float32", padding="post")
    )
    assert utils.pad_sequences(words, dtype=object, value="-").tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "arguments", "error", "message"),
    [
        (iter([[1]]), {}, TypeError, r"use list\("),
        ([[1], 2], {}, TypeError, "entry 1 is 2"),
        ([], {}, ValueError, "maxlen"),
        ([[1]], {"maxlen": 0}, ValueError, "maxlen to be a positive integer"),
        ([[1]], {"padding": "left"}, ValueError, "padding to be one of 'pre', 'post'"),
        ([[1]], {"truncating": "left"}, ValueError, "truncating"),
        ([[1]], {"value": "x"}, ValueError, "dtype=object"),
        ([[[1, 2]], [[1]]], {}, ValueError, "sequence 1 has steps of shape"),
    ],
)
def test_pad_sequences_refuses_what_it_cannot_pad(sequences, arguments, error, message):
    with pytest.raises(error, match=message):
        utils.pad_sequences(sequences, **arguments)


# -------------------------------------------------------------------- timeseries_dataset_from_array


def windows_by_hand(data, targets, length, stride, rate, start, end):
    """The definition as loops."""
    data, targets = data[start:end], None if targets is None else targets[start:end]
    found = []
    for first in range(0, len(data), stride):
        steps = [first + t * rate for t in range(length)]
        if steps[-1] < len(data) and (targets is None or first < len(targets)):
            found.append((data[steps], None if targets is None else targets[first]))
    return found


@st.composite
def series(draw):
    steps = draw(st.integers(4, 30))
    start = draw(st.integers(0, steps // 2 - 1))
    end = draw(st.one_of(st.none(), st.integers(start + 1, steps - 1)))
    data = np.arange(steps * 2.0).reshape(draw(st.sampled_from([(-1,), (-1, 2), (-1, 1, 2)])))[
        :steps
    ]
    targets = draw(
        st.one_of(st.none(), st.just(np.arange(float(draw(st.integers(start + 1, 40))))))
    )
    shape = [draw(st.integers(1, 3)) for _ in range(3)]
    return data, targets, *shape, start, end


@given(series(), st.integers(1, 5))
def test_windows_are_those_of_the_definition(case, batch_size):
    data, targets, length, stride, rate, start, end = case
    expected = windows_by_hand(*case)
    arguments = {
        "sequence_stride": stride,
        "sampling_rate": rate,
        "start_index": start,
        "end_index": end,
    }

    if not expected:
        with pytest.raises(ValueError, match="at least one window"):
            utils.timeseries_dataset_from_array(data, targets, length, **arguments)
        return
    found = utils.timeseries_dataset_from_array(
        data, targets, length, batch_size=batch_size, **arguments
    )

    assert len(found) == math.ceil(len(expected) / batch_size)
    for _ in range(2):  # a second pass is like the first
        batches = list(found)
        assert len(batches) == len(found)
        xs = batches if targets is None else [x for x, _ in batches]
        np.testing.assert_array_equal(np.concatenate(xs), [x for x, _ in expected])
        if targets is not None:
            np.testing.assert_array_equal(
                np.concatenate([y for _, y in batches]), [y for _, y in expected]
            )


@given(series(), st.integers(1, 5))
def test_windows_agree_with_keras(case, batch_size):
    pytest.importorskip(
        "grain", reason="Keras makes its windows through grain, which is not installed"
    )
    data, targets, length, stride, rate, start, end = case
    if not windows_by_hand(*case) or (start and targets is not None and len(targets) < len(data)):
        return  # Keras counts targets before start_index too, and then misses those at the end
    arguments = {
        "sequence_stride": stride,
        "sampling_rate": rate,
        "start_index": start,
        "end_index": end,
    }
    arguments |= {"batch_size": batch_size, "format": "grain"}

    found = list(utils.timeseries_dataset_from_array(data, targets, length, **arguments))

    expected = list(keras.utils.timeseries_dataset_from_array(data, targets, length, **arguments))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        if targets is None:
            ours, theirs = (ours,), (theirs,)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, np.asarray(b))


def test_shuffled_windows_come_in_an_order_of_their_own_in_every_pass():
    data = np.arange(50)

    def passes(seed):
        windows = utils.timeseries_dataset_from_array(
            data, data, 5, batch_size=8, shuffle=True, seed=seed
        )
        return [np.concatenate([y for _, y in windows]).tolist() for _ in range(2)]

    first, second = passes(seed=1)

    assert first != second
    assert sorted(first) == sorted(second) == list(range(46))
    assert passes(seed=1) == [first, second]
    assert passes(seed=2)[0] != first


def test_shuffled_windows_keep_their_targets():
    data = np.arange(50)

    windows = utils.timeseries_dataset_from_array(data, data * 10, 3, shuffle=True, batch_size=7)

    for x, y in windows:
        np.testing.assert_array_equal(x[:, 0] * 10, y)


def test_unseeded_windows_follow_set_random_seed():
    orders = []
    for _ in range(2):
        utils.set_random_seed(5)
        windows = utils.timeseries_dataset_from_array(np.arange(50), None, 3, shuffle=True)
        orders.append(next(iter(windows))[:, 0].tolist())

    assert orders[0] == orders[1]


def test_single_windows_without_a_batch_size():
    windows = utils.timeseries_dataset_from_array(np.arange(5), np.arange(5), 3, batch_size=None)

    assert len(windows) == 3
    assert [(x.tolist(), int(y)) for x, y in windows] == [
        ([0, 1, 2], 0),
        ([1, 2, 3], 1),
        ([2, 3, 4], 2),
    ]


def test_windows_are_arrays_of_their_own():
    data = np.zeros((9, 2))

    for batch_size, shuffle in itertools.product([None, 2], [False, True]):
        arguments = {"batch_size": batch_size, "shuffle": shuffle, "sampling_rate": 2}
        for x, y in utils.timeseries_dataset_from_array(data, data, 3, **arguments):
            x[...] = 1
            assert x.flags.c_contiguous and not np.shares_memory(y, data)

    assert not data.any()


def test_windows_can_be_pickled():
    windows = utils.timeseries_dataset_from_array(np.arange(9), None, 3, shuffle=True, seed=0)

    again = pickle.loads(pickle.dumps(windows))

    np.testing.assert_array_equal(next(iter(again)), next(iter(windows)))


def series(**arguments):
    return utils.timeseries_dataset_from_array(
        np.arange(20), np.arange(20), 3, **({"batch_size": 4} | arguments)
    )


def same_batches(found, expected):
    for (x, y), (x_expected, y_expected) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, x_expected)
        np.testing.assert_array_equal(y, y_expected)


@pytest.mark.parametrize("arguments", [{}, {"shuffle": True, "seed": 3}, {"batch_size": None}])
def test_windows_are_read_by_index_and_in_parts(arguments):
    windows = series(**arguments)
    n = len(windows)

    by_index, first, rest, middle = (
        [windows[i] for i in range(n)],
        *(list(part) for part in (windows.take(2), windows.skip(2), windows[1:3])),
    )  # a pass over a part is no pass over the whole
    every = list(windows)

    same_batches(by_index, every)
    same_batches(first + rest, every)
    same_batches(middle, every[1:3])
    same_batches([series(**arguments)[-1]], every[-1:])


def test_parts_of_windows_have_lengths():
    windows = series()

    assert (len(windows), windows.count) == (5, 18)
    assert (len(windows.skip(4)), windows.skip(4).count) == (1, 2)
    assert len(windows.take(9)) == len(windows.take(-1)) == 5 and len(windows.skip(9)) == 0
    with pytest.raises(IndexError, match="there are 5 batches and 5 was asked for"):
        windows[5]
    with pytest.raises(ValueError, match=r"take\(\) expects count"):
        windows.take(-2)


def test_fit_goes_through_windows_in_their_own_order():
    seen = []

    class Told(Windows):
        def gather(self, samples):
            x, y = super().gather(samples)
            seen.append(int(y[0]))
            return x, y

    windows = series()
    windows.__class__ = Told
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    model.fit(windows, epochs=2, verbose=0)

    assert seen == [0, 4, 8, 12, 16] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sequence_length": 0}, ValueError, "sequence_length to be a positive integer"),
        ({"sequence_length": 2.5}, ValueError, "sequence_length"),
        ({"sequence_length": 11}, ValueError, "spans 11 steps, and got 10 steps"),
        ({"sampling_rate": 0}, ValueError, "sampling_rate"),
        ({"sampling_rate": 10}, ValueError, "sampling_rate to be less than the 10 steps"),
        ({"sequence_stride": 10}, ValueError, "sequence_stride"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"start_index": -1}, ValueError, "start_index"),
        ({"start_index": 10}, ValueError, "start_index to be less than the 10 steps"),
        ({"end_index": 10}, ValueError, "end_index to be less than the 10 steps"),
        ({"start_index": 5, "end_index": 5}, ValueError, "above start_index=5"),
        ({"seed": -1}, ValueError, "seed"),
        ({"format": "torch"}, ValueError, "format to be one of 'tf', 'grain'"),
        ({"data": 3.0}, TypeError, "first axis is time"),
        ({"targets": [[1], [1, 2]]}, ValueError, "targets to be an array, or lists of one length"),
    ],
)
def test_windows_refuse_wrong_arguments(arguments, error, message):
    arguments = {"data": np.arange(10), "targets": None, "sequence_length": 3} | arguments

    with pytest.raises(error, match=message):
        utils.timeseries_dataset_from_array(**arguments)


# ------------------------------------------------------------------------------------ other helpers


DRAWS = {
    "random.random": lambda: random.random(),
    "random.sample": lambda: random.sample(range(100), 5),
    "numpy.random.rand": lambda: np.random.rand(3).tolist(),
    "numpy.random.permutation": lambda: np.random.permutation(9).tolist(),
    "numpy.random.normal": lambda: np.random.normal(size=2).tolist(),
}


@pytest.fixture
def global_generators():
    """Python's and NumPy's, put back as they were."""
    before = random.getstate(), np.random.get_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])


@pytest.mark.usefixtures("global_generators")
@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**40 + 3])
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_script_draws_the_same_data_after_the_same_seed(draw, seed):
    found = []
    for other in (1, 2):
        random.seed(other)
        np.random.seed(other)
        utils.set_random_seed(seed)
        found.append(draw())

    assert found[0] == found[1]


@pytest.mark.usefixtures("global_generators")
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_script_draws_what_it_draws_with_keras(draw):
    keras.utils.set_random_seed(3)
    theirs = draw()

    utils.set_random_seed(3)

    assert draw() == theirs


@pytest.mark.usefixtures("global_generators")
def test_a_script_and_its_layers_do_not_move_each_other():
    weights, drawn = [], []
    for busy in (False, True):
        utils.set_random_seed(0)
        if busy:
            random.random()
            np.random.rand(5)
        weights.append(layers.Dense(3)(np.ones((1, 2))))
        utils.set_random_seed(0)
        if busy:
            layers.Dropout(0.5)(np.ones((4, 4)), training=True)
        drawn.append(np.random.rand(3))

    np.testing.assert_array_equal(*weights)
    np.testing.assert_array_equal(*drawn)


@pytest.mark.usefixtures("global_generators")
def test_a_seed_that_is_refused_changes_nothing():
    utils.set_random_seed(5)
    expected = random.random(), np.random.rand()
    utils.set_random_seed(5)

    for wrong in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match="not negative"):
            utils.set_random_seed(wrong)

    assert (random.random(), np.random.rand()) == expected


def test_the_seed_and_the_scopes_are_those_of_the_core():
    from backprop import config, random

    assert utils.set_random_seed is random.set_random_seed
    assert utils.custom_object_scope is utils.CustomObjectScope is config.custom_object_scope
    assert utils.get_custom_objects() is config.get_custom_objects()


# ------------------------------------------------------------------ symbolic arrays


def test_symbolic_arrays_are_told_from_others():
    x = layers.Input((3,))

    assert utils.is_keras_tensor(x) and utils.is_keras_tensor(layers.Dense(2)(x))
    assert not any(map(utils.is_keras_tensor, (np.ones(3), layers.Dense(2), None, [x])))


def test_the_sources_of_a_symbolic_array_are_its_inputs_each_once():
    a, b, c = (layers.Input((4,), name=name) for name in "abc")
    h = layers.Dense(4)(a)
    y = layers.Dense(2)(layers.Concatenate()([h * b, h + a]))

    assert utils.get_source_inputs(y) == [a, b]
    assert utils.get_source_inputs(c) == [c]
    with pytest.raises(TypeError, match=r"expects what Input\(\) or the call of a layer"):
        utils.get_source_inputs(np.ones(3))


def test_preprocessing_is_what_it_is_in_keras():
    for ours, theirs in (
        (preprocessing, keras.preprocessing),
        (preprocessing.image, keras.preprocessing.image),
        (preprocessing.sequence, keras.preprocessing.sequence),
    ):
        public = {name for name in dir(theirs) if name[0] != "_"}
        assert public - {"smart_resize"} == set(ours.__all__)
        for name in {*ours.__all__} - {"image", "sequence"}:
            assert getattr(ours, name) is getattr(utils, name)
    with pytest.raises(AttributeError, match=r"Resizing\(height, width, crop_to_aspect_ratio=True"):
        preprocessing.image.smart_resize  # noqa: B018
