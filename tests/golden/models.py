"""Golden files of models: what `make.py` writes beside constructors and configurations.

``files.tar.xz``
    Files as this version writes them:

    ``every layer, *.npz``
        A branch for each layer of the library, one model for each shape of input.
    ``*.npz``, ``*.keras``, ``*.weights.h5``, ``weights of *.npz``
        Models in the middle of their training, with layers of each family; ``optimizers/``: with
        each optimizer.
    ``interrupted/``
        A compiled model, and the backup of its run, which ended within an epoch.
    ``tables/``
        A CSV file, what `backprop train` made of it, and what `backprop predict` said.
    ``arrays.npz``
        NumPy's: for each model its data, and what it predicts for them.
``expected.json``
    How the models were trained so far, and what comes of it when they are trained on.
"""

import contextlib
import copy
import io
import json
import tarfile
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from layer_examples import example

import backprop as bp
from backprop import cli, layers, optimizers
from backprop.callbacks import BackupAndRestore, Callback, EarlyStopping, ReduceLROnPlateau
from backprop.config import called
from backprop.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Chain,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GroupNormalization,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    MultiHeadAttention,
    Parallel,
    RandomFlip,
    Residual,
    SeparableConv2D,
    SimpleRNN,
    SpectralNormalization,
)
from backprop.optimizers import schedules

SEED = 11
BATCH = 4
EPOCHS = 2  # before a model is saved, and after it


class Golden:
    """What is in the files, and what is expected of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.expected: dict[str, Any] = defaultdict(dict)
        self.arrays: dict[str, np.ndarray] = {}

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        return path

    def keep(self, name: str, model: Any, x: Any, y: Any, also: tuple[str, ...] = ()) -> None:
        """Train a model for some epochs, save it, and note what it does and how it goes on."""
        options = {"batch_size": None if model.optimizer.full_batch else BATCH, "verbose": 0}
        model.fit(x, y, epochs=EPOCHS, **options)
        model.save(self.path(f"{name}.npz"))
        for other in also:
            (model.save if other.endswith(".keras") else model.save_weights)(self.path(other))
        output = model.predict(x, verbose=0)
        self.arrays |= {f"{name}/x": x, f"{name}/y": y, f"{name}/output": output}
        iterations = int(model.optimizer.iterations)
        later = model.fit(x, y, initial_epoch=EPOCHS, epochs=2 * EPOCHS, **options)
        self.expected["models"][name] = {
            "iterations": iterations,
            "fit": options | {"initial_epoch": EPOCHS, "epochs": 2 * EPOCHS},
            "history": later.history,
            "also": also,
        }


def write_models(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "sequential.* has no trainable weights")
        warnings.filterwarnings("ignore", "a file of Keras does not say which weights")
        golden = Golden(Path(temporary))
        every_layer(golden)
        families(golden)
        every_optimizer(golden)
        interrupted_runs(golden)
        tables(golden)
        np.savez(golden.folder / "arrays.npz", **golden.arrays)
        write_archive(folder / "files.tar.xz", golden.folder)
    (folder / "expected.json").write_text(json.dumps(golden.expected) + "\n")


def write_archive(path: Path, folder: Path) -> None:
    """One stream of all files: they have much in common."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(file.relative_to(folder).as_posix())  # without owner and time
            info.size = file.stat().st_size
            with open(file, "rb") as contents:
                archive.addfile(info, contents)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(SEED).normal(size=shape).round(2).astype(np.float32)


def whole_numbers(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, high, shape)


# ------------------------------------------------------------------ layers


def every_layer(golden: Golden) -> None:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for name in layers.registry.classes:
        if name != "InputLayer":  # which begins every model
            layer, x = example(name)
            groups[x.shape, x.dtype.kind].append(layer)
    for (shape, kind), group in groups.items():
        bp.utils.set_random_seed(SEED)
        branches = [as_branch(layer, shape) for layer in group]
        model = bp.Sequential([bp.Input(shape[1:]), Parallel(branches)])
        x = whole_numbers(7, *shape) if kind == "i" else numbers(*shape)
        y = np.zeros(model.compute_output_shape(x.shape), np.float32)
        model.compile(optimizers.SGD(0.01), "mse")
        golden.keep(f"every layer, {' x '.join(map(str, shape[1:]))}", model, x, y)


