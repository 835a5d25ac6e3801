"""What optimizers do to weights, as far as Keras is no witness: they learn, go on from files, and
keep the promises of their papers."""

import numpy as np
import pytest

import backprop as bp
from backprop import optimizers

STEPPING = [cls.__name__ for cls in optimizers.CLASSES if not cls.full_batch]
PECULIAR = ["Ftrl", "Adafactor", "LARS", "Lamb", "Muon", "ScheduleFreeAdamW"]  # in their slots


@pytest.mark.parametrize("name", STEPPING)
def test_a_model_learns(name):
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 6))
    y = (x[:, 0] * x[:, 1] + 0.5 * x[:, 2] > 0).astype(int)
    model = bp.Sequential([bp.Input((6,)), bp.layers.Dense(32, "tanh"), bp.layers.Dense(2)])
    rate = {
        "Adadelta": 10.0,
        "SGD": 0.3,
        "Ftrl": 1.0,
        "Adagrad": 0.2,
        "Adafactor": 0.2,
        "LARS": 1.0,
    }.get(name, 0.02)
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(getattr(optimizers, name)(rate), loss, metrics=["accuracy"])

    model.fit(x, y, epochs=40, batch_size=32, verbose=0)

    assert model.evaluate(x, y, verbose=0)[1] > 0.88


@pytest.mark.parametrize("options", [{}, {"use_ema": True, "gradient_accumulation_steps": 2}])
@pytest.mark.parametrize("name", PECULIAR)
def test_a_saved_model_goes_on_bit_for_bit(name, options, tmp_path):
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.integers(5, size=(64, 3)), rng.standard_normal((64, 2))
    layers = [
        bp.layers.Embedding(5, 4),
        bp.layers.Flatten(),
        bp.layers.Dense(3),
        bp.layers.Dense(2),
    ]
    model = bp.Sequential([bp.Input((3,), dtype="int64"), *layers])
    model.compile(getattr(optimizers, name)(0.02, weight_decay=0.01, **options), "mse")
    model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    model.save(tmp_path / "m.npz")
    other = bp.models.load_model(tmp_path / "m.npz")

    for m in (model, other):
        for at in range(0, 64, 16):
            m.train_on_batch(x[at : at + 16], y[at : at + 16])

    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.path == b.path


def test_muon_tells_matrices_by_their_paths():
    layers = [bp.layers.Embedding(5, 4, name="words"), bp.layers.Flatten()]
    layers += [bp.layers.Dense(3, name="hidden"), bp.layers.Dense(2, name="output")]
    model = bp.Sequential([bp.Input((3,), dtype="int64"), *layers])
    for options, by_adam in [
        ({}, ["words", "hidden_b", "output_b"]),
        ({"exclude_layers": ["out.ut"]}, ["words", "hidden_b", "output_k", "output_b"]),
        ({"exclude_embeddings": False}, ["hidden_b", "output_b"]),
    ]:
        optimizer = optimizers.Muon(**options)
        optimizer.build(model.parameters)
        found = [v.name for v in optimizer.variables if v.name.endswith("_velocity")]
        assert len(found) == len(by_adam)
        starts = [f"sequential_{start}" for start in by_adam]
        assert all(n.startswith(start) for n, start in zip(found, starts, strict=True))


def test_muons_exclusions_are_settled_once_it_is_built():
    optimizer = optimizers.Muon()
    optimizer.exclude_layers = ["output"]
    optimizer.build([np.ones((2, 2))])
    with pytest.raises((ValueError, AttributeError), match="exclude_layers"):
        optimizer.exclude_layers = ["hidden"]
    for wrong in ("output", ["("], [3]):
        with pytest.raises(ValueError, match="a list of regular expressions"):
            optimizers.Muon(exclude_layers=wrong)


