"""What Keras has and this library has not, and what to write instead.

One table, by the place where a Keras user looks for a name, and one way to say it: a module's
``__getattr__, __dir__ = face(__name__, __all__)``, a layer's missing attribute, and an import of a
module that is not there all end in `explain`. A name that Keras does not have either is answered
with the nearest one that is here.
"""

from __future__ import annotations

import importlib
import opcode
import sys
from collections.abc import Callable, Iterable
from functools import cache
from types import FrameType, ModuleType
from typing import Any

from backprop.spelling import nearest

FUNCTIONAL = "Model(inputs, outputs) makes a model of layers that are called on each other"
CALLS = (
    "calls are not kept as nodes: layer.input and layer.output are those of the first, and "
    "Model(model.inputs, layer.output) ends where you say"
)
OWN_LAYER = "write a layer of your own with forward and backward, see docs/write_a_layer.md"
NO_ENGINE = "there is one engine, NumPy on the CPU, and nothing to choose"
TWO_DTYPES = (
    "models compute in float32, or in float64 by Sequential(..., dtype='float64') or "
    "config.set_floatx('float64'); there is no half precision"
)
BY_HAND = "every gradient is derived by hand here, there is no engine that could derive it"
TABLES = "utils.FeatureSpace encodes the columns of a table, in a model or before one"
ITERABLE = "fit(), evaluate() and predict() take any iterable of batches themselves: model.{}(data)"
STATELESS = "weights are changed in place: get_weights() and set_weights() copy them out and in"

