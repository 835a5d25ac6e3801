"""What all tests share: Hypothesis' profiles, Keras' backend (NumPy's, or the environment's), and
files that wait for no disk."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("KERAS_BACKEND", "numpy")  # before anything imports keras
if os.environ["KERAS_BACKEND"] == "jax":
    os.environ.setdefault("JAX_ENABLE_X64", "1")  # else it takes float64 for float32
# before anything imports jax: what it compiles here runs once or twice, and is not worth optimizing
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
if "PYTEST_XDIST_WORKER" in os.environ:
    # before anything imports numpy: a worker has one core, and threads that wait for a second one
    # make small products a hundred times slower
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline: machines that run tests are shared, so the time of one example says nothing. In CI
# the examples are the same in every run, so that a change is judged by what it changed; at a desk
# they differ, and so keep searching.
patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=25, **patient)
settings.register_profile("ci", max_examples=25, derandomize=True, print_blob=True, **patient)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Forty thousand tests are collected and stay where they are: no search for garbage is to go
    through them, neither meanwhile, which takes a quarter of the time, nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def files_need_not_survive_a_power_cut():
    """Writing waits for no disk here: what is synced, and when, is asked of `os.fsync` itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield
