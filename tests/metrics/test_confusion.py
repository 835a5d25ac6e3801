"""Outcomes at thresholds, curves, F, IoU, correlations: beside Keras, scikit-learn and by hand."""

import copy
import os
import pickle
import warnings

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import backprop as bp
from backprop import metrics


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="Keras is the peer that is compared with")


def both(keras, name, batches, *args, **kwargs):
    """The result of a metric over batches, ours and Keras'."""
    found = []
    for library in (metrics, keras.metrics):
        metric = getattr(library, name)(*args, **kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for y, p, w in batches:
                metric.update_state(y, p, sample_weight=w)
            found.append(np.asarray(metric.result()))
    return found


def drawn(seed, classes=3, weighted=False, n=(7, 5), decimals=None):
    """Batches of labels and probabilities, (n, classes)."""
    rng = np.random.default_rng(seed)
    for rows in n:
        p = rng.random((rows, classes)).astype("float32")
        p = p if decimals is None else p.round(decimals)
        y = (rng.random((rows, classes)) < 0.4).astype("float32")
        yield y, p, rng.integers(0, 4, rows).astype("float32") if weighted else None


seeds = st.integers(0, 2**32 - 1)
brief = settings(max_examples=25, deadline=None)


@given(
    seeds,
    st.sampled_from(["TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"]),
    st.one_of(st.none(), st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=4)),
    st.booleans(),
)
@brief
def test_counts_are_those_of_keras(keras, seed, name, thresholds, weighted):
    batches = list(drawn(seed, weighted=weighted, decimals=1))
    ours, theirs = both(keras, name, batches, thresholds=thresholds)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@given(
    seeds,
    st.sampled_from(["Precision", "Recall"]),
    st.one_of(st.none(), st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=4)),
    st.one_of(st.none(), st.integers(1, 3)),
    st.one_of(st.none(), st.integers(0, 2)),
    st.booleans(),
)
@brief
def test_precision_and_recall_are_those_of_keras(
    keras, seed, name, thresholds, top_k, class_id, weighted
):
    batches = list(drawn(seed, weighted=weighted))
    ours, theirs = both(keras, name, batches, thresholds=thresholds, top_k=top_k, class_id=class_id)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@given(
    seeds,
    st.sampled_from(
        [
            *("SensitivityAtSpecificity", "SpecificityAtSensitivity"),
            *("PrecisionAtRecall", "RecallAtPrecision"),
        ]
    ),
    st.floats(0, 1),
    st.sampled_from([1, 2, 3, 50, 200]),
    st.one_of(st.none(), st.integers(0, 2)),
    st.booleans(),
)
@brief
def test_the_best_at_a_constraint_is_that_of_keras(
    keras, seed, name, value, num_thresholds, class_id, weighted
):
    batches = list(drawn(seed, weighted=weighted))
    value = round(value, 2) + 0.003  # not a share that occurs, where rounding would decide
    value = min(value, 1.0)
    ours, theirs = both(
        keras, name, batches, value, num_thresholds=num_thresholds, class_id=class_id
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@given(
    seeds,
    st.sampled_from(["ROC", "PR", "PRGAIN"]),
    st.sampled_from(["interpolation", "minoring", "majoring"]),
    st.one_of(st.sampled_from([2, 3, 50, 200]), st.lists(st.floats(0.01, 0.99), min_size=1)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@brief
def test_the_area_is_that_of_keras(
    keras, seed, curve, summation_method, thresholds, multi_label, label_weights, weighted
):
    batches = list(drawn(seed, weighted=weighted, n=(9, 6)))
    number = {"num_thresholds": thresholds} if isinstance(thresholds, int) else {}
    ours, theirs = both(
        keras,
        "AUC",
        batches,
        curve=curve,
        summation_method=summation_method,
        thresholds=None if number else thresholds,
        multi_label=multi_label,
        label_weights=[1.0, 2.0, 0.5] if label_weights else None,
        **number,
    )
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_the_area_of_logits_is_that_of_their_probabilities():
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 2, 50), rng.normal(size=50)

    from_logits = metrics.AUC(from_logits=True)(y, z)

    assert from_logits == metrics.AUC()(y, 1 / (1 + np.exp(-z)))


@given(
    seeds,
    st.sampled_from([None, "micro", "macro", "weighted"]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.one_of(st.none(), st.floats(0.1, 1)),
    st.booleans(),
)
@brief
def test_f_scores_are_those_of_keras(keras, seed, average, beta, threshold, weighted):
    batches = list(drawn(seed, weighted=weighted))
    ours, theirs = both(
        keras, "FBetaScore", batches, average=average, beta=beta, threshold=threshold
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    ours, theirs = both(keras, "F1Score", batches, average=average, threshold=threshold)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@given(seeds, st.one_of(st.none(), st.integers(0, 2)), st.booleans())
@brief
def test_intersections_over_unions_are_those_of_keras(keras, seed, ignore_class, weighted):
    rng = np.random.default_rng(seed)
    shape = (4, 3)
    y, p = rng.integers(0, 4, shape), rng.integers(0, 4, shape)  # 3 is no class
    w = rng.integers(0, 3, shape) if weighted else None
    one_hot = np.eye(3, dtype="float32")[y % 3], rng.random((*shape, 3)).astype("float32")
    for name, args, batch in (
        ("IoU", (3, [0, 2]), (y, p, w)),
        ("MeanIoU", (3,), (y, p, w)),
        ("OneHotIoU", (3, [1]), (*one_hot, w)),
        ("OneHotMeanIoU", (3,), (*one_hot, w)),
    ):
        ours, theirs = both(keras, name, [batch, batch], *args, ignore_class=ignore_class)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    batch = (y % 2, rng.random(shape).astype("float32"), w)
    ours, theirs = both(keras, "BinaryIoU", [batch], threshold=0.3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@given(seeds, st.sampled_from(["PearsonCorrelation", "ConcordanceCorrelation"]), st.booleans())
@brief
def test_correlations_are_those_of_keras(keras, seed, name, columns):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(6, 4))
    p = y + rng.normal(size=(6, 4))
    ours, theirs = both(keras, name, [(y, p, None)], axis=0 if columns else -1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------- scikit-learn, and by hand


def test_scores_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 3, 200), rng.random((200, 3))
    foreseen, rows = p.argmax(1), np.eye(3)[y]
    precision, recall, f1, count = sklearn.precision_recall_fscore_support(y, foreseen)
    matrix = metrics.ConfusionMatrix(3)

    np.testing.assert_array_equal(matrix(y, p), sklearn.confusion_matrix(y, foreseen))
    for k in range(3):
        top = {"top_k": 1, "class_id": k}
        assert metrics.Precision(**top)(rows, p) == pytest.approx(precision[k])
        assert metrics.Recall(**top)(rows, p) == pytest.approx(recall[k])
    np.testing.assert_allclose(metrics.F1Score()(rows, p), f1, rtol=1e-6)
    jaccard = sklearn.jaccard_score(y, foreseen, average="macro")
    assert metrics.MeanIoU(3)(y, foreseen) == pytest.approx(jaccard, rel=1e-6)
    for how in ("true", "pred", "all"):
        np.testing.assert_allclose(
            metrics.ConfusionMatrix(3, normalize=how)(y, p),
            sklearn.confusion_matrix(y, foreseen, normalize=how),
        )
    for row, theirs in zip(
        matrix.report().splitlines()[1:4],
        sklearn.classification_report(y, foreseen, digits=4).splitlines()[2:5],
        strict=True,
    ):
        assert row.split() == theirs.split()
    assert count.sum() == 200


def test_the_area_tends_to_that_of_all_thresholds():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    p = np.clip(0.3 * y + rng.random(3000) * 0.7, 0, 1)
    w = rng.random(3000)

    roc = metrics.AUC(num_thresholds=5000)(y, p, sample_weight=w)
    pr = metrics.AUC(num_thresholds=5000, curve="PR")(y, p)

    assert roc == pytest.approx(sklearn.roc_auc_score(y, p, sample_weight=w), abs=1e-4)
    assert pr == pytest.approx(sklearn.average_precision_score(y, p), abs=1e-3)


def test_millions_of_rows_are_counted_exactly():
    n = 2**24 + 3  # more than float32 can count by ones
    y = np.ones(n // 4, np.int8)
    metric = metrics.TruePositives()
    for _ in range(4):
        metric.update_state(y, y)
    metric.update_state([1, 1, 1], [1, 1, 1])

    assert metric.result() == 4 * (n // 4) + 3


def test_batches_make_no_difference():
    rng = np.random.default_rng(0)
    y, p, w = rng.integers(0, 2, 90), rng.random(90), rng.random(90)
    for metric in (metrics.AUC(), metrics.Precision(), metrics.RecallAtPrecision(0.5)):
        whole = copy.deepcopy(metric)(y, p, sample_weight=w)
        for i in range(0, 90, 7):
            metric.update_state(y[i : i + 7], p[i : i + 7], sample_weight=w[i : i + 7])
        assert metric.result() == pytest.approx(whole, rel=1e-12)


def test_a_prediction_at_a_threshold_is_not_above_it():
    assert metrics.TruePositives(0.3)([1], np.array([0.3], np.float32)) == 0
    assert metrics.TruePositives(0.3)([1], [0.3]) == 0
    assert metrics.TruePositives(0.3)([1], [0.30001]) == 1


@pytest.mark.parametrize("steps", [2, 3, 7, 50, 101, 200, 201])
@pytest.mark.parametrize("name", ["SensitivityAtSpecificity", "AUC"])
def test_predictions_at_thresholds_are_on_the_side_that_keras_puts_them(keras, name, steps):
    rng = np.random.default_rng(steps)
    y = rng.integers(0, 2, 3000)
    p = (rng.integers(0, steps, 3000) / (steps - 1)).astype("float32")
    first = {"AUC": {}, "SensitivityAtSpecificity": {"specificity": 0.5}}[name]
    pair = [
        getattr(library, name)(**first, num_thresholds=steps)
        for library in (metrics, keras.metrics)
    ]

    for metric in pair:
        metric.update_state(y, p)

    for counted in ("true_positives", "false_positives", "true_negatives", "false_negatives"):
        ours, theirs = (np.asarray(getattr(metric, counted)) for metric in pair)
        np.testing.assert_array_equal(ours, theirs)


EVERY_OUTCOME = [
    *(("TruePositives", ()), ("FalseNegatives", ([0.2, 0.6],)), ("TrueNegatives", ([0, 0.5, 1],))),
    *(("Precision", ()), ("Recall", ()), ("AUC", ()), ("RecallAtPrecision", (0.5,))),
]


@pytest.mark.parametrize(("name", "arguments"), EVERY_OUTCOME)
@pytest.mark.parametrize("kind", ["soft", "negative", "class numbers", "reals"])
def test_labels_that_are_neither_0_nor_1_count_as_1_with_a_warning(keras, name, arguments, kind):
    rng = np.random.default_rng(0)
    y = {
        "soft": rng.choice([0, 0.3, 0.9, 1], 40),
        "negative": rng.choice([-1.0, 0, 1], 40),
        "class numbers": rng.integers(0, 4, 40),
        "reals": rng.normal(size=40),
    }[kind]
    p = rng.random(40).astype("float32")

    ours, theirs = both(keras, name, [(y, p, None)], *arguments)

    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    with pytest.warns(UserWarning, match=rf"^{name}\(.* labels of 0 and 1 and got others"):
        getattr(metrics, name)(*arguments).update_state(y, p)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("AUC", ()), ("AUC", (2,)), ("AUC", (50, "PR")), ("TruePositives", ([0, 0.5, 1],))),
        *(("RecallAtPrecision", (0.5,)), ("SpecificityAtSensitivity", (0.5, 2))),
    ],
)
def test_predictions_outside_0_and_1_count_as_these_with_a_warning(keras, name, arguments):
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 60), rng.normal(0.5, 1, 60).astype("float32")

    ours, theirs = both(keras, name, [(y, p, None)], *arguments)

    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-7)
    with pytest.warns(UserWarning, match=rf"^{name}\(.* predictions in \[0, 1\] and got others"):
        getattr(metrics, name)(*arguments).update_state(y, p)


def test_what_rounding_adds_to_a_probability_is_no_reason_for_a_warning():
    p = np.array([0, 1 + 2**-23], np.float32)

    assert metrics.AUC()([0, 1], p) == 1


def test_what_is_not_among_the_largest_is_no_reason_for_a_warning():
    y, p = [[1, 0, 1]], [[0.9, 0.2, 0.6]]

    found = metrics.Recall([0, 0.5, 1], top_k=1)(y, p)

    np.testing.assert_array_equal(found, [0.5, 0.5, 0])


def test_half_precision_is_compared_as_keras_does(keras):
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 500), rng.random(500).astype("float16")

    for name, arguments in (("AUC", ()), ("TruePositives", ([0.1, 0.3, 0.7],))):
        ours, theirs = both(keras, name, [(y, p, None)], *arguments)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_threshold_of_0_takes_logits_as_they_are():
    assert metrics.Recall(thresholds=0)([1, 1, 1], [-2.0, 3.0, 0.5]) == pytest.approx(2 / 3)


