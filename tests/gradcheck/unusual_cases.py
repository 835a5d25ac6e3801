"""Right functions, layers and models where differences have a hard time: tiny, huge and equal
numbers, poles, tails, matrices that are nearly singular, chaos. No check may complain.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy import special

import backprop as bp
from backprop import layers as L
from backprop.gradcheck import catalogue
from backprop.layer import INFERENCE, Layer


@dataclass(frozen=True)
class Case:
    """A subject that is right, and where to look at it."""

    name: str
    make: Callable[[], Any]
    x: Any
    options: dict[str, Any] = field(default_factory=dict)


class Function(Layer):
    """y = f(x), dx = backward(dy, x)."""

    def __init__(self, f, backward, shape=None):
        super().__init__()
        self.f, self.back, self.shape = f, backward, shape

    def compute_output_shape(self, input_shape):
        return input_shape if self.shape is None else self.shape(input_shape)

    def forward(self, x, ctx=INFERENCE):
        return np.asarray(self.f(x), x.dtype), x

    def backward(self, dy, x):
        return np.asarray(self.back(dy, x), dy.dtype)


# ------------------------------------------------------------------------- numbers by themselves


def logistic_map(steps: int) -> tuple[Callable, Callable]:
    """z → 3.9 z (1 - z) from the sigmoid of x: after some steps a trifle decides everything."""

    def f(x):
        z = special.expit(x)
        for _ in range(steps):
            z = 3.9 * z * (1 - z)
        return z

    def slope(x):
        z = special.expit(x)
        d = z * special.expit(-x)
        for _ in range(steps):
            z, d = 3.9 * z * (1 - z), 3.9 * (1 - 2 * z) * d
        return d

    return f, slope


chebyshev = np.polynomial.Chebyshev.basis(20)
wilkinson = np.polynomial.Polynomial.fromroots(range(1, 9))
root_two_pi = np.sqrt(2 * np.pi)

# name → where it is defined, the function, its slope
FUNCTIONS: dict[str, tuple[str, Callable, Callable]] = {
    "1/x": ("off zero", lambda x: 1 / x, lambda x: -1 / x**2),
    "1/x³": ("off zero", lambda x: 1 / x**3, lambda x: -3 / x**4),
    "cube root": ("off zero", np.cbrt, lambda x: np.cbrt(x) / (3 * x)),
    "gammaln": ("positive", special.gammaln, special.digamma),
    "digamma": ("positive", special.digamma, lambda x: special.polygamma(1, x)),
    "square root": ("positive", np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": ("positive", np.log, lambda x: 1 / x),
    "x log x": ("positive", lambda x: x * np.log(x), lambda x: np.log(x) + 1),
    "inverse of softplus": (
        "positive",
        lambda x: x + np.log(-np.expm1(-x)),
        lambda x: -1 / np.expm1(-x),
    ),
    "logit": ("below one", special.logit, lambda x: 1 / (x * (1 - x))),
    "exp(1/x)": ("middle", lambda x: np.exp(1 / x), lambda x: -np.exp(1 / x) / x**2),
    "sin(1/x)": ("middle", lambda x: np.sin(1 / x), lambda x: -np.cos(1 / x) / x**2),
    "x^x": ("middle", lambda x: x**x, lambda x: x**x * (1 + np.log(x))),
    "sin 1000 x": ("real", lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x)),
    "x^10": ("real", lambda x: x**10, lambda x: 10 * x**9),
    "erf": ("real", special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "log of a normal tail": (
        "small",
        special.log_ndtr,
        lambda x: np.exp(-(x**2) / 2 - special.log_ndtr(x)) / root_two_pi,
    ),
    "Bessel": ("real", special.j0, lambda x: -special.j1(x)),
    "|x|": ("real", np.abs, np.sign),
    "|x|^1.5": (
        "real",
        lambda x: np.abs(x) ** 1.5,
        lambda x: 1.5 * np.sign(x) * np.sqrt(np.abs(x)),
    ),
    "clip": ("real", lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1),
    "tanh 100 x": (
        "real",
        lambda x: np.tanh(100 * x),
        lambda x: 100 / np.cosh(np.clip(100 * x, -300, 300)) ** 2,
    ),
    "length, held off zero": (
        "real",
        lambda x: np.sqrt(x**2 + 1e-12),
        lambda x: x / np.sqrt(x**2 + 1e-12),
    ),
    "x + 1e6": ("real", lambda x: x + 1e6, np.ones_like),
    "1e-12 x": ("real", lambda x: 1e-12 * x, lambda x: np.full_like(x, 1e-12)),
    "0": ("real", np.zeros_like, np.zeros_like),
    "Chebyshev 20": ("below one", chebyshev, chebyshev.deriv()),
    "Wilkinson 8": ("small", wilkinson, wilkinson.deriv()),
    "10 steps of the logistic map": ("small", *logistic_map(10)),
    "45 steps of the logistic map": ("small", *logistic_map(45)),
}


def places(domain: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Usual and unusual arrays in a domain."""
    z, u = rng.standard_normal((5, 4)), rng.uniform(0.5, 2, (5, 4))
    signs, powers = rng.choice([-1, 1], (5, 4)), 10.0 ** rng.uniform(-9, 3, (5, 4))
    at = {"usual": u, "one": u[:1, :1], "equal": np.full((5, 4), 0.75)}
    if domain in ("positive", "off zero"):
        at |= {"of 1e-4": 1e-4 * u, "of 1e-8": 1e-8 * u, "of 1e-15": 1e-15 * u}
        at |= {"of 1e3": 1e3 * u, "of all sizes": powers, "whole": np.ceil(3 * u)}
        at = (
            {name: x * signs[: len(x), : x.shape[1]] for name, x in at.items()}
            if domain == "off zero"
            else at
        )
    elif domain == "below one":
        at = {
            "usual": u / 2.1,
            "small": 1e-8 * u,
            "near one": 1 - 1e-4 * u,
            "half": np.full((5, 4), 0.5),
        }
    elif domain == "middle":
        at |= {"low": 0.2 * u, "whole": np.ceil(2 * u)}
    else:
        at = {
            "usual": z,
            "of 1e-8": 1e-8 * z,
            "zeros": 0 * z,
            "lattice": np.round(2 * z) / 2,
            "one": z[:1, :1],
        }
        at |= {"a row of zeros": z * np.array([1, 0, 1, 1, 0])[:, None], "wide": 5 * z}
        if domain == "real":
            at |= {"of 1e3": 1e3 * z, "of 1e6": 1e6 * z, "of all sizes": signs * powers}
    return at


