"""A second model of the same layers, with fresh values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backprop.config import custom_object_scope, deserialize, serialize
from backprop.layer import Layer
from backprop.layer_arrays import unique
from backprop.layers.inputs import Input
from backprop.models.sequential import Sequential
from backprop.training.tracking import fresh


def clone_model(
    model: Sequential,
    input_tensors=None,
    clone_function=None,
    call_function=None,
    recursive: bool = False,
):
    """A model of the same layers with fresh values, compiled alike; the optimizer begins anew.

    Parameters
    ----------
    model : Sequential
    clone_function : callable, optional
        Layer → layer of the new model. Default: a layer of the same configuration.
    input_tensors, call_function, recursive
        Of Keras' functional API, which is not offered here.
    """
    if input_tensors is not None or call_function is not None or recursive:
        raise ValueError(
            "input_tensors, call_function and recursive are of Keras' functional API: not offered"
        )
    twin = with_layers(
        model, copies(model) if clone_function is None else clones(model, clone_function)
    )
    if model.trainer is not None:
        twin.trainer = model.trainer.anew(twin)
    return twin


def copies(model: Sequential) -> list[Layer]:
    """Layers of the same configuration; own classes need not be registered for it."""
    own = {
        type(layer).__name__: type(layer)
        for layer in model.walk()
        if not type(layer).__module__.startswith("backprop.")
    }
    with custom_object_scope(own):
        return deserialize(serialize(model._entries))


def clones(model: Sequential, clone_function: Callable[[Layer], Layer]) -> list[Layer]:
    """What a function makes of each layer; for one in two places it is called once."""
    made = {id(layer): clone_function(layer) for layer in unique(model.layers)}
    shape: list[Any] = [Input(batch_shape=model.input_shape)] if model.built else []
    return shape + [made[id(layer)] for layer in model.layers]


def with_layers(model: Sequential, layers: list[Layer]) -> Sequential:
    """A model of the same class of other layers. What a constructor of its own has added is copied;
    the constructor, which may make layers, is not called."""
    cls = type(model)
    twin = cls.__new__(cls)
    Sequential.__init__(twin, layers, model.trainable, model.name, dtype=model.dtype)
    if model.built and not twin.built:
        twin.build(model.build_shape)
    twin._arguments = model._arguments | {"layers": twin._entries}
    memo: dict[int, Any] = {id(model): twin}
    memo |= {id(old): new for old, new in zip(model.layers, twin.layers, strict=True)}
    added = {k: v for k, v in model.__dict__.items() if k not in twin.__dict__}
    twin.__dict__ |= {name: fresh(value, memo) for name, value in added.items()}
    return twin
