"""L-BFGS against SciPy, on functions whose minima are known."""

import copy

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from backprop.layer import Layer
from backprop.optimizers import LBFGS
from backprop.vector import ParameterVector


class Values(Layer):
    """Parameters of given values and nothing else."""

    def __init__(self, *values, constraint=None, **kwargs):
        super().__init__(dtype=values[0].dtype, **kwargs)
        for i, value in enumerate(values):
            self.param(f"w_{i}", value.shape, value.copy(), constraint=constraint)


def vector(*layers):
    return ParameterVector([p for layer in layers for p in layer.arrays()])


def closure_of(parameters, f, df):
    def closure():
        x = parameters.values.astype(np.float64)
        parameters.gradients[:] = df(x)
        return f(x)

    return closure


START = np.array([1.3, 0.7, 0.8, 1.9])


def rosenbrock(dtype="float64"):
    layer = Values(START[:3].astype(dtype), START[3:].astype(dtype))
    parameters = vector(layer)
    return layer, parameters, closure_of(parameters, rosen, rosen_der)


def test_rosenbrock_is_minimized_as_scipy_does_it():
    _layer, parameters, closure = rosenbrock()
    path, theirs = [], []
    result = LBFGS(history_size=7).minimize(
        parameters, closure, 200, lambda i, loss: path.append((i, loss, parameters.values.copy()))
    )
    expected = minimize(
        rosen, START, jac=rosen_der, method="L-BFGS-B", options={"maxcor": 7, "maxiter": 200},
        callback=lambda x: theirs.append(x.copy()),
    )  # fmt: skip

    np.testing.assert_array_equal(parameters.values, expected.x)
    np.testing.assert_allclose(parameters.values, 1.0, atol=1e-4)
    assert result.nit == expected.nit == len(path)
    assert [i for i, _, _ in path] == list(range(len(path)))
    for (_, loss, x), their_x in zip(path, theirs, strict=True):
        np.testing.assert_array_equal(x, their_x)
        assert loss == rosen(x)


