"""The network of an estimator: of hidden layers that were named, or what a builder makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from backprop import layers, optimizers
from backprop.initializers import RandomUniform
from backprop.models import Model, Sequential, clone_model
from backprop.models.base import BaseModel
from backprop.nest import as_tuple
from backprop.regularizers import L2

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}  # scikit-learn's names
# what only the network of hidden_layer_sizes is made of, so that a builder has to ask for it
OF_OWN = ("hidden_layer_sizes", "activation", "dropout", "alpha")


def hidden_layers(
    n: int, sizes: Sequence[int], activation: Any, dropout: float, penalty: L2 | None, dtype: str
) -> list[Any]:
    """Dense layers with an activation, each with dropout behind it, for n features."""
    made: list[Any] = []
    for before, size in zip((n, *sizes), sizes, strict=False):
        made.append(dense(before, size, activation, penalty, activation, dtype))
        if dropout:
            made.append(layers.Dropout(dropout, dtype=dtype))
    return made


def dense(n: int, units: int, activation: Any, penalty: L2 | None, hidden: Any, dtype: str) -> Any:
    """A Dense layer that begins as those of scikit-learn do: kernel and bias uniform within
    ±√(6 / (n + units)), with sigmoids in the hidden layers ±√(2 / (n + units))."""
    bound = np.sqrt((2 if hidden in ("logistic", "sigmoid") else 6) / (n + units))
    if isinstance(activation, str):
        activation = ACTIVATIONS.get(activation, activation)
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=RandomUniform(-bound, bound),
        bias_initializer=RandomUniform(-bound, bound),
        kernel_regularizer=penalty,
        dtype=dtype,
    )


def own_network(
    n: int,
    outputs: Any,
    ending: str | None,
    *,
    sizes: Sequence[int],
    activation: Any,
    dropout: float,
    penalty: L2 | None,
    dtype: str,
) -> BaseModel:
    """Hidden layers and a Dense layer with the activation `ending`; of several outputs one each."""
    hidden = hidden_layers(n, sizes, activation, dropout, penalty, dtype)
    width = sizes[-1] if sizes else n
    ends = [dense(width, k, ending, penalty, activation, dtype) for k in as_tuple(outputs)]
    if type(outputs) is not tuple:
        return Sequential([layers.Input((n,)), *hidden, *ends], dtype=dtype)
    x = h = layers.Input((n,), dtype=dtype)
    for layer in hidden:
        h = layer(h)
    return Model(x, [end(h) for end in ends])


def given_network(who: str, builder: Any, named: Mapping[str, Any], extra: Any) -> Any:
    """What a builder returns, called with those of `named` that its signature has and with
    `extra`; a fresh copy where the builder is a model itself.

    Raises
    ------
    TypeError
        If it is nothing of both.
    """
    if isinstance(builder, BaseModel):
        if extra:
            raise ValueError(f"{who}: model_params are arguments of a function, and model= is none")
        return clone_model(builder)
    if not callable(builder):
        raise TypeError(
            f"{who} expects model= to be a function that returns a model, or a model, got "
            f"{builder!r}"
        )
    wanted = asked_for(builder)
    return builder(**{k: v for k, v in named.items() if k in wanted} | dict(extra or {}))


def asked_for(builder: Callable[..., Any]) -> set[str]:
    """The names of the arguments that a function takes."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in inspect.signature(builder).parameters.values() if p.kind in kinds}


def check_model(who: str, model: Any, n: int) -> None:
    """Build a model for n features; raise unless it is one, and not compiled."""
    if not isinstance(model, BaseModel):
        raise TypeError(
            f"{who}: what model= returns must be a Sequential or a Model, got {model!r}"
        )
    if model.compiled:
        raise ValueError(
            f"{who}: the model that model= returns is compiled already: leave compile() out, the "
            "estimator calls it with its own loss= and solver="
        )
    if not model.built:
        model.build((None, n))


def check_outputs(who: str, model: Any, outputs: Any) -> None:
    """Raise unless a model has as many units in its outputs as the task wants."""
    wanted = [(None, units) for units in outputs] if type(outputs) is tuple else (None, outputs)
    if model.output_shape != wanted:
        raise ValueError(
            f"{who}: the model that model= returns has outputs of shape {model.output_shape}, and "
            f"the targets need {wanted}: let the function take n_outputs"
        )


def gives_probabilities(model: Any) -> bool:
    """Whether a network ends in softmax or sigmoid."""
    if any(as_tuple(model.ends_in_softmax)):
        return True
    last = model
    while isinstance(last, BaseModel):
        last = last.layers[-1]
    kinds = (layers.Softmax, layers.Sigmoid)
    return isinstance(last, kinds) or isinstance(getattr(last, "activation", None), kinds)


def penalties_of(model: Any) -> list[L2]:
    """The L2 penalties on the kernels of a network's own layers, each once."""
    found = [getattr(layer, "kernel_regularizer", None) for layer in model.walk()]
    return list({id(r): r for r in found if isinstance(r, L2)}.values())


def make_optimizer(e: Any) -> Any:
    """The optimizer that the parameters of an estimator describe."""
    if not isinstance(e.solver, str):
        return optimizers.deserialize(optimizers.serialize(e.solver))  # whatever ran with it
    if e.solver == "adam":
        return optimizers.Adam(e.learning_rate_init, e.beta_1, e.beta_2, e.epsilon)
    if e.solver == "sgd":
        nesterov = e.nesterovs_momentum and e.momentum > 0
        return optimizers.SGD(e.learning_rate_init, e.momentum, nesterov)
    if e.solver == "lbfgs":
        return optimizers.LBFGS(gtol=e.tol, maxfun=e.max_fun)
    found = optimizers.get(e.solver)
    found.learning_rate = e.learning_rate_init
    return found
