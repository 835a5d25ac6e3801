"""The base class, the reductions, weights and masks."""

import copy
import os
import pickle

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import losses, metrics
from backprop.metrics import Mean, MeanMetricWrapper, Metric, Sum, apply_mask

seeds = st.integers(0, 2**31)


@st.composite
def streams(draw):
    """Batches of values with a common inner shape, and weights of every shape that fits."""
    rng = np.random.default_rng(draw(seeds))
    inner = draw(st.sampled_from([(), (1,), (3,), (2, 3)]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    kind = draw(st.sampled_from(["none", "scalar", "sample", "column", "step", "full"]))
    batches = []
    for n in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        shape = {
            "none": None,
            "scalar": (),
            "sample": (n,),
            "column": (n, 1) if len(inner) < 2 else (n,),
            "step": (n, *inner[:1]),
            "full": (n, *inner),
        }[kind]
        weights = None if shape is None else rng.uniform(0, 2, shape).astype(dtype)
        batches.append((rng.standard_normal((n, *inner)).astype(dtype), weights))
    return dtype, batches


# ---------------------------------------------------------------------------- streams


def test_mean_and_sum_worked_out_by_hand():
    mean, total = Mean(), Sum()

    for metric in (mean, total):
        metric.update_state([1.0, 2.0], sample_weight=[1.0, 3.0])
        metric.update_state([[4.0, 6.0]])
        metric.update_state([[4.0, 6.0]], sample_weight=[[1.0, 3.0]])

    # a sample's own values and weights are averaged before samples are
    assert mean.result() == (1 + 6 + 5 + (4 + 18) / 2) / (1 + 3 + 1 + (1 + 3) / 2)
    assert total.result() == 1 + 6 + 10 + 22


@given(streams())
def test_a_stream_is_its_batches_as_one(stream):
    _, batches = stream
    if np.shape(batches[0][1]) == () and batches[0][1] is not None:
        return  # a weight of shape () weighs a batch as one value

    streamed, whole = Mean(), Mean()
    for values, weights in batches:
        streamed.update_state(values, weights)
    weights = None if batches[0][1] is None else np.concatenate([w for _, w in batches])
    whole.update_state(np.concatenate([v for v, _ in batches]), weights)

    assert streamed.result() == pytest.approx(whole.result(), rel=1e-9, abs=1e-12)


def test_sums_lose_nothing_over_long_streams():
    metric = Mean()
    for _ in range(3000):
        metric.update_state(np.full(10_000, 0.1, np.float32))

    # added up in float32, 3e7 tenths give 2.1e6
    assert metric.result() == pytest.approx(np.float32(0.1), rel=1e-7)


@pytest.mark.parametrize(
    "metric", [Mean(), metrics.MeanSquaredError(), metrics.RootMeanSquaredError()]
)
def test_an_empty_stream_and_one_without_weight_are_zero(metric):
    assert metric.result() == 0
    arguments = [np.ones((2, 3))] * (1 if type(metric) is Mean else 2)

    metric.update_state(*arguments, sample_weight=[0, 0])

    assert metric.result() == 0


@pytest.mark.parametrize("inner", [(), (3,)])
def test_an_empty_batch_changes_nothing(inner):
    metric = Mean()
    metric.update_state([2.0])

    metric.update_state(np.zeros((0, *inner)))
    metric.update_state(np.zeros((0, *inner)), np.zeros(0))

    assert metric.result() == 2


def test_reset_forgets():
    metric = Mean()
    metric.update_state([1.0])
    metric.reset_state()
    assert metric.result() == 0

    assert metric([5.0]) == 5


def test_inputs_are_not_written_into():
    values, weights = np.ones((2, 3)), np.full((2, 3), 2.0)

    Mean().update_state(values, weights)
    Sum().update_state(values, weights)

    np.testing.assert_array_equal(values, np.ones((2, 3)))
    np.testing.assert_array_equal(weights, np.full((2, 3), 2.0))


def test_weights_that_do_not_fit_are_refused_and_change_nothing():
    metric = Mean()

    with pytest.raises(ValueError, match=r"Mean\(\) has values of shape \(4,\) .* shape \(3,\)"):
        metric.update_state(np.ones((4, 2)), np.ones(3))
    assert metric.result() == 0


# ---------------------------------------------------------------------------- dtype, names, copies


def test_the_result_is_a_float_unless_a_dtype_is_asked_for():
    assert type(Mean()([1.0])) is float
    assert type(Mean(dtype="float32")([1.0])) is np.float32
    assert Mean(dtype="float64").dtype == np.float64


def test_names_default_to_snake_case():
    assert Mean().name == "mean"
    assert metrics.KLDivergence().name == "kl_divergence"
    assert metrics.LogCoshError().name == "logcosh"
    assert Mean(name="loss").name == "loss"

    class PerfectScores(Metric):
        pass

    assert PerfectScores().name == "perfect_scores"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_alone(duplicate):
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, name="top2")
    metric.update_state([0, 1], np.eye(2))

    twin = duplicate(metric)
    metric.reset_state()

    assert twin.result() == 1
    assert twin.name == "top2"
    twin.update_state([2, 2], [[3, 2, 1], [3, 2, 1]])
    assert twin.result() == 0.5
    twin.reset_state()
    assert twin.result() == 0


# ---------------------------------------------------------------------------- the user's own


def test_a_metric_written_for_keras_serves():
    class TruePositives(Metric):
        def __init__(self, name="true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.hits = self.add_variable(shape=(), initializer="zeros", name="hits")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.hits.assign(self.hits + np.sum((y_true == 1) & (y_pred > 0.5)))

        def result(self):
            return self.hits

    metric = TruePositives()
    metric.update_state(np.array([1, 0, 1]), np.array([0.9, 0.9, 0.1]))

    assert metric(np.array([1]), np.array([1.0])) == 2
    assert len(metric.variables) == 1
    metric.reset_state()
    assert metric.result() == 0


def test_assigning_to_a_variable_copies_into_it():
    class Largest(Metric):
        def __init__(self):
            super().__init__()
            self.top = self.add_weight((2,), "ones")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top = np.maximum(self.top, y_pred)

        def result(self):
            return self.cast(self.top)

    metric = Largest()
    np.testing.assert_array_equal(metric(None, [3.0, 0.0]), [3, 1])

    metric.reset_state()
    np.testing.assert_array_equal(metric.result(), [0, 0])
    with pytest.raises(ValueError, match=r"top has shape \(2,\) and was given \(3,\)"):
        metric.top = np.zeros(3)


def test_variables_add_and_subtract_in_place():
    variable = Metric().add_variable((2,))

    variable.assign_add([3, 4])
    variable.assign_sub(1)

    np.testing.assert_array_equal(variable, [2, 3])


def test_metrics_inside_a_metric_are_reset_with_it():
    class Both(Metric):
        def __init__(self):
            super().__init__()
            self.mean = Mean()
            self.sums = [Sum(), Sum()]

        def update_state(self, y_true, y_pred, sample_weight=None):
            for part in (self.mean, *self.sums):
                part.update_state(y_pred)

        def result(self):
            return self.mean.result() + self.sums[1].result()

    metric = Both()

    assert metric(None, [1.0, 3.0]) == 6
    assert len(metric.variables) == 4
    metric.reset_state()
    assert metric.result() == 0


def test_a_metric_without_methods_says_what_to_write():
    class Empty(Metric):
        pass

    with pytest.raises(TypeError, match="Empty has no update_state"):
        Empty().update_state(1, 2)
    with pytest.raises(TypeError, match="Empty has no result"):
        Empty().result()
    with pytest.raises(TypeError, match="no argument 'nmae'; did you mean 'name'"):
        Mean(nmae="x")


# ---------------------------------------------------------------------------- the wrapper


def test_the_wrapper_averages_a_function_with_its_arguments():
    def within(y_true, y_pred, bound=1.0):
        return (abs(y_true - y_pred) <= bound).mean(-1)

    y_true, y_pred = np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 0.0]])

    assert MeanMetricWrapper(within)(y_true, y_pred) == 0.5
    assert MeanMetricWrapper(within, "close", bound=2)(y_true, y_pred, sample_weight=[1, 0]) == 1
    assert MeanMetricWrapper(within).name == "mean_metric_wrapper"
    with pytest.raises(TypeError, match=r"within\(\) has no argument 'bond'; did you mean 'bound'"):
        MeanMetricWrapper(within, bond=2)