# place → names, separated by spaces → the end of the sentence
KERAS: dict[str, dict[str, str]] = {
    "backprop": {
        "Function Functional": FUNCTIONAL,
        "Operation": "what is called on symbolic arrays is a Layer",
        "KerasTensor": (
            "Input(shape) makes a symbolic array, and layers called on it others; "
            "utils.is_keras_tensor(x) tells them"
        ),
        "ops": (
            "arrays are NumPy's: np.mean(x) for keras.ops.mean(x), np.matmul for matmul; "
            "activations.softmax and its like, utils.ctc_decode and random.normal are here. What "
            "must be differentiated is a Layer or a Loss with a backward"
        ),
        "tree": (
            "a model takes and gives lists and dicts as they were drawn; a comprehension maps them"
        ),
        "applications": (
            "trained networks are not downloaded. Weights that Keras has loaded go into a model "
            "of the same layers by model.set_weights(keras_model.get_weights())"
        ),
        "wrappers": (
            "interop.BackpropClassifier, BackpropRegressor and BackpropTransformer are estimators "
            "of scikit-learn"
        ),
        "mixed_precision dtype_policies DTypePolicy FloatDTypePolicy": TWO_DTYPES,
        "quantizers Quantizer": TWO_DTYPES,
        "distribution distillation device": NO_ENGINE,
        "remat RematScope StatelessScope SymbolicScope name_scope": NO_ENGINE,
        "visualization": "diagnostics draws what a network did and learned, with matplotlib",
        "export": "save() writes one .npz file, or a .keras file that Keras reads and can export",
        "legacy src engine": "what is public is in layers, models, utils and their like",
        "estimator experimental": "model.fit() trains, there is nothing else that does",
        "GradientTape": (
            BY_HAND + "; model.gradients(x, y) gives them by layer and name, or with respect to x"
        ),
    },
    "backprop.layers": {
        "CuDNNLSTM CuDNNGRU": "LSTM and GRU are the fast ones",
        "RandomHeight RandomWidth": "Keras has dropped them; RandomZoom is here",
        "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper": NO_ENGINE,
        "LocallyConnected1D LocallyConnected2D": "Keras has dropped them; " + OWN_LAYER,
        "DenseFeatures": TABLES,
        "experimental": "what was in it is in layers itself",
        "ThresholdedReLU": "Threshold(value, default_value) and ReLU(threshold=) are what it was",
        "SyncBatchNormalization": NO_ENGINE,
    },
    "backprop.models": {"Functional": FUNCTIONAL},
    "backprop.preprocessing": {
        "text": "layers.TextVectorization and layers.StringLookup number words",
    },
    "backprop.preprocessing.image": {
        "smart_resize": "layers.Resizing(height, width, crop_to_aspect_ratio=True)(x) does it",
        "ImageDataGenerator": (
            "image_dataset_from_directory reads, and layers such as RandomFlip change images"
        ),
    },
    "backprop.preprocessing.sequence": {
        "TimeseriesGenerator": "utils.timeseries_dataset_from_array cuts a series into windows",
    },
    "backprop.utils": {
        "model_to_dot": "plot_model(model, 'model.svg') draws the graph, without graphviz",
        "Config": "a dict does it",
        "bounding_boxes": (
            "layers of images move boxes of any format with them; there are no losses of boxes"
        ),
        "legacy": "serialize_keras_object and deserialize_keras_object are in utils themselves",
        "multi_gpu_model": NO_ENGINE,
        "np_utils": "utils.to_categorical and utils.normalize are what it held",
        "Tokenizer": "layers.TextVectorization and layers.StringLookup number words",
    },
    "backprop.callbacks": {
        "RemoteMonitor": "send the logs from a LambdaCallback(on_epoch_end=...)",
        "OrbaxCheckpoint": "ModelCheckpoint saves models, BackupAndRestore resumes runs",
    },
    "backprop.losses": {
        "Reduction": "reduction= takes 'sum_over_batch_size', 'sum', 'mean' or 'none'",
    },
    "backprop.optimizers": {
        "LossScaleOptimizer": TWO_DTYPES,
        "MultiOptimizer OptimizerMap": "a model has one optimizer; layer.trainable freezes parts",
        "legacy": "the optimizers are in optimizers themselves",
    },
    "backprop.saving": {
        "KerasFileEditor": "np.load reads the arrays of a saved file: it is an ordinary .npz",
        "legacy": "save_model and load_model are in saving themselves",
    },
    "backprop.datasets": {
        "boston_housing": "take california_housing; Keras keeps this one for old scripts",
    },
    "backprop.random": {
        "SeedGenerator": "seed= takes an int, or np.random.default_rng(seed), which goes on",
        "beta binomial gamma": "np.random.default_rng(seed) draws it",
        "dropout": "layers.Dropout(rate)(x, training=True) draws and derives it",
    },
    "backprop.config": {
        "dtype_policy set_dtype_policy": TWO_DTYPES,
        "set_backend": NO_ENGINE,
        "enable_flash_attention disable_flash_attention is_flash_attention_enabled": NO_ENGINE,
        "is_nnx_enabled": NO_ENGINE,
        "enable_traceback_filtering disable_traceback_filtering is_traceback_filtering_enabled": (
            "tracebacks are never filtered; an error says in which layer it happened"
        ),
        "enable_unsafe_deserialization": "no file can hold code, so nothing is unsafe to load",
        "max_epochs set_max_epochs max_steps_per_epoch set_max_steps_per_epoch": (
            "fit(epochs=, steps_per_epoch=) says how long a run is"
        ),
    },
    "backprop.backend": {
        "get_value eval get_session": "arrays are NumPy's: x is its own value",
        "set_value": (
            "assign: model.optimizer.learning_rate = 0.1, layer.kernel = array, "
            "model.weights[0].assign(array)"
        ),
        "function gradients": BY_HAND + "; model.gradients(x, y) gives them",
        "learning_phase set_learning_phase": "say it at the call: layer(x, training=True)",
        "get_uid": "a model makes the names of its layers unique",
        "is_keras_tensor": "it is in utils",
        "is_float_dtype is_int_dtype result_type": "np.issubdtype and np.result_type do it",
        "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy": (
            "it is a function in losses"
        ),
        "relu sigmoid softmax softplus elu hard_sigmoid tanh": "it is a function in activations",
        "ctc_decode": "it is in utils",
        "cast": "x.astype(dtype) does it",
        "variable": "Variable(value) makes one",
        "mean sum prod max min abs square sqrt exp log pow clip round sign maximum minimum dot "
        "transpose reshape concatenate stack expand_dims squeeze flatten shape int_shape ndim "
        "argmax argmin any all equal not_equal greater less zeros ones zeros_like ones_like eye "
        "arange tile var std cumsum sin cos switch gather repeat batch_dot constant": (
            "arrays are NumPy's, and so are the functions on them: np.mean(x) for K.mean(x). What "
            "must be differentiated is a Layer or a Loss with a backward"
        ),
    },
    # arguments of constructors, of all classes alike
    "arguments": {
        "schedule_decay": "Keras has dropped it; learning_rate takes a schedule",
        "alpha": "write negative_slope",
        "p": "write rate",
        "output_dim": "write units",
        "nb_filter": "write filters",
        "border_mode": "write padding",
        "subsample": "write strides",
        "dim_ordering": "write data_format",
        "init": "write kernel_initializer",
        "W_regularizer": "write kernel_regularizer",
        "b_regularizer": "write bias_regularizer",
        "W_constraint": "write kernel_constraint",
        "period": "write save_freq",
        "input_length": "leave it out, sequences may have any length",
        "batch_input_shape": "put an Input(batch_shape=...) before the layer",
        "weights": "set them when the layer is built: layer.set_weights([...])",
        "time_major": "the batch comes first: np.swapaxes(x, 0, 1)",
        "implementation fused jit_compile flash_attention": "leave it out, " + NO_ENGINE,
        "autocast quantization_config gptq_unpacked_column_size": "leave it out, " + TWO_DTYPES,
        "lora_rank lora_alpha": "leave it out, " + TWO_DTYPES,
        "sparse": (
            "leave it out; a SciPy matrix goes into a layer that takes one, such as Dense, as it is"
        ),
        "ragged": "pad the sequences, by utils.pad_sequences, and let a mask leave padding out",
        "optional": "leave it out: a model is given all its inputs",
    },
    # arguments of an optimizer, of older versions of Keras and of other libraries; each says the
    # name of the argument that is meant, and concerns those that have it
    "Optimizer()": {
        "lr": "it is called learning_rate",
        "eps": "it is called epsilon",
        "beta1": "it is called beta_1",
        "beta2": "it is called beta_2",
        "betas": "they are called beta_1 and beta_2",
        "alpha": "it is called rho",
        "decay": (
            "a rate that falls is a schedule: learning_rate=schedules.InverseTimeDecay("
            "learning_rate, decay_steps=1, decay_rate=decay); decay of the weights is called "
            "weight_decay"
        ),
    },
    "ReduceLROnPlateau()": {"epsilon": "min_delta is what it was"},
    # attributes of objects, by the class
    "Metric": {
        "stateless_update_state stateless_result stateless_reset_state": (
            "a metric changes in place: update_state(), result(), reset_state(); copy.deepcopy "
            "keeps one as it was"
        ),
    },
    "Layer": {
        "call": "layer(x) calls it; who writes one writes forward(x, ctx) and backward(dy, cache)",
        "add_metric add_update updates": "give metrics to compile(), keep statistics in a buffer",
        "metrics metrics_variables": "metrics are compile()'s",
        "add_variable": "in build: self.kernel, self.dkernel = self.param('kernel', shape)",
        "inbound_nodes outbound_nodes get_input_at get_output_at": CALLS,
        "get_input_shape_at get_output_shape_at": "input_shape and output_shape say it",
        "dtype_policy autocast input_dtype quantize quantization_mode quantization_config "
        "quantized_build quantized_call enable_lora lora_rank lora_alpha lora_enabled "
        "variable_serialization_spec": TWO_DTYPES,
        "path": "variables have paths: layer.weights[0].path",
        "rematerialized_call": NO_ENGINE,
        "call_signature_parameters": "call_inputs and call_options name what a call takes",
        "supports_masking": "a layer's compute_mask(x, mask) says what it makes of a mask",
        "supports_jit": NO_ENGINE,
        "stateless_call get_state_tree set_state_tree": STATELESS,
        "save_own_variables load_own_variables": STATELESS,
        "compute_output_spec symbolic_call": "compute_output_shape(shape) says the output's shape",
        "cell": "the weights are the layer's own: layer.kernel, layer.recurrent_kernel, layer.bias",
        "states": "a stateful layer keeps them, a list of arrays; others have none",
        "state_size": "cells say sizes and state_shapes; a layer's state has `units` numbers",
    },
    "ImageLayer": {
        "transform_images transform_labels transform_bounding_boxes transform_segmentation_masks "
        "transform_single_image transform_single_label transform_single_bounding_box "
        "transform_single_segmentation_mask": (
            "a call on {'images': ..., 'labels': ..., 'bounding_boxes': ...} changes all by one "
            "draw; who writes one writes change(x, drawn) and reverse(dy, kept)"
        ),
        "get_random_transformation": "draw(x) makes all random numbers, and change(x, drawn) y",
        "generator": "layer.rng makes its random numbers",
    },
    "Loss": {
        "call": "loss(y_true, y_pred) calls it; who writes one writes values and gradient",
        "fn": "loss(y_true, y_pred) calls it, and the functions are in losses",
    },
    "Optimizer": {
        "weights": "variables shows what it remembers, and get_weights() copies it",
        "minimize compute_gradients get_gradients": (
            BY_HAND + "; model.gradients(x, y) gives them, and apply(grads, variables) takes a step"
        ),
        "get_updates": "apply(grads, variables) changes the variables in place",
        "update_step": "who writes one writes update(w, g, lr, *slots, *scratch)",
        "add_variable add_variable_from_reference add_optimizer_variables add_slot get_slot": (
            "who writes one names what it remembers in slots(), and variables shows it"
        ),
        "assign assign_add assign_sub": "optimizer.variables[i].assign(value) sets a part of it",
        "stateless_apply": "apply(grads, variables) changes arrays in place; apply it to copies",
        "scale_loss inner_optimizer dynamic_scale": TWO_DTYPES,
    },
    "Sequential": {"input_names output_names": "it has one of each; those of a Model have names"},
    "BaseModel": {
        "predict_classes": "Keras has dropped it; np.argmax(model.predict(x), axis=-1)",
        "predict_proba": "Keras has dropped it; predict(x) gives a softmax's probabilities",
        "fit_generator": ITERABLE.format("fit"),
        "evaluate_generator": ITERABLE.format("evaluate"),
        "predict_generator": ITERABLE.format("predict"),
        "export": "save() writes one .npz file, or a .keras file that Keras reads and can export",
        "to_yaml": "Keras has dropped it; to_json() describes the layers",
        "make_train_function make_test_function make_predict_function": NO_ENGINE,
        "train_function test_function predict_function": NO_ENGINE,
        "stateless_compute_loss": "compute_loss(x, y, y_pred) is the loss",
        "total_loss targets sample_weights": "compute_loss(x, y, y_pred) is the loss",
        "operations": "model.layers are what it is made of",
        "get_quantization_layer_structure": TWO_DTYPES,
        "path": "variables have paths: model.weights[0].path",
        "metrics_variables": "[v for m in model.metrics for v in m.variables] are those of metrics",
    },
    "Batches": {
        "batch unbatch": "say batch_size= where it is made, None for single samples",
        "shuffle": "say shuffle=True where it is made",
        "repeat": "fit(epochs=) goes through it as often as it must",
        "element_spec": "it[0] is the first batch: its arrays have shape and dtype",
    },
}

