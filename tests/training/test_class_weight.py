"""Weights of classes: the loss says what the classes of its targets are."""

import numpy as np
import pytest

import backprop as bp
from backprop.layers import Dense
from backprop.losses import Loss

RNG = np.random.default_rng(0)
N, T, K = 12, 4, 3
ROWS = RNG.normal(size=(N, 3))
STEPS = RNG.normal(size=(N, T, 3))
PIXELS = RNG.normal(size=(N, T, 5, 3))
A_ROW = RNG.integers(0, K, N)
A_STEP = RNG.integers(0, K, (N, T))
A_PIXEL = RNG.integers(0, K, (N, T, 5))
BINARY = RNG.integers(0, 2, N)
BINARY_STEP = RNG.integers(0, 2, (N, T))
SEVERAL = {0: 1.0, 1: 2.0, 2: 5.0}
TWO = {0: 1.0, 1: 7.0}


def make(x, units, loss, optimizer=None, **options):
    bp.utils.set_random_seed(0)
    activation = "softmax" if units > 1 else "sigmoid"
    model = bp.Sequential([bp.Input(x.shape[1:]), Dense(units, activation)], dtype="float64")
    model.compile(optimizer or bp.optimizers.SGD(0.1), loss, **options)
    return model


def one_hot(labels):
    return np.eye(K)[labels]


# x, y as the user has it, the class of each value, units, loss, class_weight
CASES = {
    "numbers": (ROWS, A_ROW, A_ROW, K, "sparse_categorical_crossentropy", SEVERAL),
    "a column": (ROWS, A_ROW[:, None], A_ROW, K, "sparse_categorical_crossentropy", SEVERAL),
    "floats": (ROWS, A_ROW * 1.0, A_ROW, K, "sparse_categorical_crossentropy", SEVERAL),
    "robust": (ROWS, A_ROW, A_ROW, K, "categorical_generalized_cross_entropy", SEVERAL),
    "one-hot": (ROWS, one_hot(A_ROW), A_ROW, K, "categorical_crossentropy", SEVERAL),
    "one-hot focal": (ROWS, one_hot(A_ROW), A_ROW, K, "categorical_focal_crossentropy", SEVERAL),
    "one-hot hinge": (ROWS, one_hot(A_ROW), A_ROW, K, "categorical_hinge", SEVERAL),
    "one-hot of sigmoids": (ROWS, one_hot(A_ROW), A_ROW, K, "binary_crossentropy", TWO),
    "steps": (STEPS, A_STEP, A_STEP, K, "sparse_categorical_crossentropy", SEVERAL),
    "steps, columns": (STEPS, A_STEP[..., None], A_STEP, K, "sparse_categorical_crossentropy", TWO),
    "steps, one-hot": (STEPS, one_hot(A_STEP), A_STEP, K, "categorical_crossentropy", SEVERAL),
    "pixels": (PIXELS, A_PIXEL, A_PIXEL, K, "sparse_categorical_crossentropy", SEVERAL),
    "pixels, one-hot": (PIXELS, one_hot(A_PIXEL), A_PIXEL, K, "categorical_crossentropy", SEVERAL),
    "binary": (ROWS, BINARY, BINARY, 1, "binary_crossentropy", TWO),
    "binary column": (ROWS, BINARY[:, None] * 1.0, BINARY, 1, "binary_crossentropy", TWO),
    "binary bool": (ROWS, BINARY > 0, BINARY, 1, "binary_crossentropy", TWO),
    "binary focal": (ROWS, BINARY, BINARY, 1, "binary_focal_crossentropy", TWO),
    "binary steps": (STEPS, BINARY_STEP[..., None] * 1.0, BINARY_STEP, 1, "bce", TWO),
    "binary steps, flat": (STEPS, BINARY_STEP, BINARY_STEP, 1, "bce", TWO),
    "hinge": (ROWS, BINARY, BINARY, 1, "hinge", TWO),
    "signs": (ROWS, 2 * BINARY - 1, 2 * BINARY - 1, 1, "squared_hinge", {-1: 3.0, 1: 5.0}),
}


