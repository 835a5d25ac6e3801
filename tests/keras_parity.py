"""Keras' NumPy backend as a peer: how it computes in float64, and how near to it we must be."""

import gc
import warnings
from contextlib import contextmanager
from unittest import mock

import pytest


@contextmanager
def nothing_collected():
    """Every object keeps its address: there is no collection of cycles within."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def keras_in(dtype):
    """Keras, computing in `dtype`. The test is skipped where Keras or its engine is not installed.

    Outside TensorFlow, Keras takes float64 for float32 in most operations, and so does JAX, with
    which its NumPy backend convolves and pools: both are told otherwise. Nothing is collected
    meanwhile: Keras knows the objects of a file by their addresses, and one that a collected layer
    has left makes the two layers of a `Bidirectional` the same.
    """
    pytest.importorskip("jax", reason="Keras' NumPy backend convolves and pools with JAX")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    import jax
    from keras.src.backend.common import dtypes

    double = dtype == "float64"
    table = {"float64": "float64"} if double else {}
    with (
        mock.patch.dict(dtypes.BIT64_TO_BIT32_DTYPE, table),
        jax.enable_x64(double),
        warnings.catch_warnings(),
        nothing_collected(),
    ):
        warnings.filterwarnings("ignore", "__array__ implementation")  # of Keras' own variables
        # with NumPy it finds shapes by computing with memory that nobody has filled
        warnings.filterwarnings("ignore", ".* encountered in", RuntimeWarning, module=r"keras\.")
        yield keras


def close(dtype):
    """Arguments of `numpy.testing.assert_allclose`: the house's tolerance beside Keras."""
    return {"rtol": 1e-6, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-6}
