"""The state of a run as one object: saved and restored bit for bit.

What decides how a run goes on is the values and buffers, the optimizer's moments, the generators,
the position (epoch and step), the seed of the order, and the sums of the loss and the metrics of
the epoch so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import archive

Array = np.ndarray


def model_state(model: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Weights, generators and the optimizer's variables, as JSON and arrays."""
    weights = weight_names(model)
    arrays = {f"weights/{name}": p.value for name, p in weights.items()}
    header: dict[str, Any] = {"generators": [generator_state(layer) for layer in model.walk()]}
    optimizer = None if model.trainer is None else model.trainer.optimizer
    if optimizer is not None and (optimizer.built or optimizer._pending is not None):
        # not its `variables`: turning scaled moments into Keras' would cost their last bit
        state = optimizer.get_state()
        arrays |= {f"optimizer/{name}": value for name, value in state.items()}
    return header, arrays


def weight_names(model: Any) -> dict[str, Any]:
    """The model's arrays by names that say whose they are: ``"2/dense_1/kernel"``."""
    names = {}
    for i, p in enumerate(model.arrays()):
        names[f"{i}/{p.path}"] = p
    return names


def generator_state(layer: Any) -> dict[str, Any] | None:
    return None if layer._rng is None else layer._rng.bit_generator.state


def check_weights(model: Any, arrays: dict[str, Array]) -> None:
    """Raise unless the arrays are those of the model."""
    wanted = {f"weights/{name}": p.shape for name, p in weight_names(model).items()}
    given = {name: a.shape for name, a in arrays.items() if name.startswith("weights/")}
    if sorted(wanted.values()) != sorted(given.values()) or len(wanted) != len(given):
        raise ValueError(f"it holds {describe(given)} where {model.name} has {describe(wanted)}")
    for (name, shape), (other, found) in zip(wanted.items(), given.items(), strict=True):
        if shape != found:
            raise ValueError(
                f"its {other} has shape {found} where {name} of {model.name} has {shape}"
            )


def describe(shapes: dict[str, tuple]) -> str:
    return f"{len(shapes)} weights of {sum(int(np.prod(s)) for s in shapes.values()):,} numbers"


def set_model_state(model: Any, header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Put a state into a model of the same layers; everything is checked before anything
    changes."""
    check_weights(model, arrays)
    generators = header.get("generators") or []
    layers = list(model.walk())
    if len(generators) != len(layers):
        raise ValueError(
            f"it holds {len(generators)} generators where {model.name} has {len(layers)} layers"
        )
    fresh = [None if state is None else generator_from(state) for state in generators]
    store = {
        name.removeprefix("optimizer/"): a
        for name, a in arrays.items()
        if name.startswith("optimizer/")
    }
    if store and model.trainer is not None:
        optimizer = model.trainer.optimizer
        if not optimizer.built:
            optimizer.build(model.parameters)
        optimizer.set_state(store)
    given = [a for name, a in arrays.items() if name.startswith("weights/")]
    for p, value in zip(model.arrays(), given, strict=True):
        p.value[...] = value
    for layer, rng in zip(layers, fresh, strict=True):
        if rng is not None:
            layer._rng = rng


def generator_from(state: dict[str, Any]) -> np.random.Generator:
    rng = np.random.Generator(np.random.PCG64(0))
    try:
        rng.bit_generator.state = state
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it holds a generator that is not PCG64: {error}") from error
    return rng


def save_checkpoint(model: Any, path: Any, epoch: int, step: int) -> None:
    """Write the state of the run to one file.

    Parameters
    ----------
    model : Sequential
        Compiled and built.
    path : path
        Ends in ``.npz``.
    epoch, step : int
        Where to go on: the epoch, counted from 0, and how many of its batches are done.
    """
    trainer = model.trainer
    header, arrays = model_state(model)
    for i, sums in enumerate(trainer.metrics.state()):
        arrays |= {f"metrics/{i}/{k}": value for k, value in enumerate(sums)}
    arrays["loss"] = np.array([trainer._loss_sum, trainer._loss_rows])
    header["run"] = {
        "epoch": int(epoch),
        "step": int(step),
        "seed": trainer.seed,
        "metrics": metric_names(trainer),
        "history": getattr(model.history, "history", None),
    }
    archive.write(path, "checkpoint", header, arrays)


def load_checkpoint(model: Any, path: Any) -> tuple[int, int]:
    """Put a saved run into a model that was compiled alike; returns the epoch and the step to go on
    with. Everything is checked before anything changes."""
    header, arrays = archive.read(path, ("checkpoint",))
    trainer = model.trainer
    try:
        run = header["run"]
        epoch, step, seed = (int(run[name]) for name in ("epoch", "step", "seed"))
        names, history = list(run["metrics"]), run["history"]
        loss_sum, loss_rows = (float(v) for v in arrays["loss"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is damaged: its state of the run: {error!r}") from error
    if names != metric_names(trainer):
        raise ValueError(
            f"{str(path)!r} is of a run with the metrics {names} and {model.name} has "
            f"{metric_names(trainer)}: compile it as it was"
        )
    state = trainer.metrics.state()
    none = np.empty(0)
    sums = [
        [arrays.get(f"metrics/{i}/{k}", none) for k in range(len(old))]
        for i, old in enumerate(state)
    ]
    for name, new, old in zip(names, sums, state, strict=True):
        if [v.shape for v in new] != [v.shape for v in old]:
            raise ValueError(
                f"{str(path)!r} is of a run in which the metric {name} has other shapes"
            )
    set_model_state(model, header, arrays)
    trainer.metrics.set_state(sums)
    trainer._loss_sum, trainer._loss_rows = loss_sum, loss_rows
    trainer.epoch, trainer.step, trainer.seed = epoch, step, seed
    if history and model.history is not None:
        model.history.history = history
    return epoch, step


def metric_names(trainer: Any) -> list[str]:
    return trainer.metrics.names()
