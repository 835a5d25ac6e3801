"""Every law for anyone's layer, by one line.

    test_scale = layer_laws(lambda: Scale(), inputs=shapes(min_dims=1, max_dims=3))

is a pytest function with one id a law. `check_layer` does the same without pytest and returns a
report; `check_law` tries one law on one case, which is what a failure prints to be pasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from backprop import checks
from backprop.gradcheck.point import inputs_of, masks_of
from backprop.testing.case import Case
from backprop.testing.examining import LawBroken, cause_of, examine, tried_with
from backprop.testing.plan import laws_named, maker, understood
from backprop.testing.report import (
    EXPECTED,
    SKIPPED,
    LawReport,
    LawResult,
    explain,
)
from backprop.testing.results import DoesNotApply, NotSeen, Undecided


def layer_laws(
    layer: Any,
    inputs: Any = None,
    *,
    configs: Any = None,
    reference: Callable | None = None,
    tags: Iterable[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    laws: str | Iterable[str] = "v4",
    profile: str | None = None,
) -> Any:
    """A pytest function that checks every law for a layer, a loss or a container: one id a law.

    Parameters
    ----------
    layer : function, class or Layer
        Makes a fresh layer that is not built. It is called with what `configs` draws.
    inputs : strategy, tuple of strategies, list, function or array, optional
        What the layer takes: a strategy of shapes with the batch, of arrays, or of pairs of x and a
        mask; for a loss of `(y_true, y_pred)`, with `sample_weight` and mask behind it if you like.
        For a layer of several inputs a tuple with one for each, None where one is not given (see
        `together`); `axes` says which lengths they have in common. A list is drawn from. A function
        of the configuration returns any of these. Default: what
        the layer's `input_spec` says, else shapes of one to three axes besides the batch.
    configs : dict or strategy of dicts, optional
        Arguments for `layer`: a strategy, a list to draw from, or a value for each.
    reference : function, optional
        A naive forward pass, ``reference(x, ...)``, for a loss ``reference(y_true, y_pred, ...)``.
        What else its signature names is handed over: parameters and buffers by their names, drawn
        arguments, `mask`, `sample_weight`, `training`, `layer`. Of a layer with buffers it may
        return a pair: y, and a dict of what the pass leaves in them.
    tags : iterable of str
        ``"per_sample"``, ``"couples_rows"``, ``"stochastic"``, ``"integer_input"``,
        ``"piecewise"``, ``"stateful"``, ``"shared_draws"``, ``"constant_buffers"``,
        ``"symmetric"``: see `backprop.testing.TAGS`.
    expected_failures : mapping of str to str, optional
        Laws that do not hold, and why. They have to fail: one that holds is an error, so that the
        list stays true.
    laws : str or iterable of str, default "v4"
        The set of laws, which never changes under its name; or the names of some. ``"v2"`` is
        ``"v1"`` and the laws of several inputs and outputs and of additions to the loss, ``"v3"``
        these and those of what training runs, of threads and of many calls, ``"v4"`` these and
        those of exceptions: special numbers, single sizes.
    profile : {"quick", "default", "thorough"}, optional
        How many cases to try. Default: the environment variable ``BACKPROP_LAWS_PROFILE``, else
        "default".

    Returns
    -------
    function
        Assign it to a name that begins with ``test``.

    Raises
    ------
    ValueError
        For a tag, law, set or profile that there is not.
    TypeError
        If `layer` is neither a layer nor callable, or needs arguments that `configs` does not draw.

    Examples
    --------
    >>> from backprop.layers import Dense
    >>> from backprop.testing import layer_laws, shapes
    >>> test_dense = layer_laws(Dense, inputs=shapes(1, 2), configs={"units": [1, 3]})
    >>> test_dense("rows_are_independent")
    """
    plan = understood(layer, inputs, configs, reference, tags, expected_failures, laws, profile)
    by_name = {law.__name__: law for law in plan.laws}
    doc = f"The laws {plan.version} of {plan.label}."
    return as_test(layer, list(by_name), lambda law: examine(by_name[law], plan), doc)


def as_test(
    subject: Any,
    laws: list[str],
    examined: Callable[[str], tuple[LawResult, Exception | None]],
    doc: str,
) -> Any:
    """A pytest function with one id a law, of what examines one."""
    import pytest

    def test(law: str) -> None:
        __tracebackhide__ = True
        result, error = examined(law)
        if result.outcome == SKIPPED:
            pytest.skip(result.reason)
        if result.outcome == EXPECTED:
            pytest.xfail(result.reason)
        if error is not None:
            raise error

    test.__name__ = test.__qualname__ = "test_layer_laws"
    test.__doc__ = doc
    if hasattr(subject, "__code__"):
        test.place_as = subject  # type: ignore[attr-defined]  # pytest then says where the line is and not where this file is
    return pytest.mark.parametrize("law", laws)(test)


def check_layer(
    layer: Any,
    inputs: Any = None,
    *,
    configs: Any = None,
    reference: Callable | None = None,
    tags: Iterable[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    laws: str | Iterable[str] = "v4",
    profile: str | None = None,
    seed: int = 0,
) -> LawReport:
    """Check every law for a layer, a loss or a container, without pytest.

    Parameters
    ----------
    layer : Layer, function or class
        A layer is copied and not touched. One that is built is checked on inputs of its own shape.
    inputs, configs, reference, tags, expected_failures, laws, profile
        As in `layer_laws`.
    seed : int, default 0
        Of the drawn cases: the same seed tries the same ones.

    Returns
    -------
    LawReport
        True in a condition if no law is broken that was not expected to be; it counts, and printing
        it shows all.

    Examples
    --------
    >>> from backprop.layers import Dense
    >>> from backprop.testing import check_layer, shapes
    >>> report = check_layer(Dense(2), shapes(1, 1), laws=["rows_are_independent"], profile="quick")
    >>> bool(report), report.counts["held"], report.counts["cases"]
    (True, 1, 3)
    """
    plan = understood(layer, inputs, configs, reference, tags, expected_failures, laws, profile)
    seed = checks.integer(seed, "check_layer()", "seed", least=0)
    results = [examine(law, plan, seed=seed)[0] for law in plan.laws]
    return LawReport(plan.label, plan.version, plan.profile, results)


def check_law(
    law: str,
    layer: Any,
    x: Any = None,
    *,
    y_true: Any = None,
    y_pred: Any = None,
    sample_weight: Any = None,
    mask: Any = None,
    training: bool = True,
    seed: int = 0,
    tags: Iterable[str] = (),
    reference: Callable | None = None,
) -> None:
    """Try one law on one case: what the message of a broken law says to paste.

    Parameters
    ----------
    law : str
    layer : Layer or function that makes one
    x : array
        With the batch; for a loss `y_true` and `y_pred`.
    y_true, y_pred, sample_weight : array, optional
    mask : array of bool, optional
    training : bool, default True
    seed : int, default 0
        Of the weights and of dy.
    tags, reference
        As in `layer_laws`.

    Raises
    ------
    LawBroken
        If it does not hold.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense
    >>> from backprop.testing import check_law
    >>> check_law("backward_is_linear_in_dy", Dense(2), np.ones((4, 3)))
    """
    (found,) = laws_named([law])[1]

    def array(a: Any) -> Any:
        return None if a is None else np.asarray(a)

    make = maker(layer)
    x = inputs_of(make(), y_pred if x is None else x)
    case = Case(
        make,
        x,
        mask=masks_of(layer, mask, x),
        y_true=array(y_true),
        sample_weight=array(sample_weight),
        training=training,
        seed=seed,
        tags=frozenset(tags),
        reference=reference,
    )
    try:
        with tried_with(seed):
            found(case)
    except (DoesNotApply, NotSeen, Undecided):
        return
    except Exception as error:
        raise LawBroken(explain(found, case, error)) from cause_of(error)
