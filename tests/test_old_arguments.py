"""Arguments of older scripts that Keras still takes: what it takes is taken, and nothing else."""

import inspect
import pickle
import warnings

import numpy as np
import pytest

import backprop as bp
from backprop import callbacks, layers, optimizers
from backprop.old_arguments import Only, Renamed, legacy_of


def quiet(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make()


def test_a_renamed_argument_means_the_new_one():
    with pytest.warns(
        UserWarning, match=r"^LeakyReLU\(\): alpha is called negative_slope$"
    ) as told:
        layer = layers.LeakyReLU(alpha=0.25)

    assert len(told) == 1 and told[0].filename == __file__
    assert layer.negative_slope == 0.25
    assert repr(layer) == "LeakyReLU(0.25)"
    assert layer.get_config() == layers.LeakyReLU(0.25).get_config() | {"name": layer.name}
    assert quiet(lambda: pickle.loads(pickle.dumps(layer))).negative_slope == 0.25


def test_an_argument_under_both_of_its_names_is_refused():
    with pytest.raises(TypeError, match=r"^LeakyReLU\(\) got negative_slope twice, as alpha"):
        layers.LeakyReLU(alpha=0.1, negative_slope=0.2)
    with pytest.warns(UserWarning), pytest.raises(TypeError, match="negative_slope twice"):
        layers.LeakyReLU(0.2, alpha=0.1)


def test_a_renamed_argument_is_checked_as_the_new_one():
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="negative_slope"):
        layers.LeakyReLU(alpha=-1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.Embedding(3, 2, input_length=4),
            r"^Embedding\(\) ignores input_length=4: leave it out, sequences may have any length$",
        ),
        (
            lambda: optimizers.SGD(0.1, decay=1e-3),
            r"^SGD\(\) ignores decay=0.001: a rate that falls is a schedule: ",
        ),
        (lambda: optimizers.Ftrl(decay=0.0), r"^Ftrl\(\) ignores decay=0.0: a rate that falls"),
        (
            lambda: layers.Dense(2, autocast=False),
            r"^Dense\(\) ignores autocast=False: leave it out, models compute in float32",
        ),
        (
            lambda: callbacks.ReduceLROnPlateau(epsilon=1e-3),
            r"^ReduceLROnPlateau\(\) ignores epsilon=0.001: min_delta is what it was$",
        ),
        (
            lambda: layers.InputLayer(batch_input_shape=(None, 3)),
            r"^InputLayer\(\): batch_input_shape is called batch_shape$",
        ),
    ],
)
def test_what_is_ignored_or_renamed_says_so_once_and_is_forgotten(make, message):
    with pytest.warns(UserWarning, match=message) as told:
        made = make()

    assert len(told) == 1 and told[0].filename == __file__
    assert not legacy_of(type(made)).keys() & made.get_config().keys()
    assert not legacy_of(type(made)).keys() & inspect.signature(type(made)).parameters.keys()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Embedding(3, 2, input_length=None, lora_rank=None),
        lambda: layers.Dense(2, autocast=True, lora_rank=None, quantization_config=None),
        lambda: layers.Conv2D(2, 3, lora_rank=None, lora_alpha=None),
        lambda: layers.EinsumDense("ab,bc->ac", 2, gptq_unpacked_column_size=None),
        lambda: layers.LSTM(2, implementation=1),
        lambda: layers.GRU(2, implementation=2),
        lambda: layers.LSTMCell(2, implementation=2),
        lambda: layers.GRUCell(2, implementation=1),
        lambda: optimizers.Adam(decay=None),
        lambda: bp.Input((3,), sparse=False, ragged=False, tensor=None, optional=False),
        lambda: layers.InputLayer((3,), sparse=None, ragged=None, optional=False),
    ],
)
def test_what_changes_nothing_is_taken_in_silence(make):
    assert quiet(make) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(2, lora_rank=4),
        lambda: layers.Dense(2, lora_rank=False),
        lambda: layers.LSTM(2, implementation=True),
        lambda: layers.LSTM(2, implementation=np.ones(2)),
        lambda: layers.DepthwiseConv2D(2, lora_rank=None),
        lambda: bp.Input((3,), sparse=0),
        lambda: optimizers.Adam(lr=0.1),
        lambda: callbacks.EarlyStopping(epsilon=1e-3),
    ],
)
def test_what_keras_refuses_or_what_would_mean_something_is_refused(make):
    with pytest.raises(TypeError, match=r"has no argument "):
        quiet(make)


def test_input_takes_its_arguments_in_the_order_of_keras():
    x = bp.Input(None, None, "int32", False, False, (2, 3), "a", None, False)

    assert (x.shape, x.dtype, x.name) == ((2, 3), "int32", "a")


def test_input_stands_for_a_symbolic_array():
    x = bp.Input((3,), dtype="int32")
    twin = bp.Input(tensor=x)

    assert twin is not x and twin.shape == (None, 3) and twin.dtype == "int32"
    with pytest.raises(ValueError, match="expects input_tensor to be what Input"):
        bp.Input(tensor=np.ones(3))


class Halved(layers.LeakyReLU):
    """A written constructor that hands on what it does not know."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Own(layers.LeakyReLU):
    """One that takes what it names, `alpha` among it, and hands on nothing."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha


class Handed(layers.LeakyReLU):
    def __init__(self):
        super().__init__(alpha=0.5)


def test_a_written_constructor_is_given_todays_names_and_warned_once():
    with pytest.warns(UserWarning, match=r"^Halved\(\): alpha") as told:
        layer = Halved(alpha=0.5)

    assert len(told) == 1 and layer.negative_slope == 0.5
    with pytest.warns(UserWarning, match="alpha is called negative_slope") as told:
        assert Handed().negative_slope == 0.5
    assert told[0].filename == __file__


def test_an_argument_of_ones_own_is_no_older_one():
    layer = quiet(lambda: Own(alpha=3.0))

    assert (layer.alpha, layer.negative_slope) == (3.0, 0.3)
    with pytest.raises(TypeError, match="has no argument 'autocast'"):
        Own(3.0, autocast=True)


def test_keras_takes_what_is_taken_here():
    keras = pytest.importorskip("keras")
    samples = {
        "Conv2D": (2, 3),
        "Dense": (2,),
        "EinsumDense": ("ab,bc->ac", 2),
        "Embedding": (3, 2),
        "GRU": (2,),
        "GRUCell": (2,),
        "InputLayer": (),
        "LSTM": (2,),
        "LSTMCell": (2,),
        "LeakyReLU": (),
    }
    for name, args in samples.items():
        rules = legacy_of(getattr(layers, name))
        assert rules
        for argument, rule in rules.items():
            for value in values_of(rule):
                given = {argument: value}
                if name == "InputLayer" and argument != "batch_input_shape":
                    given["shape"] = (3,)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    getattr(keras.layers, name)(*args, **given)


def values_of(rule):
    if isinstance(rule, Only):
        return rule.values
    return ((None, 3),) if isinstance(rule, Renamed) and rule.now == "batch_shape" else (0.5,)