@pytest.mark.parametrize("kind", ["arrays", "batches", "one batch"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_value_weighs_what_its_class_does(case, kind):
    x, y, classes, units, loss, class_weight = case
    model, expected = make(x, units, loss), make(x, units, loss)
    w = np.vectorize(lambda c: class_weight.get(int(c), 1.0))(classes)
    target = y[..., None] if y.shape == w.shape and w.ndim > 1 and units == 1 else y
    value = expected.train_on_batch(x, target, sample_weight=w)
    if kind == "one batch":
        found = model.train_on_batch(x, y, class_weight=class_weight)
    else:
        data = (x, y) if kind == "arrays" else ([(x, y)],)
        size = {"batch_size": N} if kind == "arrays" else {}
        options = {"class_weight": class_weight, "shuffle": False, "verbose": 0}
        found = model.fit(*data, **size, **options).history["loss"][0]

    np.testing.assert_allclose(found, value, rtol=1e-12)
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    "keys", [{0.0: 1.0, 1.0: 7.0}, {np.int64(0): 1, np.float32(1): 7}, {False: 1, True: 7}]
)
def test_a_key_is_any_spelling_of_a_number(keys):
    expected = make(ROWS, 1, "bce").train_on_batch(ROWS, BINARY, class_weight=TWO)

    assert make(ROWS, 1, "bce").train_on_batch(ROWS, BINARY, class_weight=keys) == expected


def test_a_class_that_has_no_row_may_have_a_weight():
    y = BINARY + 1
    plain = make(ROWS, 3, "sparse_categorical_crossentropy").train_on_batch(ROWS, y)
    model = make(ROWS, 3, "sparse_categorical_crossentropy")

    assert model.train_on_batch(ROWS, y, class_weight={0: 9.0}) == plain


def test_labels_that_the_loss_ignores_have_no_class():
    loss = bp.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    y = np.where(A_ROW == 1, -1, A_ROW)
    class_weight = {0: 2.0, 2: 3.0}
    w = np.vectorize(lambda c: class_weight.get(c, 1.0))(y)
    expected = make(ROWS, 3, loss).train_on_batch(ROWS, y, sample_weight=w)

    assert make(ROWS, 3, loss).train_on_batch(ROWS, y, class_weight=class_weight) == expected


def balanced(y):
    found, counts = np.unique(y, return_counts=True)
    return dict(zip(found.tolist(), y.size / (len(found) * counts), strict=True))


@pytest.mark.parametrize("name", ["numbers", "one-hot", "steps", "pixels, one-hot", "binary"])
def test_balanced_counts_each_class_alike(name):
    x, y, classes, units, loss, _ = CASES[name]
    expected = make(x, units, loss).train_on_batch(x, y, class_weight=balanced(classes))

    assert make(x, units, loss).train_on_batch(x, y, class_weight="balanced") == expected


def test_balanced_weights_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.utils.class_weight", reason="compares with it")
    weights = sklearn.compute_class_weight("balanced", classes=np.unique(A_ROW), y=A_ROW)

    np.testing.assert_allclose(list(balanced(A_ROW).values()), weights)


def test_balanced_counts_the_rows_that_are_trained_on():
    options = {"validation_split": 0.5, "verbose": 0}
    expected = make(ROWS, 1, "bce").fit(ROWS, BINARY, class_weight=balanced(BINARY[:6]), **options)
    found = make(ROWS, 1, "bce").fit(ROWS, BINARY, class_weight="balanced", **options)

    assert found.history == expected.history


@pytest.mark.parametrize("class_weight", ["balanced", TWO])
def test_labels_on_disk_are_weighed_as_in_memory(tmp_path, class_weight):
    np.save(tmp_path / "y.npy", BINARY)
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    options = {"class_weight": class_weight, "validation_split": 0.25, "batch_size": 4}
    expected = make(ROWS, 1, "bce").fit(ROWS, BINARY, verbose=0, **options)

    assert make(ROWS, 1, "bce").fit(ROWS, y, verbose=0, **options).history == expected.history


# ------------------------------------------------------------------ for training alone


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_class_weights_do_not_reach_validation(optimizer):
    split, apart = (make(ROWS, 1, "bce", optimizer, weighted_metrics=["acc"]) for _ in range(2))
    options = {"class_weight": TWO, "epochs": 3, "verbose": 0, "shuffle": False}
    found = split.fit(ROWS, BINARY, validation_split=0.25, **options).history
    rest = ROWS[9:], BINARY[9:]
    expected = apart.fit(ROWS[:9], BINARY[:9], validation_data=rest, **options).history

    assert found == expected
    np.testing.assert_allclose(found["val_loss"][-1], split.evaluate(*rest, verbose=0)[0])


def test_sample_weights_go_with_the_rows_that_are_split_off():
    w = np.where(BINARY, 7.0, 1.0)
    model = make(ROWS, 1, "bce")
    history = model.fit(ROWS, BINARY, validation_split=0.25, sample_weight=w, verbose=0).history
    expected = model.evaluate(ROWS[9:], BINARY[9:], sample_weight=w[9:], verbose=0)

    np.testing.assert_allclose(history["val_loss"], expected)


def test_what_watches_a_validation_does_not_see_class_weights(tmp_path):
    def fit(**validation):
        stop = bp.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
        save = bp.callbacks.ModelCheckpoint(tmp_path / "best.npz", save_best_only=True)
        model = make(ROWS, 1, "bce", bp.optimizers.SGD(2.0))
        rows = 9 if "validation_data" in validation else N
        history = model.fit(
            ROWS[:rows],
            BINARY[:rows],
            class_weight={1: 20.0},
            shuffle=False,
            epochs=12,
            verbose=0,
            callbacks=[stop, save],
            **validation,
        )
        return history.history, save.best

    assert fit(validation_split=0.25) == fit(validation_data=(ROWS[9:], BINARY[9:]))


# ------------------------------------------------------------------ what is refused


def test_a_class_that_does_not_exist_is_refused():
    for x, y, units, loss, label in [
        (ROWS, A_ROW, K, "sparse_categorical_crossentropy", 7),
        (ROWS, one_hot(A_ROW), K, "categorical_crossentropy", -1),
        (ROWS, BINARY, 1, "bce", 2),
        (ROWS, 2 * BINARY - 1, 1, "hinge", 2),
    ]:
        with pytest.raises(ValueError, match=f"class_weight names class {label}, and the classes"):
            make(x, units, loss).fit(x, y, class_weight={label: 2.0}, verbose=0)


@pytest.mark.parametrize("loss", ["mse", "poisson", "cosine_similarity"])
def test_numbers_that_are_no_classes_are_refused(loss):
    with pytest.raises(ValueError, match="class_weight needs a class for each row, and"):
        make(ROWS, 1, loss).fit(ROWS, BINARY + 0.5, class_weight=TWO, verbose=0)


@pytest.mark.parametrize("y", [BINARY, BINARY[:, None], one_hot(BINARY)], ids=["n", "n1", "nk"])
def test_classes_told_apart_by_squared_errors_have_weights_too(y):
    units = y.shape[1] if y.ndim == 2 else 1
    w = np.vectorize(TWO.get)(BINARY)
    expected = make(ROWS, units, "mse").train_on_batch(ROWS, y, sample_weight=w)

    assert make(ROWS, units, "mse").train_on_batch(ROWS, y, class_weight=TWO) == expected


def test_labels_that_are_no_class_are_refused():
    y = np.array([[1, 0, 1]] * N)
    with pytest.raises(ValueError, match="one class a sample, and y holds 2 in row 0"):
        make(ROWS, 3, "bce").fit(ROWS, y, class_weight=TWO, verbose=0)


def test_an_iterable_cannot_be_balanced():
    with pytest.raises(ValueError, match="'balanced' counts the classes in all of y"):
        make(ROWS, 1, "bce").fit([(ROWS, BINARY)], class_weight="balanced", verbose=0)


def test_a_batch_with_weights_of_its_own_takes_no_class_weights():
    with pytest.raises(ValueError, match="give class_weight or sample_weight, not both"):
        make(ROWS, 1, "bce").fit([(ROWS, BINARY, BINARY)], class_weight=TWO, verbose=0)


def test_a_loss_of_ones_own_may_tell_its_classes():
    class Squares(Loss):
        def values(self, y_true, y_pred):
            d = y_pred - y_true
            return (d * d).mean(-1), d

        def gradient(self, dvalues, d):
            return dvalues[..., None] * 2 * d / d.shape[-1]

        def classes(self, y_true, output_shape):
            return np.rint(y_true[:, 0]).astype(int), [0, 1]

    y = BINARY[:, None]
    expected = make(ROWS, 1, Squares()).train_on_batch(ROWS, y, sample_weight=1 + 6 * BINARY)

    assert make(ROWS, 1, Squares()).train_on_batch(ROWS, y, class_weight=TWO) == expected
