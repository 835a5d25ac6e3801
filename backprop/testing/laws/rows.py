"""The law of rows: a sample's result depends on that sample alone."""

from __future__ import annotations

import numpy as np

from backprop.testing.case import Broken, Case, DoesNotApply, Subject, must_agree
from backprop.testing.laws.law import needs
from backprop.testing.probes import penalises


@needs(couples_rows="rows may depend on each other")
def rows_are_independent(case: Case) -> None:
    """A row of y depends on its row of x alone, and a row of dx on its row of dy.

    Catches a sum or a mean over all axes where one over the last was meant: samples leak into each
    other. A layer that couples its rows on purpose, such as batch normalization, says so by the tag
    `couples_rows`.
    """
    n = len(case.x)
    if "stateful" in case.tags and n < 2:
        raise DoesNotApply("one row")
    subject = case.subject()
    if penalises(subject.layer):
        raise DoesNotApply("its penalty on activity is a mean over the batch")
    if case.is_loss:
        loss_rows(subject, case)
        return
    y, cache = subject.forward()
    y = np.array(y)
    dy = case.dy(y)
    last = np.arange(n) == n - 1
    if case.x.dtype.kind == "f" and n > 1:
        moved = case.x.copy()
        moved[-1] = 0.75 * moved[-1] + 0.25 * case.x.mean()
        there = np.asarray(subject.forward(case.with_x(moved))[0])
        must_agree({"y": there[~last]}, {"y": y[~last]}, "when another row of x changes")
        lone = dy.copy()
        lone[~last] = 0
        dx = np.asarray(subject.backward(lone, cache))
        if np.any(dx[~last]):
            raise Broken("dy of one row gives dx in others")
    if ("stochastic" in case.tags and case.training) or "stateful" in case.tags:
        return  # a row on its own draws other numbers, or has another state
    whole = subject.reversed(subject.backward(dy, cache)) | {"y": y}
    parts = []
    for i in range(n):
        y_i, cache_i = subject.forward(case.take(slice(i, i + 1)))
        got = subject.reversed(subject.backward(dy[i : i + 1], cache_i)) | {"y": np.asarray(y_i)}
        same = {name: whole[name][i : i + 1] for name in ("y", "dx") if name in whole}
        must_agree({name: got[name] for name in same}, same, f"of row {i} on its own")
        parts.append(got)
    for name in parts[0].keys() - {"y", "dx"}:
        total = {name: np.sum([part[name] for part in parts], axis=0)}
        must_agree({name: whole[name]}, total, "of all rows, compared with the sum over rows,")


def loss_rows(subject: Subject, case: Case) -> None:
    """Each row of dy_pred is that of the row on its own, over the number of rows where the loss is
    a mean."""
    reduction = getattr(subject.layer, "reduction", None)
    mean = reduction in ("mean", "sum_over_batch_size")
    if reduction == "mean_with_sample_weight" or (mean and case.mask is not None):
        raise DoesNotApply("the weights of all rows divide each")
    if mean and getattr(subject.layer, "ignore_class", None) is not None:
        raise DoesNotApply("the number of labels that count divides each row")
    n = len(case.x)
    value, cache = subject.forward()
    whole = subject.backward(np.ones_like(value), cache)
    total = 0.0
    for i in range(n):
        v, c = subject.forward(case.take(slice(i, i + 1)))
        share = 1 / n if mean else 1
        dx = subject.backward(np.ones_like(v), c) * share
        must_agree({"dy_pred": whole[i : i + 1]}, {"dy_pred": dx}, f"of row {i} on its own")
        total = total + np.sum(v) * share
    must_agree(
        {"value": np.asarray(np.sum(value))},
        {"value": np.asarray(total)},
        "summed over single rows",
    )
