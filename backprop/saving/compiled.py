"""How a model was compiled, as a file says it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from backprop.bounds import check_metrics
from backprop.config import (
    deserialize,
    serialize,
)
from backprop.training.hooks import is_model
from backprop.training.outputs import given_losses, given_metrics


def compile_config(model: Any) -> dict[str, Any] | None:
    """How a model was compiled: what `load_model` compiles it with."""
    trainer = model.trainer
    if trainer is None or trainer.loss is None:
        return None
    plain, weighted = (given_metrics(trainer.metrics, weighted) for weighted in (False, True))
    loss, loss_weights = given_losses(trainer)
    excluded = [i for i, p in enumerate(trainable(model)) if trainer.optimizer._excludes(p)]
    return {
        "optimizer": serialize(trainer.optimizer),
        "without_weight_decay": excluded,  # by number, however they were chosen
        "loss": serialize(loss),
        "metrics": serialize(plain),
        "weighted_metrics": serialize(weighted),
        "loss_weights": loss_weights,
        "on_nonfinite": trainer.on_nonfinite.get_config(),
        "seed": trainer.seed,
    }


def in_keras(compiled: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What of a `compile_config` Keras knows, and what it says besides."""
    if compiled is None:
        return None
    unknown = "without_weight_decay", "on_nonfinite", "seed"
    known = {k: v for k, v in compiled.items() if k not in unknown}
    return known | {"run_eagerly": False, "steps_per_execution": 1, "jit_compile": "auto"}


def trainable(model: Any) -> list[Any]:
    """The model's parameters in order, without its buffers."""
    return [p for p in model.arrays() if p.gradient is not None]


def model_of(config: Any) -> Any:
    model = deserialize(config)
    if not is_model(model):
        raise ValueError(f"it holds {reprlib.repr(model)}, which is no model")
    return model


def described(config: Any) -> Any:
    """The model that a description alone makes, one of ours or one of Keras, which may say how it
    was compiled."""
    from backprop.interop.keras_configs import from_keras, is_keras

    if not is_keras(config):
        return model_of(config)
    model, compiled = model_of(from_keras(config)), from_keras(config.get("compile_config"))
    if compiled:
        recompile(model, compiled)
    return model


def recompile(model: Any, settings: Mapping[str, Any]) -> None:
    """Compile as `compile_config` says."""
    given = [settings.get(k) for k in ("metrics", "weighted_metrics")]
    check_metrics(given)
    plain, weighted = (deserialize(metrics) or () for metrics in given)
    model.compile(
        optimizer=deserialize(settings["optimizer"]),
        loss=deserialize(settings["loss"]),
        metrics=plain,
        weighted_metrics=weighted,
        loss_weights=settings.get("loss_weights"),
        on_nonfinite=settings.get("on_nonfinite", "warn"),
    )
    parameters = trainable(model)
    excluded = [parameters[i] for i in settings.get("without_weight_decay", ())]
    if excluded:
        model.optimizer.exclude_from_weight_decay(excluded)
    if "seed" in settings:  # Keras' own configuration has none
        model.trainer.seed = whole(settings["seed"])


def whole(seed: Any) -> int:
    if type(seed) is not int or seed < 0:
        raise ValueError(f"its seed is {seed!r}")
    return seed
