"""What a run reports: metrics beside their loss, and what went bad first."""

import numpy as np
import pytest

import backprop as bp
from backprop.initializers import Constant
from backprop.layer import Layer
from backprop.layers import Dense, Embedding, Softmax

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)
ONES = np.ones((6, 1), np.float32)


# ------------------------------------------------------------------ metrics beside their loss

LOGITS = RNG.normal(size=(8, 3)).astype(np.float32)
IGNORING = np.array([0, -1, 2, 1, -1, 1, 0, 2])
REAL = IGNORING != -1


def evaluate(metrics, y=IGNORING, loss=None, x=LOGITS, **options):
    model = bp.Sequential([bp.Input(x.shape[1:]), Softmax()])
    loss = loss or bp.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model.compile("sgd", loss, metrics=[metrics])
    return model.evaluate(x, y, batch_size=3, verbose=0, **options)


NAMES = [
    *("accuracy", "acc", "sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
    *("sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy", "crossentropy", "ce"),
    *(bp.metrics.sparse_categorical_accuracy, bp.metrics.sparse_categorical_crossentropy),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_by_name_leaves_out_what_its_loss_ignores(name):
    plain = bp.losses.SparseCategoricalCrossentropy()
    expected = evaluate(name, IGNORING[REAL], plain, LOGITS[REAL])[1]

    assert evaluate(name)[1] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["accuracy", "sparse_categorical_crossentropy"])
def test_an_ignored_class_may_be_one_of_the_outputs_or_beyond(name):
    plain = bp.losses.SparseCategoricalCrossentropy()
    expected = evaluate(name, IGNORING[REAL], plain, LOGITS[REAL])[1]
    beyond = np.where(REAL, IGNORING, 255)
    loss = bp.losses.SparseCategoricalCrossentropy(ignore_class=255)
    zero = bp.losses.SparseCategoricalCrossentropy(ignore_class=0)
    others = IGNORING > 0

    assert evaluate(name, beyond, loss)[1] == pytest.approx(expected)
    assert evaluate(name, np.where(others, IGNORING, 0), zero)[1] == pytest.approx(
        evaluate(name, IGNORING[others], plain, LOGITS[others])[1]
    )


def test_ignored_labels_and_padding_are_left_out_together():
    words, tags = np.array([[1, 2, 3, 0]]), np.array([[0, -1, 1, 1]])
    bp.utils.set_random_seed(0)
    layers = [Embedding(4, 5, mask_zero=True), Dense(2, activation="softmax")]
    model = bp.Sequential([bp.Input((None,), dtype="int32"), *layers])
    model.compile(
        "sgd", bp.losses.SparseCategoricalCrossentropy(ignore_class=-1), metrics=["accuracy"]
    )
    right = model.predict(words, verbose=0).argmax(-1)[0, [0, 2]] == [0, 1]

    assert model.evaluate(words, tags, verbose=0)[1] == pytest.approx(right.mean())


def test_a_weighted_metric_by_name_weighs_what_counts():
    w = np.arange(1.0, 9.0)
    model = bp.Sequential([bp.Input((3,)), Softmax()])
    loss = bp.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model.compile("sgd", loss, weighted_metrics=["accuracy"])
    right = LOGITS.argmax(-1) == IGNORING

    assert model.evaluate(LOGITS, IGNORING, sample_weight=w, verbose=0)[1] == pytest.approx(
        np.average(right[REAL], weights=w[REAL])
    )


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (bp.metrics.SparseCategoricalCrossentropy(), "labels from 0 to 2"),
        (bp.metrics.CategoricalAccuracy(), "one-hot y_true"),
        ("mae", "expects targets of the outputs' shape"),
    ],
)
def test_a_misfit_of_a_metric_is_named_as_the_metrics(metric, message):
    name = getattr(metric, "name", metric)
    with pytest.raises(ValueError, match=f"metric '{name}' of compile.*{message}"):
        evaluate(metric)


# ------------------------------------------------------------------ what went bad first


def one(value, activation=None, **options):
    """A model whose output is `value` for every x."""
    return [
        Dense(
            1,
            activation,
            kernel_initializer="zeros",
            bias_initializer=Constant(value),
            **options,
        )
    ]


class Logarithm(Layer):
    def forward(self, x, ctx=None):
        return np.log(x), x

    def backward(self, dy, x):
        return dy / x


