"""What all losses share: reductions, weights, masks, names, configurations, checks."""

from __future__ import annotations

import copy
import pickle
import textwrap

import numpy as np
import pytest
from finite_differences import assert_loss_gradient
from hypothesis import given, strategies as st

from backprop import Input, Sequential, losses, metrics
from backprop.layers import Dense
from backprop.losses import Loss, MeanSquaredError, SparseCategoricalCrossentropy

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]


class Quartic(Loss):
    """values = Σ d⁴: a loss as a user writes it."""

    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return (d**4).sum(-1), d

    def gradient(self, dvalues, cache):
        return dvalues[..., None] * 4 * cache**3


# ------------------------------------------------------------------ reductions, weights, masks


def test_reductions_by_hand():
    y_true, y_pred = np.zeros((2, 1)), np.array([[1.0], [3.0]])  # values 1 and 9
    w = np.array([3.0, 1.0])

    def found(reduction, **more):
        return MeanSquaredError(reduction=reduction).forward(y_true, y_pred, **more)[0]

    assert found("sum") == 10
    assert found("mean") == found("sum_over_batch_size") == 5
    assert found("mean_with_sample_weight") == 5
    assert found("sum", sample_weight=w) == 12
    assert found("mean", sample_weight=w) == 6
    assert found("mean_with_sample_weight", sample_weight=w) == 3
    np.testing.assert_array_equal(found("none", sample_weight=w), [3, 9])
    np.testing.assert_array_equal(found(None), [1, 9])
    assert found("mean", mask=np.array([True, False])) == 1
    assert found("sum", mask=np.array([False, True])) == 9
    assert found("mean", mask=np.array([False, False])) == 0


# shapes of values, weights and masks that Keras accepts, and that mean the same here
MEETINGS = [
    ((4,), None, None),
    ((4,), (), None),
    ((4,), (1,), None),
    ((4,), (4,), None),
    ((4,), (4, 1), None),
    ((4, 3), (4, 3), None),
    ((4, 3), (4, 1), None),
    ((4, 3), (1, 3), None),
    ((4, 3), (3,), None),
    ((4, 3), (4, 3, 1), None),
    ((4, 1), (4,), None),
    ((4, 3, 1), (4, 3), None),
    ((4, 3), None, (4, 3)),
    ((4, 3), None, (4, 3, 1)),
    ((4,), None, (4,)),
    ((4,), (4,), (4,)),
    ((4, 3), (4, 3), (4, 3)),
    ((4, 3), (4, 3, 1), (4, 3)),
    ((4,), (4, 1), (4,)),
    ((), (4,), None),
    ((), None, None),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "weights", "masks"), MEETINGS)
def test_weights_and_masks_meet_values_as_in_keras(float64_keras, reduction, shape, weights, masks):
    from keras.src.losses.loss import reduce_weighted_values

    rng = np.random.default_rng(0)
    y_true, y_pred = rng.standard_normal((2, *shape, 2))
    w = None if weights is None else rng.uniform(0.5, 2, weights)
    mask = None if masks is None else rng.random(masks) < 0.6
    values = ((y_pred - y_true) ** 2).mean(-1)
    loss = MeanSquaredError(reduction=reduction)

    value, _ = loss.forward(y_true, y_pred, w, mask)

    wanted = reduce_weighted_values(values, w, mask, reduction, dtype="float64")
    assert np.shape(value) == np.shape(wanted)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("shape", "weights", "masks"),
    [*MEETINGS, ((4, 3), (4,), None), ((3, 3), (3,), (3, 3)), ((4, 3, 2), (4,), (4, 3))],
)
def test_gradient_holds_weights_mask_and_reduction(reduction, shape, weights, masks):
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.standard_normal((2, *shape, 2))
    w = None if weights is None else rng.uniform(0.5, 2, weights)
    mask = None if masks is None else rng.random(masks) < 0.6

    class Masked(Quartic):
        def forward(self, y_true, y_pred, sample_weight=None, mask=mask):
            return super().forward(y_true, y_pred, sample_weight, mask)

    assert_loss_gradient(Masked(reduction=reduction), y_true, y_pred, sample_weight=w)


