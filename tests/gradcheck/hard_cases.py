"""Right functions where the checker once accused: next to where a domain ends, where float64 moves
in steps, where three numbers tie, where float32 overflows, in gates that are nearly shut, and
constants that lose all digits.

Each function is looked at as float32 rounds its numbers, and in float64 as they are given.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from gradcheck.unusual_cases import Case, Function, along, first, hilbert, sorted_back
from scipy import special

from backprop.gradcheck import catalogue
from backprop.layer import INFERENCE, Layer
from backprop.layers import Attention, PReLU, RandomHue

RNG = np.random.default_rng(7)
U = RNG.uniform(0.5, 2, (5, 4))
Z = RNG.standard_normal((5, 4))
SIZES = RNG.choice([-1, 1], (5, 4)) * 10.0 ** RNG.uniform(-12, 2, (5, 4))

Places = dict[str, np.ndarray]


def of(*sizes: float, base: np.ndarray = U) -> Places:
    """The same numbers in several sizes."""
    return {f"of {size:g}": size * base for size in sizes}


def beside(a: float, *distances: float) -> Places:
    """Numbers at these distances from a, above it or, of a negative distance, below."""
    return {f"{a:g} {d:+g}": a + d * U for d in distances}


def in_both(name: str, make: Callable[..., Any], at: Places) -> Iterator[Case]:
    """A case for each place, as float32 and as float64 see it."""
    for place, x in at.items():
        for dtype in (None, "float64"):
            yield Case(f"{name}, {place}, {dtype or 'float32'}", partial(typed, make, dtype), x)


def typed(make: Callable[[], Any], dtype: str | None) -> Any:
    layer = make()
    layer.dtype = dtype if dtype is None else np.dtype(dtype)
    return layer


# ------------------------------------------------------------------------- numbers by themselves


def from_one(x):
    return 1 / np.sqrt((1 - x) * (1 + x))


def steep(x):
    return special.expit(1e4 * x)


def twentieth(x):
    with np.errstate(over="ignore"):  # as LAPACK does, which sets no flags
        return 20 * x**21 / (x**2 + (x == 0))


# name → the function, its slope, where to look
FUNCTIONS: dict[str, tuple[Callable, Callable, Places]] = {
    "arcsin": (np.arcsin, from_one, beside(1, -1e-4, -1e-8, -1e-12) | of(1e-8, 1e-150, 1e-310)),
    "arccos": (np.arccos, lambda x: -from_one(x), beside(1, -1e-2, -1e-8, -1e-14)),
    "arcosh": (
        np.arccosh,
        lambda x: 1 / np.sqrt((x - 1) * (x + 1)),
        beside(1, 1e-2, 1e-8, 1e-15) | of(1e5, 1e100),
    ),
    "artanh": (np.arctanh, lambda x: 1 / ((1 - x) * (1 + x)), beside(1, -1e-4, -1e-8, -1e-12)),
    "inverse of erf": (
        special.erfinv,
        lambda x: np.sqrt(np.pi) / 2 * np.exp(special.erfinv(x) ** 2),
        beside(1, -1e-2, -1e-8, -1e-12) | of(1e-8, 1e-100),
    ),
    "sigmoid": (
        special.expit,
        lambda x: special.expit(x) * special.expit(-x),
        of(10, 17, 36, 100, 700, -36, -700),
    ),
    "1 - sigmoid": (
        lambda x: 1 - special.expit(x),
        lambda x: -special.expit(x) * special.expit(-x),
        of(10, 36, 100),
    ),
    "steep sigmoid": (
        steep,
        lambda x: 1e4 * steep(x) * special.expit(-1e4 * x),
        of(1, 1e-2, 1e-4, 1e-8, base=Z),
    ),
    "softplus": (lambda x: np.logaddexp(0, x), special.expit, of(36, 700, -36, -700)),
    "exp(x) - 1": (np.expm1, np.exp, of(1e-8, 1e-16, 1e-310, 100, -700)),
    "log(1 + x)": (np.log1p, lambda x: 1 / (1 + x), of(1e-8, 1e-100) | beside(-1, 1e-3, 1e-8)),
    "x log x": (
        lambda x: special.xlogy(x, x),
        lambda x: np.log(x) + 1,
        of(1e-8, 1e-30, 1e-300, 1e8),
    ),
    "log gamma": (special.gammaln, special.digamma, of(1e-8, 1e-100, 1e15)),
    "cube root": (
        np.cbrt,
        lambda x: np.cbrt(x) / (3 * x),
        of(1e-6, 1e-12, 1e-100, 1e150) | {"of all sizes": SIZES},
    ),
    "square root": (np.sqrt, lambda x: 0.5 / np.sqrt(x), of(1e-12, 1e-100, 1e-310, 1e150)),
    "log": (np.log, lambda x: 1 / x, of(1e-100, 1e-310, 1e150) | beside(1, 1e-12)),
    "sin": (np.sin, np.cos, of(1e3, 1e6, 1e8, 1e10, 1e15)),
    "1 - cos": (lambda x: 1 - np.cos(x), np.sin, of(1, 1e-3, 1e-5, 1e-7, 1e-8, 1e-10)),
    "x - sin x": (lambda x: x - np.sin(x), lambda x: 2 * np.sin(x / 2) ** 2, of(1, 1e-2, 1e-6)),
    "1/√x": (lambda x: 1 / np.sqrt(x), lambda x: -0.5 / (x * np.sqrt(x)), of(1e-12, 1e-30, 1e8)),
    "1/(1 + exp x)": (
        lambda x: 1 / (1 + np.exp(x)),
        lambda x: -np.exp(x) / (1 + np.exp(x)) ** 2,
        beside(0, 10, 80, 200),
    ),
    "log(1 - sigmoid)": (  # in stairs that the logarithm makes wide
        lambda x: np.log(1 - special.expit(x)),
        lambda x: -special.expit(x),
        of(10, 14, 17) | {"of all sizes": U * np.array([0, 1, 12, 15])},
    ),
    "1e9 (1 - sigmoid)": (
        lambda x: 1e9 * (1 - special.expit(x)),
        lambda x: -1e9 * special.expit(x) * special.expit(-x),
        of(13, 16),
    ),
    "arcosh(1 + x)": (
        lambda x: np.arccosh(1 + x),
        lambda x: 1 / np.sqrt(x * (2 + x)),
        of(1e-4, 1e-8, 1e-12),
    ),
    "log cosh": (lambda x: np.log(np.cosh(x)), np.tanh, beside(0, 10, 60, 200)),
    "x²⁰": (lambda x: x**20, lambda x: 20 * x**19, of(1, 0.1, 10, base=Z)),
    "1e300 x": (lambda x: 1e300 * x, lambda x: np.full_like(x, 1e300), of(1, base=Z)),
    "rectifier": (lambda x: np.maximum(x, 0), lambda x: x > 0, of(1e-8, 1e-310, 1e150, base=Z)),
    "x |x|": (lambda x: x * np.abs(x), lambda x: 2 * np.abs(x), of(1e-8, 1e-30, 1e30, base=Z)),
    "square of the rectifier": (
        lambda x: np.maximum(x, 0) ** 2,
        lambda x: 2 * np.maximum(x, 0),
        of(1e-8, 1e-12, base=Z),
    ),
    "x/(1 + |x|)": (
        lambda x: x / (1 + np.abs(x)),
        lambda x: 1 / (1 + np.abs(x)) ** 2,
        of(1e-8, 1e-30, base=Z),
    ),
    "half of a Bessel function": (
        lambda x: special.jv(0.5, x),
        lambda x: special.jvp(0.5, x),
        {"of all sizes": U * 10.0 ** RNG.integers(-6, 4, U.shape)},
    ),
    "sin(x)/x": (
        lambda x: np.sin(x) / x,
        lambda x: (np.cos(x) - np.sin(x) / x) / x,
        of(1, 1e10, 1e30, base=U),
    ),
    "x²⁰, past the end of float32": (lambda x: x**20, twentieth, {"of 70": 70 + 0.1 * Z}),
    "length, held off zero": (
        lambda x: np.sqrt(x**2 + 1e-30),
        lambda x: x / np.sqrt(x**2 + 1e-30),
        of(1e-3, 1e-10, 1e-15, 1e-20, base=Z),
    ),
}


def functions() -> Iterator[Case]:
    for name, (f, slope, at) in FUNCTIONS.items():
        yield from in_both(name, partial(Function, f, partial(along, slope)), at)


# ------------------------------------------------------------------------ rows in which numbers tie


def middle(x):
    return np.sort(x, -1)[:, (x.shape[1] - 1) // 2]


def to_the(k: int, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient of the k-th smallest: of what ties, one gets it."""
    dx = np.zeros_like(x)
    at = np.argsort(x, -1, kind="stable")[:, k]
    dx[np.arange(len(x)), at] = dy
    return dx


