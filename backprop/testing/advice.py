"""The likely cause of a broken law, found by trying: what the message says besides what was seen.

A law sees a difference; why there is one, a second look often tells. `advice` makes a few such
looks at the case that broke the law, each of them cheap, and returns a sentence for each that found
something: what it is, and what to write. It runs for a failure alone and never raises.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backprop.layer import Layer
from backprop.nest import as_tuple, each, several, shapes
from backprop.spelling import nearest
from backprop.testing.case import Case, Subject
from backprop.testing.laws.gradients import certify, off_kinks
from backprop.testing.probes import constants_of
from backprop.testing.results import Broken

Array = np.ndarray
# what the library itself notes on a layer and on a container
OF_EVERY_LAYER = {"_rng", "_warned", "_tried", "_reversed", *vars(Layer())}
HERE = Path(__file__).resolve().parent.parent

# what a layer means that breaks a law on purpose, and says by a tag
MEANT = {
    "rows_are_independent": (
        "if rows are to depend on each other, as in batch normalization, say so: "
        "tags=['couples_rows']"
    ),
    "an_addition_to_the_loss_is_asked_for": (
        "backward adds the derivative of what forward adds to the loss whether or not that was "
        "asked for (ctx.penalties is a list, or None)"
    ),
    "what_weighs_nothing_does_not_count": (
        "forward has to leave masked steps out (ctx.mask, and only_real of backprop.masks), or the "
        "layer to say that it does not: def obeys_mask(self, x, mask): return False"
    ),
    "extreme_input_gives_finite_results": (
        "if the function has no finite value there, say so: expected_failures="
        "{'extreme_input_gives_finite_results': 'why'}"
    ),
}


def advice(law: str, case: Case, error: BaseException) -> list[str]:
    """Sentences on the likely cause, the most telling first; at most two."""
    looks = LOOKS if isinstance(error, Broken) else RAISED
    found: list[str] = []
    for look in looks:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found += look(law, case, error)
        except Exception:  # a look at what does not work need not work
            continue
        if len(found) >= 2:
            break
    return found[:2]


# -------------------------------------------------------------------------------- what it does


def writes(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether a pass writes into what it was given."""
    if law == "inputs_are_untouched":
        return
    subject = case.subject()
    x = each(np.array, subject.cast(case.x))
    y, cache = subject.forward(case.with_x(x))
    if differ(x, subject.cast(case.x)):
        yield "forward writes into x, which its caller goes on using: write into a copy"
    dy = case.dy(y)
    subject.backward(dy, cache)
    if differ(dy, case.dy(y)):
        yield "backward writes into dy, which its caller goes on using: dy = dy * ... makes another"