def test_the_wrapper_keeps_its_function_and_arguments_in_its_config():
    wrapper = MeanMetricWrapper(metrics.binary_accuracy, "sure", threshold=0.9)
    config = metrics.serialize(wrapper)

    twin = metrics.deserialize(config)

    arguments = {"fn": "binary_accuracy", "name": "sure", "dtype": None, "threshold": 0.9}
    assert config["config"] == arguments
    assert twin.name == "sure"
    assert twin([1, 1], [0.8, 0.95]) == wrapper([1, 1], [0.8, 0.95]) == 0.5
    assert "threshold=0.9" in repr(twin)


def test_a_config_with_a_users_function_needs_it_in_custom_objects():
    def always_one(y_true, y_pred):
        return np.ones(len(y_pred))

    config = metrics.serialize(MeanMetricWrapper(always_one))

    assert metrics.deserialize(config, {"always_one": always_one})([0], [0]) == 1
    with pytest.raises(ValueError, match="unknown metric function 'always_one'"):
        metrics.deserialize(config)


def test_the_wrapper_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="to be callable, got 3"):
        MeanMetricWrapper(3)


def test_a_loss_is_a_metric_function_too():
    metric = metrics.resolve(losses.MeanSquaredError(), (None, 1), (None, 1))

    assert metric(np.zeros((2, 1)), np.full((2, 1), 3.0)) == 9


