"""`Sequential`: a chain of layers with a trainer, in Keras' shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backprop.checks import flag
from backprop.defaults import float_dtype, floatx
from backprop.input_spec import fits
from backprop.layer import Layer
from backprop.layers.chain import Chain
from backprop.layers.containers import take_in
from backprop.layers.inputs import InputLayer
from backprop.models.base import BaseModel
from backprop.registry import reading
from backprop.symbols import Symbol


class Sequential(BaseModel, Chain):
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

    _begun = None  # the symbolic array that goes in, once it was drawn

    def __init__(
        self,
        layers: Iterable[Layer | Symbol] | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        dtype=None,
    ):
        super().__init__(layers, trainable=trainable, name=name, dtype=dtype)
        self._build_if_declared()

    # ------------------------------------------------------------------ the stack of layers

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Put a layer at the end. Layers that are built keep their values.

        Parameters
        ----------
        layer : Layer
        rebuild : bool, default True
            Build the new layer now, if the shape of its input is known.
        """
        rebuild = flag(rebuild, self.name, "rebuild")
        if isinstance(layer, Layer) and any(part is self for part in layer.walk()):
            raise ValueError(f"{self.name} cannot stand within itself: add another layer")
        self._tell_optimizer()
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
        rebuild = flag(rebuild, self.name, "rebuild")
        if not self.layers:
            return None
        self._tell_optimizer()
        layer = self.layers[-1]
        self._drop([layer])
        self._restack(rebuild)
        return layer

    def _tell_optimizer(self) -> None:
        """Before a change of the layers and after it: what the optimizer remembers is that of the
        layers that are there, and goes on to be that of those that stay."""
        optimizer = None if self.trainer is None else self.trainer.optimizer
        if self.built and optimizer is not None:
            optimizer.follow(self.parameters)

    def _drop(self, last: list[Layer]) -> None:
        """Take the last entries off."""
        for entry in reversed(last):
            self._entries.pop()
            if not isinstance(entry, InputLayer):
                self.__dict__["layers"].pop()

    def _restack(self, rebuild: bool) -> None:
        shape = self.build_shape
        self.built = False
        self._vector, self._asked = None, {}
        if shape is not None and rebuild and self.layers:
            self.build(shape)
        else:
            self._build_if_declared()
        self._tell_optimizer()

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
        take_in(self, self.layers)
        self.__dict__["_ends"] = None
        _ = self.parameters  # lay them now: whoever takes an array from a layer takes the model's

    def _draw(self):
        door = next((e for e in self._entries[:1] if isinstance(e, InputLayer)), None)
        if door is None or not door.integer_input:
            name = door and door._name  # its dtype is the model's
            door = InputLayer(batch_shape=self.input_shape, dtype=self.dtype, name=name)
        x = y = door.symbol()
        begun = self._begun
        if begun is not None and (begun.shape, begun.dtype) == (x.shape, x.dtype):
            x = y = begun  # what the layers put out before add() or pop() depends on it
        self.__dict__["_begun"] = x
        for layer in self.layers:
            y = layer._connect(y, None, None, {})
        return [x], [y]

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
    @reading
    def from_config(cls, config, custom_objects=None):
        """A model of the same layers, with fresh values."""
        config = dict(config)
        shape = config.pop("build_shape", None)
        model = super().from_config(config, custom_objects)
        if shape:
            model.build(tuple(shape))
        return model
