"""Names of Keras that are not here: each is answered with what to write instead."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backprop as bp
from backprop.absent import KERAS, advice

PAGE = Path(__file__).parent.parent / "docs" / "from_keras.md"
MODULES = [place for place in KERAS if place.startswith("backprop")]
NAMES = [(place, name) for place in MODULES for name in advice(place)]


def module(place):
    return importlib.import_module(place)


@pytest.mark.parametrize(("place", "name"), NAMES, ids=lambda value: value)
def test_a_name_that_is_not_here_is_answered(place, name):
    with pytest.raises(AttributeError) as error:
        getattr(module(place), name)

    assert str(error.value) == f"{place} has no {name}: {advice(place)[name]}"
    assert not hasattr(module(place), name)


@pytest.mark.parametrize(
    "statement",
    [
        "from backprop.layers import CuDNNLSTM",
        "from backprop import layers, ops",
        "from backprop import Operation as O",
        "from backprop.datasets import boston_housing",
        "from backprop.callbacks import RemoteMonitor",
        "from backprop.config import set_dtype_policy",
    ],
)
def test_an_import_of_it_says_the_same(statement):
    with pytest.raises(ImportError, match=r"^backprop(\.\w+)? has no \w+: "):
        exec(statement, {})


@pytest.mark.parametrize(
    "statement",
    [
        "import backprop.applications",
        "import backprop.applications.vgg16",
        "from backprop.applications.resnet import ResNet50",
        "from backprop.datasets.boston_housing import load_data",
        "from backprop.preprocessing.text import Tokenizer",
        "from backprop.utils.np_utils import to_categorical",
        "import backprop.mixed_precision as mp",
    ],
)
def test_an_import_of_a_module_that_is_not_here_says_the_same(statement):
    with pytest.raises(ModuleNotFoundError, match=r"^backprop(\.\w+)? has no \w+: "):
        exec(statement, {})


def test_an_unknown_module_is_pythons_own_error():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'backprop\.nonsense'"):
        importlib.import_module("backprop.nonsense")
    assert importlib.util.find_spec("backprop.layers") is not None


def test_reloading_the_package_asks_once():
    before = len(sys.meta_path)
    script = "import importlib, sys, backprop; n = len(sys.meta_path); "
    script += "importlib.reload(backprop); print(len(sys.meta_path) - n)"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "0"
    assert len(sys.meta_path) == before


@pytest.mark.parametrize(
    ("place", "name", "sentence"),
    [
        ("backprop", "Dense", "backprop has no 'Dense'; it is backprop.layers.Dense"),
        (
            "backprop.layers",
            "Adam",
            "backprop.layers has no 'Adam'; it is backprop.optimizers.Adam",
        ),
        ("backprop.utils", "EarlyStopping", "it is backprop.callbacks.EarlyStopping"),
        (
            "backprop.metrics",
            "Huber",
            "backprop.metrics has no 'Huber'; it is backprop.losses.Huber",
        ),
        ("backprop.layers", "Dens", "backprop.layers has no 'Dens'; did you mean 'Dense'?"),
        ("backprop.losses", "MeanSquareError", "did you mean 'MeanSquaredError'?"),
        ("backprop.activations", "rellu", "did you mean 'relu'?"),
        ("backprop.config", "set_floatz", "did you mean 'set_floatx'?"),
        ("backprop", "Zebra", "backprop has no 'Zebra'"),
    ],
)
def test_a_name_in_another_place_or_misspelt_is_found(place, name, sentence):
    with pytest.raises(AttributeError, match=re.escape(sentence) + "$"):
        getattr(module(place), name)


def test_probing_for_private_names_loads_nothing():
    script = "import sys, backprop; hasattr(backprop, '__wrapped__'); hasattr(backprop, '_x'); "
    script += "print('backprop.layers' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("place", MODULES)
def test_every_public_name_of_keras_is_here_or_answered(place):
    keras = pytest.importorskip("keras", reason="compares with Keras")
    peer = keras
    for part in place.split(".")[1:]:
        peer = getattr(peer, part)
    public = [name for name in dir(peer) if not name.startswith("_")]

    silent = [n for n in public if not hasattr(module(place), n) and n not in advice(place)]

    assert silent == []


# ---------------------------------------------------------------------------- attributes of objects


MODEL = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])


GRAPH = bp.Model(MODEL.inputs, MODEL.outputs)


@pytest.mark.parametrize("name", advice("BaseModel"))
def test_an_attribute_of_a_model_is_answered(name):
    for model, kind in ((MODEL, "Sequential"), (GRAPH, "Model")):
        with pytest.raises(AttributeError, match=f"^{kind} has no {name}: "):
            getattr(model, name)
        assert not hasattr(model, name)


@pytest.mark.parametrize("name", advice("Sequential"))
def test_what_only_a_graph_has_is_answered_by_a_chain(name):
    with pytest.raises(AttributeError, match=f"^Sequential has no {name}: "):
        getattr(MODEL, name)
    assert hasattr(GRAPH, name)


@pytest.mark.parametrize("name", advice("ImageLayer"))
def test_an_attribute_of_a_layer_of_images_is_answered(name):
    with pytest.raises(AttributeError, match=f"^RandomFlip has no {name}: "):
        getattr(bp.layers.RandomFlip(), name)


@pytest.mark.parametrize("name", advice("Layer"))
def test_an_attribute_of_a_layer_is_answered(name):
    layer = bp.layers.Dense(2)

    with pytest.raises(AttributeError, match=f"^Dense has no {name}: "):
        getattr(layer, name)


def test_a_loss_answers_as_a_loss():
    with pytest.raises(AttributeError, match=r"Huber has no call: loss\(y_true, y_pred\) calls it"):
        _ = bp.losses.Huber().call


@pytest.mark.parametrize("name", advice("Optimizer"))
def test_an_attribute_of_an_optimizer_is_answered(name):
    with pytest.raises(AttributeError, match=f"^Adam has no {name}: "):
        getattr(bp.optimizers.Adam(), name)
    assert not hasattr(bp.optimizers.Adam(), name)


@pytest.mark.parametrize("name", advice("Batches"))
def test_a_method_of_a_dataset_is_answered(name):
    windows = bp.utils.timeseries_dataset_from_array(np.arange(9), None, 3)

    with pytest.raises(AttributeError, match=f"^Windows has no {name}: "):
        getattr(windows, name)


def test_an_attribute_that_nobody_has_says_what_it_always_said():
    with pytest.raises(AttributeError, match=r"^Dense has no 'kernel' yet: it is not built"):
        _ = bp.layers.Dense(2).kernel
    with pytest.raises(AttributeError, match=r"^Sequential has no 'zebra'$"):
        _ = MODEL.zebra


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bp.optimizers.SGD(lr=0.1), r"no argument 'lr': it is called learning_rate"),
        (lambda: bp.optimizers.Adam(decay=1e-4), r"'decay': a rate that falls is a schedule"),
        (lambda: bp.layers.LeakyReLU(alpha=0.1), r"'alpha': write negative_slope"),
        (lambda: bp.layers.Embedding(3, 2, input_length=4), r"'input_length': leave it out"),
        (lambda: bp.layers.LSTM(2, implementation=2), r"'implementation': leave it out"),
        (lambda: bp.layers.Dense(2, lora_rank=1), r"'lora_rank': leave it out"),
        (lambda: bp.layers.Dense(2, batch_input_shape=(8, 3)), r"Input\(batch_shape=...\)"),
        (lambda: bp.layers.Dense(2, weights=[1]), r"layer\.set_weights"),
        (lambda: bp.callbacks.ModelCheckpoint("a.npz", period=2), r"'period': write save_freq"),
        (lambda: bp.Input((3,), sparse=True), r"'sparse': leave it out; a SciPy matrix"),
        (lambda: bp.Input((3,), ragged=True), r"'ragged': pad the sequences"),
        (lambda: bp.Input(tensor=np.ones(3)), r"'tensor': leave it out: layers take arrays"),
    ],
)
def test_an_argument_that_keras_has_or_had_is_answered(make, message):
    with pytest.raises(TypeError, match=message):
        make()


# ---------------------------------------------------------------------------------------- the page


def table():
    """What `docs/from_keras.md` lists, from the same sentences."""
    rows = ["| where | what | instead |", "|---|---|---|"]
    for place in MODULES:
        texts = {}
        for name, text in advice(place).items():
            texts.setdefault(text, []).append(f"`{name}`")
        rows += [
            f"| `{place}` | {' '.join(names)} | {text.replace('|', chr(92) + '|')} |"
            for text, names in texts.items()
        ]
    return rows


def test_the_page_lists_what_is_not_here():
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]

    assert shown[shown.index(table()[0]) :] == table()


if __name__ == "__main__":
    print("\n".join(table()))  # for the page
