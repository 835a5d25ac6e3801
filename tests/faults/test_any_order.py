"""Calls of a model in any order: whatever is called after what, its promises hold.

A `Sequential` is built, compiled, trained, changed, frozen, copied, saved and read, set back and
refused, goes on and fails, as Hypothesis draws it; after every call all that follows from one
another must agree.
"""

import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import backprop as bp
from backprop.layers import BatchNormalization, Dense, Dropout

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
KINDS = {
    "dense": lambda: Dense(3, "tanh"),
    "penalised": lambda: Dense(3, kernel_regularizer="l2", kernel_constraint="max_norm"),
    "statistics": BatchNormalization,
    "noise": lambda: Dropout(0.3),
}


def same(a, b):
    return len(a) == len(b) and all(map(np.array_equal, a, b))


class AnyOrder(RuleBasedStateMachine):
    """What is known of the model beside it: the names of its layers, which of them are frozen, and
    the weights that nothing since may have changed (None where something may have)."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.npz"
        self.model = bp.Sequential()
        self.names: list[str] = []
        self.frozen: set[str] = set()
        self.remembered: set[str] | None = None  # whose moments the optimizer has
        self.weights = None
        self.saved = self.state = None
        self.state_path = f"{self.folder.name}/state.npz"

    def teardown(self):
        self.folder.cleanup()

    def changed(self):
        self.weights = self.model.get_weights() if self.model.built else None

    @property
    def learns(self):
        return any(n not in self.frozen and not n.startswith("dropout") for n in self.names)

    @property
    def knows_none(self):
        """Whether the optimizer was built for layers of which none is left: it says so, then."""
        return self.remembered is not None and not self.remembered

    # --------------------------------------------------------------------------- what changes it

    @rule(kind=st.sampled_from(sorted(KINDS)))
    def add(self, kind):
        if len(self.names) < 4:
            before = self.weights
            self.model.add(KINDS[kind]())
            self.names.append(self.model.layers[-1].name)
            if before is not None:
                assert same(before, self.model.get_weights()[: len(before)]) or kind == "statistics"
            self.changed()

    @precondition(lambda self: self.names)
    @rule()
    def pop(self):
        layer = self.model.pop()
        assert layer.name == self.names.pop()
        self.frozen.discard(layer.name)
        if self.remembered is not None:
            self.remembered.discard(layer.name)
        self.changed()

    @precondition(lambda self: self.names)
    @rule()
    def build(self):
        built = self.model.built
        self.model.build((None, 3))
        if not built:
            self.changed()

    @rule(optimizer=st.sampled_from(["sgd", "adam"]))
    def compile(self, optimizer):
        self.model.compile(optimizer, "mse", metrics=["mae"])
        self.remembered = None

    @precondition(lambda self: self.model.compiled and self.learns)
    @rule(epochs=st.integers(1, 2))
    def fit(self, epochs):
        kept = {la.name: la.get_weights() for la in self.model.layers if la.name in self.frozen}
        steps = self.model.optimizer.iterations
        if self.knows_none:
            with pytest.raises(ValueError, match="make a new optimizer for this model"):
                self.model.fit(X, X, verbose=0)
            self.compile("sgd")
            steps = 0
        history = self.model.fit(X, X, batch_size=4, epochs=epochs, verbose=0)

        assert history.epoch == list(range(epochs))
        assert np.isfinite(history.history["loss"]).all()
        assert self.model.optimizer.iterations == steps + 2 * epochs
        self.remembered = {n for n in self.names if not n.startswith("dropout")}
        for name, weights in kept.items():
            assert same(weights, self.model.get_layer(name).get_weights())
        self.changed()

    @precondition(lambda self: self.model.compiled and self.learns and not self.knows_none)
    @rule(batch=st.integers(0, 1), hook=st.sampled_from(["begin", "end"]))
    def fit_that_fails(self, batch, hook):
        steps, trainer = self.model.optimizer.iterations, self.model.trainer

        def fail(number, logs=None):
            if number == batch:
                raise ZeroDivisionError

        fails = bp.callbacks.LambdaCallback(**{f"on_train_batch_{hook}": fail})
        with pytest.raises(ZeroDivisionError):
            self.model.fit(X, X, batch_size=4, verbose=0, callbacks=[fails])

        assert self.model.optimizer.iterations == steps + batch + (hook == "end")
        assert (trainer.epoch, trainer.step) == (0, batch + (hook == "end"))
        self.remembered = {n for n in self.names if not n.startswith("dropout")}
        self.changed()

    @precondition(lambda self: self.model.compiled and self.learns and not self.knows_none)
    @rule()
    def train_on_batch(self):
        steps = self.model.optimizer.iterations
        loss, _ = self.model.train_on_batch(X, X)

        assert np.isfinite(loss) and self.model.optimizer.iterations == steps + 1
        self.remembered = {n for n in self.names if not n.startswith("dropout")}
        self.changed()

    @precondition(lambda self: self.names)
    @rule()
    def copy(self):
        self.model = copy.deepcopy(self.model)

    @precondition(lambda self: self.remembered and self.model.built)
    @rule()
    def save_state(self):
        self.model.trainer.save_state(self.state_path)
        kinds = [type(layer) for layer in self.model.layers]
        self.state = kinds, type(self.model.optimizer), self.model.get_weights()

    @precondition(lambda self: self.state and self.model.built and self.model.compiled)
    @rule(epochs=st.integers(1, 2))
    def go_on(self, epochs):
        kinds = [type(layer) for layer in self.model.layers]
        if (kinds, type(self.model.optimizer)) != self.state[:2] or self.knows_none:
            return
        epoch, _ = self.model.trainer.restore_state(self.state_path)
        assert same(self.model.get_weights(), self.state[2])
        if self.learns:
            history = self.model.fit(X, X, batch_size=4, epochs=epoch + epochs, verbose=0)
            assert history.epoch[-1] == epoch + epochs - 1
            self.frozen = {la.name for la in self.model.layers if not la.trainable}
        self.remembered = {n for n in self.names if not n.startswith("dropout")}
        self.changed()

    @precondition(lambda self: self.names)
    @rule(data=st.data(), trainable=st.booleans())
    def freeze(self, data, trainable):
        name = data.draw(st.sampled_from(self.names))
        self.model.get_layer(name).trainable = trainable
        (self.frozen.discard if trainable else self.frozen.add)(name)

    @precondition(lambda self: self.model.built)
    @rule(scale=st.sampled_from([0.5, 2.0]))
    def set_weights(self, scale):
        weights = [scale * np.abs(w) for w in self.model.get_weights()]
        self.model.set_weights(weights)
        assert same(self.model.get_weights(), weights)
        self.changed()

    @precondition(lambda self: self.model.built)
    @rule()
    def save(self):
        self.model.save(self.path)
        remembered = set(self.remembered) if self.remembered else None  # else the file has none
        self.saved = (list(self.names), set(self.frozen), remembered, self.model.get_weights())

    @precondition(lambda self: self.saved)
    @rule()
    def load(self):
        self.model = bp.models.load_model(self.path)
        self.names, self.frozen, self.remembered, weights = copy.deepcopy(self.saved)
        assert same(self.model.get_weights(), weights)
        self.changed()

    # ------------------------------------------------------------------------ what changes nothing

    @precondition(lambda self: self.names)
    @rule()
    def predict(self):
        built = self.model.built
        y = self.model.predict(X, verbose=0)
        assert y.shape == (8, 3) and y.dtype == np.float32
        assert np.array_equal(y, self.model(X, training=False))
        if not built:
            self.changed()

    @precondition(lambda self: self.names and self.model.compiled)
    @rule()
    def evaluate(self):
        built = self.model.built
        found = self.model.evaluate(X, X, verbose=0, return_dict=True)
        assert sorted(found) == ["loss", "mae"]
        if self.model.trainer.step == 0:  # else there are sums of a run that failed
            assert found == self.model.get_metrics_result()
        if not built:
            self.changed()

    @rule(
        wrong=st.sampled_from(
            [
                lambda model: model.add(3),
                lambda model: model.add(model),
                lambda model: model.compile("nothing", "mse"),
                lambda model: model.compile("sgd", "mse", metrics=[Dense(2)]),
                lambda model: model.fit(X, X, epochs=-1),
                lambda model: model.fit(X[:, :2], X[:5]),
                lambda model: model.fit(X * np.nan, X),
                lambda model: model.set_weights([np.ones(99)]),
                lambda model: model.get_layer("nothing"),
                lambda model: model.save("model.txt"),
                lambda model: model.load_weights("nothing.npz"),
                lambda model: model.pop("last"),
            ]
        )
    )
    def refuse(self, wrong):
        trainer = self.model.trainer
        with pytest.raises((ValueError, TypeError, OSError, RuntimeError)):
            wrong(self.model)
        assert self.model.trainer is trainer

    # ---------------------------------------------------------------------------------- promises

    @invariant()
    def the_layers_are_those_that_were_added(self):
        assert [layer.name for layer in self.model.layers] == self.names
        assert {la.name for la in self.model.layers if not la.trainable} == self.frozen

    @invariant()
    def the_weights_are_where_they_were_left(self):
        if self.weights is not None:
            assert self.model.built and same(self.model.get_weights(), self.weights)

    @invariant()
    def everything_trainable_is_a_view_of_one_vector(self):
        if not self.model.built:
            return
        parameters = self.model.parameters
        held = [p for p in self.model.arrays() if p.gradient is not None]
        assert parameters.values.size == sum(p.size for p in held) == parameters.gradients.size
        assert all(np.shares_memory(p.value, parameters.values) for p in held)
        assert self.model.count_params() == sum(w.size for w in self.model.get_weights())

    @invariant()
    def what_is_compiled_has_numbers_alone(self):
        if self.model.compiled:
            assert all(np.isfinite(w).all() for w in self.model.optimizer.get_weights())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=6, stateful_step_count=20)


class Thoroughly(AnyOrder):
    pass


@pytest.mark.slow
class TestAnyOrderThoroughly(Thoroughly.TestCase):
    settings = settings(max_examples=500, stateful_step_count=60)
