"""A model that is saved and loaded is the same model, to the last bit of what it does next."""

import copy
import gc
import json
import os
import pickle
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, strategies as st
from layer_examples import example

import backprop as bp
from backprop import archive, layers, optimizers, random, run_state, saving, seeds
from backprop.config import serialize
from backprop.layer import INFERENCE, Layer
from backprop.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    LayerNormalization,
    MaxPooling2D,
    MultiHeadAttention,
    Parallel,
    PReLU,
    Residual,
    SimpleRNN,
)
from backprop.optimizers import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
    schedules,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6))
Y = RNG.integers(0, 3, 40)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def small(**kwargs):
    random.set_random_seed(3)
    return bp.Sequential(
        [bp.Input((6,)), Dense(8, "relu"), Dropout(0.3), Dense(3, "softmax")], **kwargs
    )


def compiled(optimizer="adam", **kwargs):
    model = small()
    model.compile(optimizer, "sparse_categorical_crossentropy", **kwargs)
    return model


def shared_layers():
    inner = Dense(6, "tanh")
    return bp.Sequential(
        [bp.Input((6,)), inner, Residual([inner, Dropout(0.2)]), Dense(3, "softmax")]
    )


def nested():
    encoder = bp.Sequential(
        [bp.Input((6,)), Dense(5, "gelu"), BatchNormalization()], name="encoder"
    )
    decoder = bp.Sequential(
        [Dense(4), Parallel([Dense(2), Chain([Dense(3), PReLU()])]), Dense(3, "softmax")]
    )
    return bp.Sequential([encoder, decoder])


def images():
    return bp.Sequential(
        [
            bp.Input((6, 6, 2)),
            Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            BatchNormalization(),
            MaxPooling2D(2),
            Dropout(0.2),
            Flatten(),
            Dense(3, "softmax", kernel_constraint="max_norm"),
        ]
    )


def sequences():
    return bp.Sequential(
        [
            Embedding(9, 6, mask_zero=True),
            LSTM(6, return_sequences=True, dropout=0.2),
            GRU(6, return_sequences=True),
            SimpleRNN(6, return_sequences=True),
            MultiHeadAttention(2, 3, dropout=0.1),
            LayerNormalization(),
            GlobalAveragePooling1D(),
            Dense(3, "softmax"),
        ]
    )


def shared_sequences():
    step = LSTM(6, return_sequences=True, dropout=0.3, recurrent_dropout=0.2)
    return bp.Sequential(
        [bp.Input((4, 6)), step, Residual([step, Dropout(0.2)]), Flatten(), Dense(3, "softmax")]
    )


MODELS = {
    "dense": (small, X),
    "shared sequences": (shared_sequences, RNG.standard_normal((40, 4, 6))),
    "shared": (shared_layers, X),
    "nested": (nested, X),
    "images": (images, RNG.standard_normal((40, 6, 6, 2))),
    "sequences": (sequences, RNG.integers(0, 9, (40, 5))),
}


def fit(model, x, y, first, last):
    return model.fit(
        x, y, batch_size=8, epochs=last, initial_epoch=first, verbose=0, validation_split=0.2
    ).history


