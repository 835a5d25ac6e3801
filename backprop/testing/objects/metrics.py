"""Laws of metrics: the metric of a stream is that of all its rows, however they came."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backprop.metrics.metric import Metric
from backprop.metrics.weighing import apply_mask
from backprop.testing.laws.law import needs
from backprop.testing.objects.trial import (
    Array,
    Kind,
    Trial,
    an_argument_that_is_set_counts,
    anew,
    check,
    collect,
    listing,
    locked,
    must_be,
    twins,
)
from backprop.testing.report import LawReport
from backprop.testing.results import Broken, DoesNotApply

ROWS, MANY, LONG, FEW = 12, 30, 300, (2, 3, 5)
Rows = tuple[Array, ...]  # what update_state takes besides weights: y_true and y_pred, or values
Inputs = Callable[[np.random.Generator, int], Rows]
ROUNDING = 1e-9


def numbers(rng: np.random.Generator, n: int) -> Rows:
    """y_true and y_pred, three numbers a row."""
    return rng.standard_normal((n, 3)), rng.standard_normal((n, 3))


def rows_of(trial: Trial, stream: int = 0, n: int = ROWS) -> Rows:
    rows = tuple(np.asarray(a) for a in trial.given["inputs"](trial.rng(stream), n))
    if trial.given["inputs"] is numbers and trial.number % 3 == 1:
        return tuple(np.round(30 * np.abs(a)) for a in rows)
    return rows


def taken(rows: Rows, which: Any) -> Rows:
    return tuple(a[which] for a in rows)


def fed(metric: Any, *batches: Rows, weights: Any = None) -> Any:
    """A metric, after some batches; `weights` are those of the one batch."""
    for rows in batches:
        if weights is None:
            metric.update_state(*rows)
        else:
            metric.update_state(*rows, sample_weight=weights)
    return metric


def result(metric: Any) -> Any:
    """What it says now, as an array."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(metric.result(), np.float64)


def must_say(metric: Any, wanted: Any, when: str, tolerance: float = ROUNDING) -> None:
    must_be(result(metric), wanted, f"{when}, the result", tolerance)


def takes_weights(metric: Any) -> bool:
    return "sample_weight" in inspect.signature(metric.update_state).parameters


def weighed(trial: Trial) -> Any:
    """A fresh metric that is weighed, if it is one that can be."""
    metric = trial.make()
    if not takes_weights(metric):
        raise DoesNotApply("update_state takes no sample_weight")
    return metric


# ------------------------------------------------------------------------------------------ laws


@needs(of_batches="it is one of batches")
def parts_make_the_whole(trial: Trial) -> None:
    """The result of many batches is that of all their rows in one.

    Catches a mean of means, which counts a short last batch like the others, a state that each
    batch overwrites, and a batch of 300 rows of which 256 count.
    """
    n = LONG if trial.number == 0 else ROWS
    rows, rng = rows_of(trial, n=n), trial.rng(1)
    wanted = result(fed(trial.make(), rows))
    cuts = np.sort(rng.choice(np.arange(1, n), 3, replace=False))
    for at in (cuts, [1], [n - 1], range(1, n)):
        batches = [taken(rows, part) for part in np.split(np.arange(n), at)]
        must_say(fed(trial.make(), *batches), wanted, f"in {len(batches)} batches")
    must_say(fed(trial.make(), rows, taken(rows, slice(0, 0))), wanted, "with a batch of no rows")