@pytest.mark.parametrize("name", PECULIAR)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_and_values_of_zero_stay_finite(name, dtype):
    arrays = [np.zeros((3, 2), dtype), np.zeros(2, dtype), np.zeros((), dtype)]
    options = {"initial_accumulator_value": 0.0} if name == "Ftrl" else {}
    optimizer = getattr(optimizers, name)(0.1, **options)

    for _ in range(3):
        optimizer.apply([np.zeros_like(a) for a in arrays], arrays)

    for a in arrays:
        np.testing.assert_array_equal(a, 0)


def test_ftrl_leaves_weights_alone_at_a_rate_of_zero():
    w = np.array([1.0, -2.0])

    optimizers.Ftrl(lambda step: 0.0).apply([np.ones(2)], [w])

    np.testing.assert_array_equal(w, [1.0, -2.0])


def test_ftrl_finds_the_few_columns_that_matter():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 30))
    y = x[:, 0] - 2 * x[:, 1]
    w = np.zeros(30)
    optimizer = optimizers.Ftrl(0.5, l1_regularization_strength=20.0)
    for i in range(0, 400, 8):
        part = slice(i, i + 8)
        optimizer.apply([x[part].T @ (x[part] @ w - y[part]) / 8], [w])

    assert np.flatnonzero(w).tolist() == [0, 1]


def test_lamb_moves_every_parameter_by_the_same_part():
    arrays = [np.full((2, 3), 100.0), np.full(4, 0.01)]
    before = [a.copy() for a in arrays]

    optimizers.Lamb(0.1).apply([np.ones((2, 3)), np.full(4, 1e3)], arrays)

    for a, b in zip(arrays, before, strict=True):
        assert np.linalg.norm(a - b) == pytest.approx(0.1 * np.linalg.norm(b), rel=1e-3)


def test_lars_moves_matrices_by_the_same_part_and_vectors_by_their_gradient():
    arrays = [np.full((2, 3), 100.0), np.full((4, 1), 0.01), np.full(3, 2.0), np.zeros((2, 2))]
    gradients = [np.ones((2, 3)), np.full((4, 1), -1e3), np.ones(3), np.ones((2, 2))]
    before = [a.copy() for a in arrays]
    optimizer = optimizers.LARS(0.5, momentum=0.5, trust_coefficient=0.2)

    optimizer.apply(gradients, arrays)
    for a, b in zip(arrays[:2], before[:2], strict=True):
        assert np.linalg.norm(a - b) == pytest.approx(0.1 * np.linalg.norm(b))
    assert arrays[2] == pytest.approx(1.5)
    assert arrays[3] == pytest.approx(-0.5)

    optimizer.apply([0 * g for g in gradients], arrays)  # half of the step once more
    assert arrays[0] == pytest.approx(85.0)
    assert arrays[2] == pytest.approx(1.25)


def test_muons_steps_have_singular_values_near_one():
    rng = np.random.default_rng(0)
    for shape in [(6, 3), (3, 6), (5, 5)]:
        w = np.zeros(shape)
        left, _, right = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
        k = min(shape)
        g = left * np.geomspace(1, 0.1, k) @ right
        optimizers.Muon(1.0, rms_rate=None).apply([g], [w])

        found = np.linalg.svd(w, compute_uv=False)
        assert found.min() > 0.6 and found.max() < 1.3


def test_a_parameter_alone_shares_its_scratch_with_the_others():
    from backprop.tuning import UPDATE_BLOCK

    big = np.ones(2 * UPDATE_BLOCK + 5)
    optimizer = optimizers.Lamb(0.1)
    whole = big.copy()
    optimizer.apply([np.ones_like(big)], [big])

    assert np.linalg.norm(big - whole) == pytest.approx(0.1 * np.linalg.norm(whole), rel=1e-3)
    optimizer = optimizers.Adafactor()
    optimizer.build([np.ones((40, 50)), np.ones((30, 20)), np.ones(7)])
    assert sum(a.size for a in optimizer._slots._spare.values()) <= 2000