def as_branch(layer: Any, shape: Any) -> Any:
    again = called(type(layer), copy.deepcopy(layer._arguments))
    return again if len(layer.compute_output_shape(shape)) == 2 else [again, Flatten()]


def families(golden: Golden) -> None:
    """Layers in the company in which they are used, and all that a model is compiled with."""
    classes = whole_numbers(3, 12)
    named = "{0}.keras", "{0}.weights.h5", "weights of {0}.npz"
    for name, (make, x, optimizer, dtype, files) in {
        "dense": (dense, numbers(12, 6), adamw(), "float64", named),
        "images": (images, numbers(12, 6, 6, 2), rmsprop(), "float32", named),
        "sequences": (sequences, numbers(12, 5, 4), "adam", "float32", named),
        "tokens": (tokens, whole_numbers(9, 12, 5), adam(), "float64", named[2:]),
        "nested": (nested, numbers(12, 6), sgd(), "float64", named[2:]),
    }.items():
        bp.utils.set_random_seed(SEED)
        model = make().astype(dtype)
        model.compile(
            optimizer,
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            weighted_metrics=[bp.metrics.SparseTopKCategoricalAccuracy(2, name="among_two")],
        )
        if name == "dense":
            model.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        golden.keep(name, model, x, classes, tuple(file.format(name) for file in files))


def adamw() -> Any:
    schedule = schedules.CosineDecay(0.001, 20, warmup_target=0.01, warmup_steps=4)
    return optimizers.AdamW(schedule, weight_decay=0.01)


def rmsprop() -> Any:
    return optimizers.RMSprop(0.01, momentum=0.5, centered=True, use_ema=True, ema_momentum=0.9)


def adam() -> Any:
    return optimizers.Adam(0.01, amsgrad=True, global_clipnorm=0.5)


def sgd() -> Any:
    schedule = schedules.PiecewiseConstantDecay([4, 8], [0.1, 0.05, 0.01])
    return optimizers.SGD(schedule, momentum=0.9, nesterov=True, gradient_accumulation_steps=2)


def dense() -> Any:
    return bp.Sequential(
        [
            bp.Input((6,)),
            Dense(5, LeakyReLU(0.1), kernel_regularizer="l2", kernel_constraint="max_norm"),
            BatchNormalization(momentum=0.9),
            Dropout(0.3),
            Dense(3, "softmax", bias_initializer=bp.initializers.Constant(0.1)),
        ],
        name="dense_network",
    )


def images() -> Any:
    return bp.Sequential(
        [
            bp.Input((6, 6, 2)),
            RandomFlip("horizontal", seed=4),
            Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            GroupNormalization(2),
            DepthwiseConv2D(3, padding="same"),
            MaxPooling2D(2),
            SeparableConv2D(3, 2, activation="silu"),
            Flatten(),
            Dense(3, "softmax"),
        ]
    )


def sequences() -> Any:
    return bp.Sequential(
        [
            bp.Input((5, 4)),
            Bidirectional(GRU(3, return_sequences=True, reset_after=False), merge_mode="sum"),
            bp.Sequential([Dense(4, "tanh"), LayerNormalization()], name="within"),
            LSTM(3, return_sequences=True, recurrent_dropout=0.2),
            SimpleRNN(3, go_backwards=True),
            Dense(3, "softmax"),
        ]
    )


def tokens() -> Any:
    return bp.Sequential(
        [
            Embedding(9, 6, mask_zero=True),
            LSTM(6, return_sequences=True, dropout=0.2),
            MultiHeadAttention(2, 3, dropout=0.1),
            LayerNormalization(rms_scaling=True),
            GlobalAveragePooling1D(),
            Dense(3, "softmax"),
        ]
    )


def nested() -> Any:
    shared = Dense(6, "tanh")
    encoder = bp.Sequential([bp.Input((6,)), shared, BatchNormalization()], name="encoder")
    return bp.Sequential(
        [
            encoder,
            Residual([shared, Dropout(0.2)]),
            Parallel([Dense(2, use_bias=False), Chain([Dense(3), LeakyReLU()])]),
            SpectralNormalization(Dense(3)),
            bp.layers.Softmax(),
        ]
    )


