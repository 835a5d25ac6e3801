"""Models of Keras in memory: every layer and many networks there and back, and what is refused."""

import importlib.util
import subprocess
import sys

import models_of_both as both
import numpy as np
import pytest
from keras_parity import keras_in
from layer_examples import example
from layers_in_files import WRITTEN

import backprop as bp
from backprop.interop import from_keras, to_keras
from backprop.interop.keras_configs import CALLED, name_in_keras
from backprop.nest import as_tuple

pytest.importorskip("h5py")


@pytest.fixture
def keras():
    with keras_in("float32") as found:
        yield found


def around(layer, x):
    """A model of one layer, which has one input or several."""
    dtype = "int32" if layer.integer_input is True else "float32"
    given = [bp.Input(a.shape[1:], dtype=dtype) for a in as_tuple(x)]
    if len(given) > 1 or type(layer).__name__ in CALLED:
        return bp.Model(given, layer(given))
    return bp.Sequential([given[0], layer])


def close(found, expected):
    for a, b in zip(as_rows(found), as_rows(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, np.abs(b).max()))


def as_rows(y):
    return y if isinstance(y, list | tuple) else [y]


# ------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", WRITTEN)
def test_each_layer_of_both_has_equal_outputs_there_and_back(name, keras):
    layer, x = example(name)
    x = list(x) if isinstance(x, tuple) else x
    model = around(layer, tuple(x) if isinstance(x, list) else x)
    expected = model.predict(x, verbose=0)

    theirs = to_keras(model)
    back = from_keras(theirs)

    close(theirs.predict(x, verbose=0), expected)
    close(back.predict(x, verbose=0), expected)
    assert all(map(np.array_equal, back.get_weights(), model.get_weights()))
    assert name_in_keras(type(back.layers[-1])) == name_in_keras(type(layer))


@pytest.mark.parametrize("name", both.MODELS)
def test_networks_of_either_library_have_equal_outputs_in_the_other(name):
    ours = both.stirred(np, both.MODELS[name](bp))
    with keras_in("float64" if name == "double" else "float32") as keras:
        theirs = to_keras(ours)
        back = from_keras(theirs)
        made = both.stirred(np, both.MODELS[name](keras))
        before = made.get_weights()
        here = from_keras(made)

        of_made = both.predicted(np, name, made)
        found = both.predicted(np, name, theirs)
        assert type(made) is type(theirs)
        assert all(map(np.array_equal, made.get_weights(), before))

    expected = both.predicted(np, name, ours)
    close(found, expected)
    close(both.predicted(np, name, back), expected)
    close(both.predicted(np, name, here), of_made)
    assert theirs.name == back.name == ours.name


def test_there_are_networks_enough():
    assert len(both.MODELS) >= 30


@pytest.mark.parametrize("optimizer", ["adamw", "momentum", "centered", "adafactor", "schedule 4"])
def test_settings_and_what_the_optimizer_remembers_go_along(optimizer, keras):
    ours = both.stirred(np, both.few(bp))
    ours.compile(both.optimizer(bp, optimizer), "mae", metrics=["mse"], weighted_metrics=["mae"])
    ours.optimizer.exclude_from_weight_decay(var_names=["bias"])
    both.trained(np, "few", ours)

    theirs = to_keras(ours)
    back = from_keras(theirs)

    assert type(back.optimizer) is type(ours.optimizer)
    np.testing.assert_equal(rounded(back.optimizer), rounded(ours.optimizer))
    decays = [theirs.optimizer._use_weight_decay(v) for v in theirs.trainable_variables]
    assert decays == [v.name != "bias" for v in theirs.trainable_variables]
    close(both.trained(np, "few", back), both.trained(np, "few", ours))


def rounded(optimizer):
    """Its configuration; Keras keeps rates in float32."""
    config = optimizer.get_config()
    return config | {k: float(np.float32(v)) for k, v in config.items() if isinstance(v, float)}


def test_losses_weights_and_metrics_of_several_outputs_go_along(keras):
    ours = both.wide_and_deep(bp)
    settings = both.LOSSES["wide_and_deep"]
    ours.compile("adam", **settings)

    theirs = to_keras(ours)
    back = from_keras(theirs)

    assert theirs.get_compile_config()["loss_weights"] == [2.0, 0.3]  # of kind, of value
    close(both.trained(np, "wide_and_deep", back), both.trained(np, "wide_and_deep", ours))
    assert from_keras(theirs, compile=False).optimizer is None
    assert not to_keras(ours, compile=False).compiled


def test_a_model_of_keras_that_took_no_step_is_converted_with_its_settings(keras):
    theirs = both.few(keras)
    theirs.compile(keras.optimizers.AdamW(0.25, weight_decay=0.125), "mae", metrics=["accuracy"])

    ours = from_keras(theirs)

    assert type(ours.optimizer) is bp.optimizers.AdamW
    assert (ours.optimizer.learning_rate, ours.optimizer.weight_decay) == (0.25, 0.125)
    assert type(ours.trainer.loss) is bp.losses.MeanAbsoluteError


