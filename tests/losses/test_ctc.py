"""CTC: every alignment counted, the numbers of PyTorch and Keras, masks, samples that cannot be
spelt."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference
from finite_differences import assert_loss_gradient
from hypothesis import given, strategies as st

import backprop as bp
from backprop import losses
from backprop.losses import CTC
from backprop.losses.ctc import steps_needed
from backprop.testing import label_sequences

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]


def case(n=5, steps=12, classes=6, labels=5, seed=0, dtype=np.float64):
    """Labels of different lengths, equal ones among them, that fit into the steps."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(1, classes, (n, labels))
    y_true[0, 1:3] = y_true[0, 0]  # three times the same
    y_true[1] = 0  # nothing is said
    y_true[np.arange(labels) >= rng.integers(1, labels + 1, (n, 1))] = 0
    y_true[0] = np.where(y_true[0], y_true[0], 1)
    return y_true, rng.standard_normal((n, steps, classes)).astype(dtype)


# ------------------------------------------------------------------ values


@given(label_sequences(steps=(1, 5), classes=(2, 4)))
def test_the_value_sums_over_all_alignments(drawn):
    y_true, y_pred, w, mask = drawn

    values, _ = CTC(reduction="none").forward(y_true, y_pred, w, mask)

    wanted = reference.ctc(y_true, y_pred, w, mask)
    # of a likelihood next to 1 the logarithm has the digits of 1
    np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-15)


def test_values_worked_out_by_hand():
    half = np.zeros((1, 3, 2))  # every alignment of three steps has probability 1/8

    def count(*labels):
        return float(np.exp(-CTC()(np.array([labels]), half))) * 8

    assert count(0, 0) == pytest.approx(1)  # 000
    assert count(1, 0) == pytest.approx(6)  # 100 010 001 110 011 111
    assert count(1, 1) == pytest.approx(1)  # 101


def test_one_step_is_a_cross_entropy():
    y, z = np.array([[2], [1], [0]]), np.random.default_rng(0).standard_normal((3, 1, 4))
    plain = losses.SparseCategoricalCrossentropy(from_logits=True)

    value, cache = CTC().forward(y, z)
    wanted, plain_cache = plain.forward(y[:, 0], z[:, 0])

    np.testing.assert_allclose(value, wanted)
    np.testing.assert_allclose(CTC().backward(cache)[:, 0], plain.backward(plain_cache))


def test_no_labels_at_all_cost_the_blanks():
    z = np.random.default_rng(0).standard_normal((3, 4, 5))
    blanks = -np.log(np.exp(z[..., 0]) / np.exp(z).sum(-1)).sum(1)

    for y in (np.zeros((3, 2), int), np.zeros((3, 0), int)):
        np.testing.assert_allclose(CTC(reduction="none")(y, z), blanks)
        assert_loss_gradient(CTC(), y, z)


def test_columns_of_padding_change_nothing():
    y, z = case()
    wider = np.pad(y, ((0, 0), (0, 3)))

    for some in (y, wider):
        value, cache = CTC().forward(some, z)
        np.testing.assert_allclose(value, CTC()(y, z), rtol=1e-13)
        np.testing.assert_allclose(
            CTC().backward(cache), CTC().backward(CTC().forward(y, z)[1]), atol=1e-14
        )


def test_the_function_gives_the_value_of_each_sample():
    y, z = case()

    np.testing.assert_array_equal(losses.ctc(y, z), CTC(reduction="none")(y, z))


