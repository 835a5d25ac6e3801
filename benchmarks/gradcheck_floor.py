"""Does the floor of a gradient check hold? Errors hidden in one random entry, and which fail.

    python benchmarks/gradcheck_floor.py [draws] [--models]

For each layer and draw the right gradient is checked, one entry of one gradient is made wrong by
twice the floor that the report printed, and it is checked again. Printed: how many fail, the floor
as a share of the gradient's root mean square, and the forward passes of a whole check.

With --models, of large models instead: for each ten draws the whole model is checked once where it
is right, and then each time the one gradient that is wrong, along directions of its own.
"""

import argparse
import warnings

import numpy as np

import backprop as bp
from backprop import layers
from backprop.gradcheck import gradcheck
from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.measured import measured
from backprop.gradcheck.probe import Probe
from backprop.gradcheck.rounding import Rounding
from backprop.gradcheck.verdict import verdict_on

SUBJECTS = {
    "tanh": (lambda: layers.Activation("tanh"), (5, 4)),
    "Dense": (lambda: layers.Dense(3), (5, 4)),
    "Dense, tanh": (lambda: layers.Dense(3, "tanh"), (5, 4)),
    "Softmax": (lambda: layers.Softmax(), (5, 4)),
    "LayerNormalization": (lambda: layers.LayerNormalization(), (5, 4)),
    "BatchNormalization": (lambda: layers.BatchNormalization(), (6, 4)),
    "LSTM": (lambda: layers.LSTM(3), (2, 5, 3)),
    "GRU": (lambda: layers.GRU(3), (2, 5, 3)),
    "MultiHeadAttention": (lambda: layers.MultiHeadAttention(2, 2), (2, 4, 3)),
    "Conv2D, relu": (lambda: layers.Conv2D(3, 3, activation="relu"), (2, 5, 5, 2)),
    "Dense(200), tanh": (lambda: layers.Dense(200, "tanh"), (8, 100)),
    "Dense(200), relu": (lambda: layers.Dense(200, "relu"), (8, 100)),
}


def relu_model(width):
    """Three hidden layers of so many relus, on 16 rows."""
    last = layers.Dense(10, "softmax")
    hidden_layers = [layers.Dense(width, "relu") for _ in range(3)]
    return compiled((20,), [*hidden_layers, last]), (16, 20)


def residual_model(channels):
    """Three residual blocks of convolutions with batch normalization, on 4 images of 8 x 8."""

    def convolution():
        return [layers.Conv2D(channels, 3, padding="same"), layers.BatchNormalization()]

    blocks = [layers.Residual([*convolution(), layers.ReLU(), *convolution()]) for _ in range(3)]
    last = [layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    return compiled((8, 8, 3), [*convolution(), layers.ReLU(), *blocks, *last]), (4, 8, 8, 3)


def compiled(shape, parts):
    model = bp.Sequential([bp.Input(shape), *parts])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


MODELS = {
    "relu, 2,000 wide": lambda: relu_model(2000),
    "relu, 500 wide": lambda: relu_model(500),
    "residual, 226,000": lambda: residual_model(64),
    "residual, 15,000": lambda: residual_model(16),
}
AGAIN = 10  # draws for each check of a model that is right

hidden: tuple[int, int, float] | None = None  # slot, entry, error
reverse = Probe.reverse


def wrong_reverse(probe, run, v):
    gradients = reverse(probe, run, v)
    if hidden is not None:
        i, at, error = hidden
        gradients[i][np.unravel_index(at, gradients[i].shape)] += error
    return gradients


def tried(make, shape, seed):
    """Whether a hidden error of twice the floor fails; the floor; the forward passes."""
    global hidden
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    bp.utils.set_random_seed(seed)
    layer = make()
    if not layer.built:
        layer.build((None, *shape[1:]))
    hidden = None
    right = gradcheck(layer, x, seed=seed, lattice=False)
    slots = right.check.here.probe.slots
    i = int(rng.integers(len(slots)))
    entry = right[slots[i].name]
    rms = np.sqrt(np.mean(right.check.here.gradients[i] ** 2))
    hidden = i, int(rng.integers(slots[i].size)), 2 * entry.floor
    found = gradcheck(layer, x, seed=seed, lattice=False)[entry.name].verdict == "fail"
    return found, entry.floor / rms, right.evaluations


def tried_in_model(make, seed, draws):
    """The same of a model: of so many errors, each in the gradient that it is hidden in."""
    global hidden
    bp.utils.set_random_seed(seed)
    model, shape = make()
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal(shape), rng.integers(0, 10, shape[0])
    hidden = None
    right = gradcheck(model, x, y, seed=seed)
    check = right.check.here
    slots, results = check.probe.slots, []
    for _ in range(draws):
        i = int(rng.integers(len(slots)))
        floor = right[slots[i].name].floor
        hidden = i, int(rng.integers(slots[i].size)), 2 * floor
        run = check.probe.run(check.point)
        wrong = measured(check.probe, run, check.v, np.random.default_rng(rng.integers(2**32)))
        entry = verdict_on(i, Comparison(wrong, Rounding(wrong), right.check.reach))
        rms = np.sqrt(np.mean(check.gradients[i] ** 2))
        results.append((entry.verdict == "fail", floor / rms, right.evaluations))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("draws", type=int, nargs="?", default=100)
    parser.add_argument("--models", action="store_true", help="of large models")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    Probe.reverse = wrong_reverse
    draws, total = options.draws, []
    for name, subject in (MODELS if options.models else SUBJECTS).items():
        if options.models:
            seeds = range(0, draws, AGAIN)
            many = [tried_in_model(subject, s, min(AGAIN, draws - s)) for s in seeds]
            results = [one for those in many for one in those]
        else:
            results = [tried(*subject, s) for s in range(draws)]
        found, floors, forwards = zip(*results, strict=True)
        total += found
        print(
            f"{name:20s} {sum(found)} of {draws} found, floor {np.median(floors):.1e} of the "
            f"gradient, {np.median(forwards):.0f} forward passes",
            flush=True,
        )
    print(f"{sum(total)} of {len(total)} found at twice the floor")


if __name__ == "__main__":
    main()
