"""Draw the gallery of docs/pictures.md: `python docs/images/pictures.py`.

Trains a few small networks, for some seconds each, and draws every picture of
`backprop.diagnostics` into `pictures/` beside this file, or into the folder that is given. With
`--short` the networks are hardly trained.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

import backprop as bp
from backprop import diagnostics as show
from backprop.callbacks import ActivationStatistics, GradientFlow

WIDTH = 460  # pixels at most, so that two stand beside each other


def digits(short):
    """A convolutional network on the digits, and its autoencoder."""
    (x, y), (x_test, y_test) = bp.datasets.digits.load_data()
    x, x_test = (part.reshape(-1, 8, 8, 1) / 16 for part in (x, x_test))
    if short:
        x, y = x[:200], y[:200]
    model = bp.Sequential(
        [
            bp.Input((8, 8, 1)),
            bp.layers.Conv2D(16, 3, padding="same", activation="relu", name="first"),
            bp.layers.Conv2D(16, 3, activation="relu", name="second"),
            bp.layers.Flatten(),
            bp.layers.Dense(32, "relu", name="hidden"),
            bp.layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    flow, activations = GradientFlow(every=10), ActivationStatistics(every=10)
    history = model.fit(
        x,
        y,
        epochs=1 if short else 10,
        validation_data=(x_test, y_test),
        verbose=0,
        callbacks=[flow, activations],
    )
    pictured = bp.Sequential(
        [
            bp.Input((8, 8, 1)),
            bp.layers.Flatten(),
            bp.layers.Dense(64, "relu"),
            bp.layers.Dense(16, name="code"),
            bp.layers.Dense(64, "relu"),
            bp.layers.Dense(64, "sigmoid"),
            bp.layers.Reshape((8, 8, 1)),
        ]
    )
    pictured.compile(bp.optimizers.Adam(0.003), "mse")
    pictured.fit(x, x, epochs=1 if short else 60, verbose=0)

    p = model.predict(x_test, verbose=0)
    hidden = model.activations(x_test, "hidden")["hidden"]
    eight = x_test[np.flatnonzero(y_test == 8)[0]]
    return {
        "learning_curve": show.plot_learning_curve(history),
        "gradient_flow": show.plot_gradient_flow(flow),
        "update_ratios": show.plot_gradient_flow(flow, quantity="update_ratios"),
        "activations": show.plot_activation_histograms(activations),
        "confusion": show.plot_confusion_matrix(y_test, p),
        "roc": show.plot_roc_curve(y_test, p),
        "precision_recall": show.plot_precision_recall_curve(y_test, p),
        "calibration": show.plot_calibration_curve(y_test, p),
        "filters": show.plot_filters(model),
        "feature_maps": show.plot_feature_maps(model, eight),
        "saliency": show.plot_saliency(model, eight),
        "occlusion": show.plot_occlusion(model, eight),
        "embedding": show.plot_embedding(hidden, y_test),
        "reconstructions": show.plot_reconstructions(pictured, x_test, most=6),
    }


def spirals(short):
    """Three spirals, and a perceptron that tells them apart."""
    rng = np.random.default_rng(0)
    t, arms = np.linspace(0.3, 2.2, 90), []
    for k in range(3):
        angle = 2 * t + 2 * np.pi * k / 3
        arms.append(np.stack([t * np.cos(angle), t * np.sin(angle)], 1))
    x = np.concatenate(arms) + rng.normal(0, 0.08, (270, 2))
    y = np.repeat(np.arange(3), 90)
    model = bp.Sequential(
        [
            bp.Input((2,)),
            bp.layers.Dense(64, "tanh"),
            bp.layers.Dense(64, "tanh"),
            bp.layers.Dense(3, "softmax"),
        ]
    )
    model.compile(bp.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2 if short else 100, verbose=0)
    labels = ["first arm", "second arm", "third arm"]
    return {"boundary": show.plot_decision_boundary(model, x, y, labels=labels)}


def letters(short):
    """A transformer that has to say which capital stands among small letters."""
    rng = np.random.default_rng(0)
    names = [*"abcdefghijkl", *"ABCD"]
    x = rng.integers(0, 12, (2000, 10))
    y = rng.integers(0, 4, 2000)
    x[np.arange(2000), rng.integers(0, 9, 2000)] = 12 + y
    symbols = bp.Input((10,), dtype="int32")
    h = bp.layers.Embedding(len(names), 16)(symbols)
    h = bp.layers.TransformerBlock(32, 2, name="block")(h)
    model = bp.Model(symbols, bp.layers.Dense(4, "softmax")(h[:, -1]))
    model.compile(bp.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1 if short else 8, verbose=0)
    tokens = [names[i] for i in x[0]]
    return {"attention": show.plot_attention(model, x[0], tokens=tokens)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    folder = Path(__file__).with_suffix("")
    parser.add_argument("folder", nargs="?", type=Path, default=folder)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args(arguments)
    options.folder.mkdir(exist_ok=True)
    bp.utils.set_random_seed(0)
    with warnings.catch_warnings():
        if options.short:
            warnings.simplefilter("ignore", UserWarning)  # of what hardly trained networks do
        drawn = {
            k: v for make in (digits, spirals, letters) for k, v in make(options.short).items()
        }
    for name, ax in drawn.items():
        width, _ = ax.figure.get_size_inches()
        ax.figure.savefig(options.folder / f"{name}.png", dpi=min(80, WIDTH / width))
        plt.close(ax.figure)


if __name__ == "__main__":
    main()
