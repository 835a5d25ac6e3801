"""The law of rows: a sample's result depends on that sample alone."""

from __future__ import annotations

import numpy as np

from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.laws.law import needs
from backprop.testing.probes import moves_of, penalises
from backprop.testing.results import Broken, DoesNotApply, Results, copies, must_agree, named

Array = np.ndarray


@needs(couples_rows="rows may depend on each other")
def rows_are_independent(case: Case) -> None:
    """A row of y depends on its row of x alone, and a row of dx on its row of dy.

    Catches a sum or a mean over all axes where one over the last was meant: samples leak into each
    other. A layer that couples its rows on purpose, such as batch normalization, says so by the tag
    `couples_rows`.
    """
    n = case.rows
    if "stateful" in case.tags and n < 2:
        raise DoesNotApply("one row")
    subject = case.subject()
    if penalises(subject.layer):
        raise DoesNotApply("its penalty on activity is a mean over the batch")
    if case.is_loss:
        loss_rows(subject, case)
        return
    subject.defined()
    y, cache = subject.forward()
    dy, y = case.dy(y), copies(named("y", y))
    rest, moved = slice(0, n - 1), moves_of(subject, case, dy)

    def without_last(results: Results) -> Results:
        return {name: a[rest] for name, a in results.items()}

    if case.floats and n > 1:
        there = named("y", subject.forward(case.changed(with_another_last_row))[0])
        what = "when another row of x changes"
        must_agree(without_last(there), without_last(y), what, moved=moved)
        lone = each(np.copy, dy)
        for d in as_tuple(lone):
            d[rest] = 0
        dx = subject.of_inputs(subject.backward(lone, cache))
        if any(np.any(d) for d in without_last(dx).values()):
            raise Broken("dy of one row gives dx in others")
    if ("stochastic" in case.tags and case.training) or "stateful" in case.tags:
        return  # a row on its own draws other numbers, or has another state
    by_row = y | copies(subject.of_inputs(subject.backward(dy, cache)))
    whole = subject.gradients()
    parts = []
    for i in range(n):
        row = slice(i, i + 1)
        y_i, cache_i = subject.forward(case.take(row))
        dx_i = subject.backward(each(lambda d, row=row: d[row], dy), cache_i)
        must_agree(
            named("y", y_i) | subject.of_inputs(dx_i),
            {name: a[row] for name, a in by_row.items()},
            f"of row {i} on its own",
            moved=moved,
        )
        parts.append(subject.gradients())
    total = {name: np.sum([part[name] for part in parts], axis=0) for name in whole}
    what = "of all rows, compared with the sum over rows,"
    must_agree(whole, total, what, moved=moved)


def with_another_last_row(x: Array) -> Array:
    moved = x.copy()
    moved[-1] = 0.75 * moved[-1] + 0.25 * x.mean()
    return moved


def loss_rows(subject: Subject, case: Case) -> None:
    """Each row of dy_pred is that of the row on its own, over the number of rows where the loss is
    a mean."""
    reduction = getattr(subject.layer, "reduction", None)
    mean = reduction in ("mean", "sum_over_batch_size")
    if reduction == "mean_with_sample_weight" or (mean and case.mask is not None):
        raise DoesNotApply("the weights of all rows divide each")
    n, counts = case.rows, rows_of_values_that_count(subject, case)
    value, cache = subject.forward()
    whole = subject.backward(np.ones_like(value), cache)
    total = 0.0
    for i in range(n):
        v, c = subject.forward(case.take(slice(i, i + 1)))
        share = counts[i] / max(counts.sum(), 1) if mean else 1
        dx = subject.backward(np.ones_like(v), c) * share
        must_agree({"dy_pred": whole[i : i + 1]}, {"dy_pred": dx}, f"of row {i} on its own")
        total = total + np.sum(v) * share
    must_agree(
        {"value": np.asarray(np.sum(value))},
        {"value": np.asarray(total)},
        "summed over single rows",
    )


def rows_of_values_that_count(subject: Subject, case: Case) -> Array:
    """How many values of each row a mean divides by: 1 of each, or those that are `valid`."""
    loss, n = subject.layer, case.rows
    y_true, _ = loss.align(np.asarray(case.y_true), loss.cast(subject.cast(case.x)))
    valid = loss.valid(y_true)
    return np.ones(n) if valid is None else np.asarray(valid).reshape(n, -1).sum(1)
