"""Does the floor of a gradient check hold? Errors hidden in one random entry, and which fail.

    python benchmarks/gradcheck_floor.py [draws]

For each layer and draw the right gradient is checked, one entry of one gradient is made wrong by
twice the floor that the report printed, and it is checked again. Printed: how many fail, the floor
as a share of the gradient's root mean square, and the forward passes of a whole check.
"""

import sys
import warnings

import numpy as np

import backprop as bp
from backprop import layers
from backprop.gradcheck import gradcheck
from backprop.gradcheck.probe import Probe

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


def main(draws):
    warnings.simplefilter("ignore")
    Probe.reverse = wrong_reverse
    total = []
    for name, (make, shape) in SUBJECTS.items():
        found, floors, forwards = zip(*[tried(make, shape, s) for s in range(draws)], strict=True)
        total += found
        print(
            f"{name:20s} {sum(found)} of {draws} found, floor {np.median(floors):.1e} of the "
            f"gradient, {np.median(forwards):.0f} forward passes",
            flush=True,
        )
    print(f"{sum(total)} of {len(total)} found at twice the floor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
