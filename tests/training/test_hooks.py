"""Models with steps of their own: what a subclass overrides is called, or refused by name."""

import copy
import types

import numpy as np
import pytest

import backprop as bp
from backprop.layer import INFERENCE
from backprop.layers import LSTM, Dense, Embedding
from backprop.losses import MeanSquaredError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = X.sum(1, keepdims=True)


def make(cls=bp.Sequential, loss="mse", optimizer="sgd", layers=None, **options):
    bp.utils.set_random_seed(0)
    layers = [Dense(4, "tanh"), Dense(1)] if layers is None else layers
    model = cls([bp.Input((3,)), *layers], dtype="float64")
    model.compile(optimizer, loss, **options)
    return model


def fit(model, x=X, y=Y, **options):
    return model.fit(x, y, **{"verbose": 0, "batch_size": 8, "epochs": 2} | options).history


class Logged(bp.Sequential):
    def train_step(self, data):
        return super().train_step(data) | {"rate": self.optimizer.learning_rate}

    def test_step(self, data):
        return super().test_step(data) | {"tested": 1.0}


def test_a_step_that_only_calls_super_changes_nothing():
    plain, own = make(metrics=["mae"]), make(Logged, metrics=["mae"])
    options = {"validation_split": 0.25, "sample_weight": np.linspace(0.5, 2, 24)}
    expected, found = fit(plain, **options), fit(own, **options)

    assert found == expected | {"rate": [0.01, 0.01], "val_tested": [1.0, 1.0]}
    np.testing.assert_array_equal(own.get_weights()[0], plain.get_weights()[0])


def test_steps_of_a_model_serve_single_batches_and_evaluations():
    plain, own = make(metrics=["mae"]), make(Logged, metrics=["mae"])
    expected = plain.evaluate(X, Y, verbose=0, return_dict=True)

    assert own.evaluate(X, Y, verbose=0, return_dict=True) == expected | {"tested": 1.0}
    assert own.test_on_batch(X, Y, return_dict=True) == expected | {"tested": 1.0}
    assert own.train_on_batch(X, Y, return_dict=True)["rate"] == 0.01


def test_a_step_may_change_the_data():
    class Halved(bp.Sequential):
        def train_step(self, data):
            x, y, w = bp.utils.unpack_x_y_sample_weight(data)
            return super().train_step((x / 2, y, w))

    w = np.linspace(0.5, 2, 24)

    assert fit(make(Halved), sample_weight=w) == fit(make(), X / 2, sample_weight=w)


def test_a_changed_batch_is_checked_and_cast():
    class Changed(bp.Sequential):
        def train_step(self, data):
            return super().train_step((self.change(data[0]), data[1]))

    single = Changed([bp.Input((3,)), Dense(1)])
    single.compile("sgd", "mse")
    single.change = lambda x: x.astype(np.float64)
    single.fit(X, Y, verbose=0)

    assert single.trainer.gradients(X.astype("f"), Y.astype("f"))[1].dtype == np.float32
    single.change = lambda x: x * np.nan
    with pytest.raises(ValueError, match="x holds NaN, first in row 0"):
        single.fit(X, Y, verbose=0)
    single.change = lambda x: x[:, :2]
    with pytest.raises(ValueError, match=r"built for inputs of shape \(3,\) and got \(2,\)"):
        single.fit(X, Y, verbose=0)


