"""This library, and Keras on one of its engines: the same script, apart from the import."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from shared.layers import (
    GELU,
    Dense,
    Embedding,
    Layer,
    LayerNormalization,
    MultiHeadAttention,
    PositionEmbedding as Positions,
    Residual,
    Shape,
    Skip,
)
from shared.peers import NotOffered, Peer, Variants
from shared.peers.loop import Calls, Loop
from shared.rows import SGD, Array, Row, batches, epoch, questions, weights


def variants(row: Row, peer: Peer) -> Variants:
    if peer.engine is None:
        import backprop

        importlib.import_module("backprop.models")  # names load when they are first used
        missing = [kind for kind in sorted(row.kinds()) if not hasattr(backprop.layers, kind)]
        if missing:
            raise NotOffered(f"no such layer: {', '.join(missing)}")
        found: Variants = {"train_step": lambda: steps(backprop, row)}
        if peer.kernels:  # beside ours, to see what the kernels are worth
            return found
        found |= {
            "train_on_batch": lambda: on_batch(backprop, row),
            "fit": lambda: Fit(backprop, row),
        }
        if row.loss == "crossentropy" and not row.from_logits:
            found["train_step, logits"] = lambda: steps(backprop, row, logits=True)
        return found
    keras = keras_on(peer.engine)
    return {"train_on_batch": lambda: on_batch(keras, row), "fit": lambda: Fit(keras, row)}


def keras_on(engine: str) -> Any:
    os.environ["KERAS_BACKEND"] = engine
    importlib.import_module(engine)
    if engine == "torch":
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    return importlib.import_module("keras")


def predictions(row: Row, peer: Peer) -> Variants:
    library = importlib.import_module("backprop") if peer.engine is None else keras_on(peer.engine)

    def asked(method: str, **options: Any) -> Calls:
        call = getattr(compiled(library, row), method)
        return Calls(lambda x: call(x, **options), questions(row))

    found: Variants = {
        "predict": lambda: asked("predict", verbose=0),
        "predict_on_batch": lambda: asked("predict_on_batch"),
    }
    if peer.engine is None:
        return found | {"model(x)": lambda: asked("__call__")}
    if row.batch > 32:  # the size of its batches, unless it is told another
        whole = {"batch_size": row.batch, "verbose": 0}
        found["predict, one batch"] = lambda: asked("predict", **whole)
    return found


def compiled(library: Any, row: Row, logits: bool = False) -> Any:
    """The model with the row's initial weights, as a user writes it: softmax is the last layer's
    activation, unless the loss takes logits."""
    logits = logits or row.from_logits
    loss: Any = "mse"
    layers = row.layers
    if row.loss == "binary":
        loss = library.losses.BinaryCrossentropy(from_logits=True)
    elif row.loss == "crossentropy":
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=logits)
        last: Any = layers[-1]
        layers = (*layers[:-1], last if logits else replace(last, activation="softmax"))
    make = ours if library.__name__ == "backprop" and not row.graph else drawn
    model = make(library, layers, row.input_shape, integers=isinstance(layers[0], Embedding))
    model.set_weights(weights(row))
    model.compile(optimizer(library, row), loss)
    return model


def plain(library: Any, layer: Layer) -> Any:
    """The library's layer of that name, with those arguments."""
    return getattr(library.layers, type(layer).__name__)(**vars(layer))


@dataclass(frozen=True)
class TransformerBlock:
    """Ours, normalized in front."""

    intermediate_dim: int
    num_heads: int


def ours(backprop: Any, layers: Iterable[Layer], shape: Shape, integers: bool) -> Any:
    def made(layer: Layer) -> Any:
        match layer:
            case Residual():
                return backprop.layers.Residual([made(inner) for inner in layer.layers])
            case MultiHeadAttention():
                return backprop.layers.MultiHeadAttention(**vars(layer), use_causal_mask=True)
            case GELU():
                return backprop.layers.GELU(approximate=True)
            case TransformerBlock():
                return backprop.layers.TransformerBlock(
                    **vars(layer),
                    activation=backprop.layers.GELU(approximate=True),
                    layer_norm_epsilon=1e-3,
                    normalize_first=True,
                    use_causal_mask=True,
                )
            case _:
                return plain(backprop, layer)

    entry = backprop.Input(shape, dtype="int32" if integers else None)
    return backprop.Sequential([entry, *map(made, with_blocks(layers))])


def with_blocks(layers: Iterable[Layer]) -> list[Layer | TransformerBlock]:
    """Attention and perceptron, each with a way around it, as the one layer that a user writes."""
    found: list[Layer | TransformerBlock] = []
    for layer in layers:
        match found[-1:], layer:
            case (
                [Residual((LayerNormalization(), MultiHeadAttention(heads)))],
                Residual((LayerNormalization(), Dense(units), GELU(), Dense())),
            ):
                found[-1] = TransformerBlock(units, heads)
            case _:
                found.append(layer)
    return found


