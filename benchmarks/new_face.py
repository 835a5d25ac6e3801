"""What images, columns, metrics, optimizers, losses, sounds and files cost beside Keras.

    python benchmarks/new_face.py
    python benchmarks/new_face.py --only RandomHue hashing    # cases whose name has one of these
    python benchmarks/new_face.py --tensorflow PYTHON         # an interpreter that has TensorFlow
    python benchmarks/new_face.py --quick                     # small arrays: does it run?

The same code runs with either library, whose faces are alike: a case below gets the library and
returns a call. Each library is in a process of its own, on one core. They take turns, each turn as
many calls as take a twentieth of a second; the least CPU time of a call counts, since whatever
else the machine does only adds. Keras' calls are warmed up by then. A ratio is the time of the
fastest other over ours: below 1 we are slower. The last column is the largest memory that NumPy had
for us at once within the call, over that of its input.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from shared import machine  # noqa: E402

machine.unset_blas_limits()

import numpy as np  # noqa: E402

Array = np.ndarray
Call = Callable[[], Any]
# what makes a call of a library, and how many bytes its input has, 0 where memory does not matter
Case = Callable[[Any], tuple[Call, int]]

TURN = 0.05  # seconds of CPU time
ENGINES = {
    "keras-jax": {
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    },
    "keras-numpy": {"KERAS_BACKEND": "numpy"},
    "keras-tensorflow": {"KERAS_BACKEND": "tensorflow"},
}
QUICK = "--quick" in sys.argv


def size(full: int, quick: int) -> int:
    return quick if QUICK else full


def random() -> np.random.Generator:
    return np.random.default_rng(0)


# ------------------------------------------------------------------------------------------ cases


BATCHES = [(2, 16, 16, 3)] if QUICK else [(32, 96, 96, 3), (8, 224, 224, 3)]
IMAGES: dict[str, dict[str, Any]] = {
    "Resizing": {"height": 64, "width": 80},
    "CenterCrop": {"height": 12, "width": 10},
    "RandomCrop": {"height": 12, "width": 10},
    "RandomFlip": {},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomRotation": {"factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
    "RandomShear": {"x_factor": 0.2, "y_factor": 0.2},
    "RandomPerspective": {},
    "RandomElasticTransform": {"scale": (0.5, 0.5)},
    "RandomBrightness": {"factor": 0.2},
    "RandomContrast": {"factor": 0.2},
    "RandomHue": {"factor": 0.2},
    "RandomSaturation": {"factor": 0.4},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {
        "brightness_factor": 0.2,
        "contrast_factor": 0.2,
        "saturation_factor": 0.4,
        "hue_factor": 0.2,
    },
    "RandomGrayscale": {},
    "RandomErasing": {},
    "RandomGaussianBlur": {"factor": (1.0, 1.0), "kernel_size": 5},
    "RandomSharpness": {"factor": 0.4},
    "RandomInvert": {},
    "RandomPosterization": {"factor": 4},
    "Solarization": {"addition_factor": 0.2, "threshold_factor": 0.5},
    "AutoContrast": {},
    "Equalization": {},
    "ContrastLimitedAdaptiveHistogramEqualization": {},
    "MixUp": {},
    "CutMix": {},
    "RandAugment": {"seed": 1},
    "AugMix": {"seed": 1},
}


def images(name: str, shape: tuple[int, ...]) -> Case:
    def case(library):
        x = random().uniform(0, 255, shape).astype(np.float32)
        layer = getattr(library.layers, name)(**IMAGES[name])
        given = {"images": x} if name in ("MixUp", "CutMix") else x
        return lambda: layer(given, training=True), x.nbytes

    return case


def words(n: int, known: int = 5000) -> Array:
    return np.array([f"word{i}" for i in random().zipf(1.3, n) % known])


def given(library: Any, x: Array) -> Any:
    """An array as the library wants it: TensorFlow's own where strings are in it."""
    if library.__name__ == "keras" and x.dtype.kind in "OU":
        import tensorflow as tf

        return tf.constant(x.tolist())
    return x


def columns(name: str, x: Callable[[], Array], **arguments: Any) -> Case:
    def case(library):
        layer, values = getattr(library.layers, name)(**arguments), given(library, x())
        return lambda: layer(values), 0

    return case


