"""What a subclass of a model may write anew of its training, and what it may not.

    class Noisy(Sequential):
        def train_step(self, data):
            x, y = data
            return super().train_step((x + 0.1 * np.random.normal(size=x.shape), y))

Keras calls `train_step`, `test_step`, `predict_step`, `compute_loss` and `compute_metrics` of a
model, and so does the trainer where a subclass has its own. Where none has, the trainer runs its
own lines and calls none of them. What Keras' automatic differentiation or its compiled functions
would call is refused by name: it would be ignored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

HOOKS = (
    *("train_step", "test_step", "predict_step", "compute_loss", "compute_loss_gradient"),
    "compute_metrics",
)


def is_model(layer: Any) -> bool:
    """Whether a layer is a model: it can be compiled, and so trained."""
    return hasattr(layer, "compile")


def hook(method: Callable) -> Callable:
    """Decorate a method that the trainer calls only where a subclass overrides it."""
    method.is_default = True  # type: ignore[attr-defined]
    return method


@hook
def absent() -> None:
    """What stands for a hook that a chain of layers, no model, does not have."""


def hooks_of(model: Any) -> frozenset[str]:
    """The hooks that a model has of its own, on its class or on itself."""
    cls, own = type(model), model.__dict__
    return frozenset(
        [
            name
            for name in HOOKS
            if name in own or not getattr(getattr(cls, name, absent), "is_default", False)
        ]
    )


def check_hooks(model: Any, hooks: frozenset[str], full_batch: bool) -> None:
    """Raise where training would ignore a method of a model."""
    name = type(model).__name__
    if "compute_loss" in hooks and not hooks & {"compute_loss_gradient", "train_step"}:
        raise TypeError(
            f"{name}.compute_loss cannot be trained on: its gradient is not known, as there is no "
            "automatic differentiation here. Write a Loss with values(self, y_true, y_pred) and "
            "gradient(self, dvalues, cache) for compile(loss=...); or, where the loss needs x too, "
            "compute_loss_gradient(self, x, y, y_pred, sample_weight) beside compute_loss, which "
            "returns dL/dy_pred"
        )
    if "compute_loss_gradient" in hooks and "compute_loss" not in hooks:
        raise TypeError(
            f"{name}.compute_loss_gradient is the gradient of a compute_loss of its own, and there "
            "is none: write compute_loss(self, x, y, y_pred, sample_weight) too"
        )
    if full_batch and "train_step" in hooks:
        raise TypeError(
            f"{name}.train_step would never be called: the optimizer takes all data at once. "
            "Choose another one, or write a Loss"
        )


def accepts(method: Callable, name: str) -> bool:
    """Whether a method has an argument of this name."""
    return name in inspect.signature(method).parameters


def read_logs(logs: Any, model: Any, name: str) -> dict[str, Any]:
    """What a hook has returned, if it is what it should return."""
    if not isinstance(logs, Mapping):
        raise TypeError(
            f"{type(model).__name__}.{name} returns the loss and the metrics so far as a dict, "
            f"such as {{'loss': 0.5}}, and returned {logs!r}"
        )
    return dict(logs)


@cache
def refuse(cls: type) -> None:
    """Raise where a class overrides what nothing here calls."""
    for name, (unless, advice) in REFUSED.items():
        if own(cls, name) and not (unless and own(cls, unless)):
            raise TypeError(f"{cls.__name__}.{name} would be ignored: {advice}")


def own(cls: type, name: str) -> bool:
    """Whether a class outside of the library defines a method."""
    return any(
        name in c.__dict__ for c in cls.__mro__ if not (c.__module__ + ".").startswith("backprop.")
    )


FUNCTIONS = "write train_step, test_step or predict_step, of which no function is made here"
SUMS = "metrics that are attributes of the model are reset and reported by themselves"
REFUSED = {
    "call": (
        "",
        "Keras differentiates it, and here each layer derives its own gradient. Draw what it does, "
        "Model(inputs, outputs), or write a Layer with forward(self, x, ctx) and backward(self, "
        "dy, cache)",
    ),
    "forward": ("propagate", "override propagate(self, x, ctx), which returns (y, caches, mask)"),
    "backward": (
        "backward_params",
        "training has no use for dL/dx: override backward_params(self, dy, caches)",
    ),
    "make_train_function": ("", FUNCTIONS),
    "make_test_function": ("", FUNCTIONS),
    "make_predict_function": ("", FUNCTIONS),
    "stateless_compute_loss": ("", "there is no JAX here: override compute_loss"),
    "compute_output_spec": ("", "override compute_output_shape(self, input_shape)"),
    "get_metrics_result": ("", SUMS),
    "reset_metrics": ("", SUMS),
}