def functions() -> Iterator[Case]:
    for name, (domain, f, slope) in FUNCTIONS.items():
        for place, x in places(domain, np.random.default_rng(0)).items():
            back = partial(along, slope)
            yield Case(f"{name}, {place}", partial(Function, f, back), x)


def along(slope: Callable, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    return slope(x) * dy


# ------------------------------------------------------------------------------ rows and matrices


def first(shape: tuple) -> tuple:
    return shape[:1]


def hilbert(n: int) -> np.ndarray:
    return 1 / (1 + np.arange(n)[:, None] + np.arange(n))


def of_length_one(x, epsilon):
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + epsilon)


def of_length_one_back(dy, x, epsilon):
    r = 1 / np.sqrt((x**2).sum(-1, keepdims=True) + epsilon)
    y = x * r
    return r * (dy - y * (dy * y).sum(-1, keepdims=True))


def sorted_back(dy, x):
    dx = np.empty_like(dy)
    np.put_along_axis(dx, np.argsort(x, -1, kind="stable"), dy, -1)
    return dx


def solved(x):
    return np.linalg.solve(hilbert(x.shape[1]).astype(x.dtype), x.T).T


def inverse_back(dy, x):
    y = np.linalg.inv(x).swapaxes(-1, -2)
    return -y @ dy @ y


def matrices() -> Iterator[Case]:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((3, 4, 4))
    near = a.copy()
    near[:, 3] = near[:, 2] + 1e-6 * rng.standard_normal((3, 4))
    at = {"usual": a, "of 1e-3": 1e-3 * a, "of 1e3": 1e3 * a, "near one": np.eye(4) + 1e-3 * a}
    at |= {"nearly singular": near}

    def log_det_back(dy, x):
        return dy[:, None, None] * np.linalg.inv(x).swapaxes(1, 2)

    log_det = partial(Function, lambda x: np.linalg.slogdet(x)[1], log_det_back, first)
    for name, make in (
        ("log det", log_det),
        ("inverse", partial(Function, np.linalg.inv, inverse_back)),
    ):
        for place, x in at.items():
            yield Case(f"{name}, {place}", make, x)
    for n in (4, 6):
        yield Case(
            f"Hilbert {n}",
            partial(Function, solved, lambda dy, x: solved(dy)),
            rng.standard_normal((3, n)),
        )
    z = rng.standard_normal((4, 5))
    rows = {
        "usual": z,
        "of 1e-8": 1e-8 * z,
        "zeros": 0 * z,
        "whole": np.round(z),
        "a row of zeros": z * np.array([1, 0, 1, 0])[:, None],
    }
    for place, x in rows.items():
        for epsilon in (1e-2, 1e-12, 1e-30):
            if place in ("zeros", "a row of zeros") and epsilon < 1e-12:
                continue
            to = partial(of_length_one, epsilon=epsilon)
            back = partial(of_length_one_back, epsilon=epsilon)
            yield Case(f"length one by {epsilon}, {place}", partial(Function, to, back), x)
        if place.startswith(("usual", "of")):
            yield Case(
                f"sorted, {place}", partial(Function, partial(np.sort, axis=-1), sorted_back), x
            )


