"""A model that only remembers: our callbacks and Keras' are driven with the same logs."""

import numpy as np
import pytest


class Optimizer:
    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate
        self.iterations = 0


class Metric:
    def __init__(self, name, direction=None):
        self.name = name
        if direction:
            self._direction = direction


class FakeModel:
    def __init__(self, learning_rate=0.1, metrics=()):
        self.optimizer = Optimizer(learning_rate)
        self.metrics = list(metrics)
        self.stop_training = False
        self.history = None
        self.built = True
        self.saved = []
        self.value = np.zeros(3)

    def get_weights(self):
        return [self.value.copy()]

    def set_weights(self, weights):
        self.value = np.array(weights[0])

    def save(self, filepath, overwrite=True):
        self.saved.append(("model", filepath))
        with open(filepath, "w") as file:
            file.write("model")

    def save_weights(self, filepath, overwrite=True):
        self.saved.append(("weights", filepath))
        with open(filepath, "w") as file:
            file.write("weights")

    def train(self, callbacks, logs, params=None):
        """Play a run, one dictionary of logs an epoch; an epoch's weights are its number."""
        for callback in callbacks:
            callback.set_model(self)
            callback.set_params(params or {"epochs": len(logs), "steps": 1, "verbose": 0})
        self.stop_training = False
        for callback in callbacks:
            callback.on_train_begin()
        for epoch, epoch_logs in enumerate(logs):
            epoch_logs = dict(epoch_logs)
            for callback in callbacks:
                callback.on_epoch_begin(epoch, {})
            self.value = np.full(3, float(epoch))
            for callback in callbacks:
                callback.on_epoch_end(epoch, epoch_logs)
            if self.stop_training:
                break
        for callback in callbacks:
            callback.on_train_end({})
        return epoch


@pytest.fixture(scope="session")  # one for all the examples that Hypothesis draws
def fake_model():
    """A class: `fake_model(learning_rate=0.1, metrics=())`."""
    return FakeModel


@pytest.fixture(scope="session")
def fake_metric():
    return Metric