def adapted(name: str, x: Callable[[], Array], *, learn: bool, **arguments: Any) -> Case:
    def case(library):
        values = given(library, x())

        def learned():
            layer = getattr(library.layers, name)(**arguments)
            layer.adapt(values)
            return layer

        if learn:
            return lambda: learned() and None, 0
        layer = learned()
        return lambda: layer(values), 0

    return case


def crossing(library):
    a, b = words(size(200_000, 100)), random().integers(0, 100, size(200_000, 100))
    layer = library.layers.HashedCrossing(num_bins=1000)
    if library.__name__ == "keras":
        import tensorflow as tf

        b = tf.constant(b)
    pair = given(library, a), b
    return lambda: layer(pair), 0


def sentences() -> Array:
    rows = words(size(200_000, 100)).reshape(-1, 10)
    return np.array([" ".join(row) + "!" for row in rows])


def feature_space(learn: bool) -> Case:
    def case(library):
        n, rng = size(100_000, 100), random()
        table = {
            "age": rng.normal(40, 10, n).astype(np.float32),
            "city": words(n, 50),
            "rank": rng.integers(0, 10, n),
            "income": rng.normal(0, 1, n).astype(np.float32),
        }
        data = {key: given(library, column) for key, column in table.items()}
        tensors: Any = data
        space_of = library.utils.FeatureSpace

        def dataset():
            if library.__name__ != "keras":
                return table
            import tensorflow as tf

            return tf.data.Dataset.from_tensor_slices(tensors).batch(1024)

        def learned():
            space = space_of(
                features={
                    "age": "float_normalized",
                    "city": "string_categorical",
                    "rank": "integer_categorical",
                    "income": space_of.float_discretized(num_bins=16),
                },
                crosses=[space_of.cross(("city", "rank"), crossing_dim=32)],
                output_mode="concat",
            )
            space.adapt(dataset())
            return space

        if learn:
            return lambda: learned() and None, 0
        space = learned()
        return lambda: space(data), 0

    return case


def metric(name: str, kind: str, batch: int | None, **arguments: Any) -> Case:
    def case(library):
        n, rng = size(1_000_000, 2048), random()
        if kind == "binary":
            y, p = rng.integers(0, 2, n).astype(np.float32), rng.random(n).astype(np.float32)
        elif kind == "classes":
            y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, n)]
            p = rng.random((n, 10)).astype(np.float32)
        else:
            y, p = rng.integers(0, 10, n), rng.integers(0, 10, n)
        found = getattr(library.metrics, name)(**arguments)
        rows = batch or n

        def call():
            found.reset_state()
            for i in range(0, n, rows):
                found.update_state(y[i : i + rows], p[i : i + rows])
            return np.asarray(found.result())

        return call, 0

    return case


METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "AUC": ("binary", {}),
    "PrecisionAtRecall": ("binary", {"recall": 0.5}),
    "Precision": ("classes", {"top_k": 3}),
    "F1Score": ("classes", {"average": "macro"}),
    "MeanIoU": ("numbers", {"num_classes": 10}),
}


OPTIMIZERS = "Adam", "Adafactor", "Lamb", "Muon", "Ftrl", "ScheduleFreeAdamW"
WIDTHS = {"small": (20, 32, 32, 3), "mnist": (784, 512, 512, 10)}


def optimizer(name: str, widths: tuple[int, ...]) -> Case:
    """A step of the optimizer alone, with gradients that are there."""

    def case(library):
        rng = random()
        shapes = [s for n, m in itertools.pairwise(widths) for s in ((n, m), (m,))]
        arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        gradients = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        made = getattr(library.optimizers, name)()
        if library.__name__ == "keras":
            variables = [library.Variable(a) for a in arrays]
            gradients = [library.ops.convert_to_tensor(g) for g in gradients]

            def call():
                made.apply(gradients, variables)
                return [v.value for v in variables]

            return call, 0
        from backprop.vector import ParameterVector

        layers = [library.layers.Dense(m) for m in widths[1:]]
        for layer, n in zip(layers, widths, strict=False):
            layer.build((None, n))
        vector = ParameterVector([a for layer in layers for a in layer.arrays()])
        vector.values[:] = np.concatenate([a.ravel() for a in arrays])
        vector.gradients[:] = np.concatenate([g.ravel() for g in gradients])
        made.build(vector)
        return lambda: made.step(vector), 0

    return case


LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "Dice": ("image", {}),
    "Tversky": ("image", {}),
    "CategoricalFocalCrossentropy": ("classes", {}),
    "Circle": ("embedding", {}),
    "Quantile": ("image", {}),
    "GaussianNLL": ("uncertain", {}),
    "MeanSquaredError": ("image", {}),
}


def loss(name: str) -> Case:
    kind, arguments = LOSSES[name]

    def case(library):
        rng, n = random(), size(32, 2)
        if kind == "image":
            y = rng.integers(0, 2, (n, 96, 96, 3)).astype(np.float32)
            p = rng.random(y.shape).astype(np.float32)
        elif kind == "uncertain":
            y = rng.standard_normal((n, 96, 96, 3)).astype(np.float32)
            p = rng.standard_normal((n, 96, 96, 6)).astype(np.float32)
        elif kind == "classes":
            y = np.eye(100, dtype=np.float32)[rng.integers(0, 100, size(10_000, 10))]
            p = rng.random(y.shape).astype(np.float32) + 0.1
            p /= p.sum(1, keepdims=True)
        else:
            p = rng.standard_normal((size(1000, 10), 64)).astype(np.float32)
            p /= np.linalg.norm(p, axis=1, keepdims=True)
            y = rng.integers(0, 10, len(p))
        of = getattr(library.losses, name)(**arguments)
        return call_of_loss(library, of, y, p), p.nbytes

    return case


def call_of_loss(library: Any, of: Any, y: Array, p: Array) -> Call:
    """The loss and its gradient; on Keras with JAX by its own derivation, not compiled."""
    if library.__name__ != "keras":
        return lambda: of.backward(of.forward(y, p)[1])
    if library.config.backend() == "jax":
        import jax

        both = jax.jit(jax.value_and_grad(lambda p: of(y, p)))
        return lambda: both(p)
    return lambda: of(y, p)


LAYERS: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "Dense": ((64, 100, 256), "Dense", {"units": 256}),
    "EinsumDense": (
        (64, 100, 256),
        "EinsumDense",
        {"equation": "abc,cd->abd", "output_shape": (None, 256), "bias_axes": "d"},
    ),
    "EinsumDense, heads": (
        (64, 100, 256),
        "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (None, 8, 32)},
    ),
    "STFTSpectrogram": ((16, 16000, 1), "STFTSpectrogram", {}),
    "MelSpectrogram": ((16, 16000), "MelSpectrogram", {}),
    "Conv2DTranspose": (
        (16, 32, 32, 32),
        "Conv2DTranspose",
        {"filters": 32, "kernel_size": 3, "strides": 2},
    ),
    "Conv3DTranspose": (
        (4, 8, 16, 16, 32),
        "Conv3DTranspose",
        {"filters": 32, "kernel_size": 3, "strides": 2},
    ),
    "BatchNormalization": ((256, 14, 14, 64), "BatchNormalization", {}),
    "BatchNormalization, renorm": ((256, 14, 14, 64), "BatchNormalization", {"renorm": True}),
}


def layer(name: str) -> Case:
    shape, kind, arguments = LAYERS[name]
    if QUICK:
        shape = (2, *shape[1:])

    def case(library):
        x = random().standard_normal(shape).astype(np.float32)
        made = getattr(library.layers, kind)(**arguments)
        made(x)
        return lambda: made(x, training=True), x.nbytes

    return case


def directory(library):
    from PIL import Image

    folder, rng, n = Path(tempfile.mkdtemp()), random(), size(200, 4)
    for i in range(n):
        (folder / f"{i % 2}").mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i % 2}" / f"{i}.png")
    more = {"format": "grain"} if library.__name__ == "keras" else {}

    def call():
        data = library.utils.image_dataset_from_directory(
            str(folder), image_size=(96, 96), verbose=False, **more
        )
        return sum(len(x) for x, _ in data)

    return call, 0


