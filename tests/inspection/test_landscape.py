"""loss_landscape: the loss where it says, along directions that are as long as the weights."""

import numpy as np
import pytest

import backprop as bp
from backprop.layers import Conv2D, Dense, Embedding, Flatten, GlobalAveragePooling1D


def network():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((4,)), Dense(5, "tanh"), Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    return model, x, x[:, :1] * x[:, 1:2]


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_values_are_the_loss_at_the_weights_that_it_says(dimensions):
    model, x, y = network()
    found = model.loss_landscape(x, y, dimensions=dimensions, points=5, span=0.7)
    values = model.parameters.values
    kept = values.copy()

    assert found.values.shape == (5,) * dimensions
    assert found.loss == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)
    assert found.values[(2,) * dimensions] == found.loss
    for at in np.ndindex(found.values.shape):
        scales = [found.a[i] for i in at]
        by = sum(s * d for s, d in zip(scales, found.directions, strict=True))
        values[...] = kept + by
        assert found.values[at] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-4)


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_weights():
    model, x, y = network()
    (d,) = model.loss_landscape(x, y, dimensions=1, points=2).directions
    at = 0
    for p in model.parameters.parameters:
        part = d[at : at + p.size].reshape(p.shape)
        at += p.size
        if p.name == "kernel":
            np.testing.assert_allclose(
                np.linalg.norm(part, axis=0), np.linalg.norm(p.value, axis=0), rtol=1e-6
            )
        else:
            assert not part.any()


def test_a_filter_of_a_convolution_is_a_channel_and_of_an_embedding_a_row():
    model = bp.Sequential([bp.Input((6, 6, 2)), Conv2D(3, 3), Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2))
    (d,) = model.loss_landscape(x, x[:, 0, 0, :1], dimensions=1, points=2).directions
    kernel = model.layers[0].kernel
    part = d[: kernel.size].reshape(kernel.shape)
    for k in range(3):
        assert np.linalg.norm(part[..., k]) == pytest.approx(np.linalg.norm(kernel[..., k]))

    bag = bp.Sequential(
        [bp.Input((5,), dtype="int32"), Embedding(7, 4), GlobalAveragePooling1D(), Dense(1)]
    )
    bag.compile("sgd", "mse")
    x = np.arange(10).reshape(2, 5) % 7
    (d,) = bag.loss_landscape(x, np.ones((2, 1)), dimensions=1, points=2).directions
    np.testing.assert_allclose(
        np.linalg.norm(d[:28].reshape(7, 4), axis=1),
        np.linalg.norm(bag.layers[0].embeddings, axis=1),
        rtol=1e-6,
    )


def test_the_seed_decides():
    model, x, y = network()
    one, two, other = (
        model.loss_landscape(x, y, dimensions=1, points=4, seed=seed).values for seed in (0, 0, 1)
    )

    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_it_is_drawn(dimensions):
    axes = pytest.importorskip("matplotlib.axes")
    model, x, y = network()
    found = model.loss_landscape(x, y, dimensions=dimensions, points=4)
    drawn = found.plot()

    assert isinstance(drawn, axes.Axes)
    assert drawn.get_xlabel()
    other = type(drawn.figure)().subplots()
    assert found.plot(other) is other
    assert f"{' x '.join(['4'] * dimensions)} points" in repr(found)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"dimensions": 3}, "dimensions"), ({"points": 1}, "points"), ({"span": 0}, "span")],
)
def test_an_argument_out_of_its_range_is_named(options, name):
    model, x, y = network()
    with pytest.raises((TypeError, ValueError), match=name):
        model.loss_landscape(x, y, **options)
