"""The state of a run as one object: saved and restored bit for bit.

What decides how a run goes on is the values and buffers, the states that layers carry on, the
optimizer's moments, the generators, the position (epoch and step), the seed of the order, the sums
of the loss and the metrics of the epoch so far, how far the data are read, and what the callbacks
have counted. What decides the last digits beside that is written down with it.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from backprop import archive
from backprop.environment import changes, environment
from backprop.parameters import Parameter
from backprop.run_checks import (
    batches_given,
    check_run,
    history_alone,
    position,
    sums_of_metrics,
    told_before,
)
from backprop.signing import SigningKey

Array = np.ndarray
Take = Callable[[Any, Mapping[str, Array], bool], Callable[[], None]]


def model_state(model: Any, of_run: bool = False) -> tuple[dict[str, Any], dict[str, Array]]:
    """Weights, generators and the optimizer's variables, as JSON and arrays.

    Of a run, an optimizer that has taken no step is there too: with nothing in its slots.
    """
    weights = weight_names(model)
    arrays = {f"weights/{name}": p.value for name, p in weights.items()}
    header: dict[str, Any] = {"generators": [generator_state(layer) for layer in model.walk()]}
    optimizer = optimizer_of(model)
    if of_run and not optimizer.remembers:
        optimizer = copy.copy(optimizer)
        with suppress(ValueError):  # for the parameters of others: the next step says so
            optimizer.build(model.parameters)
    if optimizer is not None and optimizer.remembers:
        # not its `variables`: turning scaled moments into Keras' would cost their last bit
        state = optimizer.get_state()
        arrays |= {f"optimizer/{name}": value for name, value in state.items()}
    return header, arrays


def optimizer_of(model: Any) -> Any:
    """The optimizer of a model, with what it remembers of the layers that the model has now; None
    of one that is not compiled."""
    trainer = model.trainer
    # within a run on ranks no layer comes or goes
    if trainer is None or trainer.across is not None:
        return trainer and trainer.optimizer
    return trainer.optimizer.for_now(model.parameters)


def weight_names(model: Any) -> dict[str, Any]:
    """The model's weights by names that say whose they are: ``"2/dense_1/kernel"``."""
    return named(model.arrays())


def named(arrays: Iterable[Parameter]) -> dict[str, Any]:
    return {f"{i}/{p.path}": p for i, p in enumerate(arrays)}


def path_of(name: str) -> str:
    """``"weights/2/dense_1/kernel"`` → ``"dense_1/kernel"``."""
    return name.split("/", 2)[-1]


