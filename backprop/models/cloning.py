"""A second model of the same layers, with fresh values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from backprop import checks
from backprop.bounds import unbounded
from backprop.config import custom_object_scope, deserialize, serialize
from backprop.layer import Layer
from backprop.layer_arrays import unique
from backprop.layers.inputs import Input, InputLayer
from backprop.layers.lambda_ import Lambda
from backprop.layers.wiring import drawn_again, symbols_in
from backprop.models.model import Model
from backprop.models.sequential import Sequential
from backprop.nest import as_one, leaves, matched, packed
from backprop.symbols import Symbol
from backprop.training.tracking import fresh

Twins = dict[int, Layer]  # by the identity of a layer, the one that stands for it


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Any:
    """A model of the same layers with fresh values, compiled alike; the optimizer begins anew.

    Parameters
    ----------
    model : Sequential or Model
    input_tensors : Symbol, or lists and dicts of them, optional
        What the new model begins with, as `model.input` is built. Default: inputs like the model's.
    clone_function : callable, optional
        Layer → layer of the new model; called once for each layer but the inputs. Default: a layer
        of the same configuration.
    call_function : callable, optional
        For a `Model`: is given the new layer and what it is called on, ``fn(layer, x, **options)``,
        and returns what stands for the layer's output. Default: the call of the layer.
    recursive : bool, default False
        Whether models in the model are cloned layer by layer too, by the same functions.

    Raises
    ------
    ValueError
        For inputs that do not fit the model's, or a `call_function` for a `Sequential`.

    Examples
    --------
    >>> import backprop as bp
    >>> x = bp.Input((3,))
    >>> model = bp.Model(x, bp.layers.Dense(2, name="scores")(x))
    >>> def frozen(layer):
    ...     return type(layer).from_config(layer.get_config() | {"trainable": False})
    >>> bp.models.clone_model(model, clone_function=frozen).get_layer("scores").trainable
    False
    """
    if not isinstance(model, Sequential | Model):
        raise TypeError(f"clone_model() expects model to be a Sequential or Model, got {model!r}")
    for name, given in {"clone_function": clone_function, "call_function": call_function}.items():
        if given is not None and not callable(given):
            raise TypeError(f"clone_model() expects {name} to be a function, got {given!r}")
    checks.flag(recursive, "clone_model()", "recursive")
    cloned = cloner(clone_function, call_function, recursive)
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError(
                "call_function is for a Model, whose layers are called one by one, and got a "
                "Sequential"
            )
        twin = chain_twin(model, door_of(model, input_tensors), cloned)
    else:
        twin = graph_twin(model, input_tensors, cloned, call_function)
    if model.trainer is not None:
        twin.trainer = model.trainer.anew(twin)
    return twin


def cloner(
    clone_function: Callable[[Layer], Layer] | None,
    call_function: Callable[..., Any] | None,
    recursive: bool,
) -> Callable[[Layer], Layer] | None:
    """What clones one layer, models within with `recursive`; None for configurations of all."""
    if not recursive or (clone_function is None and call_function is None):
        return clone_function

    def cloned(layer: Layer) -> Layer:
        if isinstance(layer, Sequential):
            return clone_model(layer, None, clone_function, None, True)
        if isinstance(layer, Model):
            return clone_model(layer, None, clone_function, call_function, True)
        return clone_function(layer) if clone_function else copies([layer])[0]

    return cloned


def copies(layers: Sequence[Layer]) -> list[Layer]:
    """Layers of the same configuration; own classes need not be registered for it. What holds a
    function has none, and is copied."""
    own = {
        type(layer).__name__: type(layer)
        for each in layers
        for layer in each.walk()
        if not type(layer).__module__.startswith("backprop.")
    }
    with custom_object_scope(own), unbounded():
        made = iter(deserialize(serialize([la for la in layers if not isinstance(la, Lambda)])))
    return [copy.deepcopy(la) if isinstance(la, Lambda) else next(made) for la in layers]


def twins_of(layers: list[Layer], cloned: Callable[[Layer], Layer] | None) -> Twins:
    """What stands for each layer; for one in two places it is made once. Inputs are always
    copied."""
    layers = unique(layers)
    by_config = layers if cloned is None else [la for la in layers if isinstance(la, InputLayer)]
    twins = {id(a): b for a, b in zip(by_config, copies(by_config), strict=True)}
    for layer in layers:
        if cloned is not None and id(layer) not in twins:
            twins[id(layer)] = cloned(layer)
            if not isinstance(twins[id(layer)], Layer):
                raise TypeError(
                    f"clone_function returns a layer, and returned {twins[id(layer)]!r} for "
                    f"{layer!r}"
                )
    return twins


# ---------------------------------------------------------------------- a chain


def chain_twin(
    model: Sequential, door: Layer | None, cloned: Callable[[Layer], Layer] | None
) -> Sequential:
    twins = twins_of(model._entries, cloned)
    layers = [twins[id(layer)] for layer in model._entries]
    if door is not None:
        layers = [door, *(layer for layer in layers if not isinstance(layer, InputLayer))]
    elif cloned is not None and model.built and not isinstance(layers[0], InputLayer):
        layers.insert(0, Input(batch_shape=model.input_shape).layer)
    twin = type(model).__new__(type(model))
    Sequential.__init__(twin, layers, model.trainable, model.name, dtype=model.dtype)
    if model.built and not twin.built:
        twin.build(model.build_shape)
    twin._arguments = model._arguments | {"layers": twin._entries}
    return with_additions(twin, model, twins)


def door_of(model: Sequential, input_tensors: Any) -> Layer | None:
    """The layer that a chain is to begin with."""
    if input_tensors is None:
        return None
    found = leaves(input_tensors)
    if len(found) != 1 or not isinstance(getattr(found[0], "layer", found[0]), InputLayer):
        raise ValueError(
            f"{model.name} begins with what Input() gives, one of it, and got {input_tensors!r}"
        )
    return getattr(found[0], "layer", found[0])


# ---------------------------------------------------------------------- a graph


def graph_twin(
    model: Model,
    input_tensors: Any,
    cloned: Callable[[Layer], Layer] | None,
    call_function: Callable[..., Any] | None,
) -> Model:
    wiring = model._wiring
    begin = None
    if input_tensors is not None:
        begin = matched(input_tensors, wiring.inputs, model.input_names, model.name, "input")
        symbols_in(model.name, "inputs", begin)
    twins = twins_of(wiring.layers, cloned)
    for layer in twins.values():
        layer.adopt_dtype(model.dtype)
    into, out = drawn_again(wiring, twins, begin, by_function(call_function))
    twin = type(model).__new__(type(model))
    inputs, outputs = packed(wiring.inputs, into), packed(wiring.outputs, out)
    Model.__init__(twin, inputs, outputs, model.trainable, model.name)
    twin._arguments, twin._draws = dict(model._arguments), model._draws
    return with_additions(twin, model, twins)


def by_function(call_function: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A call of the user's, for one of a `Wiring`."""
    if call_function is None:
        return None

    def call(layer: Layer, x: Any, training: bool | None) -> Any:
        y = call_function(layer, x, **({} if training is None else {"training": training}))
        found = leaves(y)
        for symbol in found:
            if not isinstance(symbol, Symbol):
                raise TypeError(f"call_function returned {symbol!r} for {layer!r}: return its call")
        return as_one(found)

    return call


def with_additions(twin: Any, model: Any, twins: Twins) -> Any:
    """The clone with copies of what a constructor of the model's own has added; the constructor
    itself, which may make layers, is not called."""
    memo: dict[int, Any] = {id(model): twin, **twins}
    added = {k: v for k, v in model.__getstate__().items() if k not in twin.__dict__}
    twin.__dict__ |= {name: fresh(value, memo) for name, value in added.items()}
    return twin