@given(n=st.integers(1, 4), t=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_weight_for_each_sample_holds_for_all_its_steps(n, t, seed):
    rng = np.random.default_rng(seed)
    y_true, y_pred = rng.standard_normal((2, n, t, 2))
    w, mask = rng.uniform(0.5, 2, n), rng.random((n, t)) < 0.7
    loss = MeanSquaredError()

    for more in ({}, {"mask": mask}):
        short = loss.forward(y_true, y_pred, w, **more)[0]
        long = loss.forward(y_true, y_pred, np.repeat(w[:, None], t, 1), **more)[0]

        np.testing.assert_allclose(short, long, rtol=1e-12)


def test_a_masked_entry_gets_no_gradient():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.standard_normal((2, 3, 4, 2))
    mask = rng.random((3, 4)) < 0.5
    loss = MeanSquaredError()

    _, cache = loss.forward(y_true, y_pred, mask=mask)

    np.testing.assert_array_equal(np.any(loss.backward(cache), -1), mask)


def test_a_mask_adds_to_ignored_labels():
    y, z = np.array([[0, 9], [1, 1]]), np.random.default_rng(0).standard_normal((2, 2, 3))
    loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=9)
    mask = np.array([[True, True], [False, True]])

    value, _ = loss.forward(y, z, mask=mask)

    np.testing.assert_allclose(value, loss(np.array([0, 1]), z[[0, 1], [0, 1]]))


@pytest.mark.parametrize("weights", [(3,), (4, 3), (4, 2, 3)])
def test_weights_of_another_shape_are_refused(weights):
    y = np.zeros((4, 2, 5))
    for reduction in REDUCTIONS:
        loss = MeanSquaredError(reduction=reduction)
        with pytest.raises(ValueError, match=r"values of shape \(4, 2\) and got sample_weight"):
            loss(y, y, np.ones(weights))
    with pytest.raises(ValueError, match="sample_weight or mask"):
        MeanSquaredError().forward(y, y, mask=np.ones(weights, bool))


def test_ranks_are_aligned_as_in_keras(float64_keras):
    rng = np.random.default_rng(0)
    peer = float64_keras.losses.MeanSquaredError()
    for a, b in [
        ((4,), (4, 1)),
        ((4, 1), (4,)),
        ((4, 3), (4, 3, 1)),
        ((4, 3, 1), (4, 3)),
        ((4,),) * 2,
    ]:
        y_true, y_pred = rng.standard_normal(a), rng.standard_normal(b)
        value, cache = MeanSquaredError().forward(y_true, y_pred)

        np.testing.assert_allclose(value, peer(y_true, y_pred), rtol=1e-12)
        assert MeanSquaredError().backward(cache).shape == b
        assert_loss_gradient(MeanSquaredError(), y_true, y_pred)


# ------------------------------------------------------------------ dtypes


def test_integer_predictions_are_computed_in_float32():
    value, cache = MeanSquaredError().forward(np.array([[1, 2]]), np.array([[2, 4]]))

    assert value == 2.5 and value.dtype == np.float32
    assert MeanSquaredError().backward(cache).dtype == np.float32


def test_a_dtype_of_its_own_is_what_the_loss_computes_in():
    loss = MeanSquaredError(dtype="float64")
    y_true, y_pred = np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)

    value, cache = loss.forward(y_true, y_pred)

    assert value.dtype == np.float64
    assert loss.backward(cache).dtype == np.float32  # what the model below computes in


def test_labels_beyond_float32_are_not_rounded():
    classes = 2**24 + 2
    y_pred = np.zeros((1, classes), np.float32)
    y_pred[0, -1] = 100

    loss = SparseCategoricalCrossentropy(from_logits=True)

    assert loss.forward(np.array([classes - 1]), y_pred)[0] < 1e-3


# ------------------------------------------------------------------ a user's own loss


def test_a_loss_of_a_user_needs_values_and_gradient_only():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.standard_normal((2, 3, 2))
    loss = losses.get(Quartic)

    assert repr(loss) == "Quartic()"
    assert loss.name == "quartic"
    assert_loss_gradient(loss, y_true, y_pred, sample_weight=np.arange(3.0))