def test_long_sequences_are_exact_in_float32():
    rng = np.random.default_rng(0)
    y, z = rng.integers(1, 40, (4, 60)), rng.standard_normal((4, 400, 40)).astype(np.float32)

    value, cache = CTC().forward(y, z)
    wanted, wide = CTC().forward(y, z.astype(np.float64))

    np.testing.assert_allclose(value, wanted, rtol=2e-6)
    np.testing.assert_allclose(CTC().backward(cache), CTC().backward(wide), atol=5e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_any_size_are_exact(dtype):
    z = np.zeros((1, 3, 3), dtype)
    z[..., 1] = -1e4  # the label must be said once, against 1e4
    z[..., 2] = 1e4

    value, cache = CTC().forward(np.array([[1, 2]]), z)

    assert value == 2e4  # 1 2 2: then all goes its way
    np.testing.assert_array_equal(CTC().backward(cache)[0], [[0, -1, 1], [0, 0, 0], [0, 0, 0]])


# ------------------------------------------------------------------ gradients


@given(label_sequences(), st.sampled_from(REDUCTIONS))
def test_the_gradient_agrees_with_central_differences(drawn, reduction):
    y_true, y_pred, w, mask = drawn

    class Masked(CTC):
        def forward(self, y_true, y_pred, sample_weight=None, mask=mask):
            return super().forward(y_true, y_pred, sample_weight, mask)

    assert_loss_gradient(Masked(reduction), y_true, y_pred, sample_weight=w)


def test_the_gradient_sums_to_zero_at_each_step():
    y, z = case(steps=30)

    _, cache = CTC().forward(y, z)

    np.testing.assert_allclose(CTC().backward(cache).sum(-1), 0, atol=1e-15)


def test_gradient_passes_on_what_comes_from_above():
    y, z = case()
    loss, d = CTC(reduction="none"), np.random.default_rng(0).standard_normal(5)
    _, cache = loss.forward(y, z)
    _, weighted = CTC(reduction="sum").forward(y, z, sample_weight=d)

    np.testing.assert_allclose(loss.backward(cache, d), CTC().backward(weighted))


def test_descent_finds_the_labels():
    y, z = np.array([[2, 2, 1]]), np.zeros((1, 8, 3))
    loss = CTC()
    for _ in range(300):
        _, cache = loss.forward(y, z)
        z = z - loss.backward(cache)

    labels, _ = bp.utils.ctc_decode(z, [8])

    assert loss(y, z) < 0.1
    assert labels[0, 0].tolist() == [2, 2, 1, -1, -1, -1, -1, -1]


# ------------------------------------------------------------------ masks


@pytest.mark.parametrize("kind", ["behind", "in front", "holes"])
def test_masked_steps_are_left_out(kind):
    y, z = case(steps=16)
    rng = np.random.default_rng(1)
    mask = np.zeros((5, 16), bool)
    for row in mask:
        n = rng.integers(9, 15)
        row[{"behind": slice(n), "in front": slice(16 - n, None)}.get(kind, slice(0))] = True
        if kind == "holes":
            row[rng.choice(16, n, replace=False)] = True
    loss = CTC(reduction="none")

    values, cache = loss.forward(y, z, mask=mask)
    dz = loss.backward(cache)

    for i in range(5):
        alone, alone_cache = loss.forward(y[i : i + 1], z[i : i + 1, mask[i]])
        np.testing.assert_allclose(values[i], alone[0], rtol=1e-13)
        np.testing.assert_allclose(dz[i, mask[i]], loss.backward(alone_cache)[0], atol=1e-13)
    assert not dz[~mask].any()


def test_what_was_predicted_at_a_masked_step_does_not_matter():
    y, z = case()
    mask = np.arange(12) < np.array([12, 10, 9, 11, 10])[:, None]
    wild = z.copy()
    wild[~mask] = np.nan
    value, cache = CTC().forward(y, z, mask=mask)

    found, wild_cache = CTC().forward(y, wild, mask=mask)

    assert found == value
    np.testing.assert_array_equal(CTC().backward(wild_cache), CTC().backward(cache))


def test_a_mask_of_samples_weighs_them():
    y, z = case()
    mask = np.array([True, False, True, True, False])

    value, _ = CTC().forward(y, z, mask=mask)

    np.testing.assert_allclose(value, CTC()(y[mask], z[mask]))


def test_a_sequence_without_steps_can_spell_nothing():
    y, z = np.array([[1], [0]]), np.zeros((2, 2, 3))
    mask = np.array([[True, True], [False, False]])

    values, cache = CTC(reduction="none").forward(y, z, mask=mask)

    assert values[1] == 0 and values[0] > 0
    assert not CTC().backward(cache)[1].any()
    with pytest.raises(
        ValueError, match=r"sample 0 of 2: 1 label.s. take 1 step.s., and there are 0"
    ):
        CTC().forward(y, z, mask=~mask)


def test_a_mask_of_another_shape_is_refused():
    y, z = case()

    with pytest.raises(ValueError, match=r"CTC expects a mask of shape \(5, 12\).*\(5, 11\)"):
        CTC().forward(y, z, mask=np.ones((5, 11), bool))


def test_a_model_hands_its_mask_on():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 7, 3)).astype(np.float32)
    lengths = np.array([7, 6, 5, 4, 7, 5])
    x[np.arange(7) >= lengths[:, None]] = 0
    y = np.array([[1, 2], [2, 0], [1, 0], [0, 0], [2, 1], [1, 1]])
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [
            bp.Input((None, 3)),
            bp.layers.Masking(),
            bp.layers.LSTM(4, return_sequences=True),
            bp.layers.Dense(3),
        ]
    )
    model.compile("adam", losses.CTC())

    value = model.evaluate(x, y, verbose=0)

    z = model.predict(x, verbose=0)
    each = [CTC()(y[i : i + 1], z[i : i + 1, : lengths[i]]) for i in range(6)]
    np.testing.assert_allclose(value, np.mean(each), rtol=1e-5)
    before = value
    model.fit(x, y, epochs=5, batch_size=3, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


def test_a_saved_model_with_it_loads(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((2, 5, 3)), np.array([[1, 2], [2, 2]])
    model = bp.Sequential([bp.Input((None, 3)), bp.layers.Dense(3)])
    model.compile("sgd", CTC("sum", zero_infinity=True))
    model.save(tmp_path / "model.npz")

    again = bp.models.load_model(tmp_path / "model.npz")

    assert repr(again.loss) == "CTC('sum', zero_infinity=True)"
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


# ------------------------------------------------------------------ peers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_torch_finds_the_same_numbers(dtype, reduction):
    torch = pytest.importorskip("torch", reason="torch is the peer for CTC")
    y, z = case(n=8, steps=20, classes=7, labels=8, dtype=dtype)
    lengths = np.random.default_rng(3).integers(16, 21, 8)
    mask = np.arange(20) < lengths[:, None]
    x = torch.tensor(z, requires_grad=True)
    wanted = torch.nn.functional.ctc_loss(
        x.transpose(0, 1).log_softmax(-1),
        torch.tensor(y),
        torch.tensor(lengths),
        torch.tensor(np.count_nonzero(y, axis=1)),
        reduction=reduction,
    )
    wanted.sum().backward()
    loss = CTC(reduction=reduction)

    value, cache = loss.forward(y, z, mask=mask)

    rtol = 1e-5 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(value, wanted.detach().numpy(), rtol=rtol)
    np.testing.assert_allclose(loss.backward(cache), x.grad.numpy(), atol=rtol)


def test_torch_gives_nothing_for_what_cannot_be_spelt_either():
    torch = pytest.importorskip("torch", reason="torch is the peer for CTC")
    y, z = np.array([[1, 1, 2], [1, 2, 0]]), np.random.default_rng(0).standard_normal((2, 3, 3))
    x = torch.tensor(z, requires_grad=True)
    wanted = torch.nn.functional.ctc_loss(
        x.transpose(0, 1).log_softmax(-1),
        torch.tensor(y),
        torch.tensor([3, 3]),
        torch.tensor([3, 2]),
        reduction="none",
        zero_infinity=True,
    )
    wanted.sum().backward()
    loss = CTC(reduction="none", zero_infinity=True)

    values, cache = loss.forward(y, z)

    np.testing.assert_allclose(values, wanted.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(loss.backward(cache), x.grad.numpy(), atol=1e-12)
    assert values[0] == 0 and not loss.backward(cache)[0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_values_are_those_of_keras(request, dtype, reduction):
    pytest.importorskip("jax", reason="Keras' NumPy backend computes CTC with JAX")
    keras = request.getfixturevalue(f"{dtype}_keras")
    y, z = case(dtype=dtype)
    # Keras has -1e5 for log 0, and adds it up in float32 where labels repeat
    tolerance = {"float32": 2e-5, "float64": 1e-9}[dtype]
    for w in (None, np.random.default_rng(1).uniform(0.5, 2, 5).astype(dtype)):
        wanted = keras.losses.CTC(reduction=reduction, dtype=dtype)(y, z, sample_weight=w)

        np.testing.assert_allclose(
            CTC(reduction=reduction)(y, z, sample_weight=w), wanted, rtol=tolerance
        )
    np.testing.assert_allclose(losses.ctc(y, z), keras.losses.ctc(y, z), rtol=tolerance)


def test_the_constructor_is_that_of_keras_and_one_more():
    loss = CTC("sum", "spelling", "float64", zero_infinity=True)

    assert repr(loss) == "CTC('sum', name='spelling', dtype='float64', zero_infinity=True)"
    assert type(losses.get("ctc")) is type(losses.get(losses.ctc)) is CTC
    for twin in (
        pickle.loads(pickle.dumps(loss)),
        copy.deepcopy(loss),
        losses.deserialize(losses.serialize(loss)),
    ):
        assert twin.get_config() == loss.get_config()


# ------------------------------------------------------------------ what cannot be spelt


def test_the_steps_that_labels_need():
    y = np.array([[1, 2, 3], [1, 1, 1], [2, 2, 1], [1, 0, 0], [0, 0, 0]])

    assert steps_needed(y, CTC().repeated(y)).tolist() == [3, 5, 4, 1, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([[1, 0, 0], [1, 2, 1]], r"sample 1 of 2: 3 label.s. take 3 step.s., and there are 2"),
        ([[1, 0], [1, 1]], r"sample 1 of 2: 2 label.s., 1 of them after an equal one, take 3 step"),
    ],
)
def test_too_few_steps_are_an_error_that_names_the_sample(labels, words):
    y, z = np.array(labels), np.zeros((2, 2, 3))

    for attempt in (CTC(), lambda y, z: CTC().forward(y, z), lambda y, z: CTC().check(y, z.shape)):
        with pytest.raises(ValueError, match=words + r".*zero_infinity=True"):
            attempt(y, z)


def test_a_label_that_is_impossible_is_an_error_that_names_the_sample():
    z = np.zeros((2, 3, 3))
    z[1, :, 2] = -np.inf
    y = np.array([[2], [2]])

    with pytest.raises(
        ValueError, match=r"CTC is infinite for sample 1 of 2: each alignment of its 1 label"
    ):
        CTC()(y, z)
    value, cache = CTC(reduction="sum", zero_infinity=True).forward(y, z)
    assert value == CTC()(y[:1], z[:1])
    assert np.isfinite(CTC().backward(cache)).all() and not CTC().backward(cache)[1].any()


def test_a_class_that_is_ruled_out_elsewhere_is_no_harm():
    z = np.random.default_rng(0).standard_normal((1, 4, 3))
    z[0, 0, 2] = z[0, 3, 1] = -np.inf
    y = np.array([[1, 2]])

    value, cache = CTC().forward(y, z)

    np.testing.assert_allclose(value, reference.ctc(y, z)[0])
    dz = CTC().backward(cache)
    assert dz[0, 0, 2] == dz[0, 3, 1] == 0 and np.isfinite(dz).all()


def test_nan_is_passed_on_in_its_own_sample():
    y, z = case()
    z[2, 3, 1] = np.nan

    values, cache = CTC(reduction="none").forward(y, z)

    assert np.flatnonzero(np.isnan(values)).tolist() == [2]
    assert np.unique(np.nonzero(np.isnan(CTC().backward(cache)))[0]).tolist() == [2]


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("y_true", "output_shape", "words"),
    [
        ([[1, 5]], (None, 9, 5), r"from 1 to 4 for 5 classes.* got 5 in sample 0; .*one more"),
        ([[1, 2], [2, -1]], (None, 9, 5), r"got -1 in sample 1; .*pad with zeros"),
        ([[1, 0, 2]], (None, 9, 5), r"in sample 0 a 2 follows a 0; count labels from 1"),
        ([[0.5, 1]], (None, 9, 5), r"whole numbers as labels and got 0.5"),
        ([[np.nan, 1]], (None, 9, 5), r"whole numbers as labels and got nan"),
        ([1, 2], (None, 9, 5), r"targets of shape \(any, any\).* got \(2,\); .*pad_sequences"),
        ([[1], [2]], (3, 9, 5), r"targets of shape \(3, any\).* got \(2, 1\)"),
        ([[1, 2]], (None, 5), r"logits of shape \(any, steps, classes\).*return_sequences=True"),
        ([[1, 2, 3]], (None, 2, 5), r"sample 0 of 1: 3 label.s. take 3 step.s., and there are 2"),
    ],
)
def test_targets_that_do_not_fit_are_refused_with_advice(y_true, output_shape, words):
    with pytest.raises(ValueError, match=words) as caught:
        CTC().check(np.array(y_true), output_shape)
    assert str(caught.value).startswith("CTC")


def test_text_is_refused():
    with pytest.raises(TypeError, match="expects numbers as targets"):
        CTC().check(np.array([["a", "b"]]), (None, 4, 3))


def test_labels_may_be_floats_that_are_whole():
    y, z = case()

    assert CTC()(y.astype(np.float32), z) == CTC()(y, z)
    CTC().check(y.astype(np.float64), (None, None, None))


def test_impossible_samples_may_pass_the_check_where_they_are_left_out():
    CTC(zero_infinity=True).check(np.array([[1, 2, 3]]), (None, 2, 5))
