"""Wrong calls of everything that is public: each is an error of the library's own that says which
argument is wrong and what was expected, and a model that is trained stays as it was.

The tables in ``wrong_calls/`` have a call on one line, and on the next the error and words that its
text must have.
"""

import contextlib
import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from own_words import others_words

import backprop
from backprop import (
    Input,
    Model,
    Sequential,
    activations,
    callbacks,
    config,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    testing,
    utils,
)
from backprop.gradcheck import gradcheck
from backprop.optimizers import schedules
from backprop.testing import check_layer
from backprop.utils import FeatureSpace

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = X[:, :1]
PUBLIC = {
    "backprop": backprop,
    **{cls.__name__: cls for cls in (FeatureSpace, Model, Sequential)},
    **{f.__name__: f for f in (Input, check_layer, gradcheck)},
    **{
        module.__name__.rpartition(".")[2]: module
        for module in (
            *(activations, callbacks, config, constraints, datasets, initializers, layers, losses),
            *(metrics, models, optimizers, regularizers, schedules),
            *(testing, utils),
        )
    },
}


def rows():
    for path in sorted((Path(__file__).parent / "wrong_calls").glob("*.txt")):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        for call, expected in zip(lines[::2], lines[1::2], strict=True):
            kind, _, words = expected.strip().partition(": ")
            yield pytest.param(call, kind, words, id=call)


ROWS = list(rows())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """What the calls may use: a model that is trained, data, a folder with a few files."""
    folder = tmp_path_factory.mktemp("wrong_calls")
    (folder / "a.npz").write_text("x")
    (folder / "folder.npz").mkdir()
    (folder / "in").mkdir()
    model = Sequential([Input((3,)), layers.Dense(4, name="hidden"), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    built = layers.Dense(2)
    built.build((None, 3))
    more = {"X": X, "Y": Y, "np": np, "folder": folder, "model": model, "built": built}
    return PUBLIC | more | {"optimizer": model.optimizer}


def snapshot(world):
    model, optimizer = world["model"], world["optimizer"]
    state = {
        "layers": model.layers,
        "trainer": model.trainer,
        "optimizer": model.optimizer,
        "weights": model.get_weights(),
        "state": optimizer.get_state(),
        "config": optimizer.get_config(),
        "metrics": model.get_metrics_result(),
        "generators": [pickle.dumps(layer._rng) for layer in model.walk()],
        "history": copy.deepcopy(model.history.history),
        "built": world["built"].get_weights(),
    }
    return {name: list(found) if name == "layers" else found for name, found in state.items()}


def test_there_are_four_hundred_different_calls():
    assert len({row.values[0] for row in ROWS}) == len(ROWS) >= 400


@pytest.mark.parametrize(("call", "kind", "words"), ROWS)
def test_a_wrong_call_is_an_error_in_our_words_and_changes_nothing(
    call, kind, words, world, monkeypatch
):
    monkeypatch.chdir(world["folder"])
    before = snapshot(world)

    with pytest.raises(Exception) as caught, contextlib.redirect_stdout(io.StringIO()):
        exec(call, dict(world))

    assert caught.type.__name__ == kind, repr(caught.value)
    assert isinstance(caught.value, ValueError | TypeError | OSError | RuntimeError)
    assert words in str(caught.value)
    assert not others_words(caught.value)
    np.testing.assert_equal(snapshot(world), before)


def test_the_model_of_these_calls_can_still_be_trained(world):
    assert np.isfinite(world["model"].fit(X, Y, verbose=0).history["loss"]).all()


def test_what_python_says_is_recognised():
    def foreign():
        try:
            int("a")
        except ValueError as error:
            raise ValueError(f"it is wrong: {error}") from error

    with pytest.raises(ValueError) as caught:
        foreign()

    assert others_words(caught.value)
    with pytest.raises(ValueError) as caught:
        layers.Dense(0)
    assert not others_words(caught.value)