def positions_of(keras: Any) -> Any:
    """A layer as Keras' users write it, for whom it has none."""

    class PositionEmbedding(keras.layers.Layer):
        def build(self, input_shape):
            self.positions = self.add_weight(shape=input_shape[1:], initializer="zeros")

        def call(self, x):
            return x + self.positions

    return PositionEmbedding()


def drawn(keras: Any, layers: Iterable[Layer], shape: Shape, integers: bool) -> Any:
    """A graph, in which a layer may be applied twice or be passed by; with either library."""

    def through(layers: Iterable[Layer], x: Any) -> Any:
        return reduce(lambda y, layer: after(layer, y), layers, x)

    def after(layer: Layer, x: Any) -> Any:
        match layer:
            case Residual():
                return keras.layers.Add()([x, through(layer.layers, x)])
            case Skip():
                return keras.layers.Concatenate()([x, through(layer.layers, x)])
            case MultiHeadAttention():
                return plain(keras, layer)(x, x, use_causal_mask=True)
            case GELU():
                return keras.layers.Activation(partial(keras.activations.gelu, approximate=True))(x)
            case Positions():
                return positions_of(keras)(x)
            case _:
                return plain(keras, layer)(x)

    entry = keras.Input(shape, dtype="int32" if integers else "float32")
    return keras.Model(entry, through(layers, entry))


def optimizer(library: Any, row: Row) -> Any:
    how = row.optimizer
    if isinstance(how, SGD):
        return library.optimizers.SGD(how.lr, momentum=how.momentum)
    return library.optimizers.Adam(how.lr, how.beta_1, how.beta_2, how.epsilon)


def gradients(model: Any, row: Row) -> list[Array]:
    """Those of the first step: kept by our layers; Keras keeps the optimizer's mean of them."""
    if type(model).__module__.startswith("backprop"):
        return [p.gradient for p in model.parameters.parameters]
    how = row.optimizer
    if isinstance(how, SGD):
        return [np.asarray(v) / np.float32(-how.lr) for v in model.optimizer.momentums]
    return [np.asarray(m) / np.float32(1 - how.beta_1) for m in model.optimizer._momentums]


def steps(backprop: Any, row: Row, logits: bool = False) -> Loop:
    """`Trainer.train_step`, which `fit` calls for each batch."""
    from backprop.training.data import as_data

    model, found = compiled(backprop, row, logits), batches(row)
    trainer = model.trainer
    trainer.prepare(
        as_data(trainer.reader, *found[0], who="train_step"), "train_step", training=True
    )
    return Loop(lambda x, y: trainer.train_step(x, y)[0], found, lambda: gradients(model, row))


class OnBatch(Loop):
    """`train_on_batch`, which returns the mean loss since the metrics were reset."""

    def __init__(self, model: Any, row: Row):
        super().__init__(model.train_on_batch, batches(row), lambda: gradients(model, row))
        self.model = model

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        step, self.step = self.step, self.alone
        try:
            return super().first(steps)
        finally:
            self.step = step

    def alone(self, x: Array, y: Array) -> float:
        self.model.reset_metrics()
        return self.model.train_on_batch(x, y)


def on_batch(library: Any, row: Row) -> OnBatch:
    return OnBatch(compiled(library, row), row)


class Fit:
    """`fit` on arrays in memory, shuffled, without a progress bar; only what lies between the
    beginning and the end of an epoch is timed."""

    def __init__(self, library: Any, row: Row):
        class Clock(library.callbacks.Callback):
            seconds = start = 0.0

            def on_epoch_begin(self, epoch, logs=None):
                self.start = time.perf_counter()

            def on_epoch_end(self, epoch, logs=None):
                self.seconds += time.perf_counter() - self.start

        self.clock = Clock
        self.row = row
        self.model = compiled(library, row)
        self.x, self.y = epoch(row)

    def first(self, steps: int) -> tuple[list[float], list[Array]]:
        losses: list[float] = []
        found: list[Array] = []
        for x, y in batches(self.row)[:steps]:
            run = self.model.fit(x, y, batch_size=self.row.batch, shuffle=False, verbose=0)
            losses += run.history["loss"]
            found = found or [g.copy() for g in gradients(self.model, self.row)]
        return losses, found

    def run(self, steps: int) -> tuple[float, int]:
        clock, row = self.clock(), self.row
        epochs = max(1, round(steps / row.fit_steps))
        self.model.fit(
            self.x,
            self.y,
            batch_size=row.batch,
            epochs=epochs,
            verbose=0,
            callbacks=[clock],
        )
        return clock.seconds, epochs * row.fit_steps