def held(x):
    return np.minimum(np.maximum(x[:, 0], x[:, 1]), x[:, 2])


def held_back(dy, x):
    low, high = x[:, 1] > x[:, 0], x[:, 2] < np.maximum(x[:, 0], x[:, 1])
    return np.stack([dy * (~low & ~high), dy * (low & ~high), dy * high], 1)


def shared_back(dy, x):
    """Of the largest: what ties shares it."""
    most = x == x.max(-1, keepdims=True)
    return dy[:, None] * most / most.sum(-1, keepdims=True)


def ties() -> Iterator[Case]:
    three = Z.copy()
    three[:, :3] = np.array([0, 0.5, 1, -1, 2])[:, None]
    at = {"three": three, "four": np.full((5, 4), 0.5), "zeros": 0 * Z, "whole": np.round(Z)}
    at |= {f"three by {d:g}": three + d * Z for d in (1e-5, 1e-12)}
    at |= {f"three by {d:g}, off": 0.5 + d * Z for d in (1e-6, 1e-8, 1e-10)}
    yield from in_both("sorted", partial(Function, partial(np.sort, axis=-1), sorted_back), at)
    largest = partial(Function, partial(np.max, axis=-1), shared_back, first)
    yield from in_both("largest", largest, at)
    yield from in_both("second", partial(Function, middle, partial(to_the, 1), first), at)
    odd = {place: x[:, :3] for place, x in at.items()}
    yield from in_both("median", partial(Function, middle, partial(to_the, 1), first), odd)
    yield from in_both("clip by two columns", partial(Function, held, held_back, first), odd)
    row = 0.5 + 1e-10 * np.array([[-1, 0, 1.3]])
    for seed in range(12):
        make = partial(Function, middle, partial(to_the, 1), first)
        yield Case(f"median of a row that nearly ties, seed {seed}", make, row, {"seed": seed})