def imdb(library):
    path, rng = Path(tempfile.mkdtemp()) / "imdb.npz", random()
    n = size(5000, 20)

    def texts():
        array = np.empty(n, object)
        for i in range(n):
            array[i] = (rng.zipf(1.3, rng.integers(50, 430)) % 88_000 + 1).tolist()
        return array

    y = rng.integers(0, 2, n)
    np.savez(path, x_train=texts(), y_train=y, x_test=texts(), y_test=y)
    if library.__name__ == "keras":  # which would fetch its own file
        sys.modules["keras.src.datasets.imdb"].get_file = lambda **_: str(path)  # type: ignore[attr-defined]
    return lambda: library.datasets.imdb.load_data(str(path)) and None, 0


def model_file(load: bool) -> Case:
    def case(library):
        layers = [library.layers.Dense(64, activation="relu") for _ in range(50)]
        model = library.Sequential([library.Input((64,)), *layers])
        path = str(Path(tempfile.mkdtemp()) / "model.keras")
        model.save(path)
        if load:
            return lambda: library.saving.load_model(path, compile=False) and None, 0
        return lambda: model.save(path), 0

    return case


def cases() -> dict[str, dict[str, Case]]:
    """The cases in their sections."""
    n = size(1_000_000, 100)
    numbers = lambda: random().integers(0, 1000, n)  # noqa: E731
    reals = lambda: random().standard_normal(n).astype(np.float32)  # noqa: E731
    strings = lambda: words(size(200_000, 100))  # noqa: E731
    lookup, text = "StringLookup", "TextVectorization"
    return {
        "images": {
            f"{name} {'x'.join(map(str, shape))}": images(name, shape)
            for shape in BATCHES
            for name in IMAGES
        },
        "columns": {
            "Hashing, strings": columns("Hashing", strings, num_bins=1000),
            "Hashing, integers": columns("Hashing", numbers, num_bins=1000),
            "Hashing, salt": columns("Hashing", strings, num_bins=1000, salt=3),
            "HashedCrossing": crossing,
            "StringLookup, adapt": adapted(lookup, strings, learn=True),
            "StringLookup": adapted(lookup, strings, learn=False),
            "IntegerLookup, adapt": adapted("IntegerLookup", numbers, learn=True),
            "IntegerLookup": adapted("IntegerLookup", numbers, learn=False),
            "TextVectorization, adapt": adapted(text, sentences, learn=True),
            "TextVectorization": adapted(text, sentences, learn=False),
            "TextVectorization, tf_idf": adapted(
                text, sentences, learn=False, output_mode="tf_idf", max_tokens=500
            ),
            "CategoryEncoding, one_hot": columns(
                "CategoryEncoding", numbers, num_tokens=1000 // 20 * 20, output_mode="one_hot"
            )
            if QUICK
            else columns(
                "CategoryEncoding",
                lambda: random().integers(0, 20, n),
                num_tokens=20,
                output_mode="one_hot",
            ),
            "CategoryEncoding, multi_hot": columns(
                "CategoryEncoding",
                lambda: random().integers(0, 20, (n // 10, 10)),
                num_tokens=20,
                output_mode="multi_hot",
            ),
            "Discretization, adapt": adapted("Discretization", reals, learn=True, num_bins=20),
            "Discretization": adapted("Discretization", reals, learn=False, num_bins=20),
            "FeatureSpace, adapt": feature_space(True),
            "FeatureSpace": feature_space(False),
        },
        "metrics": {
            f"{name}, {'at once' if batch is None else 'batches'}": metric(
                name, kind, batch, **arguments
            )
            for name, (kind, arguments) in METRICS.items()
            for batch in (None, 1024)
        },
        "optimizers": {
            f"{name}, {width}": optimizer(name, widths)
            for width, widths in WIDTHS.items()
            for name in OPTIMIZERS
        },
        "losses": {name: loss(name) for name in LOSSES},
        "layers": {name: layer(name) for name in LAYERS},
        "files": {
            "image_dataset_from_directory": directory,
            "imdb.load_data": imdb,
            "model.save": model_file(False),
            "load_model": model_file(True),
        },
    }


# ---------------------------------------------------------------------------------------- running


def settled(result: Any) -> None:
    """Wait for what a library computes behind the call's back."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        for part in result:
            settled(part)
    elif hasattr(result, "block_until_ready"):
        result.block_until_ready()


def serve(name: str) -> None:
    """Answer each line, the name of a section and of a case, with the seconds of a call."""
    import warnings

    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print
    machine.limit_threads(1)
    if name == "backprop":
        import backprop as library
        from backprop.training.memory import keep_freed_memory

        keep_freed_memory()  # as it is where a model is trained
    else:
        import keras as library
    made: dict[str, tuple[Call, int]] = {}
    found = cases()
    for line in sys.stdin:
        section, case, memory = json.loads(line)
        try:
            if case not in made:
                made = {case: found[section][case](library)}
                settled(made[case][0]())
            reply: Any = peak(*made[case]) if memory else timed(made[case][0])
        except Exception as error:
            reply = f"{type(error).__name__}: {error}".splitlines()[0][:150]
        print(json.dumps(reply), file=answers, flush=True)


def timed(call: Call) -> float:
    """CPU seconds of a call, the least of as many as take a turn."""
    least, begin = np.inf, time.process_time()
    while True:
        start = time.process_time()
        settled(call())
        end = time.process_time()
        least = min(least, end - start)
        if end - begin > TURN:
            return float(least)


def peak(call: Call, size: int) -> float:
    """The most memory that a call has at once, over that of its input."""
    tracemalloc.start()
    call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / size if size else 0.0


class Side:
    """The process of a library."""

    def __init__(self, name: str, python: str):
        environment = os.environ | ENGINES.get(name, {}) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [python, __file__, "--serve", name, *["--quick"] * QUICK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ask(self, section: str, case: str, memory: bool = False) -> float | str:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps((section, case, memory)) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline() or '"its process ended"')
        except OSError:
            return "its process ended"

    def close(self) -> None:
        assert self.process.stdin
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure(sides: dict[str, Side], section: str, case: str, rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {name: side.ask(section, case) for name, side in sides.items()}
    for _ in range(rounds - 1):
        for name, side in sides.items():
            if isinstance(found[name], float):
                again = side.ask(section, case)
                found[name] = min(found[name], again) if isinstance(again, float) else again
    return found


def row(case: str, times: dict[str, Any], memory: Any) -> str:
    ours = times["backprop"]
    others = {n: t for n, t in times.items() if n != "backprop" and isinstance(t, float)}
    if not isinstance(ours, float):
        return f"{case:50s} FAILED: {ours}"
    ratio = f"{min(others.values()) / ours:8.2f}" if others else f"{'':8s}"
    each = "".join(
        f"{1e3 * others[n]:12.2f}" if n in others else f"{'-':>12s}"
        for n in times
        if n != "backprop"
    )
    return f"{case:50s}{ratio}{1e3 * ours:10.2f}{each}{memory if memory else 0:8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small arrays: does it run?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", default=[""], help="parts of sections' or cases' names"
    )
    parser.add_argument("--peers", nargs="*", default=["keras-jax", "keras-numpy"])
    parser.add_argument("--tensorflow", help="an interpreter that has Keras and TensorFlow")
    parser.add_argument("--json", help="where to write the seconds")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    machine.limit_threads(1)
    pythons = {"backprop": sys.executable, **{name: sys.executable for name in options.peers}}
    if options.tensorflow:
        pythons["keras-tensorflow"] = options.tensorflow
    for what, value in machine.describe(("keras", "jax")).items():
        print(f"{what}: {value}")
    sides = {name: Side(name, python) for name, python in pythons.items()}
    print(f"CPU ms, the least of {1 if options.quick else options.rounds} turns")
    print(
        f"{'':50s}{'ratio':>8s}{'ours':>10s}"
        + "".join(f"{n[:12]:>12s}" for n in sides if n != "backprop")
        + f"{'memory':>8s}"
    )
    everything = {}
    for section, of_section in cases().items():
        for case in of_section:
            if not any(part in f"{section} {case}" for part in options.only):
                continue
            times = measure(sides, section, case, 1 if options.quick else options.rounds)
            memory = sides["backprop"].ask(section, case, True)
            everything[case] = times
            print(row(case, times, memory), flush=True)
            for name, why in times.items():
                if isinstance(why, str):
                    print(f"    {name}: {why}")
    for side in sides.values():
        side.close()
    if options.json:
        Path(options.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