def told(layers, loss, x=X, y=ONES, **options):
    model = bp.Sequential([bp.Input((3,)), *layers])
    model.compile(options.pop("optimizer", "sgd"), loss)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="the loss became") as found:
        model.fit(x, y, verbose=0, **options)
    return " ".join(str(w.message) for w in found if "became" in str(w.message))


CASES = {
    "a negative rate": (
        lambda: told(one(-3.0), "poisson"),
        ["Poisson is nan, first in row 0 (the logarithm or root of a negative number",
         "y_pred holds -3 and y 1; rates must be positive: end the model with 'softplus'"],
    ),
    "a rate of zero": (
        lambda: told(one(-1e-7), "poisson"),
        ["Poisson is inf", "the logarithm of zero", "rates must be positive"],
    ),
    "squares too large": (
        lambda: told(one(1e25), "mse"),
        ["MeanSquaredError is inf, first in row 0 (an overflow", "y_pred holds 1e+25 and y 1"],
    ),
    "a sum too large": (
        lambda: told(one(3e38), "mae"),
        ["MeanAbsoluteError of each sample is finite, and their sum overflowed"],
    ),
    "weights too large": (
        lambda: told(one(1e15), "mse", sample_weight=np.full(6, 1e30)),
        ["MeanSquaredError overflowed with sample_weight 1e+30"],
    ),
    "a penalty too large": (
        lambda: told(one(100.0, bias_regularizer=bp.regularizers.L2(3e38)), "mse"),
        ["the penalty L2(3e+38) of dense/bias overflowed"],
    ),
    "an exponential": (
        lambda: told(one(100.0, "exponential"), "mse"),
        ["the output of layer 0, Dense(1", "is the first that holds NaN or infinity"],
    ),
    "a logarithm of a negative number": (
        lambda: told([Logarithm(), Dense(1)], "mse", -np.ones((6, 3))),
        ["the output of layer 0, Logarithm()", "(the logarithm or root of a negative number"],
    ),
    "a logarithm of zero": (
        lambda: told([Logarithm(), Dense(1)], "mse", np.zeros((6, 3))),
        ["the output of layer 0, Logarithm()", "(a division by zero, or the logarithm of zero)"],
    ),
    "weights that explode": (
        lambda: told([Dense(1)], "mse", epochs=4, optimizer=bp.optimizers.SGD(3e38)),
        ["holds NaN or infinity (", " infinite of ",
         "a smaller learning rate or clipnorm may help"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_loss_that_is_not_finite_is_explained(case):
    happens, parts = case
    message = happens()

    for part in parts:
        assert part in message


@pytest.mark.parametrize("loss", ["kl_divergence", "msle", "log_cosh", "huber", "bce"])
def test_losses_that_hold_negative_outputs_in_bounds_stay_finite(loss):
    model = bp.Sequential([bp.Input((3,)), *one(-3.0)])
    model.compile("sgd", loss)

    assert np.isfinite(model.train_on_batch(X, ONES))


@pytest.mark.parametrize("name", ["x", "y"])
def test_nan_in_the_data_never_reaches_the_loss(name):
    model = bp.Sequential([bp.Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    data = {"x": X.copy(), "y": ONES.copy()}
    data[name][2, 0] = np.nan

    with pytest.raises(ValueError, match=f"{name} holds NaN, first in row 2"):
        model.fit(**data, verbose=0)


# ------------------------------------------------------------------ models that cannot learn


@pytest.mark.parametrize("last", [[Dense(1, "softmax")], [Dense(1), Softmax()]])
def test_a_softmax_over_one_unit_is_warned_of(last):
    model = bp.Sequential([bp.Input((3,)), *last])
    model.compile("sgd", "binary_crossentropy")
    with pytest.warns(UserWarning, match="softmax over a single unit, which is 1 whatever x is"):
        model.fit(X, ONES, verbose=0)


def test_a_second_softmax_is_warned_of():
    model = bp.Sequential([bp.Input((3,)), Dense(2, "softmax")])
    model.compile("sgd", bp.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="from_logits=True, which takes another softmax"):
        model.fit(X, ONES, verbose=0)


# ------------------------------------------------------------------ sums that a batch makes

LATE = {
    "f1_score": lambda: "f1_score",
    "auc of labels": lambda: bp.metrics.AUC(multi_label=True, name="auc of labels"),
    "r2_score": lambda: "r2_score",
}
CLASSES = np.eye(3)[RNG.integers(0, 3, 40)]
ROWS = RNG.normal(size=(40, 3)).astype(np.float32)


def classifier(metric):
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((3,)), Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[metric])
    return model


@pytest.mark.parametrize("name", LATE)
def test_a_resumed_epoch_knows_the_sums_that_its_first_batch_made(name, tmp_path):
    class Power(bp.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    backup = bp.callbacks.BackupAndRestore
    whole = classifier(LATE[name]()).fit(ROWS, CLASSES, batch_size=8, verbose=0).history
    with pytest.raises(KeyboardInterrupt):
        classifier(LATE[name]()).fit(
            *(ROWS, CLASSES, 8),
            verbose=0,
            callbacks=[backup(tmp_path, save_freq=2), Power()],
        )

    resumed = classifier(LATE[name]()).fit(
        ROWS, CLASSES, batch_size=8, verbose=0, callbacks=[backup(tmp_path, save_freq=2)]
    )

    np.testing.assert_array_equal(resumed.history[name][0], whole[name][0])


@pytest.mark.parametrize("name", LATE)
def test_an_evaluation_before_the_first_batch_leaves_the_epoch_as_it_was(name):
    class Before(bp.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.evaluate(ROWS[:5], CLASSES[:5], verbose=0)

    plain = classifier(LATE[name]()).fit(ROWS, CLASSES, epochs=2, verbose=0).history
    looked = classifier(LATE[name]()).fit(ROWS, CLASSES, epochs=2, verbose=0, callbacks=[Before()])

    np.testing.assert_array_equal(looked.history[name], plain[name])


def test_sums_made_after_their_state_was_taken_are_put_back_to_nothing():
    kept = bp.training.tracking.MetricSet([bp.metrics.F1Score("micro")], None, None)
    kept.build((None, 3), (None, 3))
    names, before = kept.names(), kept.state()
    kept.update(CLASSES, CLASSES, None)

    kept.take(names, before)

    assert kept.results() == {"f1_score": 0}


# ------------------------------------------------------------------ the loss is a metric too


def test_the_first_metric_of_a_model_is_the_mean_of_its_loss():
    model = bp.Sequential([bp.Input((3,)), Dense(1)])
    assert model.metrics == []
    model.compile("sgd", "mse", metrics=["mae"])

    value, mae = model.evaluate(X, ONES, batch_size=4, verbose=0)

    loss, of_compile = model.metrics
    assert isinstance(loss, bp.metrics.Mean) and model.metrics_names == ["loss", "mae"]
    assert (loss.name, loss.result(), of_compile.result()) == ("loss", value, mae)


def test_an_evaluation_within_a_run_leaves_the_mean_of_its_loss():
    model = bp.Sequential([bp.Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    seen = []

    class Evaluate(bp.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            mean = self.model.metrics[0]
            before = mean.result()
            self.model.evaluate(X[:1], ONES[:1], verbose=0)
            seen.append((before, mean.result(), logs["loss"]))

    model.fit(X, ONES, verbose=0, callbacks=[Evaluate()])

    assert seen[0][0] == seen[0][2]


def two_outputs():
    x = bp.Input((3,))
    return bp.Model(x, {"b": Dense(1, name="b")(x), "a": Dense(1, name="a")(x)})


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_losses_of_outputs_in_a_dict_are_told_in_the_order_of_theirs(names, tmp_path):
    model = two_outputs()
    losses = {"a": "mse", "b": "mae"}
    model.compile("sgd", {name: losses[name] for name in names}, metrics={"b": ["mse"]})
    model.save(tmp_path / "m.npz")

    for m in (model, bp.saving.load_model(tmp_path / "m.npz")):
        values = m.evaluate(X, {"a": ONES, "b": ONES}, verbose=0)
        assert m.metrics_names == ["loss", *(f"{name}_loss" for name in names), "b_mse"]
        found = dict(zip(m.metrics_names, values, strict=True))
        assert found["loss"] == pytest.approx(found["a_loss"] + found["b_loss"])
        assert m.evaluate(X, {"a": ONES, "b": ONES}, verbose=0, return_dict=True) == found
