"""hessian_top against quadratics whose eigenvalues are known, and against dense Hessians."""

import numpy as np
import pytest

import backprop as bp
from backprop.inspection.batches import LossOfWeights
from backprop.layers import BatchNormalization, Dense, Dropout
from backprop.optimizers import SGD, Adam


def everything(model):
    header, arrays = bp.run_state.model_state(model)
    return repr(header), {name: a.tobytes() for name, a in arrays.items()}


def quadratic(eigenvalues, optimizer=None):
    """A line fitted without bias to rows that are scaled unit vectors in a turned frame: its loss
    has exactly these curvatures."""
    k = len(eigenvalues)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(k, k)))[0]
    x = np.sqrt(np.array(eigenvalues) * k / 2)[:, None] * turn.T
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((k,)), Dense(1, use_bias=False)], dtype="float64")
    model.compile(optimizer or SGD(0.01), "mse")
    return model, x, np.zeros((k, 1))


def dense_hessian(loss, step=1e-4):
    n = loss.start.size
    columns = [
        (loss.gradient(loss.start + step * e) - loss.gradient(loss.start - step * e)) / (2 * step)
        for e in np.eye(n)
    ]
    return np.array(columns)


def small(*layers, optimizer="adam", loss="mse", outputs=1):
    bp.utils.set_random_seed(3)
    model = bp.Sequential([bp.Input((3,)), *layers, Dense(outputs)])
    model.compile(optimizer, loss)
    x = np.random.default_rng(0).normal(size=(20, 3))
    return model, x, np.sin(x[:, :1] * 2)


@pytest.mark.parametrize("top", [1e-3, 3.0, 4e4])
def test_the_top_of_a_quadratic_is_found_with_its_error(top):
    model, x, y = quadratic([top, 0.4 * top, 0.1 * top, 0.0])
    found = model.hessian_top(x, y, tolerance=1e-6)

    assert found.converged
    assert abs(found.eigenvalue - top) <= found.error + 1e-7 * top
    assert found.error <= 1e-6 * top
    assert np.linalg.norm(found.vector) == pytest.approx(1)


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(4, "tanh")],
        [Dense(4, "tanh", kernel_regularizer="l2"), Dense(3, "softplus")],
        [Dense(4, "sigmoid"), Dense(4, "sigmoid")],
        [Dense(4, "elu"), BatchNormalization()],
        [Dense(4, "tanh", trainable=False), Dense(4, "gelu")],
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_it_is_the_largest_eigenvalue_of_the_dense_hessian(layers, training):
    model, x, y = small(*[type(la).from_config(la.get_config()) for la in layers])
    found = model.hessian_top(x, y, iterations=500, training=training)
    h = dense_hessian(LossOfWeights(model, x, y, None, "test", training))

    np.testing.assert_allclose(h, h.T, atol=1e-6 * np.abs(h).max())
    top = np.linalg.eigvalsh((h + h.T) / 2)[-1]
    assert found.converged
    assert found.eigenvalue == pytest.approx(top, rel=2e-3)


def test_where_the_slope_bends_down_more_than_up_the_top_is_still_the_largest():
    # L = w₁ w₂ x at w = 0 has the eigenvalues +1 and -1; with a penalty on one, others
    class Tilted(bp.losses.Loss):
        """values = -2 y² + y: bent down."""

        def values(self, y_true, y_pred):
            return (-2 * y_pred**2).mean(-1), y_pred

        def gradient(self, dvalues, y_pred):
            return -4 * y_pred * dvalues[..., None] / y_pred.shape[-1]

    bp.utils.set_random_seed(0)
    penalty = bp.regularizers.L2(0.25)
    model = bp.Sequential(
        [bp.Input((2,)), Dense(1, use_bias=False, kernel_regularizer=penalty)], dtype="float64"
    )
    model.compile("sgd", Tilted())
    found = model.hessian_top(np.array([[1.0, 0.0]]), np.zeros((1, 1)), iterations=1000)

    # along the first weight -4 + 0.5, along the second 0.5
    assert found.converged
    assert found.eigenvalue == pytest.approx(0.5, rel=1e-3)


def test_a_flat_loss_has_no_curvature_and_no_limit():
    model, x, y = quadratic([0.0, 0.0])
    found = model.hessian_top(x, y)

    assert found.converged
    assert abs(found.eigenvalue) < 1e-12
    assert found.largest_rate > 1e12


def test_one_that_takes_too_few_iterations_says_so():
    model, x, y = quadratic([3.0, 2.99, 0.1])
    found = model.hessian_top(x, y, iterations=2, tolerance=1e-9)

    assert not found.converged
    assert "not converged in 2 iterations" in repr(found)


@pytest.mark.parametrize(
    ("optimizer", "factor", "more"),
    [
        (SGD(0.01), 2, 0),
        (SGD(0.01, momentum=0.9), 3.8, 0),
        (SGD(0.01, momentum=0.9, nesterov=True), 3.8 / 2.8, 0),
        (SGD(0.01, weight_decay=1.0), 2, 1.0),
        (Adam(0.01), 2, 0),
    ],
)
def test_the_largest_rate_is_that_of_the_optimizer(optimizer, factor, more):
    model, x, y = quadratic([5.0, 1.0, 0.5], optimizer)
    found = model.hessian_top(x, y, tolerance=1e-8)

    assert found.largest_rate == pytest.approx(factor / (5.0 + more), rel=1e-6)
    assert found.learning_rate == pytest.approx(0.01)
    assert found.of_optimizer == (type(optimizer) is SGD)
    assert found.sharpness == found.eigenvalue


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize(("share", "stays"), [(0.97, True), (1.03, False)])
def test_below_the_largest_rate_training_is_stable_and_above_it_bursts(options, share, stays):
    model, x, y = quadratic([5.0, 1.0, 0.5], SGD(0.01, **options))
    limit = model.hessian_top(x, y, tolerance=1e-8).largest_rate
    model.optimizer.learning_rate = share * limit
    start = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=3, epochs=400, verbose=0)

    assert (model.evaluate(x, y, verbose=0) < start) == stays


def test_the_model_is_left_as_it_was():
    model, x, y = small(Dense(4, "relu"), Dropout(0.5), BatchNormalization())
    model.fit(x, y, verbose=0)
    before = everything(model)
    model.hessian_top(x, y, training=True, iterations=5)
    model.loss_landscape(x, y, training=True, points=3)

    assert everything(model) == before


def test_before_compile_and_with_data_that_do_not_fit_it_says_what_to_do():
    model = bp.Sequential([bp.Input((3,)), Dense(1)])
    with pytest.raises(RuntimeError, match=r"hessian_top\(\).*compile"):
        model.hessian_top(np.ones((2, 3)), np.ones((2, 1)))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="sequential"):
        model.hessian_top(np.ones((2, 4)), np.ones((2, 1)))
    with pytest.raises((TypeError, ValueError), match="iterations"):
        model.hessian_top(np.ones((2, 3)), np.ones((2, 1)), iterations=0)
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match="no weights that are trained"):
        model.hessian_top(np.ones((2, 3)), np.ones((2, 1)))