def keeps(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether a pass leaves on the layer what belongs into the cache, or sets what is no gradient
    of it."""
    subject = Subject(case, generic=False)  # which nobody has run
    before = attributes(subject.layer)
    y, cache = subject.forward()
    after = attributes(subject.layer)
    for place in sorted(after):
        if not same(after[place], before.get(place)):
            yield (
                f"forward keeps something on the layer, self.{place[1]}: what backward needs goes "
                "into the cache, return y, cache"
            )
            break
    subject.backward(case.dy(y), cache)
    known = [name for part in subject.layer.walk() for name in part._arrays]
    for place, value in attributes(subject.layer).items():
        if place not in after and isinstance(value, np.ndarray | np.generic | float):
            yield (
                f"backward sets self.{place[1]}, which no self.param has declared"
                f"{nearest(place[1], known)}"
            )


def adds(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether backward adds to a gradient that it has to set."""
    if law == "backward_sets_and_can_be_repeated":
        return
    subject = case.subject()
    y, cache = subject.forward()
    subject.backward(case.dy(y), cache)
    before = subject.gradients()
    subject.poison_gradients()
    subject.backward(case.dy(y), cache)
    for name, g in subject.gradients().items():
        if g.size and np.isnan(g).all() and not np.isnan(before[name]).any():
            yield f"backward adds to {name}, or leaves it as it was: set it, self.{name} = ..."


def draws(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether training draws, or building does where no seed reaches."""
    one, two = (Subject(case, generic=False) for _ in range(2))
    if differ(*(tuple([*(p.value for p in s.arrays), *kept(s)]) for s in (one, two))):
        yield (
            "two layers that are built after the same seed have other numbers: draw from self.rng, "
            "which seeds reach, and not from np.random"
        )
    if "stochastic" in case.tags:
        return
    at = replace(case, training=True)
    y = each(np.array, one.forward(at)[0])
    if differ(each(np.asarray, one.forward(at, rewind=False)[0]), y):
        moved = any(g.state != s for g, s in zip(one.generators, one.state[1], strict=True))
        if moved:
            yield "training draws random numbers; if that is meant, say so: tags=['stochastic']"


def kept(subject: Subject) -> list[Array]:
    return [a for _, _, a in constants_of(subject.layer)]


def constants(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether the layer keeps an array of another dtype."""
    if law not in ("shape_and_dtype_are_as_declared", "float32_agrees_with_float64"):
        return
    for dtype in (np.float32, np.float64):
        for part, name, a in constants_of(case.subject(dtype).layer):
            if a.dtype != dtype:
                yield (
                    f"self.{name} of {type(part).__name__} is {a.dtype} in a layer of "
                    f"{np.dtype(dtype)}: make it of self.dtype, or cast it, "
                    f"self.{name}.astype(x.dtype)"
                )
                return


def kinks(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether gradients are right beside the point at which they are not."""
    if law != "gradients_match_finite_differences" or "piecewise" in case.tags:
        return
    certify(off_kinks(replace(case, tags=case.tags | {"piecewise"})))
    yield (
        "a little beside this x the gradients are right: if the function has a kink or a jump "
        "there, say so: tags=['piecewise']"
    )


def meant(law: str, case: Case, error: BaseException) -> Iterator[str]:
    if (said := MEANT.get(law)) and not (case.is_loss and law.startswith("what_weighs")):
        yield said


# -------------------------------------------------------------------------------- what it raises


def empty_rows(law: str, case: Case, error: BaseException) -> Iterator[str]:
    if "cannot reshape array of size 0" in str(error):
        yield (
            "-1 stands for no number where there are no rows: write it out, as in "
            "x.reshape(len(x), math.prod(x.shape[1:]))"
        )


def whole_numbers(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """Whether x holds integers, and the layer does not say that it looks them up."""
    whole = any(a.dtype.kind in "iu" for a in as_tuple(case.x) if a is not None)
    if whole and not case.make().integer_input and own_line(error):
        yield (
            "x holds integers, and the checker moves them as the numbers that they would be in a "
            "model: if they are looked up, say integer_input = True in the class"
        )


def refused(law: str, case: Case, error: BaseException) -> Iterator[str]:
    """What a layer takes that was never said: of inputs that nobody chose, those that it runs
    on."""
    if runs(case):
        return  # it is not for x that it stumbles
    if case.guessed:
        yield from of_ranks(case, error)
    elif "raise " in own_line(error):
        yield (
            "the layer refuses what inputs= has drawn: draw what it takes, as in "
            "inputs=shapes(1, 2).map(lambda s: (*s[:-1], 2 * s[-1]))"
        )


def of_ranks(case: Case, error: BaseException) -> Iterator[str]:
    began = "no inputs= was given, so x of any shape was drawn"
    if case.is_loss:
        began = "no inputs= was given, so y_true and y_pred of any shape were drawn"
        yield (
            f"{began}: say what the loss takes, as in "
            'inputs=pairs("numbers", "numbers", shapes(1, 1, min_side=2))'
        )
        return
    if several(case.batch_shape):
        yield f"{began}: say what the layer takes, a strategy for each of its inputs"
        return
    works = [rank for rank in range(2, 6) if runs(case, (2, 4, 6, 4, 4)[:rank])]
    fails = [rank for rank in range(2, 5) if rank not in works]
    if not works and own_line(error):
        yield f"{began}: say what the layer takes by inputs=, and by self.input_spec in build"
    elif works and fails:
        low, high = works[0], works[-1]
        spec = f"ndim={low}" if low == high else f"min_ndim={low}"
        yield (
            f"{began}; the layer runs where x has {' or '.join(map(str, works))} axes with the "
            f"batch: say so, inputs=shapes({low - 1}, {high - 1}), and in build "
            f"self.input_spec = InputSpec({spec})"
        )
    elif works:
        yield (
            f"{began}; the layer runs on x of shape (2, 4), and not of {shapes(case.x)}: draw what "
            "it takes by inputs=, as in inputs=shapes(1, 2, min_side=2)"
        )


def runs(case: Case, shape: tuple[int, ...] | None = None) -> bool:
    """Whether a fresh layer goes there and back with the x of a case, or one of this shape."""
    if shape is not None:
        case = replace(case, x=case.rng(0).standard_normal(shape), mask=None)
    try:
        case.subject().results()
    except Exception:
        return False
    return True


def own_line(error: BaseException) -> str:
    """The line of the author's that raised; "" where the library did, which says why itself."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [f for f in frames if "/numpy/" not in f.filename and not f.filename.startswith("<")]
    if not frames or Path(frames[-1].filename).resolve().is_relative_to(HERE):
        return ""
    return frames[-1].line or ""


LOOKS: tuple[Callable, ...] = (writes, keeps, adds, draws, constants, kinks, meant)
RAISED: tuple[Callable, ...] = (writes, empty_rows, whole_numbers, refused)


# -------------------------------------------------------------------------------- comparing


def differ(one: Any, two: Any) -> bool:
    """Whether two arrays, or lists of them, are not the same to the last bit."""
    pairs = zip(as_tuple(one), as_tuple(two), strict=True)
    return any(not np.array_equal(a, b, equal_nan=True) for a, b in pairs if a is not None)


def attributes(layer: Layer) -> dict[tuple[str, str], Any]:
    """What layers keep beside what they have declared, by layer and name."""
    return {
        (part.name, name): np.array(value) if isinstance(value, np.ndarray) else value
        for part in layer.walk()
        for name, value in vars(part).items()
        if name not in part._arrays and name not in OF_EVERY_LAYER
    }


def same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return isinstance(two, np.ndarray) and np.array_equal(one, two, equal_nan=True)
    return one is two or one == two