def test_a_loss_without_a_gradient_says_what_to_write():
    class Half(Loss):
        def values(self, y_true, y_pred):
            return y_pred.sum(-1), None

    _, cache = Half().forward(np.zeros((1, 1)), np.ones((1, 1)))

    with pytest.raises(TypeError, match=r"Half has no gradient.*dy_pred"):
        Half().backward(cache)
    with pytest.raises(TypeError, match="has no values"):
        Loss().forward(np.zeros((1, 1)), np.ones((1, 1)))


def test_a_loss_in_keras_style_says_what_to_write():
    class Old(Loss):
        def call(self, y_true, y_pred):
            return y_pred

    with pytest.raises(TypeError, match="rename call to values"):
        Old()


# ------------------------------------------------------------------ names and configurations


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("mse", "MeanSquaredError"),
        ("MSE", "MeanSquaredError"),
        ("mean_squared_error", "MeanSquaredError"),
        ("MeanSquaredError", "MeanSquaredError"),
        ("mae", "MeanAbsoluteError"),
        ("MAPE", "MeanAbsolutePercentageError"),
        ("msle", "MeanSquaredLogarithmicError"),
        ("bce", "BinaryCrossentropy"),
        ("kld", "KLDivergence"),
        ("kl_divergence", "KLDivergence"),
        ("logcosh", "LogCosh"),
        ("log_cosh", "LogCosh"),
        ("huber", "Huber"),
        ("poisson", "Poisson"),
        ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
        (losses.hinge, "Hinge"),
        (losses.categorical_focal_crossentropy, "CategoricalFocalCrossentropy"),
        (losses.CosineSimilarity, "CosineSimilarity"),
        ({"class_name": "Huber", "config": {"delta": 2.0}}, "Huber"),
    ],
)
def test_get_finds_a_loss(name, cls):
    assert type(losses.get(name)).__name__ == cls


def test_every_function_is_the_loss_of_the_same_name():
    functions = {n for n in losses.__all__ if n.islower()} - {"get", "serialize", "deserialize"}

    assert len(functions) == len(losses.REGISTRY.classes)
    for name in functions:
        assert type(losses.get(getattr(losses, name))) is type(losses.get(name))


def test_get_leaves_objects_and_none_alone():
    loss = MeanSquaredError()

    assert losses.get(loss) is loss
    assert losses.get(None) is None


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


def test_a_function_of_a_user_is_told_to_become_a_class():
    def mean_squared_error(y_true, y_pred):  # the name of a known one, and still another function
        return ((y_true - y_pred) ** 2).mean(-1)

    with pytest.raises(TypeError, match=r"class MeanSquaredError\(losses\.Loss\)"):
        losses.get(mean_squared_error)


def test_configuration_makes_the_same_loss_again():
    loss = SparseCategoricalCrossentropy(True, ignore_class=3, reduction="sum", name="ce")

    config = losses.serialize(loss)
    again = losses.deserialize(config)

    assert config["module"] == "losses"
    assert repr(again) == repr(loss)
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction, again.ignore_class) == ("ce", "sum", 3)
    config = losses.serialize(Quartic(reduction="sum"))
    mine = losses.deserialize(config, {"Quartic": Quartic})
    assert config["module"] == "losses"
    assert type(mine) is Quartic and mine.reduction == "sum"


def test_a_loss_survives_pickle_and_copy():
    loss = losses.Huber(delta=2.0)
    y = np.array([[3.0]])

    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert twin(0 * y, y) == loss(0 * y, y) == 4.0


def test_names_are_those_of_keras():
    keras = pytest.importorskip("keras", reason="keras is the peer for names")

    for name in losses.REGISTRY.classes.keys() - {"GaussianNLL", "Quantile"}:  # our own
        assert losses.get(name).name == getattr(keras.losses, name)().name


# ------------------------------------------------------------------ checks at the border


@pytest.mark.parametrize("arguments", [{"reduction": "average"}, {"dtype": "int32"}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"average|int32"):
        MeanSquaredError(**arguments)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: losses.Huber(0), "positive delta"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), "label_smoothing.*1.5"),
        (lambda: losses.CategoricalCrossentropy(axis=True), "integer as axis"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(1.0), "q between 0 and 1"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1.0), "gamma"),
    ],
)
def test_wrong_parameters_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


SPARSE, ONE_HOT = SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy()
BINARY, MSE = losses.BinaryCrossentropy(), MeanSquaredError()