def test_the_largest_of_a_vector_are_taken_as_keras_documents_it():
    assert metrics.Precision(top_k=2)([0, 0, 1, 1], [1, 1, 1, 1]) == 0
    assert metrics.Precision(top_k=4)([0, 0, 1, 1], [1, 1, 1, 1]) == 0.5
    assert metrics.Recall(top_k=1)([0, 1, 1], [0.1, 0.9, 0.8]) == 0.5


def test_a_matrix_takes_class_numbers_for_predictions_too():
    labels, rows = np.array([0, 2, 2, 1]), np.eye(3)[[0, 2, 2, 1]]
    foreseen = np.array([0, 2, 1, 1])
    expected = [[1, 0, 0], [0, 1, 0], [0, 1, 1]]

    for y in (labels, labels[:, None], rows):
        for p in (foreseen, foreseen.astype(np.uint8)[:, None], np.eye(3)[foreseen]):
            np.testing.assert_array_equal(metrics.ConfusionMatrix(3)(y, p), expected)


@pytest.mark.parametrize(
    "metric", [metrics.MeanIoU(2), metrics.IoU(2, [1]), metrics.OneHotIoU(2, [0], None, None)]
)
def test_unions_warn_of_fractions_where_class_numbers_belong(metric):
    y = [0, 1, 1]
    if metric.sparse_y_true:
        with pytest.warns(UserWarning, match="BinaryIoU"):
            metric.update_state(y, [[0.2], [0.7], [1.0]])
    else:
        metric.update_state(np.eye(2)[y], [[0.3, 0.7], [0.2, 0.8], [0.6, 0.4]])

    assert np.asarray(metric.total_cm).sum() == 3


