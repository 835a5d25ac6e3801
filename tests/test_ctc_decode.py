"""Decoding what CTC was trained on: all alignments of small cases, Keras' results, errors."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop.losses import CTC
from backprop.utils import ctc_decode
from backprop.utils.ctc import Beginnings


def logits(n=4, steps=6, classes=4, seed=0, dtype=np.float64):
    return (2 * np.random.default_rng(seed).standard_normal((n, steps, classes))).astype(dtype)


def spelt(alignment, blank):
    return tuple(k for k, _ in groupby(alignment) if k != blank)


def all_labels(x, blank=0):
    """Everything that logits (t, k) can spell, with its probability: alignment by alignment."""
    q = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    found = {}
    for alignment in product(range(x.shape[1]), repeat=len(x)):
        labels = spelt(alignment, blank)
        p = np.prod([q[t, k] for t, k in enumerate(alignment)])
        found[labels] = found.get(labels, 0) + p
    return sorted(found.items(), key=lambda item: -item[1])


def without_padding(row):
    return tuple(row[row >= 0].tolist())


# ------------------------------------------------------------------ greedy


def test_greedy_merges_repeats_and_drops_blanks():
    x = np.eye(4)[[[1, 1, 0, 1, 2, 2, 0, 3]]]

    labels, scores = ctc_decode(x, [8])
    kept, _ = ctc_decode(x, [8], merge_repeated=False)

    assert labels.tolist() == [[[1, 1, 2, 3, -1, -1, -1, -1]]]
    assert kept.tolist() == [[[1, 1, 1, 2, 2, 3, -1, -1]]]
    assert labels.dtype == np.int32 and scores.tolist() == [[-8.0]]


def test_greedy_reads_no_further_than_a_sequence_is_long():
    x = np.eye(3)[[[1, 2, 1, 2]] * 3]

    labels, scores = ctc_decode(x, [4, 1, 0])

    assert labels[0].tolist() == [[1, 2, 1, 2], [1, -1, -1, -1], [-1, -1, -1, -1]]
    assert scores[:, 0].tolist() == [-4, -1, 0]


# ------------------------------------------------------------------ beam search


@given(
    steps=st.integers(1, 5), classes=st.integers(2, 4), blank=st.integers(-1, 1),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_wide_beam_finds_the_likeliest_labels_of_all(steps, classes, blank, seed):
    x = logits(2, steps, classes, seed)
    lengths = np.array([steps, max(steps - 1, 1)])

    labels, scores = ctc_decode(
        x, lengths, "beam_search", beam_width=1000, top_paths=3, mask_index=blank
    )

    for i in range(2):
        everything = all_labels(x[i, : lengths[i]], blank % classes)
        for rank, (wanted, p) in enumerate(everything[:3]):
            assert without_padding(labels[rank, i]) == wanted
            np.testing.assert_allclose(np.exp(scores[i, rank]), p, rtol=1e-10)


def test_the_score_is_what_the_loss_is_minus_of():
    x = logits()

    labels, scores = ctc_decode(x, [6] * 4, "beam_search", beam_width=1100)

    y_true = np.maximum(labels[0], 0)
    np.testing.assert_allclose(-scores[:, 0], CTC(reduction="none")(y_true, x), rtol=1e-12)


def test_many_alignments_may_beat_the_best_one():
    x = np.log([[[0.6, 0.4], [0.6, 0.4]]])

    assert without_padding(ctc_decode(x, [2])[0][0, 0]) == ()
    assert without_padding(ctc_decode(x, [2], "beam_search")[0][0, 0]) == (1,)


def test_a_repeated_label_needs_its_blank():
    x = np.full((1, 3, 2), -20.0)
    x[0, [0, 1, 2], [1, 0, 1]] = 20.0  # 1, blank, 1
    y = np.full((1, 3, 2), -20.0)
    y[..., 1] = 20.0  # 1, 1, 1

    assert without_padding(ctc_decode(x, [3], "beam_search")[0][0, 0]) == (1, 1)
    assert without_padding(ctc_decode(y, [3], "beam_search")[0][0, 0]) == (1,)


def test_a_beginning_that_left_the_beam_is_known_when_it_comes_back():
    beginnings = Beginnings(2)
    roots = np.array([0, 1, 0])
    first = beginnings.continued(roots, np.array([3, 3, 3]))
    second = beginnings.continued(np.array(first), np.array([1, 1, 2]))

    assert first[0] == first[2] != first[1]
    assert beginnings.continued(roots, np.array([3, 3, 3])) == first
    assert [beginnings.spelt(k) for k in second] == [[3, 1], [3, 1], [3, 2]]
    assert beginnings.spelt(0) == []


@pytest.mark.parametrize("seed", range(8))
def test_results_of_a_search_are_different_and_in_order(seed):
    labels, scores = ctc_decode(
        logits(3, 9, 4, seed), [9, 5, 7], "beam_search", beam_width=4, top_paths=4
    )

    assert (np.diff(scores, axis=1) <= 0).all() and (scores <= 0).all()
    for i in range(3):
        assert len({without_padding(labels[rank, i]) for rank in range(4)}) == 4


def test_a_sequence_of_no_steps_spells_nothing_for_sure():
    labels, scores = ctc_decode(logits(), [0] * 4, "beam_search", top_paths=2)

    assert (labels == -1).all()
    np.testing.assert_array_equal(scores, [[0, -np.inf]] * 4)


def test_fewer_results_than_asked_for_are_filled_up():
    labels, scores = ctc_decode(np.zeros((1, 1, 2)), [1], "beam_search", top_paths=3)

    assert sorted(labels[:, 0, 0].tolist()) == [-1, -1, 1]
    np.testing.assert_allclose(scores, [[np.log(0.5), np.log(0.5), -np.inf]])


def test_a_wider_beam_finds_nothing_less_likely():
    x = logits(8, 12, 6, seed=5)
    found = [ctc_decode(x, [12] * 8, "beam_search", beam_width=w)[1] for w in (1, 4, 64)]

    assert found[0].sum() < found[1].sum() <= found[2].sum()


@pytest.mark.parametrize("strategy", ["greedy", "beam_search"])
def test_an_empty_batch_and_integers_are_decoded(strategy):
    labels, scores = ctc_decode(np.zeros((0, 3, 2)), np.zeros(0, int), strategy)
    assert labels.shape == (1, 0, 3) and scores.shape == (0, 1)

    labels, scores = ctc_decode([[[0, 9], [0, 9], [9, 0]]], [3], strategy)
    assert labels.tolist() == [[[1, -1, -1]]] and scores.dtype == np.float32


def test_inputs_are_left_alone():
    x, lengths = logits(), np.full(4, 5)
    before = x.copy()
    x.flags.writeable = lengths.flags.writeable = False

    for strategy in ("greedy", "beam_search"):
        ctc_decode(x, lengths, strategy)

    np.testing.assert_array_equal(x, before)


# ------------------------------------------------------------------ Keras


@pytest.mark.parametrize("blank", [0, 2, None])
@pytest.mark.parametrize("merge_repeated", [True, False])
def test_greedy_results_are_those_of_keras(blank, merge_repeated):
    pytest.importorskip("jax", reason="Keras decodes with JAX here")
    keras = pytest.importorskip("keras", reason="keras is the peer for decoding")
    x, lengths = logits(dtype=np.float32), np.array([6, 4, 1, 5])

    labels, scores = ctc_decode(x, lengths, merge_repeated=merge_repeated, mask_index=blank)
    wanted = keras.ops.ctc_decode(x, lengths, merge_repeated=merge_repeated, mask_index=blank)

    np.testing.assert_array_equal(labels, wanted[0])
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-6)


@pytest.mark.parametrize(("width", "top", "blank"), [(1, 1, 0), (3, 2, 1), (7, 3, None)])
def test_results_of_a_narrow_beam_are_those_of_keras(width, top, blank):
    pytest.importorskip("jax", reason="Keras decodes with JAX here")
    keras = pytest.importorskip("keras", reason="keras is the peer for decoding")
    x, lengths = logits(dtype=np.float32, seed=3), np.array([6, 4, 1, 5])
    options = {"beam_width": width, "top_paths": top, "mask_index": blank}

    labels, scores = ctc_decode(x, lengths, "beam_search", **options)
    with np.errstate(divide="ignore", invalid="ignore"):  # Keras takes the logarithm of 0
        wanted = keras.ops.ctc_decode(x, lengths, "beam_search", **options)

    np.testing.assert_array_equal(labels, wanted[0])
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"strategy": "best"}, "strategy to be one of 'greedy', 'beam_search', got 'best'"),
        ({"inputs": np.zeros((4, 6))}, r"logits of shape \(batch, steps, classes\).*\(4, 6\)"),
        ({"inputs": np.array([[["a"]]])}, "logits of shape"),
        ({"sequence_lengths": [6, 6]}, r"each of 4 sequences as sequence_lengths.*\(2,\)"),
        ({"sequence_lengths": [1.0] * 4}, "float64"),
        ({"sequence_lengths": [7, 1, 1, 1]}, "from 0 to the 6 steps of inputs and got 1 to 7"),
        ({"sequence_lengths": [-1, 1, 1, 1]}, "got -1 to 1"),
        ({"mask_index": 4}, "mask_index to be one of 4 classes, got 4"),
        ({"strategy": "beam_search", "beam_width": 0}, "beam_width"),
        ({"strategy": "beam_search", "top_paths": 1.5}, "top_paths"),
        ({"strategy": "beam_search", "beam_width": 2, "top_paths": 3}, "cannot return 3 results"),
        ({"strategy": "beam_search", "merge_repeated": False}, "is for strategy='greedy'"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    arguments = {"inputs": logits(), "sequence_lengths": [6] * 4} | change

    with pytest.raises(ValueError, match=words) as caught:
        ctc_decode(**arguments)
    assert str(caught.value).startswith("ctc_decode()")
