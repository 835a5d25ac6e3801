"""Models of several inputs and outputs: what `compile`, `fit`, `evaluate` and `predict` take."""

import copy

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import backprop as bp
from backprop import layers as L
from backprop.callbacks import Callback
from backprop.context import Logits
from backprop.gradcheck import gradcheck
from backprop.layer import TRAINING
from backprop.losses.several import WeightedSum
from backprop.nest import as_tuple, each

N = 24


def two_by_two(inputs=list, outputs=list, seed=0):
    """user (4,) and place, a number → a score (1,) and a kind of three."""
    bp.utils.set_random_seed(seed)
    user = L.Input((4,), name="user")
    place = L.Input((), dtype="int32", name="place")
    h = L.Concatenate()(
        [L.Dense(5, "tanh", name="dense")(user), L.Embedding(6, 3, name="embedding")(place)]
    )
    score, kind = L.Dense(1, name="score")(h), L.Dense(3, activation="softmax", name="kind")(h)
    drawn_in = {"user": user, "place": place} if inputs is dict else inputs([user, place])
    drawn_out = {"score": score, "kind": kind} if outputs is dict else outputs([score, kind])
    return bp.Model(drawn_in, drawn_out, name="shop")


def rows(n=N, seed=1):
    rng = np.random.default_rng(seed)
    user, place = rng.normal(size=(n, 4)).astype("float32"), rng.integers(0, 6, n)
    score = np.sin(user.sum(1, keepdims=True))
    return [user, place], [score, rng.integers(0, 3, n)]


LOSSES = {"score": "mse", "kind": "sparse_categorical_crossentropy"}


def compiled(model=None, optimizer="sgd", **options):
    model = model or two_by_two()
    model.compile(optimizer, **({"loss": LOSSES} | options))
    return model


def after_fit(x, y=None, model=None, **options):
    """The weights that some epochs on these data lead to."""
    model = compiled(model)
    model.fit(x, y, epochs=2, verbose=0, shuffle=False, **options)
    return weights_by_layer(model)


def weights_by_layer(model):
    """In an order that does not depend on how the outputs are arranged."""
    return [
        w
        for name in ("dense", "embedding", "score", "kind")
        for w in model.get_layer(name).get_weights()
    ]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def by_name(x, y):
    return dict(zip(("user", "place"), x, strict=True)), dict(
        zip(("score", "kind"), y, strict=True)
    )


# ------------------------------------------------------------------------------ forms of data


def test_data_come_as_lists_tuples_or_dicts():
    x, y = rows()
    named = by_name(x, y)

    expected = after_fit(x, y, batch_size=8)

    assert_same(after_fit(tuple(x), tuple(y), batch_size=8), expected)
    assert_same(after_fit(*named, batch_size=8), expected)
    assert_same(after_fit(x, named[1], batch_size=8), expected)
    for inputs in (tuple, dict):
        for outputs in (tuple, dict):
            model = two_by_two(inputs, outputs)
            given = named if inputs is dict else (x, named[1])
            assert_same(after_fit(*given, model, batch_size=8), expected)


def test_data_come_in_frames_sparse_matrices_memory_maps_and_lists_of_numbers(tmp_path):
    x, y = rows()
    expected = after_fit(x, y, batch_size=8)

    frames = [pd.DataFrame(x[0]), pd.Series(x[1])], [pd.DataFrame(y[0]), pd.Series(y[1])]
    sparse = [scipy.sparse.csr_matrix(x[0]), x[1]]
    maps = []
    for i, a in enumerate((*x, *y)):
        np.save(tmp_path / f"{i}.npy", a)
        maps.append(np.load(tmp_path / f"{i}.npy", mmap_mode="r"))

    assert_same(after_fit(*frames, batch_size=8), expected)
    for found, one in zip(after_fit(sparse, y, batch_size=8), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-6)
    assert_same(after_fit(maps[:2], maps[2:], batch_size=8), expected)
    assert_same(after_fit([maps[0], x[1]], [y[0], maps[3]], batch_size=8), expected)
    assert_same(after_fit([a.tolist() for a in x], [a.tolist() for a in y], batch_size=8), expected)