@pytest.mark.parametrize(
    ("loss", "y_true", "output_shape", "words"),
    [
        (
            SPARSE,
            [0, 10],
            (None, 10),
            "from 0 to 9 for 10 classes and got 10; .*count from 0",
        ),
        (SPARSE, [0, -1], (None, 10), "got -1; .*ignore_class=-1"),
        (SPARSE, [0.5, 1], (None, 10), "whole numbers as labels and got 0.5"),
        (SPARSE, [np.nan, 1], (None, 10), "whole numbers as labels and got nan"),
        (SPARSE, [np.inf, 1], (None, 10), "whole numbers as labels and got inf"),
        (SPARSE, np.eye(10), (None, 10), "one-hot labels.*use CategoricalCrossentropy"),
        (SPARSE, np.zeros((4, 2)), (None, 10), r"class numbers of shape \(any,\).*\(4, 2\)"),
        (SPARSE, [0, 1], (None, 1), "use BinaryCrossentropy"),
        (SPARSE, [0, 1], (None, 5, 3), r"\(any, 5\).*one a position"),
        (SparseCategoricalCrossentropy(axis=3), [0], (None, 2), "axis 3"),
        (SparseCategoricalCrossentropy(ignore_class=255), [255, 11], (None, 10), "got 11"),
        (ONE_HOT, [0, 1], (None, 10), r"use SparseCat.*utils.to_categorical\(y, 10\)"),
        (ONE_HOT, [[0], [1]], (None, 10), "class numbers.*use SparseCategoricalCrossentropy"),
        (ONE_HOT, np.eye(3), (None, 10), r"shape \(any, 10\) and got \(3, 3\); .*3 unit"),
        (ONE_HOT, [[1.0]], (None, 1), "use BinaryCrossentropy for two classes"),
        (ONE_HOT, 5 * np.eye(3), (None, 3), "labels from 0 to 1 and got 0.0 to 5.0"),
        (losses.CategoricalHinge(), [0, 1], (None, 3), "one-hot"),
        (losses.CategoricalFocalCrossentropy(), [0, 1], (None, 3), "one-hot"),
        (losses.CategoricalGeneralizedCrossEntropy(), [0, 3], (None, 3), "got 3"),
        (BINARY, [-1, 1], (None, 1), "labels from 0 to 1 and got -1 to 1; .*Hinge"),
        (BINARY, [np.nan, 1], (None, 1), "labels from 0 to 1"),
        (BINARY, [0, 1], (None, 2), "1 unit.*SparseCategoricalCrossentropy"),
        (losses.Hinge(), [0, 2], (None, 1), "-1 and 1, or 0 and 1"),
        (losses.Poisson(), [-1.0], (None, 1), "counts"),
        (MSE, np.zeros((4, 2)), (None, 3), r"\(any, 3\) and got \(4, 2\); give the last layer 2"),
        (MSE, np.zeros((4, 2, 1)), (None, 3), r"\(any, 3\) and got \(4, 2, 1\)"),
        (MSE, np.zeros(4), (None, 3), r"\(any, 3\) and got \(4,\)"),
        (MSE, 1.0, (), "single number"),
    ],
)
def test_targets_that_do_not_fit_are_refused_with_advice(loss, y_true, output_shape, words):
    with pytest.raises(ValueError, match=words) as caught:
        loss.check(np.asarray(y_true), output_shape)
    assert str(caught.value).startswith(type(loss).__name__)


@pytest.mark.parametrize("loss", [SPARSE, ONE_HOT, BINARY, MSE])
@pytest.mark.parametrize("y_true", [np.array(["cat", "dog"]), np.array([{}, None])])
def test_text_and_objects_are_refused(loss, y_true):
    with pytest.raises(TypeError, match="expects numbers as targets"):
        loss.check(y_true, (None, 2))


