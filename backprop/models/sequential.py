"""`Sequential`: a chain of layers with a trainer, in Keras' shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backprop.defaults import float_dtype, floatx
from backprop.layer import Array, Layer
from backprop.layers.chain import Chain
from backprop.layers.inputs import InputLayer
from backprop.models.habits import Habits
from backprop.models.trained import Trained
from backprop.spelling import nearest
from backprop.training.hooks import refuse
from backprop.training.trainer import Trainer
from backprop.vector import ParameterVector


class Sequential(Trained, Habits, Chain):
    """A model: layers one behind the other, trained by back-propagation.

    Parameters
    ----------
    layers : list of Layer, optional
        An `Input` at the front declares the shape, and the model is built at once; otherwise
        it is built for the first data that it sees.
    trainable : bool, default True
    name : str, optional
    dtype : {"float32", "float64"}, default "float32", or what `config.set_floatx` was given
        Of all parameters and of all that is computed; inputs are cast to it once.

    Attributes
    ----------
    parameters : ParameterVector
        All trainable values as one vector, all gradients as another.
    optimizer, loss, metrics
        As compiled.
    history : History
        Of the last `fit`.
    stop_training : bool
        Set it to True in a callback, and the run ends after the batch in hand.

    Notes
    -----
    How a model is compiled and trained is in `backprop.models.trained`, how it is saved, described
    and lets text go on in `backprop.models.habits`.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(8, "tanh"), bp.layers.Dense(1)])
    >>> model.compile("adam", loss="mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> history = model.fit(x, x[:, :1] * x[:, 1:], epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        dtype=None,
    ):
        self.trainer: Trainer | None = None
        self.history: Any = None
        self.stop_training = False
        self._vector: ParameterVector | None = None
        super().__init__(layers, trainable=trainable, name=name, dtype=dtype)
        self._build_if_declared()

    def __call__(self, inputs, training: bool = False, mask: Array | None = None) -> Array:
        refuse(type(self))
        return super().__call__(inputs, training, mask)

    # ------------------------------------------------------------------ the stack of layers

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Put a layer at the end. Layers that are built keep their values.

        Parameters
        ----------
        layer : Layer
        rebuild : bool, default True
            Build the new layer now, if the shape of its input is known.
        """
        count = len(self._entries)
        self.append(layer)
        try:
            self._restack(rebuild)
        except Exception:
            self._drop(self._entries[count:])
            self._restack(rebuild)
            raise

    def pop(self, rebuild: bool = True) -> Layer | None:
        """Take the last layer off and return it."""
        if not self.layers:
            return None
        layer = self.layers[-1]
        self._drop([layer])
        self._restack(rebuild)
        return layer

    def _drop(self, last: list[Layer]) -> None:
        """Take the last entries off."""
        for entry in reversed(last):
            self._entries.pop()
            if not isinstance(entry, InputLayer):
                self.__dict__["layers"].pop()

    def _restack(self, rebuild: bool) -> None:
        shape = self.build_shape
        self.built = False
        self._vector = None
        if shape is not None and rebuild and self.layers:
            self.build(shape)
        else:
            self._build_if_declared()

    def _build_if_declared(self) -> None:
        if self.declared_shape is not None and self.layers:
            self.build(self.declared_shape)

    def build(self, input_shape: Any = None):
        """Make all parameters.

        Parameters
        ----------
        input_shape : tuple, optional
            With the batch axis: ``(None, 784)``. Default: that of the `Input`.
        """
        if not self.layers:
            raise ValueError(f"{self.name} has no layers: add() some first")
        if self.dtype is None:
            self.__dict__["dtype"] = float_dtype(floatx())
        if self.declared_shape is not None and not fits(input_shape, self.declared_shape):
            raise ValueError(
                f"{self.name} was declared for inputs of {self.declared_shape[1:]} and got "
                f"{tuple(input_shape)[1:]}"
            )
        super().build(tuple(input_shape))
        _ = self.parameters  # lay them now: whoever takes an array from a layer takes the model's

    def check_input(self, shape):
        declared = self.declared_shape
        if declared is not None and not fits(shape, declared):
            advice = self.layers[0].advice(tuple(shape)) if self.layers else ""
            if len(shape) == len(declared) - 1 and fits((None, *shape), declared):
                advice = ", which is a single sample: give x[np.newaxis]"
            raise ValueError(
                f"{self.name} was built for inputs of shape {tuple(declared[1:])} and got "
                f"{tuple(shape[1:])}{advice}"
            )
        super().check_input(shape)

    @property
    def parameters(self) -> ParameterVector:
        """All trainable values as one vector, all gradients as another."""
        self._require_built("parameters")
        if self._vector is None:
            self._vector = ParameterVector(p for p in self.arrays() if p.gradient is not None)
        return self._vector

    def _require_built(self, what: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.name} is not built yet, so it has no {what}: give it an Input, call it on "
                "data, or build((None, ...))"
            )

    @property
    def input_shape(self):
        """With the batch axis."""
        self._require_built("input_shape")
        shape = self.declared_shape or self.build_shape
        assert shape is not None
        return shape

    @property
    def output_shape(self):
        """With the batch axis."""
        return self.compute_output_shape(self.input_shape)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes a name or an index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"{self.name} has {len(self.layers)} layers and was asked for number {index}"
                )
            return self.layers[index]
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise ValueError(
                f"{self.name} has no layer {name!r}{nearest(name, names)}; "
                f"it has {', '.join(names)}"
            )
        return self.layers[names.index(name)]

    # ------------------------------------------------------------------ configuration, files, text

    def get_config(self) -> dict[str, Any]:
        """Name, dtype, layers and input shape."""
        config = super().get_config()
        if self.built and self.dtype is not None and "dtype" in config:
            config["dtype"] = self.dtype.name
        if self.built and not any(entry.declared_shape for entry in self._entries[:1]):
            config["build_shape"] = self.build_shape
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model of the same layers, with fresh values."""
        config = dict(config)
        shape = config.pop("build_shape", None)
        model = super().from_config(config, custom_objects)
        if shape:
            model.build(tuple(shape))
        return model

    def __getstate__(self):
        return self.__dict__ | {"_vector": None}

    def __setstate__(self, state):
        self.__dict__ |= state
        for p in (p for layer in self.walk() for p in layer._parameters.values()):
            p.memory = None


def fits(shape, declared) -> bool:
    """Whether a shape is one that was declared; None is free."""
    return len(shape) == len(declared) and all(
        want is None or have is None or want == have
        for have, want in zip(shape[1:], declared[1:], strict=True)
    )