FAMILIES = ("layers", "losses", "metrics", "optimizers", "callbacks")
FAMILIES += ("initializers", "activations", "utils", "models")


@cache
def advice(place: str) -> dict[str, str]:
    """The names of a place, each with what to write instead."""
    return {name: text for names, text in KERAS.get(place, {}).items() for name in names.split()}


def explain(place: str, name: str, known: Iterable[str] = ()) -> str:
    """The sentence for a name that a module has not.

    Examples
    --------
    >>> print(explain("backprop.layers", "CuDNNLSTM"))
    backprop.layers has no CuDNNLSTM: LSTM and GRU are the fast ones
    >>> print(explain("backprop.layers", "Adam"))
    backprop.layers has no 'Adam'; it is backprop.optimizers.Adam
    >>> print(explain("backprop.layers", "Dens", ["Dense", "Dropout"]))
    backprop.layers has no 'Dens'; did you mean 'Dense'?
    """
    if name in advice(place):
        return f"{place} has no {name}: {advice(place)[name]}"
    if name.startswith("_"):
        return f"module {place!r} has no attribute {name!r}"
    for family in FAMILIES:
        home = f"backprop.{family}"
        if name in public_names(importlib.import_module(home)):
            return f"{place} has no {name!r}; it is {home}.{name}"
    return f"{place} has no {name!r}{nearest(name, known)}"


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: its `__all__`, or what is defined in it."""
    return vars(module).get("__all__") or [
        name
        for name, item in vars(module).items()
        if name[0] != "_" and getattr(item, "__module__", None) == module.__name__
    ]


def explain_attribute(item: Any, name: str) -> str | None:
    """What to write instead of an attribute that Keras has and the object has not, or None."""
    found = (advice(cls.__name__).get(name) for cls in type(item).__mro__)
    return next(filter(None, found), None)


def refuse(place: str, name: str, frame: FrameType) -> Exception:
    """What to raise where a module has no such name, in the frame that asked for it.

    It is an AttributeError, as `hasattr` wants it. ``from module import name`` however would put
    words of its own in the place of ours, and so gets the ImportError that it would raise.
    """
    if frame.f_code.co_filename.startswith("<frozen importlib"):
        return AttributeError(name)  # an import asks, and looks for a file next
    sentence = explain(place, name, public_names(sys.modules[place]))
    asked = frame.f_code.co_code[frame.f_lasti] if frame.f_lasti >= 0 else None
    if asked == opcode.opmap["IMPORT_FROM"]:
        return ImportError(sentence, name=place)
    return AttributeError(sentence)


def face(place: str, names: Iterable[str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` of a public module, which says what to write for a name that it has not,
    and its ``__dir__``: the names that it is there for, which a Tab in a notebook lists."""

    def __getattr__(name: str) -> Any:
        raise refuse(place, name, sys._getframe(1))

    return __getattr__, lambda: sorted(names)
