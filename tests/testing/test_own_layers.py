"""Every layer, loss and container of the library keeps the laws: found in the registries, so that
none is forgotten."""

import importlib.util
import os
from pathlib import Path

import pytest

from backprop import layers, losses
from backprop.spelling import snake_case
from backprop.testing import layer_laws
from backprop.testing.plan import LAWS

spec = importlib.util.spec_from_file_location("own_layers", Path(__file__).parent / "own_layers.py")
own_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own_layers)

# these look through numbers and sizes for exceptions; all of them take as long as the rest together
SEARCHES = [law.__name__ for law in LAWS["v4"] if law not in LAWS["v3"]]
CHEAP = [law.__name__ for law in LAWS["v3"]]
# what they find is in the code of a class, whatever its settings and its kernels
OF_CLASSES = (
    "two_threads_do_not_meet",
    "the_fortieth_call_is_like_the_first",
    "two_forwards_do_not_interfere",
    "kept_results_never_change",
    "parameters_stay_views",
    "a_replica_shares_values_and_owns_gradients",
    "an_addition_to_the_loss_is_asked_for",
    "the_order_of_inputs_counts",
)
# one derivation for both kinds of kernels, which tests/kernels holds to each other: it is tried
# at length and in all settings with those of NumPy, and in one with the compiled ones
COMPILED = os.environ.get("BACKPROP_KERNELS") == "numba"
# one layer of each kind is tried at length, all others and their further settings at fewer
# examples: CI tries the same cases in every run. The nightly command tries all of them at greater
# length than either.
AT_LENGTH = (
    *("Dense", "Embedding", "Conv2D", "MaxPooling2D", "BatchNormalization", "LSTM"),
    *("MultiHeadAttention", "PReLU", "Dropout", "Chain", "Normalization"),
    *("MeanSquaredError", "SparseCategoricalCrossentropy"),
)
# these are chains of layers that the searches go through one by one
OF_OTHERS = ("TransformerBlock", "TransformerDecoder")
# of images that change by chance the nightly command alone searches for exceptions
NIGHTLY = "backprop.layers.images"
CLASSES = layers.registry.classes | losses.REGISTRY.classes
# families that call no kernel are the same code in both kinds
IN_NUMPY = ("arithmetic", "columns", "images", "merging", "pooling", "resizing", "text")


def profile_of(name, number, row):
    """How long a row of the table is tried; what is said to break has to be found."""
    at_length = name in AT_LENGTH and not number and not COMPILED
    return "default" if at_length or "expected_failures" in row else "quick"


def test_every_class_of_the_registries_is_in_the_table():
    assert set(AT_LENGTH) <= set(CLASSES)
    assert sorted(set(CLASSES) - set(own_layers.TABLE)) == []
    assert sorted(set(own_layers.TABLE) - set(CLASSES)) == []


def under(row, laws):
    """A row of the table for some of its laws alone."""
    chosen = [law for law in laws if law in row.get("laws", laws)]
    expected = row.get("expected_failures") or {}
    return row | {
        "laws": chosen,
        "expected_failures": {law: why for law, why in expected.items() if law in chosen},
    }


def calls_kernels(name):
    return not CLASSES[name].__module__.startswith(tuple(f"backprop.layers.{f}" for f in IN_NUMPY))


# of the others the layers of one kind call the same kernels
KERNELS_OF = (
    *(
        "DepthwiseConv2D",
        "LayerNormalization",
        "SimpleRNN",
        "GRU",
        "ReLU",
        "GELU",
        "Softmax",
        "CTC",
    ),
    *("EinsumDense", "Conv1D", "Conv3D", "Conv2DTranspose", "SeparableConv2D", "ConvLSTM2D"),
    *("Bidirectional", "GroupNormalization", "CategoricalCrossentropy", "Huber"),
    *(name for name in AT_LENGTH if calls_kernels(name)),
)
TABLE = own_layers.TABLE
if COMPILED:
    TABLE = {name: rows[:1] for name, rows in TABLE.items() if name in KERNELS_OF}


@pytest.mark.parametrize("family", IN_NUMPY)
def test_a_family_that_is_left_out_calls_no_kernel(family):
    files = Path(layers.__file__).parent.rglob(f"{family}/*.py")
    assert not [file for file in files if "backprop.kernels" in file.read_text()]


for name, rows in TABLE.items():
    for number, row in enumerate(rows):
        place = f"{snake_case(name)}{number or ''}"
        profile = profile_of(name, number, row)
        once_more = number or COMPILED
        laws = [law for law in CHEAP if not (once_more and law in OF_CLASSES)]
        globals()[f"test_{place}"] = layer_laws(**under(row, laws), profile=profile)
        nightly = name in OF_OTHERS or CLASSES[name].__module__.startswith(NIGHTLY)
        if not (number or nightly):
            searched = layer_laws(**under(row, SEARCHES), profile="quick")
            globals()[f"test_searched_{place}"] = searched
        thoroughly = layer_laws(**row, profile="thorough")
        globals()[f"test_thoroughly_{place}"] = pytest.mark.slow(thoroughly)