class Batches:
    """Batches that are read by index."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def test_iterables_yield_batches_of_lists_tuples_or_dicts():
    x, y = rows()
    w = [np.linspace(0, 2, N), np.linspace(1, 0, N)]
    parts = [slice(i, i + 8) for i in range(0, N, 8)]
    batches = [
        (tuple(a[p] for a in x), tuple(a[p] for a in y), tuple(a[p] for a in w)) for p in parts
    ]
    named = [
        (*by_name(*batch[:2]), {"kind": batch[2][1], "score": batch[2][0]}) for batch in batches
    ]

    expected = after_fit(x, y, sample_weight=w, batch_size=8)

    assert_same(after_fit(batches), expected)
    assert_same(after_fit(Batches(batches)), expected)
    assert_same(after_fit(named), expected)
    assert_same(after_fit(iter(batches * 2), steps_per_epoch=3), expected)
    assert compiled().evaluate(batches, verbose=0) == pytest.approx(
        compiled().evaluate(x, y, sample_weight=w, batch_size=8, verbose=0)
    )


def test_all_arrays_are_shuffled_and_split_alike():
    x, y = rows()
    x[0][:, 0] = x[1] = y[1] = np.arange(N) % 3
    seen = []

    class Model(bp.Model):
        def train_step(self, data):
            (user, place), (_, kind), (w, _) = data
            seen.append((user[:, 0].tolist(), place.tolist(), kind.tolist(), w.tolist()))
            return super().train_step(data)

    plain = two_by_two()
    model = compiled(Model(plain.input, plain.output))
    w = y[1].astype(float)
    history = model.fit(
        x, y, batch_size=6, verbose=0, validation_split=0.25, sample_weight=[w, None]
    )

    assert sum(len(batch[0]) for batch in seen) == 18
    assert seen[0][0] != sorted(seen[0][0])
    assert all(a == b == c == d for a, b, c, d in seen)
    assert "val_kind_loss" in history.history


def test_one_array_of_weights_weighs_the_rows_of_all_outputs():
    x, y = rows()
    w = np.linspace(0, 2, N)

    assert_same(
        after_fit(x, y, sample_weight=w), after_fit(x, y, sample_weight={"score": w, "kind": w})
    )
    assert_same(after_fit(x, y, sample_weight=w.tolist()), after_fit(x, y, sample_weight=[w, w]))


def test_weights_of_one_output_leave_the_others():
    x, y = rows()
    w = np.linspace(0, 2, N)

    assert_same(
        after_fit(x, y, sample_weight={"kind": w}),
        after_fit(x, y, sample_weight=[np.ones(N), w]),
    )


def test_predictions_come_as_the_model_was_drawn():
    x, _ = rows()
    score, kind = two_by_two().predict(x, verbose=0)
    in_sevens = two_by_two().predict(x, verbose=0, batch_size=7)

    # the last digits of a product depend on how many rows it has
    for a, b in zip(in_sevens, [score, kind], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    for outputs in (list, tuple):
        found = two_by_two(outputs=outputs).predict(x, verbose=0, batch_size=7)
        assert type(found) is outputs
        assert_same(found, in_sevens)
    named = two_by_two(dict, dict).predict({"place": x[1], "user": x[0]}, verbose=0)
    assert_same([named["score"], named["kind"]], [score, kind])
    assert_same(two_by_two().predict_on_batch(x), [score, kind])
    assert_same(two_by_two().predict([(tuple(x),)], verbose=0), [score, kind])
    nothing = two_by_two().predict([x[0][:0], x[1][:0]], verbose=0)
    assert [a.shape for a in nothing] == [(0, 1), (0, 3)]


def test_nested_inputs_and_outputs_keep_their_shape():
    a, b, c = (L.Input((2,), name=name) for name in "abc")
    both = L.Concatenate()([a, b, c])
    outputs = [L.Dense(1, name="p")(both), {"q": L.Dense(2, name="r")(both), "o": L.Dense(1)(a)}]
    model = bp.Model([a, {"x": b, "y": c}], outputs)
    one = np.ones((6, 2))
    x, y = [one, {"x": one, "y": 2 * one}], [one[:, :1], {"o": one[:, :1], "q": one}]

    model.compile("sgd", "mse")
    history = model.fit(x, y, verbose=0)

    assert list(history.history) == ["1/o_loss", "1/q_loss", "loss", "p_loss"]
    p, rest = model.predict(x, verbose=0)
    assert (p.shape, rest["q"].shape, rest["o"].shape) == ((6, 1), (6, 2), (6, 1))


def test_missing_axes_are_added_input_by_input():
    a, b = L.Input((1,), name="a"), L.Input((2,), name="b")
    model = bp.Model([a, b], [L.Dense(1, name="p")(L.Concatenate()([a, b])), L.Dense(1)(b)])
    model.compile("sgd", "mse")

    model.fit([np.arange(6.0), np.ones((6, 2, 1))], [np.arange(6.0), np.ones((6, 1))], verbose=0)


def test_an_input_of_integers_stays_one_and_is_looked_at():
    x, y = rows()

    with pytest.raises(ValueError, match="Embedding"):
        after_fit([x[0], x[1] + 5], y)


# ------------------------------------------------------------------------------ losses and metrics


def test_outputs_without_a_loss_need_no_targets():
    x, y = rows()
    expected = after_fit_of({"kind": LOSSES["kind"]}, x, [y[0], y[1]])

    for loss in ([None, LOSSES["kind"]], {"kind": LOSSES["kind"], "score": None}):
        for targets in ([None, y[1]], {"kind": y[1]}, [y[1]]):
            assert_same(after_fit_of(loss, x, targets), expected)


def after_fit_of(loss, x, y):
    model = compiled(loss=loss)
    history = model.fit(x, y, verbose=0, epochs=2, shuffle=False)
    assert list(history.history) == ["loss"]
    return model.get_weights()


def test_one_loss_is_that_of_each_output():
    x, y = rows()
    y[1] = np.eye(3)[y[1]]

    model = compiled(loss="mse")

    assert list(model.fit(x, y, verbose=0).history) == ["kind_loss", "loss", "score_loss"]


def test_metrics_are_in_keras_order():
    x, y = rows()
    model = compiled(metrics={"kind": ["accuracy"], "score": "mae"}, weighted_metrics=[[], ["acc"]])

    model.fit(x, y, verbose=0)
    found = model.evaluate(x, y, verbose=0)

    names = ["loss", "score_loss", "kind_loss", "kind_acc", "kind_accuracy", "score_mae"]
    assert model.metrics_names == names
    by_name = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(by_name.items()) == sorted(zip(names, found, strict=True))
    for results in (model.train_on_batch, model.test_on_batch):
        assert list(results(x, y, return_dict=True)) == sorted(names)
    assert found[0] == pytest.approx(found[1] + found[2])
    assert model.test_on_batch(x, y) == pytest.approx(model.evaluate(x, y, verbose=0))


def test_two_outputs_of_one_layer_have_two_names_in_the_logs():
    a, b = L.Input((2,)), L.Input((2,))
    tower = L.Dense(1, name="tower")
    model = bp.Model([a, b], [tower(a), tower(b)])
    model.compile("sgd", "mse", metrics=["mae", "mae"])

    history = model.fit([np.ones((4, 2))] * 2, [np.ones(4)] * 2, verbose=0)

    assert list(history.history) == [
        *("loss", "tower_loss", "tower_loss_1", "tower_mae", "tower_mae_1")
    ]


def test_a_softmax_is_fused_where_its_loss_knows_how():
    x, y = rows()
    model = compiled()
    model.fit(x, y, verbose=0)

    _, cache = model.trainer._fused.forward(tuple(y), tuple(model.predict(x, verbose=0)))
    dscore, dkind = model.trainer._fused.backward(cache)

    assert type(dkind) is Logits
    assert isinstance(dscore, np.ndarray)


OF_GRADIENTS = {
    "plain": {},
    "weights": {"loss_weights": {"score": 0.5, "kind": -2.0}},
    "one weight is zero": {"loss_weights": {"score": 1.0, "kind": 0.0}},
    "one loss": {"loss": {"kind": LOSSES["kind"]}},
    "a sum": {"loss": [bp.losses.MeanSquaredError(reduction="sum"), LOSSES["kind"]]},
}


@pytest.mark.parametrize("case", OF_GRADIENTS)
def test_gradients_are_those_of_the_weighted_sum(case):
    x, y = rows(6)

    assert gradcheck(compiled(**OF_GRADIENTS[case]), tuple(x), y)


def test_gradients_behind_several_fused_softmaxes_are_weighted_and_smoothed_each_by_its_own():
    x = L.Input((3,))
    h = L.Dense(4, activation="tanh", name="h")(x)
    model = bp.Model(x, [L.Dense(3, activation="softmax", name=name)(h) for name in "abc"])
    smooth = bp.losses.CategoricalCrossentropy(label_smoothing=0.3)
    loss = ["categorical_crossentropy", smooth, "sparse_categorical_crossentropy"]
    model.compile("sgd", loss, loss_weights=[0.5, -2.0, 0.0])
    rng = np.random.default_rng(0)
    given, classes = rng.normal(size=(4, 3)).astype("float32"), np.array([0, 1, 2, 0])
    y = [np.eye(3)[classes], np.eye(3)[classes], classes]
    w = [np.array([1.0, 0.0, 2.0, 3.0]), None, np.ones(4)]

    found = model.gradients(given, y, sample_weight=w)

    p, q, _ = model(given)
    da = 0.5 * w[0][:, None] * (p - y[0]) / 4  # as softmax and cross-entropy are one step
    db = -2.0 * (q - (0.7 * y[1] + 0.1)) / 4
    np.testing.assert_allclose(found["a"]["bias"], da.sum(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["b"]["bias"], db.sum(0), rtol=1e-4, atol=1e-6)
    assert not found["c"]["kernel"].any()
    assert gradcheck(model, given, y)


def test_a_forgotten_weight_is_found(monkeypatch):
    x, y = rows(6)
    model = compiled(loss_weights=[0.5, 2.0])
    backward = WeightedSum.backward

    def spoiled(loss, caches):
        weights, loss.weights = loss.weights, [1.0, 1.0]
        dy = backward(loss, caches)
        loss.weights = weights
        return dy

    monkeypatch.setattr(WeightedSum, "backward", spoiled)

    assert not gradcheck(model, tuple(x), y)


def test_masks_go_to_the_output_that_they_are_of():
    bp.utils.set_random_seed(0)
    words, user = L.Input((4,), dtype="int32"), L.Input((2,))
    h = L.LSTM(3, return_sequences=True)(L.Embedding(7, 3, mask_zero=True)(words))
    tags = L.Dense(3, activation="softmax", name="tags")(h)
    age = L.Dense(3, activation="softmax", name="age")(user)
    model = bp.Model([words, user], [tags, age])
    model.compile("sgd", LOSSES["kind"], metrics=[["accuracy"], ["accuracy"]])
    x = np.array([[3, 5, 0, 0], [1, 2, 6, 4], [2, 0, 0, 0]])
    y = np.array([[0, 1, 2, 2], [1, 1, 0, 2], [2, 0, 0, 0]])

    found = model.evaluate([x, np.ones((3, 2))], [y, y[:, 0]], verbose=0, return_dict=True)
    other = np.where(x == 0, 1 - np.minimum(y, 1), y)
    again = model.evaluate([x, np.ones((3, 2))], [other, y[:, 0]], verbose=0, return_dict=True)
    _, dage = model.trainer._fused.backward(
        model.trainer._fused.forward(
            (y, y[:, 0]), tuple(model.predict([x, np.ones((3, 2))], verbose=0)), None, (x > 0, None)
        )[1]
    )

    assert found == again  # padding counts nowhere
    assert type(dage) is Logits


def test_an_output_that_nobody_trains_leaves_its_layer_alone():
    x, y = rows()
    model = compiled(loss=["mse", None])
    before = model.get_layer("kind").get_weights()

    model.fit(x, y, verbose=0)

    assert_same(model.get_layer("kind").get_weights(), before)


# ------------------------------------------------------------------------------ errors


X, Y = rows()
ERRORS = {
    "too few inputs": (lambda m: m.fit(X[:1], Y), "x: shop has 2 inputs, user, place, and got 1"),
    "one array": (lambda m: m.fit(X[0], Y), "x: shop has 2 inputs, user, place, and got one"),
    "an unknown input": (
        lambda m: m.fit({"usr": X[0], "place": X[1]}, Y),
        "x: shop has 2 inputs, user, place, and got 'usr'; did you mean 'user'?",
    ),
    "a missing input": (lambda m: m.fit({"user": X[0]}, Y), "and got none for place"),
    "no input": (lambda m: m.fit([X[0], None], Y), r"x\['place'\] is missing"),
    "too many targets": (lambda m: m.fit(X, [*Y, Y[0]]), "y: shop has 2 outputs, .*, and got 3"),
    "an unknown output": (
        lambda m: m.fit(X, {"score": Y[0], "kinds": Y[1]}),
        "y: shop has 2 outputs, score, kind, and got 'kinds'; did you mean 'kind'?",
    ),
    "a missing target": (lambda m: m.fit(X, {"score": Y[0]}), r"'kind' has a loss .* y\['kind'\]"),
    "no targets": (lambda m: m.fit(X), "needs y"),
    "rows of x": (
        lambda m: m.fit([X[0], X[1][:5]], Y),
        r"x\['user'\] has 24 rows and x\['place'\] has 5",
    ),
    "rows of y": (
        lambda m: m.fit(X, [Y[0], Y[1][:5]]),
        r"x\['user'\] has 24 rows and y\['kind'\] has 5",
    ),
    "rows of weights": (
        lambda m: m.fit(X, Y, sample_weight={"kind": np.ones(5)}),
        r"sample_weight\['kind'\] has 5 rows where x has 24",
    ),
    "weights of an unknown output": (
        lambda m: m.fit(X, Y, sample_weight={"knd": np.ones(N)}),
        "sample_weight: .* got 'knd'; did you mean 'kind'",
    ),
    "weights of classes": (
        lambda m: m.fit(X, Y, class_weight={0: 1.0}),
        "class_weight goes with one output, and shop has 2",
    ),
    "what is not finite": (
        lambda m: m.fit([X[0] * np.nan, X[1]], Y),
        r"x\['user'\] holds NaN, first in row 0",
    ),
    "targets that do not fit": (
        lambda m: m.fit(X, [Y[0], Y[1] + 7]),
        "output 'kind': .*SparseCategoricalCrossentropy",
    ),
    "shapes that do not fit": (
        lambda m: m.fit([X[0][:, :3], X[1]], Y),
        r"input 'user' to be of shape \(4,\) and got \(3,\)",
    ),
    "a batch of the wrong number": (
        lambda m: m.fit([((X[0],), tuple(Y))]),
        "batch 1 of x: x: shop has 2 inputs",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_does_not_fit_is_an_error_that_names_it(case):
    model = compiled()
    before = model.get_weights()
    act, message = ERRORS[case]

    with pytest.raises((ValueError, TypeError), match=message):
        act(model)

    assert_same(model.get_weights(), before)


COMPILE_ERRORS = {
    "a loss of an unknown output": ({"loss": {"knd": "mse"}}, "loss of compile.* 'knd'; did you"),
    "too many losses": ({"loss": ["mse"] * 3}, "loss of compile.*has 2 outputs.*got 3"),
    "a weight of an unknown output": (
        {"loss_weights": {"knd": 1.0}},
        "loss_weights of compile.* 'knd'; did you",
    ),
    "one weight": ({"loss_weights": 0.5}, "loss_weights as a list or a dict"),
    "a weight that is none": ({"loss_weights": ["a", 1.0]}, "expects a number as loss_weights"),
    "metrics of an unknown output": (
        {"metrics": {"knd": "mae"}},
        "metrics of compile.* 'knd'; did you",
    ),
    "metrics that are one name": ({"metrics": "mae"}, "expects metrics to be a list"),
    "too few metrics": ({"metrics": ["mae"]}, "metrics of compile.*got 1"),
    "an unknown metric": ({"metrics": [["mea"], []]}, "metrics of output 'score': .*'mae'"),
    "an unknown loss": ({"loss": ["mse", "mze"]}, "loss of output 'kind': unknown loss 'mze'"),
}


@pytest.mark.parametrize("case", COMPILE_ERRORS)
def test_compile_names_what_it_does_not_know(case):
    options, message = COMPILE_ERRORS[case]

    with pytest.raises((ValueError, TypeError), match=message):
        compiled(**options)


def test_a_dict_of_losses_is_ambiguous_for_outputs_of_one_name():
    a = L.Input((2,))
    tower = L.Dense(1, name="tower")
    model = bp.Model(a, [tower(a), tower(a)])

    with pytest.raises(ValueError, match="outputs of the same name, tower, tower: give a list"):
        model.compile("sgd", {"tower": "mse"})


def test_metrics_of_an_output_need_its_targets():
    x, y = rows()
    model = compiled(loss=["mse", None], metrics={"kind": "accuracy"})

    with pytest.raises(ValueError, match="output 'kind': its metrics need y"):
        model.fit(x, {"score": y[0]}, verbose=0)


def test_a_sequential_goes_on_taking_one_array_and_one_loss():
    model = bp.Sequential([L.Input((4,)), L.Dense(1)])

    with pytest.raises(ValueError, match=r"a Sequential has 1 output, dense, and got 'dens'"):
        model.compile("sgd", {"dens": "mse"})
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="a Sequential has one input"):
        model.fit([X[0], X[0]], Y[0])


@pytest.mark.parametrize("build", ["at once", "later"])
def test_a_sequential_is_compiled_by_the_name_of_its_last_layer(build):
    def trained(**compiled):
        bp.utils.set_random_seed(0)
        begin = [L.Input((4,))] if build == "at once" else []
        model = bp.Sequential([*begin, L.Dense(3), L.Dense(1, name="score")])
        model.compile("sgd", **compiled)
        history = model.fit(X[0], Y[0], sample_weight=np.linspace(0, 1, N), verbose=0).history
        return history, model.evaluate(X[0], Y[0], verbose=0, return_dict=True)

    plain = trained(loss="mse", loss_weights=0.5, metrics=["mae"], weighted_metrics=["mse"])

    for metrics in ("mae", ["mae"]):
        named = trained(
            loss={"score": "mse"},
            loss_weights={"score": 0.5},
            metrics={"score": metrics},
            weighted_metrics={"score": ["mse"]},
        )
        assert named == plain
    assert trained(loss="mse", metrics={}, loss_weights={}) == trained(loss="mse")


def test_a_drawn_model_of_one_output_takes_dicts_by_its_names():
    a = L.Input((4,), name="user")
    model = bp.Model(a, L.Dense(1, name="score")(a))
    model.compile("sgd", {"score": "mse"}, metrics={"score": ["mae"]}, loss_weights={"score": 0.5})

    history = model.fit({"user": X[0]}, {"score": Y[0]}, verbose=0)

    assert list(history.history) == ["loss", "mae"]
    with pytest.raises(ValueError, match="got 'scre'; did you mean 'score'"):
        model.compile("sgd", {"scre": "mse"})


def test_one_output_that_was_drawn_in_a_dict_comes_in_one():
    a = L.Input((4,), name="user")
    model = bp.Model({"u": a}, {"k": L.Dense(1, name="score")(a)})
    model.compile("sgd", {"k": "mse"}, metrics={"k": ["mae"]})

    for x in (X[0], {"u": X[0]}, {"user": X[0]}, [X[0]]):
        for y in (Y[0], {"k": Y[0]}, {"score": Y[0]}, [Y[0]]):
            assert list(model.fit(x, y, verbose=0).history) == ["loss", "mae"]

    assert model.predict({"u": X[0]}, verbose=0)["k"].shape == (N, 1)
    assert model.predict_on_batch(X[0]).keys() == {"k"}
    with pytest.raises(ValueError, match=r"x: .* has 1 input, u, and got 'v'"):
        model.fit({"v": X[0]}, Y[0])


# ------------------------------------------------------------------------------ what is around it


def test_the_first_that_is_not_finite_is_named():
    x, y = rows()
    model = compiled()
    model.get_layer("embedding").embeddings[...] = 1e30
    model.get_layer("score").kernel[...] = 1e30

    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match=r"output of layer \d, Dense\(1, name='score'\), is the"),
    ):
        model.fit(x, y, verbose=0)

    user = L.Input((4,), name="user")
    log = bp.Model(user, [L.Dense(1, name="a")(user), L.Dense(1, name="b")(user)])
    log.compile("sgd", ["mse", "poisson"])
    log.get_layer("b").kernel[...] = 0
    log.get_layer("b").bias[...] = -1
    with (
        np.errstate(all="ignore"),
        pytest.warns(RuntimeWarning, match="the loss Poisson of 'b' is nan"),
    ):
        log.fit(x[0], [y[0], abs(y[0])], verbose=0)


def test_a_trace_is_the_pass_step_by_step():
    x, _ = rows()
    model = two_by_two()
    chain = bp.Sequential([L.Input((4,)), L.Dense(3, "tanh"), L.BatchNormalization()])

    for container, given in ((model, (x[0], x[1])), (chain, x[0])):
        before = container.get_weights()
        expected, _, _ = copy.deepcopy(container).propagate(given, TRAINING)
        trace = container.trace(given, TRAINING)
        steps = []
        try:
            while True:
                steps.append(next(trace))
        except StopIteration as end:
            found, mask = end.value

        assert mask is None
        assert_same(as_tuple(found), as_tuple(expected))
        assert [container.parts()[1][i].name for i, _, _ in steps] == [s.name for _, s, _ in steps]
        shapes = container.shapes_within(each(lambda a: (None, *a.shape[1:]), given))
        assert {(None, *y.shape[1:]) for _, _, y in steps} <= set(shapes)
        assert_same(container.get_weights(), before)


def test_callbacks_go_by_the_names_of_the_outputs(tmp_path):
    x, y = rows()
    model = compiled(metrics=[["mae"], ["accuracy"]])
    kept = str(tmp_path / "best.npz")
    seen = []

    class Look(Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))

        def on_predict_batch_end(self, batch, logs=None):
            seen.append([a.shape for a in logs["outputs"]])

    c = bp.callbacks
    history = model.fit(
        x,
        y,
        epochs=4,
        verbose=0,
        validation_split=0.25,
        callbacks=[
            c.ModelCheckpoint(kept, monitor="val_kind_loss", save_best_only=True),
            c.EarlyStopping("val_score_loss", patience=0, min_delta=100.0),
            c.CSVLogger(str(tmp_path / "log.csv")),
            c.ReduceLROnPlateau("score_mae", patience=1, min_delta=100.0),
            c.TerminateOnNaN(),
            Look(),
        ],
    )

    assert len(history.history["loss"]) == 2
    assert "val_kind_accuracy" in seen[0]
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert {"kind_accuracy", "val_score_loss", "loss"} <= set(header)
    again = bp.saving.load_model(kept)
    assert [a.shape for a in again.predict(x, verbose=0)] == [(N, 1), (N, 3)]
    model.predict(x, verbose=0, callbacks=[Look()])
    assert seen[-1] == [(N, 1), (N, 3)]


def test_a_saved_model_goes_on_bit_for_bit(tmp_path):
    x, y = rows()
    model = compiled(
        optimizer="adam",
        loss_weights=[0.5, 2.0],
        metrics=[["mae"], []],
        weighted_metrics=[[], ["acc"]],
    )
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.npz")

    again = bp.saving.load_model(tmp_path / "model.npz")

    expected = model.fit(x, y, epochs=3, verbose=0).history
    assert again.fit(x, y, epochs=3, verbose=0).history == expected
    assert again.metrics_names == model.metrics_names


class Interrupted(Exception):
    pass


class Interrupt(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.trainer.epoch == 1 and batch == 1:
            raise Interrupted


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    x, y = rows()
    options = {"epochs": 3, "batch_size": 6, "verbose": 0}
    whole, cut, resumed = (
        compiled(optimizer="adam", metrics=[["mae"], ["accuracy"]]) for _ in range(3)
    )
    whole.trainer.seed = cut.trainer.seed = resumed.trainer.seed = 5
    backup = {"backup_dir": str(tmp_path / "run"), "save_freq": 1}
    expected = whole.fit(x, y, **options)

    with pytest.raises(Interrupted):
        cut.fit(x, y, **options, callbacks=[bp.callbacks.BackupAndRestore(**backup), Interrupt()])
    found = resumed.fit(x, y, **options, callbacks=[bp.callbacks.BackupAndRestore(**backup)])

    assert found.history == expected.history
    assert_same(resumed.get_weights(), whole.get_weights())


def test_all_data_at_once_minimize_the_weighted_sum():
    x, y = rows()
    model = compiled(optimizer=bp.optimizers.LBFGS(), loss_weights=[2.0, 0.5])

    history = model.fit(x, y, epochs=8, verbose=0).history

    assert history["loss"][-1] < history["loss"][0]
    total = 2 * np.array(history["score_loss"]) + 0.5 * np.array(history["kind_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(history["loss"][-1], rel=1e-4)


def test_a_stateful_model_says_how_many_rows_it_needs():
    a, b = L.Input((3, 2), batch_size=4, name="a"), L.Input((2,), batch_size=4, name="b")
    h = L.LSTM(3, stateful=True)(a)
    model = bp.Model([a, b], [L.Dense(1)(h), L.Dense(1)(b)])
    model.compile("sgd", "mse")
    x, y = [np.ones((8, 3, 2)), np.ones((8, 2))], [np.ones((8, 1))] * 2

    model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="keeps the states of 4 sequences"):
        model.fit(x, y, batch_size=3, verbose=0)
    assert model.predict(x, verbose=0)[0].shape == (8, 1)


class Sum(bp.Model):
    """A loss of its own: the mean of the squares of both outputs, and of their targets' place."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return sum(float(np.mean((a - b) ** 2)) for a, b in zip(y_pred, y, strict=True))

    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None):
        return [2 * (a - b) / a.size for a, b in zip(y_pred, y, strict=True)]