def test_thresholds_keep_their_order():
    y, p = [1, 1, 0, 1], [0.9, 0.5, 0.4, 0.2]
    found = metrics.TruePositives([0.8, 0.1, 0.45])(y, p)
    np.testing.assert_array_equal(found, [1, 3, 2])


def test_a_prediction_that_is_no_number_is_above_nothing():
    assert metrics.TruePositives()([1, 1], [np.nan, 0.9]) == 1
    assert metrics.FalseNegatives()([1, 1], [np.nan, 0.9]) == 1


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AUC(multi_label=True),
        metrics.F1Score(),
        metrics.ConfusionMatrix(3),
        metrics.Precision(),
    ],
    ids=lambda m: m.name,
)
def test_copies_and_pickles_go_on_from_where_they_are(metric):
    y, p, _ = next(iter(drawn(0)))
    y = np.eye(3)[y.argmax(1)]
    metric.reset_state()
    metric.update_state(y, p)
    twin, thawed = copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))
    for m in (metric, twin, thawed):
        m.update_state(y, p[:, ::-1])
    np.testing.assert_array_equal(metric.result(), twin.result())
    np.testing.assert_array_equal(metric.result(), thawed.result())
    metric.reset_state()
    assert not np.any(metric.result())


# ----------------------------------------------------------------------------------- in a model


