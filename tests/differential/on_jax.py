"""Keras on JAX, which differentiates, in a process of its own: an engine is chosen once for a
process."""

from __future__ import annotations

import functools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from keras_parity import keras_in


class Of(NamedTuple):
    """A class, or with ``place="activations"`` a function, and its arguments: what is made of it
    here and in Keras."""

    name: str
    options: dict[str, Any]
    place: str = "layers"

    def make(self, library: Any, **more: Any) -> Any:
        found = getattr(getattr(library, self.place), self.name)
        options = made(self.options, library) | more
        return functools.partial(found, **options) if found.__name__.islower() else found(**options)


def made(value: Any, library: Any) -> Any:
    """The objects of descriptions, in lists and dicts too."""
    if isinstance(value, Of):
        return value.make(library)
    if isinstance(value, dict):
        return {name: made(item, library) for name, item in value.items()}
    return [made(item, library) for item in value] if isinstance(value, list) else value


class Question(NamedTuple):
    """What Keras is asked for: y, and the gradients of Σ dy y of all outputs.

    `form` says how the layer is called: on ``"one"`` array, on a ``"list"``, on ``"each"``, as a
    ``"cell"`` on one and a list of states, or on one and lists of as many states as it says.
    """

    layer: Of
    dtype: str
    form: str | tuple[int, ...]
    inputs: list[np.ndarray]
    call: dict[str, Any]
    weights: list[np.ndarray]
    dy: list[np.ndarray]


class Answer(NamedTuple):
    y: list[np.ndarray]
    dx: list[np.ndarray | None]
    dweights: list[np.ndarray | None]


def ask(question: Question) -> Answer:
    """Keras' answer. The test is skipped where Keras or JAX is not installed."""
    pytest.importorskip("keras", reason="Keras is not installed")
    pytest.importorskip("jax", reason="JAX is not installed")
    return process().submit(answer, question).result()


@functools.cache
def process() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=begin)


def begin() -> None:
    os.environ |= {
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }


def called(form: str | tuple[int, ...], inputs: list) -> tuple:
    if isinstance(form, tuple):
        states = iter(inputs[1:])
        return inputs[0], [[next(states) for _ in range(n)] for n in form]
    return {
        "one": lambda: tuple(inputs),
        "each": lambda: tuple(inputs),
        "list": lambda: (list(inputs),),
        "cell": lambda: (inputs[0], list(inputs[1:])),
    }[form]()


def answer(question: Question) -> Answer:
    with keras_in(question.dtype) as keras:
        return found_in(keras, question)


def found_in(keras: Any, question: Question) -> Answer:
    import jax

    layer_of, dtype, form, inputs, call, weights, dy = question
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    layer = layer_of.make(keras)
    layer(*called(form, [keras.Input(batch_shape=x.shape, dtype=x.dtype.name) for x in inputs]))
    assert [tuple(w.shape) for w in layer.weights] == [w.shape for w in weights]
    for variable, value in zip(layer.weights, weights, strict=True):
        variable.assign(value)
    trained = [id(w) for w in layer.trainable_variables]
    real = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]

    def run(trainable, differentiated):
        xs = list(inputs)
        for i, x in zip(real, differentiated, strict=True):
            xs[i] = x
        values = list(zip(layer.trainable_variables, trainable, strict=True))
        with keras.StatelessScope(state_mapping=values):
            y = layer(*called(form, xs), training=False, **call)
        return [part for part in jax.tree.leaves(y) if part is not None]

    def both(trainable, differentiated, dy):
        y, back = jax.vjp(run, trainable, differentiated)
        return y, back(dy)

    values = [v.value for v in layer.trainable_variables]
    y, (dvalues, dreal) = jax.jit(both)(values, [inputs[i] for i in real], dy)
    of_weight = dict(zip(trained, dvalues, strict=True))
    of_input = dict(zip(real, dreal, strict=True))
    return Answer(
        [np.asarray(part) for part in y],
        [numbers(of_input.get(i)) for i in range(len(inputs))],
        [numbers(of_weight.get(id(w))) for w in layer.weights],
    )


def numbers(array: Any) -> np.ndarray | None:
    return None if array is None else np.asarray(array)