def test_a_model_computes_the_loss_of_several_outputs_by_itself():
    x, y = rows()
    y[1] = np.eye(3)[y[1]]
    plain, other = two_by_two(), two_by_two()
    own = Sum(other.input, other.output, name="own")
    own.compile("sgd")
    compiled(plain, loss="mse")

    assert own.fit(x, y, verbose=0, epochs=3).history["loss"][0] > 0
    plain.fit(x, y, verbose=0, epochs=3)

    for a, b in zip(own.get_weights(), plain.get_weights(), strict=True):
        assert a.shape == b.shape


def test_steps_of_a_subclass_are_given_data_as_the_model_was_drawn():
    kinds = []

    class Steps(bp.Model):
        def train_step(self, data):
            x, y, w = bp.utils.unpack_x_y_sample_weight(data)
            kinds.append((sorted(x), sorted(y), w))
            return super().train_step((x, y))

        def test_step(self, data):
            x, y = data
            return super().test_step((x, y))

        def predict_step(self, data):
            y = super().predict_step(data)
            kinds.append((sorted(data[0]), sorted(y)))
            return y

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            kinds.append((sorted(x), sorted(y_pred)))
            return super().compute_metrics(x, y, y_pred, sample_weight)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight)

    x, y = rows()
    drawn = two_by_two(dict, dict)
    model = compiled(Steps(drawn.input, drawn.output), metrics={"kind": "accuracy"})
    named = by_name(x, y)

    history = model.fit(*named, verbose=0, validation_data=named).history

    assert kinds[0] == (["place", "user"], ["kind", "score"], None)
    assert (["place", "user"], ["kind", "score"]) in kinds
    assert {"loss", "kind_loss", "val_score_loss", "val_kind_accuracy"} <= set(history)
    found = model.predict(named[0], verbose=0)
    assert sorted(found) == sorted(model.predict_on_batch(named[0])) == ["kind", "score"]
    assert kinds[-1] == (["place", "user"], ["kind", "score"])


@pytest.mark.parametrize("kind", [list, dict])
def test_a_whole_step_of_ones_own_takes_data_as_they_were_drawn(kind):
    class Whole(bp.Model):
        def train_step(self, data):
            x, y, w = bp.utils.unpack_x_y_sample_weight(data)
            loss, y_pred, _ = self.trainer.gradients(x, y, w)
            self.optimizer.step(self.parameters)
            return {"loss": loss, **self.compute_metrics(x, y, y_pred, w)}

    x, y = by_name(*rows()) if kind is dict else rows()
    w = np.linspace(0, 1, N)
    drawn = two_by_two(kind, kind)
    model = compiled(Whole(drawn.input, drawn.output), metrics={"kind": "accuracy"})
    plain = compiled(two_by_two(kind, kind), metrics={"kind": "accuracy"})

    found = model.fit(x, y, sample_weight=w, verbose=0, batch_size=N, epochs=2).history
    expected = plain.fit(x, y, sample_weight=w, verbose=0, batch_size=N, epochs=2).history

    assert found == {name: expected[name] for name in ("kind_accuracy", "loss")}
    assert_same(weights_by_layer(model), weights_by_layer(plain))


def test_nested_tuples_reach_the_gradients_as_they_were_drawn():
    a, b, c = (L.Input((2,)) for _ in "abc")
    model = bp.Model((a, (b, c)), (L.Dense(1)(a), L.Dense(1)(L.Concatenate()([b, c]))))
    model.compile("sgd", "mse")
    one = np.ones((4, 2), "float32")

    value, y_pred, _ = model.trainer.gradients((one, (one, one)), (one[:, :1], one[:, :1]))

    assert [p.shape for p in y_pred] == [(4, 1), (4, 1)]
    assert value == pytest.approx(sum(value.parts))


def test_a_step_of_ones_own_needs_no_targets():
    class Own(bp.Model):
        def train_step(self, data):
            user, place = data[0]
            return {"loss": float(len(user) + len(place))}

    drawn = two_by_two()
    model = Own(drawn.input, drawn.output)
    model.compile("sgd")

    assert model.fit(X, verbose=0, batch_size=N).history == {"loss": [2.0 * N]}


def test_a_clone_is_compiled_alike():
    x, y = rows()
    model = compiled(optimizer="adam", loss_weights={"kind": 3.0}, metrics=[[], ["accuracy"]])
    model.fit(x, y, verbose=0)

    twin = model.trainer.anew(model)

    assert twin.loss.weights == [1.0, 3.0]
    assert list(twin.results()) == ["loss", "score_loss", "kind_loss"]
