"""The cases that a plan is tried on, as they are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.gradcheck.probe import takes_integers
from backprop.layer import Layer
from backprop.nest import several
from backprop.testing.case import Case
from backprop.testing.drawing import (
    kind_for,
    lengthened,
    reset_focus,
    st,
)
from backprop.testing.made_numbers import numbers
from backprop.testing.plan import Plan
from backprop.testing.strategies import pairs, shapes, together
from backprop.testing.strategies.inputs import is_shape
from backprop.testing.strategies.several import Several, as_strategy
from backprop.testing.strategies.sizes import SEEDS, Strategy, some_long


@st.composite
def cases(draw: Any, plan: Plan, given_config: dict[str, Any] | None = None) -> Case:
    """Cases of a plan: a configuration, unless there is one, an input, a mode and a seed."""
    reset_focus()
    config: dict[str, Any] = draw(plan.configs) if given_config is None else given_config
    layer = plan.make(**config)
    if not isinstance(layer, Layer):
        raise TypeError(f"{plan.label} made {layer!r}, which is no layer")
    inputs = plan.inputs
    if callable(inputs) and not isinstance(inputs, Strategy):
        inputs = inputs(config)
    given = draw(default_inputs(layer) if inputs is None else as_strategy(inputs))
    # of several inputs some hold numbers
    tags = plan.tags | ({"integer_input"} if layer.integer_input is True else set())
    return Case(
        lambda: plan.make(**config),
        **arrays_of(given, layer, draw),
        training=draw(st.booleans()),
        seed=draw(SEEDS),
        tags=frozenset(tags),
        reference=plan.reference,
        config=config,
        guessed=inputs is None,
    )


def arrays_of(given: Any, layer: Layer, draw: Any) -> dict[str, Any]:
    """What was drawn, as the arrays of a case."""
    if layer.takes_targets:
        if not isinstance(given, tuple) or not 2 <= len(given) <= 4 or is_shape(given):
            raise TypeError(
                f"{layer!r} is a loss: inputs has to draw (y_true, y_pred), with sample_weight and "
                f"mask behind it if you like, and drew {given!r}"
            )
        names = ("y_true", "x", "sample_weight", "mask")
        return {n: None if a is None else np.asarray(a) for n, a in zip(names, given, strict=False)}
    if not isinstance(given, Several):
        x, mask = input_of(given, layer, 0, draw)
        return {"x": x, "mask": mask}
    x, mask = zip(*[input_of(one, layer, k, draw) for k, one in enumerate(given)], strict=True)
    return {"x": x, "mask": mask if any(m is not None for m in mask) else None}


def input_of(given: Any, layer: Layer, k: int, draw: Any) -> tuple[Any, Any]:
    """What was drawn for the k-th input, as an array and its mask."""
    if given is None:
        return None, None
    if is_shape(given):
        if takes_integers(layer, k):
            raise TypeError(
                f"{layer!r} takes integers: give inputs=tokens(vocabulary), as shapes become real "
                "numbers"
            )
        # the same seed is other numbers for each input: Hypothesis likes 0
        return numbers(given, kind_for(draw), draw(SEEDS) + 2**16 * k), None
    x, mask = given if isinstance(given, tuple) else (given, None)
    x = np.asarray(x)
    if x.dtype.kind == "f":
        x = x.astype(np.float64, copy=False)
    return x, None if mask is None else np.asarray(mask, bool)


def default_inputs(layer: Layer) -> Strategy[Any]:
    """What suits a layer, as far as it says so itself."""
    if layer.takes_targets:
        return pairs()
    whole = layer.integer_input
    if any(whole) if isinstance(whole, tuple) else whole:
        raise TypeError(f"{layer!r} takes integers: give inputs=tokens(vocabulary)")
    shape: Any = layer.build_shape or layer.declared_shape
    if several(shape):
        return together(*map(of_shape, shape))
    if shape is not None:
        return of_shape(shape)
    if layer.several_inputs:
        raise TypeError(
            f"{layer!r} takes several inputs: say what to draw for each, such as "
            "inputs=(shapes(1, 1), shapes(1, 1)), or axes(...) where they have lengths in common"
        )
    spec = layer.input_spec
    if spec is not None and spec.ndim is not None:
        usual = shapes(spec.ndim - 1, spec.ndim - 1, max_side=6, batch=(1, 4))
        return some_long(usual, (1, None), (1, None))
    least = 2 if spec is None or spec.min_ndim is None else spec.min_ndim
    most = 4 if spec is None or spec.max_ndim is None else spec.max_ndim
    return shapes(max(least - 1, 1), max(most - 1, least - 1, 1))


@st.composite
def of_shape(draw: Any, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shapes of any number of rows where that is free, and of any length of what else is."""
    sizes = tuple([draw(st.integers(1, 4)) if n is None else n for n in shape])
    return lengthened(draw, sizes, {axis: (1, None) for axis, n in enumerate(shape) if n is None})