def test_masks_go_along(keras):
    theirs = both.stirred(np, both.words(keras))
    x = np.array([[3, 1, 4, 0, 0, 0], [1, 5, 2, 6, 5, 3]])

    ours = from_keras(theirs)

    close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))


# ------------------------------------------------------------------------------- what is refused


def strangers(keras):
    class Turned(keras.layers.Layer):
        def call(self, x):
            return -x

        def compute_output_shape(self, shape):
            return shape

    x = keras.Input((3,))
    half = keras.layers.Dense(2, dtype="mixed_float16", name="half")
    inner = keras.Sequential([keras.Input((3,)), half], name="inner")
    y = keras.layers.Lambda(lambda x: x, name="code")(Turned(name="own")(x))
    model = keras.Model(x, keras.ops.sort(inner(y)), name="odd")
    model.compile("adam", lambda a, b: a - b)
    return model, Turned


def test_one_error_names_all_that_is_not_here_and_why(keras):
    model, _ = strangers(keras)

    with pytest.raises(ValueError) as error:
        from_keras(model)

    head, *lines = str(error.value).splitlines()
    assert head == "odd cannot be converted to this library:"
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert said.keys() == {"own", "code", "inner/half", "sort", "compile(loss=...)"}
    assert "Turned" in said["own"] and "mixed_float16" in said["inner/half"]
    assert "operation Sort" in said["sort"]


def test_a_class_of_ours_may_stand_for_one_of_the_users(keras):
    _, Turned = strangers(keras)

    class Negative(bp.layers.Layer):
        time_local = True

        def forward(self, x, ctx=None):
            return -x, None

        def backward(self, dy, cache):
            return -dy

    theirs = keras.Sequential([keras.Input((3,)), Turned(), keras.layers.Dense(2)])
    ours = from_keras(theirs, custom_objects={"Turned": Negative})

    x = np.ones((2, 3), np.float32)
    close(ours.predict(x, verbose=0), theirs.predict(x, verbose=0))


def test_one_error_names_all_that_keras_has_not_and_why():
    x = bp.Input((4, 2))
    y = bp.layers.TransformerBlock(5, 1, name="block")(bp.layers.PositionEmbedding(5, name="at")(x))
    within = bp.Sequential([bp.Input((4, 2)), bp.layers.RotaryEmbedding(name="turn")], name="inner")
    model = bp.Model(x, within(y), name="odd")
    model.compile(bp.optimizers.LARS(0.1), "gaussian_nll")

    with pytest.raises(ValueError) as error:
        to_keras(model)

    head, *lines = str(error.value).splitlines()
    assert head == "odd cannot be converted to Keras:"
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert said == {
        "at": "PositionEmbedding: Keras has none",
        "block": "TransformerBlock: Keras has none",
        "inner/turn": "RotaryEmbedding: Keras has none",
        "compile(optimizer=...)": "LARS: Keras has none",
        "compile(loss=...)": "GaussianNLL: Keras has none",
    }


def test_classes_of_ones_own_and_layers_of_tensorflow_are_named_too(keras):
    class Own(bp.Sequential):
        pass

    words = bp.layers.IntegerLookup(vocabulary=[1, 2], name="words")
    model = Own([bp.Input((3,), dtype="int32"), words], name="odd")

    with pytest.raises(ValueError, match="odd cannot be converted to Keras") as error:
        to_keras(model)

    assert "odd: Own: it is your own" in str(error.value)
    if importlib.util.find_spec("tensorflow") is None:
        assert "words: IntegerLookup: Keras needs TensorFlow" in str(error.value)


def test_what_a_normalization_has_learned_goes_both_ways(keras):
    x = np.random.default_rng(0).normal(3, 2, (40, 3)).astype("float32")
    for library, convert in ((keras, from_keras), (bp, to_keras)):
        layer = library.layers.Normalization()
        layer.adapt(x)
        model = library.Sequential([library.Input((3,)), layer, library.layers.Dense(2)])

        other = convert(model)

        close(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_what_is_no_model_or_not_built_is_said(keras):
    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own(name="mine")
    own(np.ones((2, 3), np.float32))

    with pytest.raises(TypeError, match="expects a model of Keras, got Sequential"):
        from_keras(bp.Sequential())
    with pytest.raises(TypeError, match="expects a model of this library, got Sequential"):
        to_keras(keras.Sequential())
    with pytest.raises(ValueError, match="not built"):
        from_keras(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="not built"):
        to_keras(bp.Sequential([bp.layers.Dense(2)]))
    with pytest.raises(ValueError, match=r"call\(\) of its own"):
        from_keras(own)


def test_what_keras_has_no_word_for_is_a_warning(keras):
    ours = both.few(bp)
    ours.compile("sgd", "mse", on_nonfinite="raise")

    with pytest.warns(UserWarning, match="Keras has no on_nonfinite"):
        to_keras(ours)


def test_without_keras_the_error_says_what_to_install():
    script = (
        "import sys, backprop as bp; sys.modules['keras'] = None\n"
        "from backprop.interop import to_keras\n"
        "try: to_keras(bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)]))\n"
        "except ImportError as e: assert 'pip install \"backprop[keras]\"' in str(e)\n"
        "else: sys.exit(1)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