def assert_same_weights(a, b):
    for mine, other in zip(a.get_weights(), b.get_weights(), strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


# ------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_bit_for_bit(path, name, dtype):
    make, x = MODELS[name]
    random.set_random_seed(1)
    model = make()
    if dtype == "float64":
        model = model.astype(dtype)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(model, x, Y, 0, 2)
    model.save(path)

    loaded = bp.models.load_model(path)

    assert_same_weights(model, loaded)
    assert loaded.to_json() == model.to_json()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.predict(x, verbose=0).dtype == dtype
    assert fit(loaded, x, Y, 2, 4) == fit(model, x, Y, 2, 4)
    assert_same_weights(model, loaded)


OPTIMIZERS = {
    "sgd": lambda: SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: RMSprop(centered=True, momentum=0.5),
    "adam": lambda: Adam(amsgrad=True),
    "adamw": lambda: AdamW(weight_decay=0.1),
    "adagrad": Adagrad,
    "adadelta": lambda: Adadelta(1.0),
    "adamax": Adamax,
    "nadam": Nadam,
    "lion": Lion,
    "adafactor": optimizers.Adafactor,
    "ftrl": optimizers.Ftrl,
    "lamb": optimizers.Lamb,
    "lars": optimizers.LARS,
    "muon": optimizers.Muon,
    "schedule free": lambda: optimizers.ScheduleFreeAdamW(warmup_steps=3),
    "ema": lambda: Adam(use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: Adam(gradient_accumulation_steps=3, global_clipnorm=1.0),
    "cosine": lambda: Adam(schedules.CosineDecay(0.0, 20, warmup_target=0.01, warmup_steps=5)),
    "two schedules": lambda: SGD(
        schedules.ExponentialDecay(0.1, 5, 0.9), momentum=schedules.PolynomialDecay(0.9, 20)
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_bit_for_bit(path, name):
    model = compiled(OPTIMIZERS[name]())
    fit(model, X, Y, 0, 2)
    model.save(path)

    loaded = bp.models.load_model(path)

    assert repr(loaded.optimizer) == repr(model.optimizer)
    assert loaded.optimizer.iterations == model.optimizer.iterations > 0
    assert fit(loaded, X, Y, 2, 4) == fit(model, X, Y, 2, 4)
    assert_same_weights(model, loaded)


def test_every_optimizer_is_covered():
    tested = {type(make()) for make in OPTIMIZERS.values()} | {LBFGS}

    assert tested == set(optimizers.registry.classes.values())


def test_lbfgs_comes_back(path):
    model = bp.Sequential([bp.Input((6,)), Dense(3, "softmax")])
    model.compile(LBFGS(5), "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=5, verbose=0)
    model.save(path)

    loaded = bp.models.load_model(path)

    assert repr(loaded.optimizer) == "LBFGS(5)"
    a, b = (m.fit(X, Y, epochs=5, verbose=0).history for m in (model, loaded))
    assert a == b


def test_a_learning_rate_that_was_changed_stays_so(path):
    model = compiled(SGD(0.1))
    model.optimizer.learning_rate = 0.025
    model.save(path)

    assert bp.models.load_model(path).optimizer.learning_rate == 0.025


@pytest.mark.parametrize("by", ["name", "array"])
def test_parameters_left_out_of_the_weight_decay_stay_out(path, by):
    model = compiled(SGD(0.1, weight_decay=0.5))
    if by == "name":
        model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    else:
        _ = model.parameters  # from now on the arrays stay where they are
        model.optimizer.exclude_from_weight_decay([model.layers[0].bias, model.layers[2].bias])
    for p in model.arrays():
        p.value[...] = 1
    model.save(path)

    loaded = bp.models.load_model(path)

    assert fit(loaded, X, Y, 0, 2) == fit(model, X, Y, 0, 2)
    assert_same_weights(model, loaded)


def test_metrics_and_loss_settings_come_back(path):
    def nearly(y_true, y_pred):
        return np.abs(y_pred.max(-1) - 1) < 0.5

    saving.register_keras_serializable("tests")(nearly)
    metrics = [
        "accuracy",
        bp.metrics.SparseTopKCategoricalAccuracy(k=2, name="top2"),
        bp.metrics.sparse_categorical_crossentropy,
        nearly,
    ]
    model = small()
    model.compile(
        "adam",
        bp.losses.SparseCategoricalCrossentropy(ignore_class=0),
        loss_weights=0.5,
        metrics=metrics,
        weighted_metrics=["accuracy"],
    )
    fit(model, X, Y, 0, 1)
    model.save(path)

    loaded = bp.models.load_model(path)

    logs = [m.evaluate(X, Y, verbose=0, return_dict=True) for m in (loaded, model)]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 6
    assert repr(loaded.loss) == repr(model.loss)
    assert loaded.trainer.loss_weight == 0.5


def test_a_frozen_layer_stays_frozen(path):
    model = nested()
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(path)

    loaded = bp.models.load_model(path)

    assert not loaded.layers[0].trainable and loaded.layers[1].trainable
    assert [w.shape for w in loaded.trainable_weights] == [w.shape for w in model.trainable_weights]


def test_a_shared_layer_is_one_layer_again(path):
    model = shared_layers()
    model.save(path)

    loaded = bp.models.load_model(path)

    assert list(loaded.layers[1].walk()).count(loaded.layers[0]) == 1
    assert loaded.count_params() == model.count_params() == 42 + 21


def as_list(y):
    return y if isinstance(y, list | tuple) else [y]


@pytest.mark.parametrize("name", layers.registry.classes)
def test_every_layer_comes_back(path, name):
    layer, x = example(name)
    if isinstance(x, tuple):
        inputs = tuple(bp.Input(a.shape[1:], name=f"x{i}") for i, a in enumerate(x))
        model = bp.Model(inputs, layer._connect(inputs, None, None, {}))
    else:
        first = bp.Input(x.shape[1:], dtype="int32" if x.dtype.kind == "i" else None)
        model = bp.Sequential([first, layer] if name != "InputLayer" else [layer, Dense(2)])
    model.save(path)

    loaded = bp.models.load_model(path)

    kinds = [type(part) for part in loaded.layers if not isinstance(part, bp.layers.InputLayer)]
    assert kinds == [Dense if name == "InputLayer" else type(layer)]
    assert_same_weights(model, loaded)
    for y, expected in zip(
        as_list(loaded.predict(x, verbose=0)), as_list(model.predict(x, verbose=0)), strict=True
    ):
        np.testing.assert_array_equal(y, expected)


def test_a_model_that_is_not_compiled_comes_back(path):
    model = small(name="plain")
    model.save(path)

    loaded = bp.models.load_model(path)

    assert not loaded.compiled
    assert loaded.name == "plain"
    assert_same_weights(model, loaded)


def test_compile_false_leaves_the_training_out(path):
    model = compiled()
    fit(model, X, Y, 0, 1)
    model.save(path)

    loaded = bp.models.load_model(path, compile=False)

    assert not loaded.compiled
    assert_same_weights(model, loaded)


def test_a_model_built_by_its_data_comes_back_built(path):
    model = bp.Sequential([Dense(4), Dense(2)])
    model.predict(X, verbose=0)
    model.save(path)

    assert bp.models.load_model(path).input_shape == (None, 6)


def test_saving_and_loading_draw_no_random_numbers(path):
    model = compiled()
    a, b = compiled(), compiled()
    fit(a, X, Y, 0, 2)
    fit(b, X, Y, 0, 1)
    b.save(path)
    fit(b, X, Y, 1, 2)

    assert_same_weights(a, b)
    model.save(path)
    children = seeds._process.sequence.n_children_spawned
    bp.models.load_model(path)
    assert seeds._process.sequence.n_children_spawned == children


def test_a_model_is_saved_under_a_path_or_a_text(tmp_path):
    model = small()
    model.save(str(tmp_path / "a.npz"))
    bp.saving.save_model(model, tmp_path / "b.npz")
    bp.models.save_model(model, tmp_path / "c.npz")

    files = [(tmp_path / f"{name}.npz").read_bytes() for name in "abc"]
    assert files[0] == files[1] == files[2]


# ------------------------------------------------------------------ classes of one's own


class Scale(Layer):
    """y = gamma x, with an argument that is kept."""

    def __init__(self, start=1.0, note=None, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.gamma, self.dgamma = self.param(
            "gamma", input_shape[-1:], bp.initializers.Constant(self.start)
        )

    def forward(self, x, ctx=INFERENCE):
        return self.gamma * x, x

    def backward(self, dy, x):
        self.dgamma = (dy * x).sum(0)
        return self.gamma * dy


@saving.register_keras_serializable("tests")
class Registered(Scale):
    pass


def test_a_registered_class_needs_nothing(path):
    model = bp.Sequential([bp.Input((6,)), Registered(2.5)])
    model.save(path)

    loaded = bp.models.load_model(path)

    assert type(loaded.layers[0]) is Registered
    assert loaded.layers[0].start == 2.5


def test_another_class_is_asked_for_by_name(path):
    model = bp.Sequential([bp.Input((6,)), Residual([Scale(2.5)])])
    model.save(path)

    with pytest.raises(ValueError, match=r"model.npz.*'Scale'"):
        bp.models.load_model(path)
    loaded = bp.models.load_model(path, custom_objects={"Scale": Scale})
    assert next(part for part in loaded.walk() if isinstance(part, Scale)).start == 2.5
    with saving.CustomObjectScope({"Scale": Scale}):
        assert_same_weights(bp.models.load_model(path), model)


def half_right(y_true, y_pred):
    return (y_pred.argmax(-1) == y_true) * 0.5


def falling(step):
    return 0.1 / (1 + step)


def test_functions_of_ones_own_are_asked_for_by_name(path):
    model = compiled(SGD(falling), metrics=[half_right], weighted_metrics=[half_right])
    fit(model, X, Y, 0, 1)
    model.save(path)

    with pytest.raises(ValueError, match="'falling'"):
        bp.models.load_model(path)
    with pytest.raises(ValueError, match="'half_right'"):
        bp.models.load_model(path, custom_objects={"falling": falling})
    loaded = bp.models.load_model(
        path, custom_objects={"falling": falling, "half_right": half_right}
    )
    assert fit(loaded, X, Y, 1, 2) == fit(model, X, Y, 1, 2)
    assert bp.models.load_model(path, compile=False).predict(X, verbose=0).shape == (40, 3)


def test_a_function_without_a_name_is_refused_when_saving(path):
    model = compiled(metrics=[lambda y_true, y_pred: y_pred[:, 0]])

    with pytest.raises(ValueError, match="has no name that a configuration could hold"):
        model.save(path)
    assert not path.exists()


def test_an_argument_that_json_cannot_hold_is_refused_when_saving(path):
    model = bp.Sequential([bp.Input((6,)), Dense(3), Scale(1.0, note={1, 2})])

    with pytest.raises(TypeError, match=r"cannot save model.*note = \{1, 2\} \(set\)"):
        model.save(path)
    assert not path.exists()


# ------------------------------------------------------------------ files


def test_overwrite_false_keeps_the_file(path):
    small().save(path)
    before = path.read_bytes()
    for save in (bp.Sequential.save, bp.Sequential.save_weights):
        with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
            save(small(name="other"), path, overwrite=False)

    assert path.read_bytes() == before
    small(name="other").save(path)
    assert path.read_bytes() != before


def test_a_failed_save_leaves_the_old_model(path, monkeypatch):
    model = compiled()
    model.save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    fit(model, X, Y, 0, 1)
    for save in (model.save, model.save_weights):
        with pytest.raises(OSError, match="No space left"):
            save(path)
    monkeypatch.undo()

    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]
    bp.models.load_model(path)


def test_where_nothing_can_be_saved_it_is_said(path, tmp_path):
    with pytest.raises(ValueError, match="not built yet"):
        bp.Sequential([Dense(3)]).save(path)
    with pytest.raises(ValueError, match="not built yet"):
        bp.Sequential([Dense(3)]).save_weights(path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        small().save(tmp_path / "no" / "model.npz")
    with pytest.raises(ValueError, match=r"name it 'model.npz'"):
        small().save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="zipped=False"):
        small().save(path, zipped=False)
    with pytest.raises(FileNotFoundError, match="no file"):
        bp.models.load_model(path)


@pytest.mark.parametrize("save", [bp.Sequential.save, bp.models.save_model, saving.save_model])
def test_older_arguments_of_save_are_taken_and_change_nothing(save, path):
    model = small()
    model.compile("adam", "mse")

    with pytest.warns(
        UserWarning, match=r"^save\(\) ignores save_format='keras': the name"
    ) as told:
        save(model, path, save_format="keras")
    assert len(told) == 1 and told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"ignores include_optimizer=False: load_model\(compile"):
        save(model, path, include_optimizer=False)
    save(model, path, include_optimizer=True, save_format=None)

    assert isinstance(bp.models.load_model(path).optimizer, bp.optimizers.Adam)
    with pytest.raises(TypeError, match="include_optimizer to be True or False"):
        save(model, path, include_optimizer="no")


def test_a_weights_file_is_no_model(path):
    small().save_weights(path)

    with pytest.raises(ValueError, match="it holds a 'weights' and a 'model' was expected"):
        bp.models.load_model(path)


# ------------------------------------------------------------------ weights alone


def test_weights_come_back_into_a_model_of_the_same_layers(path):
    model, other = nested(), nested()
    fit_and_compile(model)
    model.save_weights(path)

    other.load_weights(path)

    assert_same_weights(model, other)
    for kind in ("save", "save_weights"):
        getattr(model, kind)(path)
        third = nested()
        third.load_weights(path)
        assert_same_weights(model, third)


def fit_and_compile(model):
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model, X, Y, 0, 1)


def test_weights_that_do_not_fit_change_nothing(path):
    small().save_weights(path)
    for other in (
        [Dense(8), Dense(4)],
        [Dense(8)],
        [Dense(8), Dense(3), Dense(3)],
        [Dense(3), Dense(8)],
    ):
        model = bp.Sequential([bp.Input((6,)), *other])
        before = model.get_weights()
        with pytest.raises(ValueError, match=r"model.npz"):
            model.load_weights(path)
        for now, then in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
    with pytest.raises(ValueError, match="not built yet"):
        bp.Sequential([Dense(3)]).load_weights(path)


def test_skip_mismatch_takes_what_fits_and_names_the_rest(path):
    source = bp.Sequential([bp.Input((6,)), Dense(8), Dense(3)])
    source.save_weights(path)
    other = bp.Sequential([bp.Input((6,)), Dense(8), Dense(5)])
    before = other.get_weights()

    with pytest.warns(UserWarning, match=r"dense_1/kernel \(8, 5\), in the file \(8, 3\)"):
        other.load_weights(path, skip_mismatch=True)

    np.testing.assert_array_equal(other.layers[0].kernel, source.layers[0].kernel)
    np.testing.assert_array_equal(other.layers[1].kernel, before[2])


def test_skip_mismatch_goes_by_names_where_numbers_differ(path):
    source = bp.Sequential([bp.Input((6,)), Dense(8, name="first"), Dense(3, name="head")])
    source.save_weights(path)
    other = bp.Sequential([bp.Input((6,)), Dense(6, name="new"), Dense(8, name="first")])
    other.add(Dense(2))

    with pytest.warns(UserWarning, match=r"new/kernel \(6, 6\), in the file nothing"):
        other.load_weights(path, skip_mismatch=True)

    np.testing.assert_array_equal(other.layers[1].kernel, source.layers[0].kernel)


def test_skip_mismatch_says_nothing_where_all_fits(path):
    small().save_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().load_weights(path, skip_mismatch=True)


def test_float64_weights_come_into_a_float32_model(path):
    model = small().astype("float64")
    model.layers[0].kernel[0, 0] = 1e300
    model.save_weights(path)
    other = small()

    other.load_weights(path)

    assert other.layers[0].kernel.dtype == np.float32
    assert np.isinf(other.layers[0].kernel[0, 0])


# ------------------------------------------------------------------ configurations


@pytest.mark.parametrize("name", MODELS)
def test_json_and_clone_make_the_same_layers_with_fresh_values(name):
    make, x = MODELS[name]
    model = make()
    model.build((None, *x.shape[1:]))

    for twin in (bp.models.model_from_json(model.to_json()), bp.models.clone_model(model)):
        assert twin.to_json() == model.to_json()
        assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]
        assert not np.array_equal(twin.weights[0], model.weights[0])
    assert json.loads(model.to_json(indent=2))["class_name"] == "Sequential"


def test_model_from_json_takes_custom_objects():
    model = bp.Sequential([bp.Input((6,)), Scale(2.5)])

    assert type(bp.models.model_from_json(model.to_json(), {"Scale": Scale}).layers[0]) is Scale
    with pytest.raises(ValueError, match="'Scale'"):
        bp.models.model_from_json(model.to_json())


def test_keras_names_of_saving_serve():
    dense = Dense(3, "relu")
    config = saving.serialize_keras_object(dense)

    assert repr(saving.deserialize_keras_object(config)) == repr(dense)
    assert saving.get_registered_name(Registered) == "tests>Registered"
    assert saving.get_registered_name(Scale) == "Scale"
    assert saving.get_registered_object("tests>Registered") is Registered
    assert saving.get_registered_object("Scale", custom_objects={"Scale": Scale}) is Scale
    assert saving.get_registered_object("Dense") is Dense
    assert saving.get_registered_object("nothing") is None
    assert saving.get_custom_objects()["tests>Registered"] is Registered
    assert repr(saving.deserialize_keras_object(config, safe_mode=False)) == repr(dense)
    with pytest.raises(TypeError, match="safe_mode to be True or False, got 'no'"):
        saving.deserialize_keras_object(config, safe_mode="no")


# ------------------------------------------------------------------ files that lie


def made_up(path, **changes):
    """The file with parts of its header replaced."""
    header, arrays = archive.read(path, ("model",))
    header = {k: v for k, v in header.items() if k not in ("format", "version", "kind")} | changes
    archive.write(path, "model", header, arrays)


def test_layers_larger_than_the_file_are_refused_before_they_are_made(path, monkeypatch):
    small().save(path)
    header, _ = archive.read(path, ("model",))
    header["model"]["config"]["layers"][1]["config"]["units"] = 10**9
    made_up(path, model=header["model"])

    def make(*args, **kwargs):
        raise AssertionError("made weights that the file does not hold")

    monkeypatch.setattr(bp.initializers.GlorotUniform, "__call__", make)
    with pytest.raises(ValueError, match=r"in layer 0.*more than there are weights for it"):
        bp.models.load_model(path)


def test_after_a_refused_file_layers_can_be_made_again(path):
    small().save(path)
    made_up(path, generators=[])
    with pytest.raises(ValueError, match="generators"):
        bp.models.load_model(path)

    assert bp.Sequential([bp.Input((50,)), Dense(50)]).built


@pytest.mark.parametrize(
    "changes",
    [
        {"model": None},
        {"model": 3},
        {"model": "Sequential"},
        {"model": []},
        {"model": {"class_name": "Dense", "module": "layers", "config": {"units": 3}}},
        {"model": {"class_name": "os.system", "config": {"command": "true"}}},
        {"model": {"class_name": "Sequential", "module": "models", "config": []}},
        {"model": {"class_name": "Sequential", "module": "models", "config": {"layers": 3}}},
        {"model": {"class_name": ["Sequential"], "module": "models", "config": {}}},
        {"model": {"class_name": "Sequential", "module": ["models"], "config": {}}},
        {"model": {"class_name": "__shared__", "config": {"shared_object_id": 0}}},
        {"model": {"class_name": "__array__", "config": {"value": [1], "dtype": "O"}}},
        {"compile": 3},
        {"compile": {"optimizer": "adam"}},
        {"generators": 3},
        {"generators": [{"bit_generator": "PCG64"}] * 4},
        {"generators": [{"bit_generator": "MT19937", "state": {}}] * 4},
        {"extra": 3},
        {"extra": None},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_header_of_wrong_types_is_refused(path, changes):
    compiled().save(path)
    made_up(path, **changes)

    with pytest.raises(ValueError, match=r"model\.npz"):
        bp.models.load_model(path)


def leaves(value, at=()):
    """The paths of all values inside a JSON value."""
    yield at
    for key, part in (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        yield from leaves(part, (*at, key))


def changed_at(value, at, new):
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = changed_at(copy[at[0]], at[1:], new)
    return copy


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    path = tmp_path_factory.mktemp("rich") / "rich.npz"
    random.set_random_seed(0)
    model = images()
    model.compile(OPTIMIZERS["cosine"](), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit(model, MODELS["images"][1], Y, 0, 1)
    model.save(path)
    return path, *archive.read(path, ("model",))


VALUES = st.sampled_from(
    [None, True, -1, 0, 3, 10**30, 0.5, float("nan"), "", "relu", "Adam", [], [3], {}]
) | st.just({"class_name": "Dense", "module": "layers", "config": {"units": 2}})


def loaded_or_refused(path):
    """The model of a file; None where an error says that there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bp.models.load_model(path)
        except ValueError:
            return None


@given(st.data())
def test_any_change_of_the_header_is_an_error_or_a_model(rich, data):
    path, header, arrays = rich
    body = {k: v for k, v in header.items() if k not in ("format", "version", "kind")}
    at = data.draw(st.sampled_from(list(leaves(body))[1:]))
    damaged = path.with_name("damaged.npz")
    archive.write(damaged, "model", changed_at(body, at, data.draw(VALUES)), arrays)

    model = loaded_or_refused(damaged)
    assert model is None or isinstance(model, bp.Sequential)


@given(st.data())
def test_any_missing_or_foreign_array_is_an_error_or_a_model(rich, data):
    path, header, arrays = rich
    body = {k: v for k, v in header.items() if k not in ("format", "version", "kind")}
    name = data.draw(st.sampled_from(list(arrays)))
    changed = dict(arrays)
    kind = data.draw(st.sampled_from(["drop", "shape", "dtype", "nan", "more"]))
    if kind == "drop":
        del changed[name]
    elif kind == "shape":
        changed[name] = np.zeros((2, *arrays[name].shape))
    elif kind == "dtype":
        changed[name] = np.zeros(arrays[name].shape, data.draw(st.sampled_from(["?", "i8", "f2"])))
    elif kind == "nan":
        changed[name] = np.full(arrays[name].shape, np.nan)
    else:
        changed["weights/99/x/y"] = np.zeros(2)
    damaged = path.with_name("damaged.npz")
    archive.write(damaged, "model", body, changed)

    model = loaded_or_refused(damaged)
    if model is None:
        return
    assert kind in ("dtype", "nan") or name.startswith("optimizer/")
    assert isinstance(model, bp.Sequential)


def test_a_damaged_file_changes_no_model(path):
    source = small()
    source.save_weights(path)
    with zipfile.ZipFile(path) as file:
        info = file.infolist()[-1]
    data = bytearray(path.read_bytes())
    data[info.header_offset + info.file_size] ^= 1
    path.write_bytes(bytes(data))
    model = nested()
    before = model.get_weights()

    with pytest.raises(ValueError, match="damaged"):
        model.load_weights(path)

    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


# ---------------------------------------------------------- files of before states were no weights


def stateful():
    return bp.Sequential(
        [
            bp.Input(batch_shape=(4, 3, 2)),
            layers.LSTM(3, stateful=True),
            Dense(2),
            layers.BatchNormalization(),
        ]
    )


def with_the_carry_among_the_weights(model, path, kind):
    """A file as it was written when a state was a weight: "carry", behind those of its layer."""
    header, arrays = run_state.model_state(model)
    names = [p.path for p in model.arrays()]
    values = [p.value for p in model.arrays()]
    (carry,) = model.states_kept()
    names.insert(3, carry.path)
    values.insert(3, carry.value)
    arrays = {f"weights/{i}/{n}": v for i, (n, v) in enumerate(zip(names, values, strict=True))}
    header |= {"model": serialize(model), "compile": None, "extra": {}}
    archive.write(path, kind, header if kind == "model" else {}, arrays)


@pytest.mark.parametrize("kind", ["model", "weights"])
@pytest.mark.parametrize("skip_mismatch", [False, True])
def test_an_older_file_with_states_among_its_weights_can_be_read(path, kind, skip_mismatch):
    old, new = stateful(), stateful()
    old(np.ones((4, 3, 2)))
    with_the_carry_among_the_weights(old, path, kind)

    new.load_weights(path, skip_mismatch=skip_mismatch)

    assert_same_weights(new, old)
    assert not new.states_kept()[0].value.any()


def test_a_model_of_an_older_file_goes_on_where_it_was(path):
    old = stateful()
    old(np.ones((4, 3, 2)))
    with_the_carry_among_the_weights(old, path, "model")

    loaded = saving.load_model(path)

    assert_same_weights(loaded, old)
    np.testing.assert_array_equal(loaded.states_kept()[0].value, old.states_kept()[0].value)


def test_a_weight_that_is_called_carry_stays_a_weight(path):
    class Carrying(Layer):
        def build(self, input_shape):
            self.carry, self.dcarry = self.param("carry", (3,))

    model, other = (bp.Sequential([bp.Input((2,)), Carrying()]) for _ in range(2))
    model.save_weights(path)
    other.load_weights(path)

    assert_same_weights(other, model)


def trained_pair():
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [bp.Input((3,)), *(bp.layers.Dense(3, name=f"layer_{i}") for i in range(2))]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 3))
    model.fit(x, x, verbose=0)
    return model, x


def grow(model):
    model.add(bp.layers.Dense(3, name="new"))


def change_the_last(model):
    model.pop()
    grow(model)


def change_all(model):
    model.pop()
    change_the_last(model)


@pytest.mark.parametrize("copied", [lambda model: model, copy.deepcopy], ids=["it", "a copy"])
@pytest.mark.parametrize("change", [grow, lambda model: model.pop(), change_the_last])
def test_a_trained_model_that_gained_or_lost_layers_goes_on_from_its_file(path, change, copied):
    whole, x = trained_pair()
    change(whole)
    whole.fit(x, x, verbose=0)

    model, _ = trained_pair()
    model = copied(model)
    change(model)
    model.set_weights(whole_weights := model.get_weights())
    model.save(path)
    again = bp.models.load_model(path)
    again.trainer.seed = model.trainer.seed

    np.testing.assert_equal(again.get_weights(), whole_weights)
    for one in (model, again):
        one.fit(x, x, verbose=0)
    np.testing.assert_equal(again.get_weights(), model.get_weights())
    np.testing.assert_equal(again.optimizer.get_state(), model.optimizer.get_state())
    assert again.optimizer.iterations == whole.optimizer.iterations


def test_moments_of_layers_that_are_gone_are_not_those_of_others(path):
    model, _ = trained_pair()
    change_all(model)
    model.save(path)

    assert not bp.models.load_model(path).optimizer.built


@pytest.mark.parametrize("change", [grow, lambda model: model.pop(), change_the_last, change_all])
def test_such_a_model_is_read_from_a_file_of_keras_too(change, tmp_path):
    model, x = trained_pair()
    change(model)
    model.save(tmp_path / "model.keras")

    bp.models.load_model(tmp_path / "model.keras").fit(x, x, verbose=0)


def test_a_copy_of_a_model_that_grew_shrinks_again_and_goes_on(path):
    whole, x = trained_pair()
    grow(whole)
    model = copy.deepcopy(whole)
    model.pop()
    model.save(path)

    again = bp.models.load_model(path)
    again.trainer.seed = model.trainer.seed
    for one in (model, again):
        one.fit(x, x, verbose=0)
    np.testing.assert_equal(again.get_weights(), model.get_weights())
    assert again.optimizer.iterations == 2


def test_a_copy_whose_optimizer_knows_no_layer_is_saved_without_what_it_remembers(path):
    model, _ = trained_pair()
    model.pop()
    model.pop()
    model.add(bp.layers.BatchNormalization())
    copied = copy.deepcopy(model)
    copied.save(path)

    assert not bp.models.load_model(path).optimizer.built
    with pytest.raises(ValueError):
        copied.train_on_batch(np.ones((2, 3)), np.ones((2, 3)))


TWINS = [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("twin", TWINS)
def test_a_copy_is_refused_the_step_that_its_original_is_refused(twin, optimizer):
    x = np.ones((4, 3))
    model = bp.Sequential([bp.Input((3,)), layers.Dense(3)])
    model.compile(optimizer, "mse")
    model.fit(x, x, verbose=0)
    known = model.pop()
    model.add(layers.Dense(3))  # of the same shape, so the moments of the other would fit

    copied = twin(twin(model))
    copied.add(layers.Dense(3))
    for one in (model, copied):
        with pytest.raises(ValueError, match="make a new optimizer for this model"):
            one.fit(x, x, verbose=0)

    model.add(known)  # whom it knows
    twin(model).fit(x, x, verbose=0)
    copied.optimizer.set_state(copied.optimizer.get_state() | {"steps": np.int64(7)})
    copied.pop()
    copied.train_on_batch(x, x)
    assert copied.optimizer.iterations == 8


@pytest.mark.parametrize("twin", TWINS)
def test_a_model_that_has_lost_a_trained_layer_is_copied(twin):
    model = bp.Sequential(
        [bp.Input((3,)), layers.Dense(2), layers.Dense(1, kernel_regularizer="l2")]
    )
    model.compile("sgd", "mse")
    x = np.ones((4, 3))
    model.fit(x, x[:, :1], verbose=0)

    model.pop()
    gc.collect()

    found = twin(model)
    np.testing.assert_array_equal(found.predict(x, verbose=0), model.predict(x, verbose=0))