def test_targets_may_become_others():
    class Mixed(bp.Sequential):
        def train_step(self, data):
            x, y = data
            return super().train_step((x, np.eye(2)[y]))

    labels = (Y[:, 0] > 0).astype(int)
    options = {"loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    mixed = make(Mixed, layers=[Dense(2, "softmax")], **options)
    plain = make(layers=[Dense(2, "softmax")], **options)

    assert fit(mixed, X, labels) == fit(plain, X, np.eye(2)[labels])


def test_a_whole_step_is_written_from_gradients_and_the_optimizer():
    class Whole(bp.Sequential):
        def train_step(self, data):
            x, y = data
            loss, y_pred, _ = self.trainer.gradients(x, y)
            self.optimizer.step(self.parameters)
            return {"loss": loss, **self.compute_metrics(x, y, y_pred)}

    expected = fit(make(metrics=["mae"]), batch_size=24)
    found = fit(make(Whole, metrics=["mae"]), batch_size=24)

    assert found["loss"] == pytest.approx(expected["loss"])
    assert found["mae"] == pytest.approx(expected["mae"])


def test_a_step_needs_neither_a_loss_nor_targets():
    class Counting(bp.Sequential):
        def train_step(self, data):
            return {"arrays": len(data), "rows": len(data[0])}

    model = make(Counting, loss=None)

    assert fit(model, X, None) == {"arrays": [1.0, 1.0], "rows": [8.0, 8.0]}
    assert fit(model, iter([X, X]), None, batch_size=None, epochs=1)["rows"] == [24.0]


def test_own_metrics_are_reset_reported_and_kept_apart_from_validation():
    class Tracked(bp.Sequential):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.seen = bp.metrics.Sum(name="seen")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.seen.update_state(np.ones(len(x)))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    model = make(Tracked, metrics=["mae"])
    history = fit(model, validation_split=0.25, epochs=3)

    assert history["seen"] == [18.0] * 3
    assert history["val_seen"] == [6.0] * 3
    assert [m.name for m in model.metrics] == ["loss", "mae", "seen"]
    plain = make(metrics=["mae"])
    expected = fit(plain, validation_split=0.25, epochs=3)
    assert {k: v for k, v in history.items() if "seen" not in k} == expected


def test_lbfgs_asks_the_model_for_metrics_too():
    class Largest(bp.Sequential):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return super().compute_metrics(x, y, y_pred, sample_weight) | {"top": y_pred.max()}

    history = fit(make(Largest, optimizer="lbfgs"), batch_size=None)
    plain = make(optimizer="lbfgs")

    assert history["loss"] == fit(plain, batch_size=None)["loss"]
    assert history["top"][-1] == pytest.approx(plain.predict(X, verbose=0).max())


def test_predictions_go_through_a_step_of_the_models_own():
    class Rounded(bp.Sequential):
        def predict_step(self, data):
            return np.round(super().predict_step(data))

    expected = np.round(make().predict(X, verbose=0))

    for y in (
        make(Rounded).predict(X, verbose=0, batch_size=5),
        make(Rounded).predict_on_batch(X),
        make(Rounded).predict(iter([X]), verbose=0),
    ):
        np.testing.assert_array_equal(y, expected)


def test_a_hook_of_one_object_counts():
    model = make()
    model.train_step = types.MethodType(lambda self, data: {"loss": 42.0}, model)

    assert fit(model)["loss"] == [42.0, 42.0]


def test_copies_and_clones_keep_their_steps():
    for model in (copy.deepcopy(make(Logged)), bp.models.clone_model(make(Logged))):
        assert fit(model)["rate"] == [0.01, 0.01]


# ------------------------------------------------------------------ a loss of the model's own


class Squares(bp.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return np.mean((y - y_pred) ** 2)

    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
        return 2 * (y_pred - y) / y.size


class Halves(bp.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(x, y, y_pred, sample_weight) / 2

    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
        return (y_pred - y) / y.size


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("cls", [Squares, Halves])
def test_a_loss_with_its_gradient_trains_as_the_loss_object(cls, optimizer):
    def penalised():
        return [Dense(4, "tanh", kernel_regularizer="l2", activity_regularizer="l2"), Dense(1)]

    scale = 0.5 if cls is Halves else 1.0
    own = make(cls, optimizer=optimizer, layers=penalised())
    plain = make(optimizer=optimizer, layers=penalised(), loss_weights=scale)
    options = {"batch_size": 24, "validation_data": (X, Y), "shuffle": False}
    found, expected = fit(own, **options), fit(plain, **options)

    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-9)


def test_a_loss_may_look_at_x():
    class Physics(bp.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return np.mean(x[:, :1] * (y_pred - y) ** 2)

        def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * x[:, :1] * (y_pred - y) / y.size

    expected = fit(make(), sample_weight=X[:, 0], shuffle=False)["loss"]

    assert fit(make(Physics, loss=None), shuffle=False)["loss"] == pytest.approx(expected)


def test_a_gradient_behind_a_softmax_is_that_of_the_output_whatever_loss_was_compiled():
    labels = np.arange(24) % 3
    classes = np.eye(3)[labels]

    class Brier(Squares):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, np.eye(3)[y], y_pred)

        def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss_gradient(x, np.eye(3)[y], y_pred)

    own = make(Brier, layers=[Dense(3, "softmax")], loss="sparse_categorical_crossentropy")
    plain = make(layers=[Dense(3, "softmax")])
    fit(own, X, labels), fit(plain, X, classes)

    np.testing.assert_allclose(own.get_weights()[0], plain.get_weights()[0])


def test_a_loss_without_a_gradient_is_evaluated_and_not_trained_on():
    class Shifted(bp.Sequential):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs) + 1

    layers = [Dense(1, kernel_regularizer="l2")]
    model = make(Shifted, layers=layers)
    before = model.get_weights()
    plain = make(layers=[Dense(1, kernel_regularizer="l2")])

    assert model.evaluate(X, Y, verbose=0) == pytest.approx(plain.evaluate(X, Y, verbose=0) + 1)
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(TypeError, match=r"Shifted.compute_loss cannot be trained on: .* Loss"):
            train(X, Y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_of_another_shape_is_refused():
    class Wrong(Squares):
        def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
            return np.zeros(len(y))

    with pytest.raises(ValueError, match=r"returns dL/dy_pred, of shape \(8, 1\), and returned"):
        fit(make(Wrong))


def test_a_gradient_alone_is_refused():
    class Alone(bp.Sequential):
        compute_loss_gradient = Squares.compute_loss_gradient

    with pytest.raises(TypeError, match="is the gradient of a compute_loss of its own"):
        fit(make(Alone))


def test_padding_counts_neither_in_metrics_nor_in_the_loss_of_a_model():
    class Both(bp.Sequential):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return super().compute_metrics(x, y, y_pred, sample_weight)

    words = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    results = []
    for cls in (bp.Sequential, Both, Logged):
        bp.utils.set_random_seed(0)
        layers = [Embedding(5, 3, mask_zero=True), LSTM(4, return_sequences=True)]
        model = cls([bp.Input((None,), dtype="int32"), *layers, Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        results.append(model.evaluate(words, words % 3, verbose=0)[:2])

    assert results[0] == results[1] == results[2]


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "name",
    [
        *("call", "make_train_function", "make_test_function", "make_predict_function"),
        *("forward", "backward", "get_metrics_result", "reset_metrics", "compute_output_spec"),
    ],
)
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "train_on_batch", "__call__"])
def test_what_would_be_ignored_is_refused_by_name(name, use):
    cls = type("Own", (bp.Sequential,), {name: lambda self, *args, **kwargs: None})
    model = make(cls)
    data = (X,) if use in ("predict", "__call__") else (X, Y)

    with pytest.raises(TypeError, match=f"Own.{name} would be ignored: "):
        getattr(model, use)(*data)


def test_a_forward_pass_that_is_honoured_is_not_refused():
    class Doubled(bp.Sequential):
        def propagate(self, x, ctx):
            return super().propagate(2 * x, ctx)

        def forward(self, x, ctx=INFERENCE):
            y, caches, _ = self.propagate(x, ctx)
            return y, caches

    assert fit(make(Doubled)) == fit(make(), 2 * X)


def test_a_step_that_the_optimizer_would_never_take_is_refused():
    with pytest.raises(TypeError, match="train_step would never be called: the optimizer takes"):
        fit(make(Logged, optimizer="lbfgs"))


@pytest.mark.parametrize("returned", [None, 0.5, [0.5]])
@pytest.mark.parametrize("name", ["train_step", "compute_metrics"])
def test_a_step_returns_a_dict(name, returned):
    cls = type("Own", (bp.Sequential,), {name: lambda self, *args: returned})

    with pytest.raises(TypeError, match=rf"Own.{name} returns the loss .* as a dict"):
        fit(make(cls))


def test_a_predict_step_returns_an_array():
    cls = type("Own", (bp.Sequential,), {"predict_step": lambda self, data: {"y": data[0]}})

    with pytest.raises(TypeError, match="predict_step returns an array, got dict"):
        make(cls).predict(X, verbose=0)


def test_hooks_by_hand_are_those_of_the_trainer():
    model = make(metrics=["mae"])
    y = model.predict(X, verbose=0)

    assert model.compute_loss(X, Y, y) == pytest.approx(float(MeanSquaredError()(Y, y)))
    assert model.compute_metrics(X, Y, y) == {"mae": pytest.approx(np.abs(Y - y).mean())}
    with pytest.raises(TypeError, match="has no compute_loss_gradient"):
        model.compute_loss_gradient(X, Y, y)
    assert model.train_step((X, Y))["loss"] == pytest.approx(np.mean((Y - y) ** 2))
