"""The habits that users bring from Keras: weights in and out, shapes, counts, penalties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from backprop import checks
from backprop.defaults import floatx
from backprop.input_spec import Shape, described
from backprop.layer_calls import LayerCalls
from backprop.nest import as_tuple, each_shape
from backprop.old_arguments import Ignored
from backprop.symbols import Call, Symbol

Array = np.ndarray


class LayerFace(LayerCalls):
    """What a user of a layer asks it, as in Keras."""

    legacy = (Ignored("autocast", (True,)),)  # each computes in its own dtype

    @property
    def weights(self) -> list[Array]:
        """Parameters and buffers, each a `Variable`; those that are trained first in each layer."""
        return [p.variable for p in self.arrays()]

    variables = weights

    @property
    def trainable_weights(self) -> list[Array]:
        return [p.variable for p in self.arrays() if p.trainable]

    @property
    def non_trainable_weights(self) -> list[Array]:
        return [p.variable for p in self.arrays() if not p.trainable]

    trainable_variables, non_trainable_variables = trainable_weights, non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copies of all weights."""
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Set all weights; nothing changes unless every one of them fits."""
        if isinstance(weights, str) or not isinstance(weights, Iterable):
            raise TypeError(f"{self!r} expects weights to be a list of arrays, got {weights!r}")
        arrays = self.arrays()
        weights = [checks.array_like(w, self.name, "each of weights") for w in weights]
        if len(weights) != len(arrays):
            state = "" if self.built else "; it is not built yet: build it, or call it on data"
            raise ValueError(f"{self!r} has {len(arrays)} weights and got {len(weights)}{state}")
        for p, w in zip(arrays, weights, strict=True):
            if w.shape != p.shape:
                raise ValueError(f"{p.path} has shape {p.shape} and got {w.shape}")
            if w.dtype.kind not in "fiub":
                raise TypeError(f"{p.path} holds real numbers and got dtype {w.dtype}")
        for p, w in zip(arrays, weights, strict=True):
            p.value[...] = w

    @described
    def output_shape(self) -> Shape:
        """Shape of `y` for `input_shape`."""
        return tuple(self.compute_output_shape(self.input_shape))

    @described
    def input(self) -> Any:
        """The symbolic array that the layer was first called on, or a list of several."""
        symbol = self._first_drawn()
        x = symbol if symbol.call.inputs == () else symbol.call.inputs
        return list(x) if type(x) is tuple else x

    @described
    def output(self) -> Any:
        """The symbolic array that came out of its first call, or a list of several."""
        y = self._first_drawn().call.outputs
        return list(y) if type(y) is tuple else y

    def _first_drawn(self) -> Symbol:
        """One of the symbolic arrays of the first call. A layer in a model is drawn by that; one
        that was only ever called on data is drawn by itself."""
        shape = self.input_shape
        model = self._within and self._within()
        if not self._drawn and model is not None:
            model.symbols()
        if not self._drawn:
            dtype = np.int64 if self.integer_input else self.dtype or floatx()
            self._connect(each_shape(lambda s: Call(self).gives(s, dtype), shape), None, None, {})
        return as_tuple(self._drawn[0])[0]

    @property
    def compute_dtype(self) -> str:
        """The name of the dtype that the layer computes in and keeps its weights in."""
        return np.dtype(self.dtype or floatx()).name

    variable_dtype = compute_dtype

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        if not self.built:
            raise ValueError(
                f"{self!r} has no weights yet: call it on data or build(input_shape) first"
            )
        return sum(p.size for p in self.arrays())

    def multiply_adds(self, input_shape: Any) -> int | None:
        """How many products that are added to a sum `forward` takes for one row of this shape, in
        matrix products, convolutions and attention; what works number by number has none.

        A layer that writes it marks it by ``@short_for("forward")``, and what else it relies on, so
        that a subclass which computes something else has the default again.

        Returns
        -------
        int or None
            None where nobody has counted, or a size is free.
        """
        return None

    @property
    def losses(self) -> list[float]:
        """The penalties on the layer's weights."""
        return [p.regularizer(p.value) for p in self.arrays() if p.regularizer is not None]

    @property
    def penalises(self) -> bool:
        """Whether the layer adds to the loss by its activity."""
        return self.activity_regularizer is not None

    def add_weight(self, *args, **kwargs):
        """Not here: a layer of this library has hand-derived gradients, see `param`."""
        raise TypeError(
            "add_weight belongs to Keras' automatic differentiation; write self.kernel, "
            "self.dkernel = self.param('kernel', shape, initializer), and a backward that sets "
            "self.dkernel"
        )

    def add_loss(self, *args, **kwargs):
        """Not here: what is added to the loss needs a derivative."""
        raise TypeError(
            "add_loss belongs to Keras' automatic differentiation; a layer adds to the loss by "
            "penalises = True, ctx.penalties.append(value) in forward where that is a list, and "
            "value's derivative in backward: see 'A layer that adds to the loss' in "
            "docs/write_a_layer.md. "
            "An activity_regularizer or a kernel_regularizer needs no layer of its own"
        )

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` builds the layer with; None before it is built."""
        return None if self.build_shape is None else {"input_shape": self.build_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for the shape that `get_build_config` gave."""
        if not isinstance(config, Mapping) or "input_shape" not in config:
            raise TypeError(
                f"{self!r} is built from what get_build_config() returned, got {config!r}"
            )
        self.build(config["input_shape"])

    def reset_states(self) -> None:
        """Another name of `reset_state`."""
        self.reset_state()