# ---------------------------------------------------------------------------- masks


def test_a_mask_is_weights():
    mask = np.array([[True, False], [True, True]])

    np.testing.assert_array_equal(apply_mask(None, mask), [[1, 0], [1, 1]])
    np.testing.assert_array_equal(apply_mask([2.0, 3.0], mask), [[2, 0], [3, 3]])
    np.testing.assert_array_equal(apply_mask([[1.0, 2.0], [3.0, 4.0]], mask), [[1, 0], [3, 4]])
    np.testing.assert_array_equal(apply_mask([1.0, 2.0], None), [1, 2])
    assert apply_mask(None, None) is None


def test_masked_steps_do_not_count():
    y_true = np.array([[0, 1], [1, 0]])
    y_pred = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.9, 0.1]]])
    mask = np.array([[True, False], [True, True]])

    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(y_true, y_pred, apply_mask(None, mask))

    # sample means over real steps (1 of 1, 1 of 2), weighted by their number
    assert metric.result() == pytest.approx(2 / 3)


# ---------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@given(stream=streams())
def test_reductions_agree_with_keras(name, stream):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    dtype, batches = stream
    mine, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)(dtype=dtype)

    for values, weights in batches:
        mine.update_state(values, weights)
        theirs.update_state(values, weights)

    rel = 1e-6 if dtype == "float64" else 2e-5
    assert mine.result() == pytest.approx(float(theirs.result()), rel=rel, abs=rel)


@given(seeds)
def test_masks_agree_with_keras(seed):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    from keras.src.losses.loss import apply_mask as keras_apply_mask

    rng = np.random.default_rng(seed)
    mask, weights = rng.random((4, 3)) < 0.7, rng.random((4, 3))

    for w in (None, weights):
        theirs = keras_apply_mask(w, mask, dtype="float64", reduction="sum")
        np.testing.assert_allclose(apply_mask(w, mask), keras.ops.convert_to_numpy(theirs))


# ---------------------------------------------------------------------------- variables


def test_variables_have_the_names_of_keras():
    mean = metrics.Mean()

    assert [v.name for v in mean.variables] == ["total", "count"]
    assert (mean.total * 2).name is None
    assert pickle.loads(pickle.dumps(mean)).result() == 0
    kept = mean.total.numpy()
    mean.update_state([1.0, 3.0])
    assert (kept, mean.total.numpy()) == (0, 4)


def test_what_keras_has_for_its_engines_is_answered():
    with pytest.raises(AttributeError, match=r"stateless_result.*: a metric changes in place"):
        _ = metrics.Mean().stateless_result
    with pytest.raises(AttributeError, match="did you mean 'result'"):
        _ = metrics.Mean().resutl


def test_variables_have_the_habits_of_keras_variables():
    metric = metrics.Mean(name="seen")
    metric.update_state([1.0, 3.0])
    total = metric.variables[0]

    assert [v.path for v in metric.variables] == ["seen/total", "seen/count"]
    assert (total.name, total.trainable, total.constraint, total.regularizer) == (
        "total", False, None, None,
    )  # fmt: skip
    assert total.value == total.numpy() == 4.0
    before = total.value
    total.assign_add(2.0)
    assert (before, metric.result()) == (4.0, 3.0)