def test_they_serve_by_name_in_a_model_with_weights_and_are_fresh_for_each_compile():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("float32")
    model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(1, "sigmoid")])
    names = ["auc", "precision", "recall", "true_positives"]
    for _ in range(2):
        model.compile("adam", "binary_crossentropy", metrics=names)
        history = model.fit(x, y, verbose=0, validation_split=0.2).history
        assert set(history) == {"loss", "val_loss", *names, *(f"val_{n}" for n in names)}
    p = model.predict(x, verbose=0)
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found["true_positives"] == ((p[:, 0] > 0.5) & (y == 1)).sum()
    assert found["auc"] == metrics.AUC()(y, p)


def test_padding_does_not_count():
    model = bp.Sequential(
        [
            bp.Input((None,), dtype="int32"),
            bp.layers.Embedding(5, 3, mask_zero=True),
            bp.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.FalseNegatives(1.0)])
    x, y = np.array([[1, 2, 0, 0], [3, 0, 0, 0]]), np.ones((2, 4, 1))

    assert model.evaluate(x, y, verbose=0, return_dict=True)["false_negatives"] == 3


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(1.5), "Precision expects thresholds in"),
        (lambda: metrics.Recall([]), "Recall expects thresholds in"),
        (lambda: metrics.Recall([None, 0.5]), "Recall expects thresholds in"),
        (lambda: metrics.Recall("half"), "Recall expects thresholds in"),
        (lambda: metrics.Precision(top_k=0), "top_k"),
        (lambda: metrics.Recall(class_id=-1), "class_id"),
        (lambda: metrics.AUC(1), "num_thresholds"),
        (lambda: metrics.AUC(curve="ROCK"), "'ROC', 'PR', 'PRGAIN'"),
        (lambda: metrics.AUC(num_labels=2), "multi_label=True"),
        (lambda: metrics.AUC(thresholds=[2.0]), "in \\[0, 1\\]"),
        (lambda: metrics.PrecisionAtRecall(1.5), "a share in"),
        (lambda: metrics.FBetaScore(average="mean"), "average"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta"),
        (lambda: metrics.F1Score(threshold=0.0), "threshold"),
        (lambda: metrics.IoU(2, [2]), "target_class_ids from 0 to 1"),
        (lambda: metrics.ConfusionMatrix(1), "num_classes"),
    ],
)
def test_options_out_of_range_are_errors_that_say_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("metric", "y", "p", "message"),
    [
        (metrics.Precision(), [0, 2], [[0.1, 0.9], [0.2, 0.8]], "to_categorical"),
        (metrics.Precision(class_id=2), [[0, 1]], [[0.1, 0.9]], "class 2"),
        (metrics.Recall(top_k=3), [[0, 1]], [[0.1, 0.9]], "3 largest"),
        (metrics.F1Score(), [0, 1], [0.4, 0.5], r"\(n, classes\)"),
        (metrics.ConfusionMatrix(2), [0, 2], [0.1, 0.9], "y_true from 0 to 1"),
        (metrics.ConfusionMatrix(3), [0, 2], [0.1, 0.9], "a score for each of 3 classes"),
        (metrics.ConfusionMatrix(3), [0, 2], [1, 3], "y_pred from 0 to 2, .* got 3"),
        (metrics.AUC(label_weights=[1, 2]), [[0, 1, 0]], [[0, 1, 0.0]], "2 label_weights"),
        (metrics.AUC(multi_label=True, label_weights=[1, 2]), np.eye(3), np.eye(3), "2 label_w"),
        (metrics.AUC(label_weights=[1, 2]), [0, 1], [0, 0.5], "2 label_weights"),
        (metrics.MeanIoU(2), [0, 1], [0], "a class for each prediction"),
        (metrics.AUC(multi_label=True), [1, 0], [0.4, 0.5], r"\(n, labels\)"),
    ],
)
def test_arrays_that_do_not_fit_are_errors_that_name_the_metric(metric, y, p, message):
    with pytest.raises(ValueError, match=message) as error:
        metric.update_state(y, p)
    assert type(metric).__name__ in str(error.value)


