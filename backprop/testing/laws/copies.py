"""Laws of life with others: copies and files, a model's vectors, replicas."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from backprop.layer import Context, Layer
from backprop.testing.case import Case, Subject
from backprop.testing.probes import (
    DRAW_ALIKE,
    IN_A_MODEL,
    anew,
    config_of,
    model_of,
    penalises,
    twins,
)
from backprop.testing.results import Broken, DoesNotApply, Results, copies, must_agree, named


def survives_copy_pickle_config_and_save(case: Case) -> None:
    """A copy, an unpickled one, one from its configuration, one from a saved file and a clone
    compute the same, forward and back.

    Catches an argument that the constructor does not keep or hand on, a view that a copy leaves
    behind, an inner layer that it shares, and state that no weight holds, also where it is backward
    alone that needs them. The configuration goes through JSON, the file through `Sequential.save`.
    """
    subject = case.subject(np.float32)
    must_hand_on_what_is_said_of_parameters(subject.layer, case)
    for training in (False, True):
        at = replace(case, training=training)
        mode = "training" if training else "inference"
        subject.rewind()
        found = list(twins(subject, case))
        wanted = in_order(subject, at)
        for how, twin in found:
            if training and how not in DRAW_ALIKE:
                continue
            got = in_order(Subject(case, np.float32, layer=twin), at)
            if how in IN_A_MODEL and penalises(subject.layer):  # which adds to dx there
                got = {name: a for name, a in got.items() if name[0] == "y"}
            must_agree(got, {name: wanted[name] for name in got}, f"of {how}, in {mode}", 1e-6)
    wanted = subject.results(at)
    for how, twin in found:
        for p in twin.arrays():
            p.value += p.value.dtype.type(1)
        must_agree(subject.results(at), wanted, f"after {how} was given other parameters", 0.0)


def must_hand_on_what_is_said_of_parameters(layer: Layer, case: Case) -> None:
    """Raise where an argument that is named after a parameter, as `kernel_regularizer` is, does not
    reach it."""
    config = config_of(layer)
    for k, p in enumerate(layer.arrays()):
        for what, value in (("regularizer", "l2"), ("constraint", "unit_norm")):
            if (argument := f"{p.name}_{what}") not in config or p.layer is not layer:
                continue
            try:
                twin = anew(layer, {argument: value})
                twin.build(case.batch_shape)
            except Exception:  # one that it refuses
                continue
            if getattr(twin.arrays()[k], what) is None:
                raise Broken(f"{argument}={value!r} does not reach {p.path}")


def in_order(subject: Subject, at: Case) -> Results:
    """What a pass computes; parameters go by their number, as their names may be others."""
    y, cache = subject.forward(at, rewind=False)
    dx = subject.backward(at.dy(y), cache)
    gradients = enumerate(subject.gradients().values())
    back = enumerate(copies(subject.of_inputs(dx)).values())
    return (
        copies(named("y", y))
        | {f"dx[{k}]": d for k, d in back}
        | {f"the gradient of parameter {k}": g for k, g in gradients}
    )


def parameters_stay_views(case: Case) -> None:
    """Inside a model, the layer computes with the model's vector of values and writes into its
    vector of gradients.

    Catches a parameter that is bound anew behind the contract's back, and a transposed or reshaped
    copy of one that was made in `build` or in the first pass and is stale once an optimizer has
    moved the vector.
    """
    subject = case.subject()
    if not subject.parameters:
        raise DoesNotApply("it has no parameters")
    if penalises(subject.layer):
        raise DoesNotApply("in a model the penalty on its activity adds to dx")
    subject.rewind()
    model = model_of(copy.deepcopy(subject.layer), case, "float64")
    inside = Subject(case, layer=model)
    inside.results()  # what a first pass keeps is stale from here on
    values = model.parameters.values
    values += case.rng(11).uniform(0.1, 0.2, values.shape)
    new = [p.value.copy() for p in inside.arrays]
    for p, value in zip(subject.arrays, new, strict=True):
        p.value[...] = value
    y, cache = subject.forward()
    wanted, dx = copies(named("y", y)), subject.of_inputs(subject.backward(case.dy(y), cache))
    gradients = np.concatenate([g.ravel() for g in subject.gradients().values()])
    y, cache = inside.forward()
    model.parameters.gradients[:] = np.nan
    found = inside.of_inputs(inside.backward(case.dy(y), cache))
    must_agree(named("y", y), wanted, "after the model's vector of values was changed")
    must_agree(dict(zip(dx, found.values(), strict=True)), dx, "inside a model")
    must_agree(
        {"the model's vector of gradients": model.parameters.gradients},
        {"the model's vector of gradients": gradients},
        "inside a model",
    )


def a_replica_shares_values_and_owns_gradients(case: Case) -> None:
    """`replica()` computes the same with the same memory for values, and writes into gradients of
    its own.

    Two replicas on two threads must not meet. Catches arrays that were not made by `self.param` and
    caches kept on the layer.
    """
    subject = case.subject()
    if subject.layer.takes_targets:
        raise DoesNotApply("losses have no replicas")
    twin = subject.layer.replica()
    wanted = subject.results()
    subject.poison_gradients()
    still = replace(case, training=False) if "stochastic" in case.tags else case
    subject.rewind()
    y, cache = twin.forward(subject.cast(case.x), Context(still.training, case.mask, penalties=[]))
    dx = twin.backward(case.dy(y), cache)
    if not all(np.isnan(p.gradient).all() for p in subject.parameters):
        raise Broken("the backward pass of a replica writes into the layer's own gradients")
    others = [*twin.arrays(), *twin.states_kept()]
    for mine, other in zip(subject.arrays, others, strict=True):
        if mine.size and not np.shares_memory(mine.value, other.value):
            raise Broken(f"the replica has a {mine.path} of its own, where it is to share it")
    if still is not case:
        return
    got = named("y", y) | subject.of_inputs(dx)
    must_agree(got, {name: wanted[name] for name in got}, "of a replica")
    subject.poison_gradients(0.0)
    subject.layer.add_gradients(twin)
    gradients = subject.gradients()
    must_agree(gradients, {name: wanted[name] for name in gradients}, "added from a replica")