def apart(x):
    return np.abs(x - np.roll(x, 1, -1))


def apart_back(dy, x):
    d = dy * np.sign(x - np.roll(x, 1, -1))
    return d - np.roll(d, -1, -1)


def scaled(x):
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    return (x - low) / (high - low + 1e-6)


def scaled_back(dy, x):
    low, high = x.min(-1, keepdims=True), x.max(-1, keepdims=True)
    width = high - low + 1e-6
    dwidth = -(dy * (x - low)).sum(-1, keepdims=True) / width**2
    dlow = -dy.sum(-1, keepdims=True) / width - dwidth
    least, most = x == low, x == high
    return (
        dy / width
        + dlow * least / least.sum(-1, keepdims=True)
        + dwidth * most / most.sum(-1, keepdims=True)
    )


def entropy(x):
    z = x - x.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -(np.exp(log_p) * log_p).sum(-1)


def entropy_back(dy, x):
    """Step by step, as an author would: through p log p, then through the softmax."""
    z = x - x.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    p = np.exp(log_p)
    dp = -dy[:, None] * (log_p + 1)
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def kinks_nearby() -> Iterator[Case]:
    """Kinks and ties at distances far below the steps, of many numbers."""
    wide = np.random.default_rng(5).standard_normal((4, 6))
    at = {f"of {size:g}": size * wide for size in (1e-8, 1e-12)}
    at |= {f"nearly equal, by {d:g}": 0.5 + d * wide for d in (1e-6, 1e-7)}
    yield from in_both("steps between columns", partial(Function, apart, apart_back), at)
    yield from in_both("sorted", partial(Function, partial(np.sort, axis=-1), sorted_back), at)
    yield from in_both("fourth", partial(Function, fourth, partial(to_the, 3), first), at)
    equal = {"zeros": 0 * wide, "equal": 0 * wide + 0.7, "usual": wide}
    equal["a row of zeros"] = wide * np.array([1, 0, 1, 0])[:, None]
    yield from in_both("from 0 to 1", partial(Function, scaled, scaled_back), equal)
    sure = {f"sure by {n}": n * np.eye(6)[:4] for n in (10, 20, 30)}
    yield from in_both("entropy", partial(Function, entropy, entropy_back, first), sure)


def fourth(x):
    return np.sort(x, -1)[:, 3]


# ----------------------------------------------------------------------- constants, layers, losses


def solved(matrix, x):
    return np.linalg.solve(matrix.astype(x.dtype), x.T).T


def constants() -> Iterator[Case]:
    for n in range(8, 13):
        matrix, z = hilbert(n), np.random.default_rng(n).standard_normal((3, n))
        make = partial(Function, partial(solved, matrix), lambda dy, x, m=matrix: solved(m, dy))
        yield from in_both(
            f"Hilbert {n}", make, {"usual": z, "of 1e-8": 1e-8 * z, "ones": 0 * z + 1}
        )


LAYERS = ("RandomHue", "RandomSaturation", "RandomColorJitter", "DivideInto", "Softmax", "GLU")
LAYERS += ("UnitNormalization", "LayerNormalization", "RMSNormalization", "GlobalMaxPooling1D")