def weights_and_states(
    model: Any, arrays: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The weights of a file for a model, and the states that its layers carried on.

    Files of before states were told from weights have them among the weights, as "carry".
    """
    weights, states = (
        {name: a for name, a in arrays.items() if name.startswith(f"{kind}/")}
        for kind in ("weights", "states")
    )
    own = [p.path for p in model.arrays()]
    if len(weights) != len(own):
        carried = [n for n in weights if n.endswith("/carry") and path_of(n) not in own]
        states |= {name: weights.pop(name) for name in carried}
    return weights, states


def generator_state(layer: Any) -> dict[str, Any] | None:
    return None if layer._rng is None else layer._rng.bit_generator.state


def check_weights(model: Any, weights: Mapping[str, Array]) -> None:
    """Raise unless the weights of a file are those of the model."""
    wanted = {f"weights/{name}": p.shape for name, p in weight_names(model).items()}
    given = {name: a.shape for name, a in weights.items()}
    if sorted(wanted.values()) != sorted(given.values()) or len(wanted) != len(given):
        raise ValueError(f"it holds {describe(given)} where {model.name} has {describe(wanted)}")
    for (name, shape), (other, found) in zip(wanted.items(), given.items(), strict=True):
        if shape != found:
            raise ValueError(
                f"its {other} has shape {found} where {name} of {model.name} has {shape}"
            )
    for p, (name, a) in zip(model.arrays(), weights.items(), strict=True):
        if a.dtype.kind != p.value.dtype.kind:
            raise ValueError(f"its {name} is of dtype {a.dtype} and {p.path} of {p.value.dtype}")


def values_for(
    model: Any, arrays: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Weights and states of a file; raises unless they are those of the model."""
    weights, states = weights_and_states(model, arrays)
    check_weights(model, weights)
    check_states(model, states)
    return weights, states


def describe(shapes: dict[str, tuple]) -> str:
    return f"{len(shapes)} weights of {sum(int(np.prod(s)) for s in shapes.values()):,} numbers"


def check_states(model: Any, states: Mapping[str, Array]) -> None:
    """Raise unless the states of a file, if it has any, are those that the model's layers keep."""
    wanted = [p.shape for p in model.states_kept()]
    given = [a.shape for a in states.values()]
    if given and given != wanted:
        raise ValueError(
            f"its layers carry on states of shapes {given} where those of {model.name} have "
            f"{wanted}: a run goes on with batches of the size that it had"
        )


def set_model_state(model: Any, header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Put a state into a model of the same layers; everything is checked before anything
    changes."""
    values = values_for(model, arrays)  # of another model they say more than the generators
    generators = header.get("generators") or []
    layers = list(model.walk())
    if not isinstance(generators, list) or not all(isinstance(g, dict | None) for g in generators):
        raise ValueError("its generators are no list of states")
    if len(generators) != len(layers):
        raise ValueError(
            f"it holds {len(generators)} generators where {model.name} has {len(layers)} layers"
        )
    fresh = [None if state is None else generator_from(state) for state in generators]
    put(model, arrays, *values)
    for layer, rng in zip(layers, fresh, strict=True):
        layer._rng = rng


def set_values(model: Any, arrays: Mapping[str, Array]) -> None:
    """What `set_model_state` sets, but for the generators, which go on as they are."""
    put(model, arrays, *values_for(model, arrays))


def put(
    model: Any,
    arrays: Mapping[str, Array],
    weights: Mapping[str, Array],
    states: Mapping[str, Array],
) -> None:
    """Set weights and states that were checked, and what the optimizer remembers."""
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
    for p, value in zip(model.arrays(), weights.values(), strict=True):
        p.value[...] = value
    if states:
        for p, value in zip(model.states_kept(), states.values(), strict=True):
            p.value[...] = value


def generator_from(state: dict[str, Any]) -> np.random.Generator:
    rng = np.random.Generator(np.random.PCG64(0))
    try:
        rng.bit_generator.state = state
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it holds a generator that is not PCG64: {error}") from error
    return rng


def save_checkpoint(
    model: Any,
    path: Any,
    epoch: int,
    step: int,
    counted: tuple[list[Any], Mapping[str, Array]] = ([], {}),
    key: SigningKey | None = None,
) -> None:
    """Write the state of the run to one file.

    Parameters
    ----------
    model : Sequential
        Compiled and built.
    path : path
        Ends in ``.npz``.
    epoch, step : int
        Where to go on: the epoch, counted from 0, and how many of its batches are done.
    counted : (list, mapping of str to ndarray), optional
        What the callbacks of the run have counted, as `callbacks.state.collect` returns it.
    key : SigningKey, optional
        Signs the file.
    """
    trainer = model.trainer
    header, arrays = model_state(model, of_run=True)
    arrays |= {f"states/{name}": p.value for name, p in named(model.states_kept()).items()}
    header["callbacks"] = counted[0]
    arrays |= counted[1]
    for i, sums in enumerate(trainer.metrics.state()):
        arrays |= {f"metrics/{i}/{k}": value for k, value in enumerate(sums)}
    arrays["loss"] = np.array(trainer.loss_so_far.variables)
    header["run"] = {
        "epoch": int(epoch),
        "step": int(step),
        "seed": trainer.seed,
        "metrics": trainer.metrics.names(),
        "unchosen": trainer.metrics.unchosen(),
        "given": trainer.batches_given(),
        "skipped": trainer.skipped,
        "told": told(trainer.told) if step else None,
    }
    header["run"]["changed"] = trainer.changed()
    header["run"]["guard"], kept = trainer.guard_state()
    arrays |= kept
    header["environment"] = surroundings(trainer)
    archive.write(path, "checkpoint", header, arrays, key)
    note_saved(model, path)


def told(logs: Mapping[str, Any] | None) -> dict[str, float] | None:
    """The numbers in what a step of a model's own has said of the epoch so far."""
    if logs is None:
        return None
    numbers = {name: np.asarray(value) for name, value in logs.items()}
    return {
        name: float(value)
        for name, value in numbers.items()
        if value.ndim == 0 and value.dtype.kind in "fiub"
    }


def note_saved(model: Any, path: Any) -> None:
    """Have the run know a file that holds its values, if they are finite."""
    trainer = getattr(model, "trainer", None)  # which an uncompiled one, or a stand-in, has none of
    if trainer is not None and is_finite(model):
        trainer.saved = os.fspath(path)


def is_finite(model: Any) -> bool:
    """Whether a run can go on from the weights of a model."""
    return bool(np.isfinite(model.parameters.values).all())


def can_go_on(model: Any) -> bool:
    """Whether a run can go on from the state of a model: what `load_checkpoint` would refuse must
    take no good file's place."""
    optimizer = model.trainer.optimizer
    others = (p.value for p in model.arrays() if p.gradient is None and p.value.dtype.kind == "f")
    return is_finite(model) and not any(np.isnan(v).any() for v in others) and optimizer.is_sound()


def load_checkpoint(
    model: Any,
    path: Any,
    take: Take | None = None,
    steps: int | None = None,
    key: SigningKey | None = None,
    read: Callable[..., Any] = archive.read,
) -> tuple[int, int]:
    """Put a saved run into a model that was compiled alike; returns the epoch and the step to go on
    with. Nothing changes unless all of it fits.

    Parameters
    ----------
    model : Sequential
        Compiled and built.
    path : path
    take : callable, optional
        Given what the callbacks had counted, as it was saved, and whether the run had begun;
        returns a function that undoes what it has done.
    steps : int, optional
        How many batches an epoch has, if that is known.
    key : SigningKey, optional
        The file must have been signed with it.
    read : callable, optional
        Reads the file, given what `archive.read` is given. Default: `archive.read`.

    Raises
    ------
    OSError
        The file cannot be read.
    ModelFileError
        It is damaged, of another run, or of one that had failed.

    Warns
    -----
    UserWarning
        Once, if the run was saved on another machine, another build of NumPy, another kernel of
        BLAS, other kernels or another number of threads or of ranks, or its optimizer is `LBFGS`:
        its end may have other last digits.
    """
    header, arrays = read(path, ("checkpoint",), key)
    with archive.faults_named(path), archive.describing(path):
        found = set_run_state(
            model, header, arrays, take, steps, lambda: set_model_state(model, header, arrays)
        )
    model.trainer.saved = os.fspath(path)
    return found


def set_run_state(
    model: Any,
    header: Mapping[str, Any],
    arrays: Mapping[str, Array],
    take: Take | None = None,
    steps: int | None = None,
    put: Callable[[], None] = lambda: None,
) -> tuple[int, int]:
    """All of a state of a run but that of the model, which `put` sets when the rest has been
    checked; see `load_checkpoint`."""
    trainer = model.trainer
    epoch, step, seed, skipped = position(header, steps)
    given = batches_given(header["run"])
    counted = header.get("callbacks") or history_alone(header["run"])
    check_run(header["run"], arrays, weights_and_states(model, arrays)[0])
    said = told_before(header["run"])
    counts = sums_of_metrics(trainer, header["run"], arrays)
    guard = trainer.check_guard(header["run"].get("guard"), arrays)
    changed = changes(header.get("environment"), surroundings(trainer))
    # first, as it can be taken back: the model is not set before all of it has been checked
    stopped = model.stop_training
    undo = take(counted, arrays, bool(epoch or step)) if take is not None else lambda: None
    take_back = undo
    try:
        take_back = trainer.change(header["run"].get("changed", {}))  # files of before have none
        put()
    except Exception:
        take_back()
        undo()
        raise
    trainer.metrics.take(*counts)
    trainer.loss_so_far.total, trainer.loss_so_far.count = map(float, arrays["loss"])
    trainer.epoch, trainer.step, trainer.seed, trainer.given = epoch, step, seed, given
    trainer.skipped, trainer.told = skipped, said
    guard()
    trainer.ended = model.stop_training and not stopped
    warn_of_other_bits(trainer, changed)
    return epoch, step


def surroundings(trainer: Any) -> dict[str, str]:
    """What decides the last digits of a run beside its arguments."""
    return {**environment(), "ranks": str(trainer.strategy.size)}


def warn_of_other_bits(trainer: Any, changed: list[str]) -> None:
    """Say why a run that goes on may not end in the bits in which it would have ended."""
    if trainer.optimizer.full_batch and trainer.epoch:
        changed = [*changed, f"{type(trainer.optimizer).__name__} learns the curvature anew"]
    if changed:
        warnings.warn(
            "the run goes on, and may not end in the same bits as without the interruption: "
            + "; ".join(changed),
            stacklevel=2,
        )