# ------------------------------------------------------------------ optimizers

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"momentum": 0.9}, {"weight_decay": 0.01, "clipvalue": 0.1}],
    "Adam": [{"use_ema": True, "ema_overwrite_frequency": 2}],
    "Adagrad": [{"initial_accumulator_value": 0.5}],
    "LBFGS": [{"history_size": 3}],
}


def every_optimizer(golden: Golden) -> None:
    x = numbers(12, 3)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    for name, cls in optimizers.registry.classes.items():
        for i, arguments in enumerate([{}, *OPTIMIZERS.get(name, [])]):
            bp.utils.set_random_seed(SEED)
            model = bp.Sequential([bp.Input((3,)), Dense(1)]).astype("float64")
            model.compile(cls(**arguments), "mse")
            golden.keep(f"optimizers/{name} {i}", model, x, y)


# ------------------------------------------------------------------ runs


class Interrupted(Exception):
    pass


class Interrupt(Callback):
    """End the run after so many batches, as a crash does."""

    def __init__(self, batches: int):
        self.left = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise Interrupted


def interrupted_runs(golden: Golden) -> None:
    """A run whose order is drawn, and one whose layers carry their states on."""
    within = [EarlyStopping("loss", patience=4, restore_best_weights=True)]
    within.append(ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.5))
    fit = {"batch_size": BATCH, "epochs": 5, "verbose": 0}
    interrupted(golden, "drawn", dense, numbers(12, 6), [*within], fit | {"validation_split": 0.25})
    interrupted(golden, "stateful", stateful, numbers(12, 5, 4), [], fit | {"shuffle": False})


def stateful() -> Any:
    return bp.Sequential(
        [
            bp.Input((5, 4), batch_size=BATCH),
            GRU(3, stateful=True, return_sequences=True),
            LSTM(3, stateful=True),
            Dense(3, "softmax"),
        ]
    )


def interrupted(
    golden: Golden, name: str, make: Any, x: Any, callbacks: list[Any], fit: dict[str, Any]
) -> None:
    y = whole_numbers(3, len(x))

    def run(*further: Any) -> Any:
        bp.utils.set_random_seed(SEED)
        model = make().astype("float64")
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        if further:
            model.save(golden.path(f"interrupted/{name}.npz"))
        given = [type(c).from_config(c.get_config()) for c in callbacks]
        return model, model.fit(x, y, callbacks=[*given, *further], **fit).history

    backup = BackupAndRestore(golden.folder / "backup", save_freq=1)
    with contextlib.suppress(Interrupted):
        run(backup, Interrupt(7))
    (golden.folder / "backup" / "latest.npz").rename(
        golden.path(f"interrupted/{name} in the middle.npz")
    )
    model, history = run()
    golden.arrays |= {f"{name}/x": x, f"{name}/y": y, f"{name}/output": model.predict(x, BATCH, 0)}
    golden.expected["interrupted"][name] = {
        "fit": fit,
        "callbacks": [[type(c).__name__, c.get_config()] for c in callbacks],
        "history": history,
    }


# ------------------------------------------------------------------ the command line

LAYERS = "dense 6 relu, batchnorm, dropout 0.1"
ROWS = 40


def tables(golden: Golden) -> None:
    """Numbers, text, dates and gaps, in a table of which a class or a quantity is asked."""
    rng = np.random.default_rng(SEED)
    rows = ["area,town,since,note,price,kind"]
    for i in range(ROWS):
        area = rng.integers(20, 200)
        town = rng.choice(["Ulm", "Bonn", "Kiel"])
        since = f"{1990 + i % 30}-{1 + i % 12:02}-{1 + i % 28:02}"
        note = f"{rng.normal():.2f}" if i % 7 else ""
        price = 2.5 * area + rng.integers(90)
        rows.append(f"{area},{town},{since},{note},{price},{'large' if area > 100 else 'small'}")
    data = golden.path("tables/homes.csv")
    data.write_text("\n".join(rows) + "\n")
    for target in ("price", "kind"):
        model, answer = (str(golden.path(f"tables/{target}.{end}")) for end in ("npz", "csv"))
        options = ["--layers", LAYERS, "--epochs", "3", "--output", model, "--quiet"]
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.main(["train", str(data), "--target", target, *options]) == 0
            assert cli.main(["predict", model, str(data), "--output", answer]) == 0
        golden.path(f"tables/{target}.png").unlink(missing_ok=True)
    golden.expected["tables"] = {"targets": ["price", "kind"]}