@needs(of_batches="it is one of batches", ordered="their order counts")
def merged_parts_are_the_whole(trial: Trial) -> None:
    """Two metrics that saw a part each and are merged say what one says that saw both.

    Several processes count so. Catches means and largest numbers that are added up, as `merge` does
    with sums unless it is overridden.
    """
    rows, other = rows_of(trial), rows_of(trial, 1, ROWS // 2)
    wanted = result(fed(trial.make(), rows, other))
    one, two, fresh = fed(trial.make(), rows), fed(trial.make(), other), trial.make()
    alone, mine, its = result(one), state_of(one), state_of(two)
    if state := state_of(fresh):  # one that makes its sums with its first rows has none yet
        one.merge(state)
        must_say(one, alone, "merged with a fresh one")
    one.merge(its)
    two.merge(mine)
    must_say(one, wanted, "merged with one that saw more")
    must_say(two, wanted, "merged with one that saw more")
    one.reset_state()
    one.merge(mine)
    must_say(one, alone, "merged into one that was reset")
    # without sums yet, it has to make them: that its own `merge` knows how to
    if len(fresh.variables) == len(mine) or type(fresh).merge is not Metric.merge:
        fresh.merge(mine)
        must_say(fresh, alone, "merged into a fresh one")


def state_of(metric: Any) -> list[Array]:
    return [np.array(v) for v in metric.variables]


@needs(undefined="it is NaN there")
def rows_that_are_alike_give_a_number(trial: Trial) -> None:
    """Where all rows are one row, or targets or predictions do not vary, the result is finite.

    Catches 0 / 0 of a correlation, and of a share of rows of which there are none.
    """
    rows = rows_of(trial)
    usual = np.isfinite(result(fed(trial.make(), rows)))
    for what, some in alike(rows):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = result(fed(trial.make(), some))
        if not np.all(np.isfinite(got) | ~usual):
            raise Broken(f"where {what}, the result is {got}: say what it is there")


def alike(rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Rows that do not vary, or of which a part does not."""
    for k in range(2):
        yield "all rows are one row", taken(rows, [k] * ROWS)
    for k, what in enumerate(("targets", "predictions")[: len(rows)]):
        once = np.repeat(rows[k][:1], ROWS, 0)
        yield f"{what} are alike in all rows", (*rows[:k], once, *rows[k + 1 :])
        if rows[k].dtype.kind == "f" and as_integers(rows[k]) is rows[k]:
            flat = np.full_like(rows[k], rows[k].flat[0])
            yield f"{what} are all one number", (*rows[:k], flat, *rows[k + 1 :])


@needs(of_batches="it is one of batches", ordered="their order counts")
def the_order_of_rows_does_not_matter(trial: Trial) -> None:
    """Rows and batches in another order give the same result.

    Catches what compares a batch with the one before, and running averages.
    """
    rows, order = rows_of(trial), trial.rng(1).permutation(ROWS)
    wanted = result(fed(trial.make(), rows))
    must_say(fed(trial.make(), taken(rows, order)), wanted, "with the rows in another order")
    halves = taken(rows, slice(5, None)), taken(rows, slice(0, 5))
    must_say(fed(trial.make(), *halves), wanted, "with the batches in another order")


def weight_0_leaves_a_row_out(trial: Trial) -> None:
    """A row of weight 0 counts no more than one that is not there, also under a mask.

    Catches weights that only the numerator sees, or that one of several counts leaves out.
    """
    metric, rows = weighed(trial), rows_of(trial)
    kept = trial.rng(1).permutation(ROWS) < 2 * ROWS // 3
    weights = np.where(kept, trial.rng(2).uniform(0.5, 2, ROWS), 0.0)
    wanted = result(fed(trial.make(), taken(rows, kept), weights=weights[kept]))
    must_say(fed(metric, rows, weights=weights), wanted, "with rows of weight 0")
    some = result(fed(trial.make(), taken(rows, kept), weights=np.ones(int(kept.sum()))))
    masked = fed(trial.make(), rows, weights=apply_mask(None, kept))
    must_say(masked, some, "with rows under a mask")
    none = fed(trial.make(), taken(rows, kept), weights=weights[kept])
    must_say(fed(none, rows, weights=np.zeros(ROWS)), wanted, "after a batch of weight 0")


def weights_of_1_change_nothing(trial: Trial) -> None:
    """Weights of 1 give what no weights give, and a row of weight 2 counts as two.

    Catches a weight that is squared, that is divided by their sum in each batch, or ignored.
    """
    metric, rows = weighed(trial), rows_of(trial)
    wanted = result(fed(trial.make(), rows))
    must_say(fed(metric, rows, weights=np.ones(ROWS)), wanted, "with weights of 1")
    for weight in (2, 5):
        times = np.where(trial.rng(1).permutation(ROWS) < ROWS // 2, weight, 1)
        wanted = result(fed(trial.make(), taken(rows, np.repeat(np.arange(ROWS), times))))
        got = fed(trial.make(), rows, weights=times.astype(np.float64))
        must_say(got, wanted, f"with some weights of {weight}")
    both = taken(rows, np.repeat(np.arange(ROWS), 2))
    wanted = result(fed(trial.make(), rows, weights=1.5 * np.ones(ROWS)))
    got = fed(trial.make(), both, weights=0.75 * np.ones(2 * ROWS))
    must_say(got, wanted, "with each row twice, at half of its weight,")


def reset_forgets(trial: Trial) -> None:
    """After `reset_state` a metric is as a fresh one.

    Catches a sum that is no variable, and one that is bound anew behind the contract's back.
    """
    rows, other = rows_of(trial), rows_of(trial, 1)
    fresh = result(trial.make())
    wanted = result(fed(trial.make(), rows))
    metric = fed(trial.make(), other, other)
    result(metric)
    metric.reset_state()
    after = result(metric)  # by now it may know how many numbers there are
    must_be(after, np.broadcast_to(fresh, after.shape), "after a reset, the result", ROUNDING)
    must_say(fed(metric, rows), wanted, "after a reset and a batch")


def reading_changes_nothing(trial: Trial) -> None:
    """`result` may be read at any time, and again.

    Catches a result that closes a sum, or clears one.
    """
    rows, other = rows_of(trial), rows_of(trial, 1)
    wanted = result(fed(trial.make(), rows, other))
    metric = fed(trial.make(), rows)
    first = metric.result()
    kept = np.array(first)
    must_say(metric, kept, "the second time")
    must_say(fed(metric, other), wanted, "read in between")
    must_be(first, kept, "after another batch, what was read before", 0.0)


def inputs_are_left_alone(trial: Trial) -> None:
    """Targets, predictions and weights are read, never written, and not kept.

    The trainer goes on with them. They are read-only, so that NumPy raises on the guilty line.
    """
    rows, metric = rows_of(trial), trial.make()
    given = tuple(np.array(a) for a in rows)
    fed(metric, tuple(map(locked, rows)))
    if takes_weights(metric):
        fed(trial.make(), rows, weights=locked(np.ones(ROWS)))
    other = fed(trial.make(), given)
    for a in given:
        a[...] = a[::-1].copy()
    must_say(other, result(metric), "after the batch was overwritten")


def metrics_are_apart(trial: Trial) -> None:
    """Two metrics of one class know nothing of each other.

    Catches sums that belong to the class, and a mutable default.
    """
    rows, other = rows_of(trial), rows_of(trial, 1)
    wanted = result(fed(trial.make(), rows))
    one, two = trial.make(), trial.make()
    fed(one, rows)
    fed(two, other)
    must_say(one, wanted, "while another counts")
    two.reset_state()
    must_say(one, wanted, "after another was reset")


def survives_copies(trial: Trial) -> None:
    """A copy in the middle of a stream goes on from there; one from the configuration, or with the
    variables of another, is like it.

    Catches an argument that the configuration does not hold, and a sum that is no variable: it is
    lost where the state of a run is saved.
    """
    rows, other = rows_of(trial), rows_of(trial, 1)
    half = fed(trial.make(), rows)
    wanted, fresh = result(fed(trial.make(), rows, other)), result(fed(trial.make(), other))
    for how, twin in list(twins(half))[1:]:  # a shallow one shares its sums
        must_say(fed(twin, other), wanted, f"of {how}")
    for how, twin in anew(half, "metrics"):
        must_say(fed(twin, other), fresh, f"of {how}")
    twin = trial.make()
    fed(twin, other)  # a metric may need a batch to know the shapes of its sums
    for mine, its in zip(twin.variables, half.variables, strict=True):
        mine[...] = its
    must_say(fed(twin, other), wanted, "with the variables of another")


def float32_agrees(trial: Trial) -> None:
    """Predictions in float32 give what those in float64 give, up to their rounding.

    Catches sums in the dtype of the batch, which lose what a long stream adds. Targets that are
    whole numbers are given as integers too, of eight bits where these hold them, and together with
    predictions if these are whole: a difference of two without a sign wraps.
    """
    rows = rows_of(trial)
    if len(rows) > 1:
        whole = as_integers(rows[0]), *rows[1:]
        wanted = result(fed(trial.make(), rows))
        must_say(fed(trial.make(), whole), wanted, f"of targets in {whole[0].dtype}")
        both = as_integers(rows[0]), as_integers(rows[1]), *rows[2:]
        if all(a.dtype == np.uint8 for a in both):
            # in float32 they may be reckoned with, as integers have no dtype for results
            must_say(fed(trial.make(), both), wanted, "of targets and predictions in uint8", 1e-4)
    single = tuple(a.astype(np.float32) if a.dtype.kind == "f" else a for a in rows)
    wide = tuple(a.astype(a.dtype if a.dtype.kind != "f" else np.float64) for a in single)
    must_say(fed(trial.make(), single), result(fed(trial.make(), wide)), "in float32", 1e-4)
    wanted = result(fed(trial.make(), *[wide] * MANY))
    must_say(fed(trial.make(), *[single] * MANY), wanted, f"in float32, over {MANY} batches", 1e-4)


def as_integers(a: Array) -> Array:
    """The numbers in another dtype, where they are whole."""
    if a.dtype.kind not in "iuf" or not a.size or (np.round(a) != a).any() or np.abs(a).max() > 1e9:
        return a
    return a.astype(np.uint8 if a.min() >= 0 and a.max() < 256 else np.int32)


@needs(reference=True)
def agrees_with_the_reference(trial: Trial) -> None:
    """The result is that of a naive function of all rows.

    What no other law can know: that it is this metric and not another, for many rows, and for so
    few that there may be none of some class.
    """
    assert trial.reference is not None
    must_say_as_reference(trial, rows_of(trial))
    must_say_as_reference(trial, rows_of(trial, 2, LONG if trial.number == 0 else 2 * ROWS))
    for n in FEW:
        try:
            must_say_as_reference(trial, rows_of(trial, 3, n))
        except Broken:
            raise
        except Exception:  # too few for what a naive function divides by
            continue


def must_say_as_reference(trial: Trial, rows: Rows) -> None:
    with np.errstate(all="ignore"):
        assert trial.reference is not None
        wanted = np.asarray(trial.reference(*rows), np.float64)
    if np.isfinite(wanted).all():
        must_say(
            fed(trial.make(), rows), wanted, f"as the reference says of {len(rows[0])} rows", 1e-6
        )


def computed(made: Any, trial: Trial) -> list[Any]:
    return [result(fed(made, rows_of(trial)))]


METRIC = Kind(
    "metric",
    "metrics",
    Metric,
    (
        parts_make_the_whole,
        merged_parts_are_the_whole,
        the_order_of_rows_does_not_matter,
        weight_0_leaves_a_row_out,
        weights_of_1_change_nothing,
        reset_forgets,
        reading_changes_nothing,
        inputs_are_left_alone,
        metrics_are_apart,
        survives_copies,
        an_argument_that_is_set_counts,
        rows_that_are_alike_give_a_number,
        float32_agrees,
        agrees_with_the_reference,
    ),
    {
        "of_batches": "it is one of batches, and not of rows",
        "ordered": "the order of rows counts",
        "undefined": "it is NaN by intention where rows are alike",
    },
    {"inputs": numbers},
    computed,
)


@listing(METRIC)
def check_metric(
    metric: Any,
    inputs: Inputs = numbers,
    *,
    seed: int = 0,
    **options: Any,
) -> LawReport:
    """Check every law for a metric.

    Parameters
    ----------
    metric : Metric, class or function
        An object, or what makes one.
    inputs : function, optional
        (rng, n) → n rows of what `update_state` takes: ``(y_true, y_pred)``, or ``(values,)``.
        Default: three normal numbers of each.
    reference : function, optional
        (y_true, y_pred) → the result for all rows, written naively.
    tags : iterable of str
        ``"of_batches"``: it is one of batches, and not of rows; ``"ordered"``: their order counts;
        ``"undefined"``: it is NaN by intention where rows are alike.
    expected_failures, laws, profile, seed
        As in `check_layer`; `laws` are names, by default all. An option that is misspelt is an
        error.

    Returns
    -------
    LawReport

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.metrics import MeanAbsoluteError
    >>> from backprop.testing import check_metric
    >>> bool(check_metric(MeanAbsoluteError, reference=lambda t, p: np.mean(np.abs(t - p))))
    True
    """
    return check(METRIC, metric, seed, options | {"inputs": inputs})


@listing(METRIC)
def metric_laws(metric: Any, inputs: Inputs = numbers, **options: Any) -> Any:
    """`check_metric` as a pytest function with one id a law, as `layer_laws` is one."""
    return collect(METRIC, metric, options | {"inputs": inputs})