@pytest.mark.parametrize(
    "metric",
    [
        *(metrics.Precision(), metrics.TruePositives(), metrics.AUC(), metrics.F1Score()),
        *(metrics.AUC(multi_label=True), metrics.AUC(label_weights=[1, 2, 3])),
        *(metrics.MeanIoU(2), metrics.BinaryIoU(), metrics.OneHotMeanIoU(3)),
        metrics.ConfusionMatrix(2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("shape", [(3,), (2, 2), (5, 3, 2), (1, 5)])
def test_weights_that_do_not_fit_are_errors(metric, shape):
    y, p = np.tile([1, 0, 0], (5, 1)), np.tile([0.2, 0.9, 0.1], (5, 1))
    if type(metric) is metrics.MeanIoU:
        p = y
    who = type(metric).__name__

    with pytest.raises(ValueError, match=rf"{who}\(.*sample_weight of shape \({shape[0]},"):
        metric.update_state(y, p, sample_weight=np.ones(shape))


@pytest.mark.parametrize("name", ["mean_io_u", "IoU", "precision_at_recall", "confusion_matrix"])
def test_a_name_that_needs_arguments_says_which(name):
    with pytest.raises(TypeError, match=f"the metric '{name}' needs .*: give an object, .*=..."):
        bp.Sequential([bp.layers.Dense(2)]).compile("sgd", "mse", metrics=[name])


# ---------------------------------------------------------------------------- many rows


def test_five_million_rows_give_what_scikit_learn_makes_of_them():
    sklearn = pytest.importorskip("sklearn.metrics", reason="the peer that is compared with")
    n, rng = 5_000_000, np.random.default_rng(0)
    y = rng.random(n) < 0.3
    p = (0.3 * y + 0.7 * rng.random(n)).astype(np.float32).round(3)  # sums of float32 would drift
    tp, fp, fn = (np.sum(a & b) for a, b in ((p > 0.5, y), (p > 0.5, ~y), (p <= 0.5, y)))
    wanted = {
        "TruePositives": tp,
        "Precision": tp / (tp + fp),
        "Recall": tp / (tp + fn),
        "BinaryAccuracy": 1 - (fp + fn) / n,
        "MeanSquaredError": sklearn.mean_squared_error(y, p.astype(np.float64)),
        "MeanAbsoluteError": sklearn.mean_absolute_error(y, p.astype(np.float64)),
        "R2Score": sklearn.r2_score(y, p.astype(np.float64)),
    }
    area = metrics.AUC(num_thresholds=1001)
    found = {name: getattr(metrics, name)() for name in wanted}
    for i in range(0, n, 500_000):
        rows = (y[i : i + 500_000, None].astype(np.float32), p[i : i + 500_000, None])
        area.update_state(*rows)
        for metric in found.values():
            metric.update_state(*rows)

    assert {name: metric.result() for name, metric in found.items()} == pytest.approx(
        wanted, rel=1e-7
    )
    assert area.result() == pytest.approx(sklearn.roc_auc_score(y, p), abs=1e-6)


@given(seeds, st.integers(2, 5))
@brief
def test_a_report_has_the_numbers_of_scikit_learn(seed, classes):
    sklearn = pytest.importorskip("sklearn.metrics", reason="the peer that is compared with")
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, classes, (2, 40))
    matrix = metrics.ConfusionMatrix(classes)
    matrix.update_state(y, p)

    rows = {line.split()[0]: line.split()[1:] for line in matrix.report().splitlines()[1:]}
    wanted = sklearn.classification_report(
        y, p, labels=range(classes), output_dict=True, zero_division=0
    )
    wanted["mean"], wanted["weighted"] = wanted["macro avg"], wanted["weighted avg"]
    for name in (*map(str, range(classes)), "mean", "weighted"):
        numbers = [wanted[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert list(map(float, rows[name])) == pytest.approx(numbers, abs=5.1e-5)
    accuracy = np.mean(y == p)
    assert float(rows["accuracy"][0]) == pytest.approx(accuracy, abs=5.1e-5)


@pytest.mark.parametrize(
    ("weight", "counts"),
    [(1, ["1234600", "1233967", "2468567"]), (0.5, ["617300", "616984", "1.23428e+06"])],
)
def test_a_report_of_millions_shows_all_digits(weight, counts):
    matrix = metrics.ConfusionMatrix(2)
    y = np.arange(2_468_567) >= 1_234_600
    matrix.update_state(y.astype(int), np.zeros(len(y), int), weight * np.ones(len(y)))

    lines = matrix.report(["no", "yes"]).splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == counts
    assert len({len(line) for line in lines}) == 1