# ------------------------------------------------------------------------------- shipped layers


def unusual(x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """x in other sizes and with equal numbers; between 0 and 1 it stays there."""
    by_row = np.reshape(np.arange(len(x)) % 2, (-1, *[1] * (x.ndim - 1)))
    found = {"zeros": 0 * x, "equal": np.full_like(x, 0.3), "rows of zeros": by_row * x}
    if x.min() < 0:
        found |= {"of 1e-8": 1e-8 * x, "of 1e3": 1e3 * x, "of 1e6": 1e6 * x}
        found |= {"lattice": np.round(2 * x) / 2, "shifted": 100 + x}
        found |= {"of all sizes": x * 10.0 ** rng.integers(-6, 4, x.shape)}
    return found


# jumps, where there is no slope; poles, where forward is not finite; and what holds something for
# constant on purpose
CONSTANT = ("SpectralNormalization",)
JUMPS = ("AugMix", "AutoContrast", "ContrastLimited", "Discretization", "Equalization", "Rand")
POLES = (
    "Divide",
    "Exponential",
    "MelSpectrogram",
    "PowerOf",
    "RaiseTo",
    "Remainder",
    "Solarization",
)


def shipped(every: int = 9) -> Iterator[Case]:
    """Layers of the catalogue at unusual numbers: each `every`-th of all pairs."""
    k = 0
    for case in catalogue.cases():
        rng = np.random.default_rng(len(case.name))
        x = case.x(rng)
        if (
            not isinstance(x, np.ndarray)
            or x.dtype.kind != "f"
            or case.name.startswith(JUMPS + POLES + CONSTANT)
        ):
            continue
        for place, there in unusual(x, rng).items():
            k += 1
            if k % every == 0:
                yield Case(f"{case.name}, {place}", case.make, there, case.options)


def losses() -> Iterator[Case]:
    """Losses of networks that are nearly sure, or nearly right, and with weights of 0."""
    for case in catalogue.cases():
        x = case.x(np.random.default_rng(0))
        if not hasattr(case.make(), "takes_targets") or not case.make().takes_targets:
            continue
        y_true, y_pred, *weights = x
        if y_pred.dtype.kind != "f" or not y_pred.min() > 0 or y_pred.max() > 1:
            continue
        if np.allclose(y_pred.sum(-1), 1):
            sure = {
                f"to the power of {n}": y_pred**n / (y_pred**n).sum(-1, keepdims=True)
                for n in (4, 8)
            }
        else:
            sure = {"of 1e-3": 1e-3 * y_pred, "of 1e-6": 1e-6 * y_pred, "near 1": 1 - 1e-3 * y_pred}
        for place, there in sure.items():
            yield Case(f"{case.name}, {place}", case.make, (y_true, there, *weights))
        for w in weights:
            yield Case(
                f"{case.name}, weights of 0",
                case.make,
                (y_true, y_pred, w * (np.arange(len(w)) % 2)),
            )


# --------------------------------------------------------------------------------------- models


def seeded(make: Callable[[], Any]) -> Any:
    bp.utils.set_random_seed(0)
    return make()


def chaotic(cls: type, spread: float) -> Any:
    """A recurrent layer in which a trifle grows from step to step."""
    initial = bp.initializers.RandomNormal(0, spread, seed=0)
    layer = cls(16, return_sequences=True, recurrent_initializer=initial)
    layer.build((None, None, 3))
    return layer


def deep(activation: str, depth: int = 30) -> Any:
    return L.Chain([L.Dense(6, activation) for _ in range(depth)])


def compiled(activation: str, units: int) -> Any:
    model = bp.Sequential(
        [bp.Input((5,)), L.Dense(units, activation), L.Dropout(0.3), L.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def models() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    x, steps = rng.standard_normal((6, 5)), rng.standard_normal((2, 60, 3))
    labels = rng.integers(0, 3, 6)
    for activation in ("tanh", "relu", "gelu", "sigmoid", "softplus"):
        yield Case(f"30 of {activation}", partial(seeded, partial(deep, activation)), x)
    for cls in (L.SimpleRNN, L.LSTM, L.GRU):
        for spread in (0.3, 1.0, 3.0):
            make = partial(seeded, partial(chaotic, cls, spread))
            yield Case(f"{cls.__name__} of spread {spread}", make, steps, {"values": "own"})
    for activation, units in (("relu", 50), ("tanh", 50), ("relu", 300)):
        make = partial(seeded, partial(compiled, activation, units))
        for place, there in {"usual": x, "of 100": 100 * x, "zeros": 0 * x}.items():
            yield Case(f"{units} of {activation}, {place}", make, there, {"y": labels})
