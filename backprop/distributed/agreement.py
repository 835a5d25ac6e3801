"""What the ranks of a run must have alike, and what cannot be the same on several ranks.

All of it is an error before the first step, or in it: never a run that is silently another.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from backprop.callbacks import BackupAndRestore, ModelCheckpoint
from backprop.callbacks.callback import Callback
from backprop.distributed.metrics import check_metrics
from backprop.losses.several import WeightedSum
from backprop.nest import as_tuple, entries, row_count, shapes
from backprop.optimizers.optimizer import norm
from backprop.registry import is_foreign
from backprop.training.data import ArrayData

Array = np.ndarray
TOLERANCE = 1e-3  # of norms, which rounding does not reach and other rows do


def check_run(trainer: Any, who: str) -> None:
    """Raise for what several ranks cannot do."""
    model, name = trainer.model, type(trainer.model).__name__
    own = sorted(trainer._hooks - {"predict_step"})
    if own:
        raise ValueError(
            f"{who} with {trainer.strategy!r} cannot weigh what a {own[0]} of its own computes: "
            f"train {name} in one process, or write a Loss"
        )
    for loss in losses_of(trainer.loss):
        written = next(c for c in type(loss).__mro__ if {"forward", "backward"} & vars(c).keys())
        if is_foreign(written):
            raise ValueError(
                f"{written.__name__} writes forward or backward by itself, and "
                f"{trainer.strategy!r} has to know what its mean divides by: write values and "
                "gradient, or train in one process"
            )
    if trainer.optimizer.full_batch:
        raise ValueError(
            f"{type(trainer.optimizer).__name__} takes all data at once, and {trainer.strategy!r} "
            "divides batches: train in one process"
        )
    for layer in model.walk():
        if layer.fixed_rows:
            raise ValueError(
                f"{layer.name} is stateful and keeps a state for each row of a batch, and "
                f"{trainer.strategy!r} divides batches: train in one process"
            )
        if layer.penalises:
            raise ValueError(
                f"{layer.name} adds a penalty on its activity to the loss, of which "
                f"{trainer.strategy!r} cannot know what it divides by: train in one process"
            )
    check_metrics(trainer.metrics)


def losses_of(loss: Any) -> list[Any]:
    """A loss, or those of several outputs; none where it is the model's own."""
    if loss is None:
        return []
    return [loss.losses[i] for i in loss.places] if isinstance(loss, WeightedSum) else [loss]


def check_alike(ranks: Any, data: Any, validation: Any, epochs: int) -> None:
    """Raise, on all ranks, where they were given different things."""
    trainer = ranks.trainer
    sharded = ranks.strategy.data == "sharded"
    if sharded and isinstance(data.class_weight, str):
        raise ValueError(
            "class_weight='balanced' counts the classes in all of y, of which each rank has a part "
            "with data='sharded': give a weight for each class"
        )
    mine = {
        "the strategy": repr(trainer.strategy),
        "the weights": str([(p.name, p.shape, str(p.value.dtype)) for p in trainer.model.arrays()]),
        "the layers": str([type(layer).__name__ for layer in trainer.model.walk()]),
        "the frozen layers": str([p.trainable for p in trainer.model.parameters.parameters]),
        "the loss": repr(trainer.loss),
        "the optimizer": repr(trainer.optimizer),
        "the metrics": str(trainer.metrics.names()),
        "on_nonfinite": repr(trainer.on_nonfinite),
        "the number of epochs": str(epochs),
        "the state that restore_state() was given": trainer.restored_from(),
        "validation": "none" if validation is None else str((validation.steps, validation.freq)),
    }
    if not sharded:
        mine["the batch size"] = str(getattr(data, "batch_size", None))
        mine["the number of batches"] = str(data.steps)
        mine |= {f"x or y, {k}": v for k, v in seen_of(data).items()}
        if validation is not None:
            mine |= {f"validation data, {k}": v for k, v in seen_of(validation.data).items()}
    first = ranks.comm.bcast(mine)
    for rank, theirs in enumerate(ranks.comm.allgather(mine)):
        for what in first:
            if theirs.get(what) != first[what]:
                raise ValueError(
                    f"the ranks of a job train one model, and differ in {what}: rank 0 has "
                    f"{first[what]} and rank {rank} has {theirs.get(what, 'none')}"
                    + ADVICE.get(what.partition(",")[0], "")
                )


ADVICE = {
    "x or y": "; seed what makes or splits the data, or give data='sharded' where each has its own",
}


def check_callbacks(ranks: Any, callbacks: Iterable[Callback]) -> None:
    """Raise, on all ranks, where some have callbacks that save and others have not: every rank has
    a part in what these write."""
    saving = [c for c in callbacks if isinstance(c, ModelCheckpoint | BackupAndRestore)]
    found = ranks.comm.allgather(", ".join(type(c).__name__ for c in saving) or "none")
    for rank, theirs in enumerate(found):
        if theirs != found[0]:
            raise ValueError(
                f"callbacks that save are given on all ranks, of which rank 0 alone writes: rank 0 "
                f"has {found[0]} and rank {rank} has {theirs}"
            )


def seen_of(data: Any) -> dict[str, str]:
    """What tells data from others at little cost: their shapes, and the first and last rows."""
    if not isinstance(data, ArrayData):
        return {"data set": repr(data.source)} if data.by_epoch else {}
    arrays = [a for a in (*as_tuple(data.x), *as_tuple(data.y)) if a is not None]
    found = {"shape": str([shapes(a) for a in arrays])}
    dense = [a for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind in "fiub"]
    ends = [np.ascontiguousarray(part) for a in dense for part in (a[:16], a[-16:])]
    found["checksum"] = str([zlib.crc32(part.tobytes()) for part in ends])
    return found


def check_together(ranks: Any) -> None:
    """Raise, on all ranks, where a weight of the model is another one on some: a layer has moved it
    by the rows that it saw."""
    arrays = list(ranks.trainer.model.arrays())
    sizes = np.array([norm(p.value) for p in arrays])
    found = ranks.comm.allgather(sizes)
    first = found[0]
    for rank, theirs in enumerate(found):
        for p, a, b in zip(arrays, first, theirs, strict=True):
            if abs(a - b) > TOLERANCE * max(a, b):
                raise ValueError(
                    f"{p.path} has come apart: its norm is {a:.6g} on rank 0 and {b:.6g} on rank "
                    f"{rank}. Its layer moves it by the rows of one rank: it has ctx.ranks.sum for "
                    "sums of all, see BatchNormalization"
                )


def check_rows_apart(loss: Any, y: Any, y_pred: Any) -> bool:
    """Raise for a loss whose value of a row is another where other rows are gone. Returns whether
    that could be looked at, which takes two rows."""
    if row_count(y_pred) < 2:
        return False
    if isinstance(loss, WeightedSum):
        for i in loss.places:
            check_rows_apart(loss.losses[i], *entries((y, y_pred), i))
        return True
    values = values_of(loss, y, y_pred)
    apart = values.ndim > 0 and len(values) == len(y_pred)
    if apart:
        alone = values_of(loss, y[:1], y_pred[:1])
        apart = np.allclose(values[:1], alone, rtol=1e-3, atol=1e-6, equal_nan=True)
    if not apart:
        raise ValueError(
            f"{loss!r} compares the rows of a batch with each other, and MPI() divides batches: "
            "train in one process"
        )
    return True


def values_of(loss: Any, y: Any, y_pred: Any) -> Array:
    """The values of a loss before weights and reduction."""
    return np.asarray(loss.values(*loss.align(np.asarray(y), loss.cast(y_pred)))[0])
