"""What a checkpoint says of a run, which may be anything: read, or refused with what is wrong."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray


def batches_given(run: Mapping[str, Any]) -> list[int]:
    """How many batches the data to train on, and to validate on, had given of the pass that they
    were in; a file of before it was kept says none."""
    given = run.get("given", [0, 0])
    if (
        not isinstance(given, list)
        or len(given) != 2
        or not all(type(n) is int and n >= 0 for n in given)
    ):
        raise ValueError(f"its numbers of batches read are {reprlib.repr(given)}")
    return given


def position(header: Mapping[str, Any], steps: int | None) -> list[int]:
    """Epoch, step and seed of a run, where an epoch has so many steps, and how many it skipped."""
    run = header.get("run")
    if not isinstance(run, Mapping):
        raise ValueError("its state of the run is missing")
    found: list[Any] = [run.get(name) for name in ("epoch", "step", "seed")]
    if not all(type(n) is int and n >= 0 for n in found):
        raise ValueError(f"its epoch, step and seed are {', '.join(map(reprlib.repr, found))}")
    skipped = run.get("skipped", 0)  # files of before have none
    if type(skipped) is not int or not 0 <= skipped <= found[1]:
        raise ValueError(f"of {found[1]} steps of its epoch it skipped {reprlib.repr(skipped)}")
    if steps is not None and found[1] > steps:
        raise ValueError(
            f"it goes on after step {found[1]} of an epoch, which has {steps} here: give the data "
            "and the batch size of the run"
        )
    return [*found, skipped]


def check_run(
    run: Mapping[str, Any], arrays: Mapping[str, Array], weights: Mapping[str, Array]
) -> None:
    """Raise unless the rest of a checkpoint is that of a run that can go on."""
    loss = arrays.get("loss", np.empty(0))
    if loss.shape != (2,) or loss.dtype.kind != "f" or loss[1] < 0:
        raise ValueError(f"its loss so far is {reprlib.repr(loss.tolist())}")
    if (run["epoch"] or run["step"]) and not any(name.startswith("optimizer/") for name in arrays):
        raise ValueError("it holds no state of the optimizer")
    for name, a in weights.items():
        if a.dtype.kind == "f" and np.isnan(a).any():
            raise ValueError(
                f"its {name} holds NaN: the run had failed before it. Delete it, and begin anew or "
                "from an earlier one"
            )


def told_before(run: Mapping[str, Any]) -> dict[str, float] | None:
    found = run.get("told")  # files of before have none
    if found is not None and not (
        isinstance(found, dict) and all(type(value) is float for value in found.values())
    ):
        raise ValueError(f"the logs of its epoch so far are {reprlib.repr(found)}")
    return found


def sums_of_metrics(
    trainer: Any, run: Mapping[str, Any], arrays: Mapping[str, Array]
) -> tuple[list[str], list[list[Array]]]:
    """The names of the metrics of a checkpoint, and what they have counted. Those that are given to
    `compile` are chosen by the first batch, a step of a model's own says only when it is taken
    which there are, and some make their sums at their first batch."""
    names: Any = run.get("metrics")
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    unchosen = run.get("unchosen", 0)  # files of before have none
    partners = None
    if named and type(unchosen) is int:
        partners = trainer.metrics.partners(names, trainer.owns("train_step"), unchosen)
    if partners is None:
        raise ValueError(
            f"it is of a run with the metrics {reprlib.repr(names)} and {trainer.model.name} has "
            f"{trainer.metrics.names()}: compile it as it was"
        )
    state = [sums_of_metric(i, arrays) for i in range(len(names))]
    for name, metric, sums in zip(names, partners, state, strict=True):
        old = [] if metric is None else [v.shape for v in metric.variables]
        if sums and [v.shape for v in sums][: len(old)] != old:
            raise ValueError(f"it is of a run in which the metric {name} has other shapes")
        if any(v.dtype.kind not in "fiub" for v in sums):
            raise ValueError(f"what its metric {name} has counted is no number")
    return names, state


def sums_of_metric(i: int, arrays: Mapping[str, Array]) -> list[Array]:
    found: list[Array] = []
    while (name := f"metrics/{i}/{len(found)}") in arrays:
        found.append(arrays[name])
    return found


def history_alone(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of the callbacks in a file of before they were part of a run."""
    history = run.get("history")
    return [{"class": "History", "state": {"history": history}}] if history else []
