"""Laws of optimizers: a step is its formula, on any split of the numbers, and can be resumed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from backprop.optimizers.optimizer import Optimizer
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
    through_json,
    twins,
)
from backprop.testing.report import LawReport
from backprop.testing.results import Broken, DoesNotApply

STEPS = 8
LONGER = 40  # steps, of which some have gradients that are 0, tiny or huge
LONG = 400  # steps, for what begins or ends after a hundred
TINY = 1e-11
SHAPES = ((5, 3), (4,), (2, 3, 2))
FURTHER = ((130, 33), (), (1,), (3, 3))  # where no shapes were given: every third time besides
FEW = ((2, 2), (3,))  # for many steps
Shapes = Sequence[tuple[int, ...]]
EXACT = 1e-9


def shapes_of(trial: Trial) -> Shapes:
    """Of the arrays that take steps."""
    shapes = tuple(trial.given["shapes"])
    return (*shapes, *FURTHER) if shapes == SHAPES and trial.number % 3 == 2 else shapes


def start(trial: Trial, dtype: Any = np.float64, shapes: Shapes | None = None) -> list[Array]:
    """Arrays to begin with, one of each shape."""
    rng = trial.rng()
    return [np.asarray(rng.standard_normal(s), dtype) for s in shapes or shapes_of(trial)]


def gradients(
    trial: Trial, steps: int = STEPS, dtype: Any = np.float64, shapes: Shapes | None = None
) -> list[list[Array]]:
    """Gradients for each step and array: of both signs, and of a size that trials change."""
    rng, scale = trial.rng(1), (1.0, 1e-2, 10.0)[trial.number % 3]
    return [
        [np.asarray(scale * rng.standard_normal(s), dtype) for s in shapes or shapes_of(trial)]
        for _ in range(steps)
    ]


def with_exceptions(steps: list[list[Array]]) -> list[list[Array]]:
    """The gradients, where some are 0 at a step, at every other place, tiny or huge."""
    kinds: dict[int, Callable[[Array], Array]] = {
        5: np.zeros_like,
        9: lambda g: np.where(np.arange(g.size).reshape(g.shape) % 2 == 0, 0.0, g),
        13: lambda g: 1e-8 * g,
        17: lambda g: 1e3 * g,
        21: lambda g: 1e6 * g,
    }
    return [[kinds.get(t, np.array)(g) for g in step] for t, step in enumerate(steps)]


def run(optimizer: Any, w: Sequence[Array], steps: Iterable[Sequence[Array]]) -> list[Array]:
    """w, after steps on copies of it."""
    w = [np.array(a) for a in w]
    go_on(optimizer, w, steps)
    return w


def go_on(optimizer: Any, w: Sequence[Array], steps: Iterable[Sequence[Array]]) -> None:
    for g in steps:
        optimizer.apply(list(g), list(w))


def must_be_at(
    got: Sequence[Array], wanted: Sequence[Array], when: str, tol: float = EXACT
) -> None:
    for k, (a, b) in enumerate(zip(got, wanted, strict=True)):
        must_be(a, b, f"{when}, array {k}", tol)


def changed(trial: Trial, **arguments: Any) -> Any:
    """A fresh optimizer with other arguments."""
    made = trial.make()
    return type(made).from_config(made.get_config() | arguments)


# ------------------------------------------------------------------------------------------ laws


@needs(reference=True)
def a_step_is_its_formula(trial: Trial) -> None:
    """After every step the values are those of a naive loop.

    Where the derivation of a step is wrong nothing else is: all other laws compare an optimizer
    with itself. Several steps show what is carried from one to the next, and that the fortieth is
    like the first, and the four hundredth; at some of them gradients are 0, tiny or huge, and in
    some runs all of them are tiny.
    """
    assert trial.reference is not None
    for w, steps in runs(trial):
        optimizer, moving = trial.make(), [np.array(a) for a in w]
        found = [list(trial.reference(a, [g[k] for g in steps])) for k, a in enumerate(w)]
        for t, g in enumerate(steps):
            go_on(optimizer, moving, [g])
            must_be_at(moving, [one[t] for one in found], f"after step {t + 1}", 1e-7)


def runs(trial: Trial) -> Iterator[tuple[list[Array], list[list[Array]]]]:
    """Where a run begins, and its gradients: of some forty steps, of a few, and in turns of many
    with small arrays or of tiny gradients."""
    w, turn = start(trial), trial.number % 3
    if turn == 0:
        yield w, with_exceptions(gradients(trial, LONGER))
        return
    steps = gradients(trial)
    yield w, steps
    if turn == 1:
        few = FEW if tuple(trial.given["shapes"]) == SHAPES else None
        yield start(trial, shapes=few), gradients(trial, LONG, shapes=few)
    else:
        yield w, [[TINY * g for g in step] for step in steps]


@needs(by_parameter="it looks at each array as a whole")
def numbers_are_apart(trial: Trial) -> None:
    """An array that is cut into parts takes the steps of the whole.

    Catches a norm or a mean over all that is not said by `by_parameter`, a slot that two parts
    share, and a loop over blocks that leaves its last number out.
    """
    optimizer = trial.make()
    if optimizer.by_parameter:
        raise DoesNotApply("it says by_parameter")
    w, steps = start(trial), gradients(trial)
    wanted = run(optimizer, w, steps)
    for cut in (1, 2):
        parts = [part for a in w for part in np.split(a.ravel(), [cut])]
        cuts = [[part for a in g for part in np.split(a.ravel(), [cut])] for g in steps]
        got = run(trial.make(), parts, cuts)
        must_be_at(got, [p for a in wanted for p in np.split(a.ravel(), [cut])], "in parts")


def arrays_are_apart(trial: Trial) -> None:
    """Each of several arrays takes the steps that it takes alone.

    Catches a slot that two arrays share, and a count of steps that each array moves.
    """
    w, steps = start(trial), gradients(trial)
    wanted = run(trial.make(), w, steps)
    for k, a in enumerate(w):
        (got,) = run(trial.make(), [a], [[g[k]] for g in steps])
        must_be(got, wanted[k], f"alone, array {k}", EXACT)


def resumed_is_uninterrupted(trial: Trial) -> None:
    """A run that is stopped in the middle and resumed ends where the other one ends.

    By a deep copy of optimizer and values, by pickle, and by a new one of its configuration to
    which `get_weights` and `iterations` are handed. A rate that is set in the middle is that of the
    steps from there on. Catches a moment, or a count of steps, that is no slot and is lost in a
    checkpoint, and a rate that is kept from the first step.
    """
    w, steps = start(trial), gradients(trial)
    wanted = run(trial.make(), w, steps)
    optimizer, half = trial.make(), [np.array(a) for a in w]
    go_on(optimizer, half, steps[: STEPS // 2])
    rest = steps[STEPS // 2 :]
    copies = {"a deep copy": copy.deepcopy((optimizer, half))}
    if "<locals>" not in type(optimizer).__qualname__:
        copies["an unpickled one"] = pickle.loads(pickle.dumps((optimizer, half)))
    for how, twin in anew(optimizer, "optimizers"):
        values = [np.array(a) for a in half]
        twin.build(values)
        twin.set_weights([np.array(a) for a in optimizer.get_weights()])
        copies[how] = twin, values
    for how, (twin, values) in copies.items():
        go_on(twin, values, rest)
        must_be_at(values, wanted, f"resumed by {how}")
    must_take_another_rate(trial, w, steps)


def must_take_another_rate(trial: Trial, w: list[Array], steps: list[list[Array]]) -> None:
    """Raise unless a run whose rate is halved in the middle goes on as one that is resumed with
    half of it."""
    optimizer, values = trial.make(), [np.array(a) for a in w]
    rate = optimizer.learning_rate
    if not isinstance(rate, float):
        return  # a schedule decides
    go_on(optimizer, values, steps[: STEPS // 2])
    _, twin = next(anew(optimizer, "optimizers"))
    twin.learning_rate = optimizer.learning_rate = rate / 2
    resumed = [np.array(a) for a in values]
    twin.build(resumed)
    twin.set_weights([np.array(a) for a in optimizer.get_weights()])
    for one, its in ((optimizer, values), (twin, resumed)):
        go_on(one, its, steps[STEPS // 2 :])
    must_be_at(values, resumed, "where the rate is halved in the middle")


def float32_agrees(trial: Trial) -> None:
    """float32 takes the steps of float64, up to rounding, and stays float32.

    Catches an epsilon that float32 rounds away, and a step that is computed with fewer digits than
    the values have.
    """
    w, steps = start(trial, np.float32), gradients(trial, dtype=np.float32)
    got = run(trial.make(), w, steps)
    wide = [[a.astype(np.float64) for a in g] for g in steps]
    wanted = run(trial.make(), [a.astype(np.float64) for a in w], wide)
    must_be_at(got, wanted, "in float32", trial.given["float32"])
    zeros = [np.zeros(a.shape) for a in w]
    (step,) = gradients(trial, 1)
    moved = np.concatenate([a.ravel() for a in run(trial.make(), zeros, [step])])
    if (moved.astype(np.float32) == moved).all() and len(np.unique(np.abs(moved))) > len(moved) / 2:
        raise Broken("a step in float64 has no more digits than float32 has")


def gradients_are_left_alone(trial: Trial) -> None:
    """Gradients are read and never written, and not kept: the next batch fills the same memory.

    Catches `g *= ...`, and a first moment that is the first gradient itself.
    """
    w, steps = start(trial), gradients(trial)
    wanted = run(trial.make(), w, steps)
    got = run(trial.make(), w, [[locked(g) for g in step] for step in steps])
    must_be_at(got, wanted, "with gradients that are read-only")
    optimizer, values = trial.make(), [np.array(a) for a in w]
    memory = [np.array(g) for g in steps[0]]
    for step in steps:
        for mine, g in zip(memory, step, strict=True):
            mine[...] = g
        optimizer.apply(memory, values)
    must_be_at(values, wanted, "with gradients in one memory")


@needs(restless="it moves without a gradient")
def no_gradient_no_step(trial: Trial) -> None:
    """Where all gradients are 0 from the beginning, nothing moves, and nothing becomes NaN.

    Catches 0 / 0 where a moment is divided by its root. Decay is taken out.
    """
    made = changed(trial, weight_decay=0.0)
    w = start(trial)
    got = run(made, w, [[np.zeros(a.shape) for a in w]] * 3)
    must_be_at(got, w, "after steps without a gradient", 1e-12)
    zeros = [np.zeros(a.shape) for a in w]
    got = run(trial.make(), zeros, gradients(trial))
    if not all(np.isfinite(a).all() for a in got):
        raise Broken("from zeros it goes to numbers that are not finite")


def steps_go_downhill(trial: Trial) -> None:
    """Steps from 0 along the gradient of ½ |w - c|² come nearer to c.

    Catches a sign. Decay is taken out, and the rate is what it is.
    """
    made = changed(trial, weight_decay=0.0)
    w = [np.zeros(a.shape) for a in start(trial)]
    goal = [np.sign(trial.rng(2).standard_normal(a.shape)) * 3 for a in w]
    before = sum(float(np.sum((a - c) ** 2)) for a, c in zip(w, goal, strict=True))
    for _ in range(5):
        made.apply([a - c for a, c in zip(w, goal, strict=True)], w)
    after = sum(float(np.sum((a - c) ** 2)) for a, c in zip(w, goal, strict=True))
    if not after < before:
        raise Broken(f"five steps lead from {before:.6g} to {after:.6g}, away from the minimum")


def clipping_is_of_the_gradient(trial: Trial) -> None:
    """`clipvalue`, `clipnorm` and `global_clipnorm` give the steps of gradients clipped by hand.

    Catches an update that is clipped in the place of the gradient, and one that goes around it.
    """
    w, steps = start(trial), gradients(trial)
    size = float(np.median([np.abs(g).max() for g in steps[0]])) / 2
    for name, clip in CLIPS.items():
        wanted = run(trial.make(), w, [clip(step, size) for step in steps])
        clipped = changed(trial, clipvalue=None, clipnorm=None, global_clipnorm=None)
        plain = run(clipped, w, [clip(step, size) for step in steps])
        must_be_at(plain, wanted, "of the same configuration")
        options = {"clipvalue": None, "clipnorm": None, "global_clipnorm": None, name: size}
        must_be_at(run(changed(trial, **options), w, steps), wanted, f"with {name}={size:.4g}")


def by_norm(g: Array, size: float) -> Array:
    return g * min(1.0, size / float(np.sqrt((g * g).sum())))


def together(step: Sequence[Array], size: float) -> list[Array]:
    norm = float(np.sqrt(sum(float((g * g).sum()) for g in step)))
    return [g * min(1.0, size / norm) for g in step]


CLIPS: dict[str, Callable[[Sequence[Array], float], list[Array]]] = {
    "clipvalue": lambda step, size: [g.clip(-size, size) for g in step],
    "clipnorm": lambda step, size: [by_norm(g, size) for g in step],
    "global_clipnorm": together,
}


@needs(own_decay="its decay is another")
def decay_comes_before_the_step(trial: Trial) -> None:
    """With `weight_decay` each step begins at w - learning_rate * weight_decay * w.

    Catches a decay that is added to the gradient, and one that goes uphill.
    """
    plain, w = changed(trial, weight_decay=0.0), start(trial)
    (g,) = gradients(trial, 1)
    rate = float(plain.learning_rate)
    wanted = run(plain, [a - rate * 0.1 * a for a in w], [g])
    must_be_at(run(changed(trial, weight_decay=0.1), w, [g]), wanted, "with weight_decay=0.1")


def accumulated_is_the_mean(trial: Trial) -> None:
    """With `gradient_accumulation_steps` two batches make one step, with their mean.

    Catches a sum, and a moment that moves with each batch.
    """
    w, steps = start(trial), gradients(trial)
    pairs = list(zip(steps[::2], steps[1::2], strict=True))
    means = [[(a + b) / 2 for a, b in zip(*pair, strict=True)] for pair in pairs]
    wanted = run(trial.make(), w, means)
    made = changed(trial, gradient_accumulation_steps=2)
    must_be_at(run(made, w, steps), wanted, "with gradient_accumulation_steps=2")
    if int(made.iterations) != STEPS // 2:
        raise Broken(f"{STEPS} batches are {made.iterations} iterations, where two make one")


def average_follows_the_values(trial: Trial) -> None:
    """With `use_ema` the average is that of the values after each step, and the steps are the same.

    Catches an average of what came before a step, and one that the steps start from.
    """
    w, steps = start(trial), gradients(trial)
    plain, moving, averages = trial.make(), [np.array(a) for a in w], None
    for g in steps:
        go_on(plain, moving, [g])
        if averages is None:
            averages = [np.array(a) for a in moving]
        averages = [0.7 * m + 0.3 * a for m, a in zip(averages, moving, strict=True)]
    made = changed(trial, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=None)
    got = [np.array(a) for a in w]
    go_on(made, got, steps)
    must_be_at(got, moving, "with use_ema")
    made.finalize_variable_values(got)
    must_be_at(got, averages or [], "of the average")


def survives_copies(trial: Trial) -> None:
    """A fresh copy, and one from the configuration, take the same steps.

    Catches an argument that the configuration does not hold. It goes through JSON.
    """
    w, steps = start(trial), gradients(trial)
    wanted = run(trial.make(), w, steps)
    made = trial.make()
    for how, twin in [*twins(made), *anew(made, "optimizers")]:
        must_be_at(run(twin, w, steps), wanted, f"of {how}")
    again = through_json(made.get_config())
    if again != through_json(type(made).from_config(again).get_config()):
        raise Broken("its configuration is another one after a round trip")


def computed(made: Any, trial: Trial) -> list[Array]:
    return run(made, start(trial), gradients(trial))


OPTIMIZER = Kind(
    "optimizer",
    "optimizers",
    Optimizer,
    (
        a_step_is_its_formula,
        numbers_are_apart,
        arrays_are_apart,
        resumed_is_uninterrupted,
        float32_agrees,
        gradients_are_left_alone,
        no_gradient_no_step,
        steps_go_downhill,
        clipping_is_of_the_gradient,
        decay_comes_before_the_step,
        accumulated_is_the_mean,
        average_follows_the_values,
        survives_copies,
        an_argument_that_is_set_counts,
    ),
    {
        "by_parameter": "it looks at each array as a whole",
        "restless": "it moves without a gradient",
        "own_decay": "its decay is another than that of all optimizers",
    },
    {"shapes": SHAPES, "float32": 1e-4},
    computed,
)


@listing(OPTIMIZER)
def check_optimizer(optimizer: Any, *, seed: int = 0, **options: Any) -> LawReport:
    """Check every law for an optimizer that takes steps.

    Parameters
    ----------
    optimizer : Optimizer, class or function
        An object that is not built, or what makes one.
    reference : function, optional
        (w, gradients) → the values of one array after each of the steps, written naively: a loop
        over the formula. A step for a single number is one for an array of any shape, unless the
        optimizer looks at whole arrays.
    shapes : sequence of tuples of int, optional
        Of the arrays that take steps together.
    float32 : float, default 1e-4
        How far float32 may lead from float64, as a share of the largest number.
    tags : iterable of str
        ``"by_parameter"``: it looks at each array as a whole; ``"restless"``: it moves without a
        gradient; ``"own_decay"``: its decay is another than that of all optimizers.
    expected_failures, laws, profile, seed
        As in `check_layer`; `laws` are names, by default all. An option that is misspelt is an
        error.

    Returns
    -------
    LawReport

    Raises
    ------
    TypeError
        For one that takes all data at once, as L-BFGS does.

    Examples
    --------
    >>> from backprop.optimizers import SGD
    >>> from backprop.testing import check_optimizer
    >>> def by_hand(w, gradients):
    ...     for g in gradients:
    ...         w = w - 0.1 * g
    ...         yield w
    >>> bool(check_optimizer(SGD(0.1), reference=by_hand))
    True
    """
    return check(OPTIMIZER, optimizer, seed, options)


@listing(OPTIMIZER)
def optimizer_laws(optimizer: Any, **options: Any) -> Any:
    """`check_optimizer` as a pytest function with one id a law, as `layer_laws` is one."""
    return collect(OPTIMIZER, optimizer, options)