@pytest.mark.parametrize(
    ("loss", "y_true", "output_shape"),
    [
        (SPARSE, [0, 9], (None, 10)),
        (SPARSE, [[0.0], [9.0]], (None, 10)),
        (SPARSE, [[0, 1, 2]], (None, 3, 10)),
        (SPARSE, [[0, 1, 2]], (None, None, 10)),
        (SparseCategoricalCrossentropy(ignore_class=-1), [-1, 9], (None, 10)),
        (SparseCategoricalCrossentropy(axis=1), [[0, 1, 1]], (None, 2, 3)),
        (ONE_HOT, np.eye(3), (None, 3)),
        (ONE_HOT, np.full((2, 3), 1 / 3), (None, 3)),
        (BINARY, [True, False], (None, 1)),
        (BINARY, [[0.5], [1.0]], (None, 1)),
        (BINARY, np.zeros((2, 7)), (None, 7)),
        (losses.Hinge(), [-1, 1], (None, 1)),
        (MSE, [1.0, 2.0], (None, 1)),
        (MSE, [[1.0], [2.0]], (None,)),
        (MSE, np.zeros((2, 3)), (None, 3, 1)),
        (MSE, np.zeros((2, 3, 1)), (None, None, 1)),
    ],
)
def test_targets_that_fit_are_accepted(loss, y_true, output_shape):
    loss.check(np.asarray(y_true), output_shape)

    y_pred = np.full([3 if n is None else n for n in output_shape], 0.5)[:1].repeat(len(y_true), 0)
    assert np.isfinite(loss(y_true, y_pred))


def test_a_call_checks_shapes_and_class_numbers():
    y_pred = np.full((2, 3), 1 / 3)

    with pytest.raises(ValueError, match="got 3; labels count from 0"):
        losses.sparse_categorical_crossentropy([1, 3], y_pred)
    with pytest.raises(ValueError, match="targets of the outputs' shape"):
        MSE(np.zeros((2, 2)), y_pred)
    with pytest.raises(TypeError, match="numbers as y_pred"):
        MSE(np.zeros((1, 1)), [["a"]])


# ------------------------------------------------------------------------ what an author slips on


def squared_error(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean(-1)


class CallableThing:
    def __call__(self, y_true, y_pred):
        return squared_error(y_true, y_pred)


@pytest.mark.parametrize(
    ("given", "title"),
    [
        (squared_error, "SquaredError"),
        (lambda y_true, y_pred: 0, "MyLoss"),
        (CallableThing(), "CallableThing"),
        (np.mean, "Mean"),
    ],
)
def test_a_function_is_answered_with_the_class_to_write(given, title):
    model = Sequential([Input((2,)), Dense(1)])

    with pytest.raises(TypeError, match="whose gradient is not known") as caught:
        model.compile("sgd", loss=given)

    message = str(caught.value)
    assert f"class {title}(losses.Loss):" in message
    skeleton = message.split("\n\n")[1].replace("losses.Loss", "Loss")
    compile(textwrap.dedent(skeleton), "skeleton", "exec")
    assert "Write a loss" in message


def test_what_is_no_loss_at_all_is_answered_with_a_name_and_an_object():
    for thing in (3, 0.5, ["mse"]):
        with pytest.raises(TypeError, match=r"pass a name like 'mse', or an object"):
            losses.get(thing)


def test_a_metric_is_answered_with_the_loss_of_its_name():
    with pytest.raises(TypeError, match=r"pass losses\.MeanSquaredError\(\)"):
        losses.get(metrics.MeanSquaredError())


class ValuesAlone(losses.Loss):
    def values(self, y_true, y_pred):
        return squared_error(y_true, y_pred)


class NoGradient(losses.Loss):
    def values(self, y_true, y_pred):
        return squared_error(y_true, y_pred), y_pred - y_true

    def gradient(self, dvalues, cache):
        pass


class SmallGradient(NoGradient):
    def gradient(self, dvalues, cache):
        return dvalues


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (ValuesAlone(), r"ValuesAlone\.values should return a pair.*array of shape \([123],\)"),
        (NoGradient(), r"NoGradient\.gradient should return dL/dy_pred.*returned nothing"),
        (SmallGradient(), r"SmallGradient\.gradient.*\([123], 2\), and returned an array"),
    ],
)
def test_a_method_that_returns_something_else_is_named(loss, message, rows):
    y = np.ones((rows, 2))

    with pytest.raises(TypeError, match=message):
        loss.backward(loss.forward(y, 2 * y)[1])


def test_values_alone_are_found_in_inference_too():
    with pytest.raises(TypeError, match="should return a pair"):
        ValuesAlone().per_sample(np.ones((2, 2)), np.ones((2, 2)))