def shipped(names: tuple[str, ...] = LAYERS) -> Iterator[Case]:
    """Layers of the catalogue at numbers of extreme sizes, and at equal ones."""
    for case in catalogue.cases():
        x = case.x(np.random.default_rng(len(case.name)))
        if not case.name.startswith(names) or not isinstance(x, np.ndarray):
            continue
        at = {f"of {size:g}": size * x for size in (1e-150, 1e-30, 1e-6, 1e6, 1e30, 1e100)}
        at |= {"ones": 0 * x + 1, "nearly equal": 0.5 + 1e-7 * x, "whole": np.round(x)}
        for place, there in at.items():
            yield Case(f"{case.name}, {place}", case.make, there, case.options)


def greys() -> Iterator[Case]:
    """Images of which some pixels are grey, some nearly so, and some of one colour."""
    for n in range(8):
        rng = np.random.default_rng(n)
        top = (1, 255)[n % 2]
        x = top * rng.random((2, 2, 3, 3))
        mean = x.mean(-1, keepdims=True)
        near = mean + 10.0 ** rng.integers(-12, -1) * rng.standard_normal(x.shape)
        kind = rng.integers(3, size=mean.shape)
        x = np.select([kind == 0, kind == 1], [x, near], mean)
        make = partial(RandomHue, (0.1, 0.9), value_range=(0, top), seed=3)
        for seed in (0, 1):
            yield Case(f"hue of greys {n}, seed {seed}", make, x, {"seed": seed})
        if n % 3:
            continue
        photo = 255 * rng.random((2, 6, 6, 3))  # of which the look at multiples of 1/2 makes black
        make = partial(RandomHue, 0.3, seed=n)
        yield Case(f"hue of a photo {n}", make, photo, {"seed": n})


class Lowered(Attention):
    """Takes 1e9 from all scores of the first query, which rounds them to stairs."""

    def score(self, q, k):
        s, *cache = super().score(q, k)
        s[:, 0] -= 1e9
        return s, *cache


def attention() -> Iterator[Case]:
    """A query that sees no key."""
    for n in range(30):
        q, v = np.random.default_rng(n).standard_normal((2, 1, 3, 4))
        if n < 10:
            yield Case(f"a query whose scores are lowered {n}", Lowered, (q, v), {"seed": n})
        options = {"mask": (None, [[False, True, True]]), "seed": n}
        make = partial(Attention, use_causal_mask=True)
        yield Case(f"a query that sees no key {n}", make, (q, v), options)


class Gate(Layer):
    """y = (1 - a) x, a = sigmoid(w): where a is nearly 1, 1 - a has few digits, and moving w by
    some units in its last place does not show it."""

    def __init__(self, w):
        super().__init__()
        self.initial = w

    def build(self, input_shape):
        self.w, self.dw = self.param("w", (), lambda shape, dtype: np.full(shape, self.initial))

    def forward(self, x, ctx=INFERENCE):
        a = special.expit(self.w)
        return (1 - a) * x, (x, a)

    def backward(self, dy, cache):
        x, a = cache
        self.dw[...] = -(dy * x).sum() * a * (1 - a)
        return (1 - a) * dy


def gates() -> Iterator[Case]:
    for w in (3, 4, 5, 5.5, 6, 8, 12, 16, 20, 28, -12):
        for n in range(10):
            x = np.random.default_rng(n).standard_normal((2, 3))
            yield Case(f"gate of {w}, {n}", partial(Gate, w), x, {"seed": n})


def identities() -> Iterator[Case]:
    for n in range(12):
        x = np.random.default_rng(n).standard_normal((2, 1, 8))
        yield Case(f"PReLU that is the identity {n}", partial(PReLU, "ones"), x, {"seed": n})


def losses() -> Iterator[Case]:
    """Losses of probabilities that are nearly sure."""
    for case in catalogue.cases():
        x = case.x(np.random.default_rng(3))
        if not case.make().takes_targets:
            continue
        y_true, p, *weights = x
        if p.dtype.kind == "f" and p.min() > 0 and np.allclose(p.sum(-1), 1):
            for n in (6, 12, 20):
                sure = p**n / (p**n).sum(-1, keepdims=True)
                yield Case(f"{case.name}, to the {n}", case.make, (y_true, sure, *weights))


KINDS: dict[str, Callable[[], Iterator[Case]]] = {
    "edges": functions,
    "ties": ties,
    "kinks nearby": kinks_nearby,
    "constants": constants,
    "extremes": shipped,
    "greys": greys,
    "sure losses": losses,
    "attention": attention,
    "identities": identities,
    "gates": gates,
}