def test_least_squares_in_float32_reaches_the_solution():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 6)), rng.normal(size=40)
    layer = Values(np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    parameters = vector(layer)
    closure = closure_of(
        parameters, lambda x: ((a @ x - b) ** 2).mean(), lambda x: 2 * a.T @ (a @ x - b) / 40
    )
    LBFGS().minimize(parameters, closure, 100)

    np.testing.assert_allclose(parameters.values, np.linalg.lstsq(a, b)[0], rtol=1e-3, atol=1e-4)
    assert parameters.values.dtype == np.float32


def test_the_losses_fall_and_the_run_stops_after_its_iterations():
    _layer, parameters, closure = rosenbrock()
    optimizer, losses = LBFGS(), []
    optimizer.minimize(parameters, closure, 5, lambda i, loss: losses.append(loss))
    assert len(losses) == optimizer.iterations == 5
    assert losses == sorted(losses, reverse=True)
    optimizer.minimize(parameters, closure, 5, lambda i, loss: losses.append(loss))
    assert optimizer.iterations == 10
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == closure()


def test_a_callback_ends_the_run_and_may_change_the_values_then():
    _layer, parameters, closure = rosenbrock()

    def stop(iteration, loss):
        if iteration == 2:
            parameters.values[:] = 7
            return True

    LBFGS().minimize(parameters, closure, 50, stop)
    np.testing.assert_array_equal(parameters.values, 7)


def test_an_error_in_the_closure_puts_the_values_back():
    _layer, parameters, closure = rosenbrock()
    calls = 0

    def failing():
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RuntimeError("no more data")
        return closure()

    with pytest.raises(RuntimeError, match="no more data"):
        LBFGS().minimize(parameters, failing, 50)
    np.testing.assert_array_equal(parameters.values, START)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_keeps_the_best_values(error):
    _layer, parameters, closure = rosenbrock()
    accepted = []

    def interrupted(iteration, loss):
        accepted.append(parameters.values.copy())
        if iteration == 4:
            raise error

    with pytest.raises(error):
        LBFGS().minimize(parameters, closure, 50, interrupted)
    np.testing.assert_array_equal(parameters.values, accepted[-1])

    calls = 0

    def interrupting():
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return closure()

    _layer, parameters, closure = rosenbrock()
    with pytest.raises(KeyboardInterrupt):
        LBFGS().minimize(parameters, interrupting, 50, lambda i, x: accepted.append(closure()))
    assert closure() == accepted[-1]


def test_a_line_search_that_fails_ends_at_the_best_values():
    _layer, parameters, closure = rosenbrock("float32")
    wrong = np.random.default_rng(0)

    def lying():
        loss = closure()
        if loss < 1:  # from here on the gradient is noise
            parameters.gradients[:] = wrong.normal(size=4)
        return loss

    losses = [closure()]
    LBFGS().minimize(parameters, lying, 200, lambda i, loss: losses.append(loss))
    assert closure() == losses[-1] == min(losses)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_loss_that_is_not_finite_is_a_wall(bad):
    """-log(1 - x²) - 5x, with its minimum where 5x² + 2x = 5, has no value from |x| = 1 on."""
    layer = Values(np.array([0.0]))
    parameters = vector(layer)
    walls = 0

    def closure():
        nonlocal walls
        (x,) = parameters.values
        if abs(x) >= 1:
            walls += 1
            parameters.gradients[:] = bad
            return bad
        parameters.gradients[:] = 2 * x / (1 - x * x) - 5
        return -np.log(1 - x * x) - 5 * x

    LBFGS().minimize(parameters, closure, 50)
    np.testing.assert_allclose(parameters.values, (np.sqrt(26) - 1) / 5, rtol=1e-5)
    assert walls


def test_frozen_layers_stay():
    layers = [Values(START[:2]), Values(START[2:])]
    parameters = vector(*layers)
    closure = closure_of(parameters, rosen, rosen_der)
    layers[0].trainable = False
    parameters.refresh()
    before = closure()
    LBFGS().minimize(parameters, closure, 50)
    np.testing.assert_array_equal(parameters.values[:2], START[:2])
    assert closure() < before
    layers[0].trainable = layers[1].trainable = False
    parameters.refresh()
    with pytest.raises(ValueError, match="no trainable parameters"):
        LBFGS().minimize(parameters, closure, 50)


def test_iterations_are_state():
    _layer, parameters, closure = rosenbrock()
    optimizer = LBFGS()
    optimizer.minimize(parameters, closure, 3)
    again = LBFGS()
    again.set_state(optimizer.get_state())
    assert again.iterations == copy.deepcopy(optimizer).iterations == 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LBFGS().learning_rate, AttributeError, "has no learning_rate: its line search"),
        (lambda: setattr(LBFGS(), "learning_rate", 1), AttributeError, "has no learning_rate"),
        (lambda: LBFGS().step(rosenbrock()[1]), TypeError, "no single steps"),
        (lambda: LBFGS().apply([np.ones(2)], [np.ones(2)]), TypeError, "no single steps"),
        (lambda: LBFGS(history_size=0), ValueError, "history_size"),
        (lambda: LBFGS(learning_rate=1.0), TypeError, "no argument 'learning_rate'"),
        (lambda: LBFGS().minimize(*rosenbrock()[1:], 0), ValueError, "iterations"),
    ],
)
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_what_it_cannot_minimize_is_refused_and_left_alone():
    layer = Values(START, constraint="non_neg")
    with pytest.raises(ValueError, match="cannot keep values/w_0 within NonNeg"):
        LBFGS().minimize(vector(layer), lambda: 0.0, 5)
    _layer, parameters, _closure = rosenbrock()
    with pytest.raises(ValueError, match="loss is nan"):
        LBFGS().minimize(parameters, lambda: np.nan, 5)
    np.testing.assert_array_equal(parameters.values, START)
