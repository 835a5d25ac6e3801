"""Keras as a peer, in a dtype."""

import pytest


def keras_in(dtype, monkeypatch):
    keras = pytest.importorskip("keras", reason="keras is the peer for values")
    dtypes = pytest.importorskip("keras.src.backend.common.dtypes")
    # outside TensorFlow Keras computes float64 as float32: this table is how
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    yield keras
    keras.config.set_floatx(before)


@pytest.fixture
def float32_keras(monkeypatch):
    yield from keras_in("float32", monkeypatch)


@pytest.fixture
def float64_keras(monkeypatch):
    yield from keras_in("float64", monkeypatch)
