"""Golden files: what this version writes, kept so that every later version can be held to it.

Run by hand, once for a version, when a change may touch the form of a file or a constructor:

    PYTHONPATH=.:tests python tests/golden/make.py [NAME] [--again]

It writes into ``tests/golden/NAME/`` (by default the version of the package) and leaves a folder
that exists as it is, unless told ``--again``. All is made with fixed seeds.
`tests/test_golden.py` reads every folder.

``signatures.json``
    The constructor of every public configurable class, and of the other callbacks. Whoever gives a
    class a new argument adds it here by hand, and sees that nothing else has moved.
``configs.json``
    Objects of every one of these classes, one with default arguments and one or two in which every
    argument has another value: the constructor call, the configuration, and how the object that is
    made of the configuration shows itself where that differs (JSON has no tuples); and what it
    does, in a number for each array that can be seen.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from configurables import classes, constructor, fresh, public_classes, shows
from golden.models import write_models

import backprop as bp
from backprop import constraints, initializers, layers, regularizers
from backprop.arguments import defaults_of
from backprop.config import called, serialize

HERE = Path(__file__).parent

# arguments that only go together, and objects in the place of names
TOGETHER = [
    initializers.VarianceScaling(2.0, "fan_avg", "uniform", seed=3, input_axes=(0,), output_axes=1),
    initializers.HeNormal(input_axes=0, output_axes=(1, 2)),
    layers.Normalization(mean=[0.5, 1.0], variance=2.0),
    layers.StringLookup(vocabulary=["a", "b"], idf_weights=[0.5, 2.0], output_mode="tf_idf"),
    layers.IntegerLookup(vocabulary=[4, 5], idf_weights=[0.5, 2.0], output_mode="tf_idf"),
    layers.TextVectorization(vocabulary=["a", "b"], idf_weights=[0.5, 2.0], output_mode="tf_idf"),
    layers.Dense(
        3,
        layers.LeakyReLU(0.3),
        kernel_initializer=initializers.Orthogonal(gain=2.0),
        bias_regularizer=regularizers.L1L2(l1=0.1, l2=0.2),
        kernel_constraint=constraints.MinMaxNorm(0.1, 0.9, rate=0.5, axis=0),
    ),
    layers.Activation(layers.ELU(0.5)),
    bp.metrics.MeanMetricWrapper("hinge", name="as_a_metric"),
    bp.optimizers.Adam(bp.optimizers.schedules.WarmUp(bp.optimizers.schedules.OneCycle(0.1, 9), 3)),
]
# other values than the default, by how the argument's name ends; the first that is accepted counts
OTHERS: dict[str, list[Any]] = {
    "activation": ["relu", "silu"],
    "variance_initializer": [initializers.Constant(2.0)],
    "_initializer": [initializers.RandomNormal(stddev=0.5, seed=3)],
    "_regularizer": [regularizers.L2(0.25)],
    "_constraint": [constraints.MaxNorm(3)],
    "anneal": ["linear"],
    "attention_axes": [(1,)],
    "axis": [1],
    "average": ["micro"],
    "backup_dir": ["other"],
    "backward_layer": [layers.GRU(3, return_sequences=True, go_backwards=True)],
    "baseline": [0.5],
    "batch_shape": [(None, 4)],
    "batch_size": [4],
    "branches": [[layers.Dense(2, "relu"), layers.Dense(2)]],
    "class_aggregation": ["variance_weighted_average"],
    "class_id": [1],
    "clipnorm": [0.5],
    "clipvalue": [0.5],
    "curve": ["PR"],
    "data_format": ["channels_first"],
    "distribution": ["uniform"],
    "dtype": ["float64"],
    "ema_overwrite_frequency": [4],
    "fill_mode": ["wrap"],
    "filename": ["other.csv"],
    "filepath": ["other.npz"],
    "flash_attention": [False],
    "fn": ["categorical_accuracy"],
    "gradient_accumulation_steps": [2],
    "idf_weights": [[0.5, 1.0, 2.0]],
    "ignore_class": [0],
    "initial_value_threshold": [0.5],
    "initializer": ["he_normal"],
    "input_axes": [0],
    "input_dim": [6],
    "input_shape": [(4, 6), (6,)],
    "interpolation": ["bilinear", "nearest"],
    "join": ["add"],
    "label_weights": [[0.25, 0.75]],
    "layer": [layers.LSTM(2, return_sequences=True), layers.Dense(2, "relu")],
    "layers": [[layers.Dense(2, "relu"), layers.Dense(3)]],
    "learning_rate": [bp.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), 0.2],
    "loss_scale_factor": [8.0],
    "mask_token": [0, "-"],
    "max_tokens": [6],
    "max_value": [6.0],
    "maxfun": [50],
    "mean": [0.5],
    "merge_mode": ["ave"],
    "mode": ["fan_out", "max", "horizontal", "columns"],
    "monitor": ["loss"],
    "name": ["of_my_own"],
    "ngrams": [2],
    "noise_shape": [(None, 1)],
    "normalize": ["true"],
    "num_labels": [2],
    "oov_method": ["farmhash", "fingerprint"],
    "oov_token": [-2, "?"],
    "output_axes": [1],
    "output_mode": ["multi_hot", "count"],
    "output_padding": [1],
    "output_sequence_length": [5],
    "output_shape": [6],
    "padding": ["same", ((1, 2), (0, 3)), ((1, 2), (0, 3), (1, 0))],
    "reduction": ["sum"],
    "renorm_clipping": [{"rmax": 2.0, "rmin": 0.5, "dmax": 1.0}],
    "salt": [5],
    "save_freq": [3],
    "schedule": [bp.optimizers.schedules.CosineDecay(0.2, 5)],
    "seed": [7],
    "separator": [";"],
    "shape": [(4,)],
    "shared_axes": [(1,)],
    "shortcut": [layers.Dense(6)],
    "sliding_window": [2],
    "split": ["character"],
    "standardize": ["lower"],
    "strides": [2, (2, 1), (2, 1, 1)],
    "summation_method": ["minoring"],
    "threshold": [0.6],
    "thresholds": [[0.25, 0.75]],
    "top_k": [2],
    "use_cudnn": [False],
    "variance": [2.0],
    "vocabulary": [["a", "b", "c"], [7, 8, 9]],
    "vocabulary_dtype": ["int32"],
    "warmup_target": [0.2],
    "weight_decay": [0.01],
    "weights": [[np.ones((7, 4), np.float32)]],
    "width_factor": [0.25],
    "value_dim": [2],
    "num_key_value_heads": [1],
}


def signatures() -> dict[str, str]:
    return {f"{home}.{cls.__name__}": constructor(cls) for home, cls in public_classes()}


# ------------------------------------------------------------------ configurations


def configs() -> dict[str, list[dict[str, Any]]]:
    made = {f"{family}.{cls.__name__}": fresh(family, cls) for family, cls in classes()}
    for name in ("IntegerLookup", "StringLookup", "TextVectorization"):
        made[f"layers.{name}"] = getattr(layers, name)()
    # a function has no place in a file
    schedule = bp.optimizers.schedules.CosineDecay(0.1, 10)
    made["callbacks.LearningRateScheduler"] = bp.callbacks.LearningRateScheduler(schedule)
    found = {
        name: [entry(name, o) for o in (first, *with_other_values(first))]
        for name, first in made.items()
    }
    names = {type(first): name for name, first in made.items()}
    for item in TOGETHER:
        found[names[type(item)]].append(entry(names[type(item)], item))
    return found


def with_other_values(item: Any) -> Iterator[Any]:
    """Objects of the item's class in which every argument has another value than in `item`: as few
    as the arguments that exclude each other allow."""
    cls, names = type(item), defaults_of(type(item))
    left = list(names)
    while left:
        arguments, changed = copy.deepcopy(item._arguments), []
        for name in left:
            now = arguments.get(name, names[name])
            for value in other_values(name, now):
                if serialize(value) != serialize(now) and accepts(cls, arguments | {name: value}):
                    arguments[name] = value
                    changed.append(name)
                    break
        if not changed:
            return
        yield called(cls, copy.deepcopy(arguments))
        left = [name for name in left if name not in changed]


def other_values(name: str, now: Any) -> list[Any]:
    named = [v for end, values in OTHERS.items() if name.endswith(end) for v in values]
    if isinstance(now, bool):
        return [not now]
    if isinstance(now, int):
        return [*named, now + 1, 2 * now, now - 1]
    if isinstance(now, float):
        return [*named, 0.75 * now, now / 4, now + 0.125, now + 1]
    if isinstance(now, list | tuple) and now and all(type(n) in (int, float) for n in now):
        return [*named, [n + 1 for n in now], now[::-1]]
    return named


def accepts(cls: type, arguments: dict[str, Any]) -> bool:
    """Whether the constructor takes the arguments, and again as a file holds them."""
    try:
        made = called(cls, copy.deepcopy(arguments))
        cls.from_config(json.loads(json.dumps(made.get_config())))
    except (ValueError, TypeError, IndexError, AttributeError, OSError):
        return False
    return True


def entry(name: str, item: Any) -> dict[str, Any]:
    cls, config = type(item), json.loads(json.dumps(item.get_config()))
    found = {"call": repr(item), "config": config}
    twin = repr(cls.from_config(config))
    if twin != found["call"]:
        found["copy"] = twin
    shown = shows(name.rpartition(".")[0], cls, config)
    if shown:
        found["shows"] = [float(f"{number:.7g}") for number in shown]
    return found


# ------------------------------------------------------------------ files


def write_json(path: Path, found: dict[str, Any]) -> None:
    """A line for each key, so that a difference can be read."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
        for key, value in sorted(found.items())
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default=bp.__version__)
    parser.add_argument("--again", action="store_true", help="replace the files of the folder")
    options = parser.parse_args()
    folder = HERE / options.name
    if folder.exists() and not options.again:
        raise SystemExit(f"{folder} exists: golden files are not made again without --again")
    folder.mkdir(exist_ok=True)
    write_json(folder / "signatures.json", signatures())
    write_json(folder / "configs.json", configs())
    write_models(folder)


if __name__ == "__main__":
    main()
