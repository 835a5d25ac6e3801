"""Both directions of time: one layer that goes forwards beside one that goes backwards."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop.checks import one_of
from backprop.layer import Array
from backprop.layers.branches import Parallel
from backprop.layers.recurrent.time import OverTime

DROPS = ("dropout", "recurrent_dropout")  # what may be changed in a direction
JOINS = {"concat": "concat", "sum": "add", "ave": "average", "mul": "multiply"}


class Bidirectional(Parallel):
    """y = join(f(x), b(x)): f goes through time forwards and b backwards.

        x: (N, T, ...)    f(x), b(x): (N, units) or (N, T, units)
        y: the same, but for concat (..., 2 units)

    Where f returns the outputs of all steps, those of b are turned round, so that both halves of
    y[:, t] are about x[:, t]: one has read x up to t, the other from t on. Each direction receives
    its own part of dy, and x the sum of what both pass back, as in `Parallel`:

        concat    df, db = the two halves of dy        sum    df = db = dy
        ave       df = db = dy / 2                     mul    df = dy b(x), db = dy f(x)

    With a mask both directions pass over the steps that are masked, wherever these are, so that
    padding changes nothing; and where all outputs are returned, y is 0 there (for "concat", "sum",
    "ave" and "mul" alike), as in Keras.

    Parameters
    ----------
    layer : LSTM, GRU, SimpleRNN or ConvLSTM
        What goes forwards. As in Keras it is a pattern: the layer that runs is made from its
        configuration, with weights of its own.
    merge_mode : {"concat", "sum", "ave", "mul"}, default "concat"
        Keras' None, two outputs, is refused: a layer gives one array.
    weights : list of ndarray, optional
        To start with: those of the forward layer, then those of the other.
    backward_layer : Layer, optional
        What goes backwards, with ``go_backwards=True``. Default: made like `layer`.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    TypeError
        If a layer has no direction of time.
    ValueError
        If both layers go the same way, or differ in `return_sequences` or `stateful`.

    References
    ----------
    Schuster, Paliwal: Bidirectional recurrent neural networks, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LSTM, Bidirectional
    >>> x = np.zeros((2, 5, 3))
    >>> Bidirectional(LSTM(4))(x).shape
    (2, 8)
    >>> Bidirectional(LSTM(4, return_sequences=True), merge_mode="sum")(x).shape
    (2, 5, 4)
    """

    decides = ("branches", "join", "axis")
    unsaved = ("weights",)

    def __init__(
        self,
        layer,
        merge_mode: str = "concat",
        weights: Sequence[Array] | None = None,
        backward_layer=None,
        **kwargs,
    ):
        if merge_mode is None:
            raise ValueError(
                "Bidirectional gives one array: merge_mode=None, an output for each direction, is "
                "for graphs of layers, which backprop does not have. Use 'concat' and take halves"
            )
        for given in (layer, backward_layer):
            if given is not None and not isinstance(given, OverTime):
                raise TypeError(
                    "Bidirectional expects a layer that goes through time, such as LSTM(8), got "
                    f"{given!r}"
                )
        one_of(merge_mode, tuple(JOINS), "Bidirectional", "merge_mode")
        forward = anew(layer, "forward", layer.go_backwards)
        if backward_layer is None:
            backward_layer = anew(layer, "backward", True)
        for name in ("stateful", "return_sequences"):
            if getattr(forward, name) != getattr(backward_layer, name):
                raise ValueError(
                    f"Bidirectional expects two layers with the same {name}, got "
                    f"{layer!r} and {backward_layer!r}"
                )
        if forward.go_backwards == backward_layer.go_backwards:
            raise ValueError(
                "Bidirectional expects a layer that goes forwards and one that goes backwards, got "
                f"{layer!r} and {backward_layer!r}: give go_backwards=True to backward_layer alone"
            )
        for part in (forward, backward_layer):
            part.in_order_of_x = True
            part.__dict__["zero_output_for_mask"] = part.return_sequences
            self.speak_for(part, but=DROPS)
        super().__init__([forward, backward_layer], JOINS[merge_mode], **kwargs)
        self.forward_layer, self.backward_layer = forward, backward_layer
        self.merge_mode = merge_mode
        self.stateful = forward.stateful
        self.return_sequences = forward.return_sequences
        self._given = None if weights is None else [np.asarray(w) for w in weights]
        self._arguments.pop("weights", None)  # a saved model has the weights as they are then

    def _argument(self, name, value):
        parts = {"layer": "forward_layer", "backward_layer": "backward_layer"}
        made = [self.__dict__.get(part) for part in parts.values()]
        if name in parts and any(part is not None and part._changed for part in made):
            return self.__dict__[parts[name]]
        return super()._argument(name, value)

    def build(self, input_shape):
        super().build(input_shape)
        if self._given is not None:
            trained = [p for p in self.arrays() if p.gradient is not None]
            if [p.shape for p in trained] != [w.shape for w in self._given]:
                raise ValueError(
                    f"Bidirectional expects weights of shapes {[p.shape for p in trained]}, those "
                    "of the forward layer and then those of the other, got "
                    f"{[w.shape for w in self._given]}"
                )
            for p, w in zip(trained, self._given, strict=True):
                p.value[...] = w

    def __call__(self, sequences, training: bool = False, mask: Array | None = None) -> Array:
        if self.stateful and not self.built:
            self.build(np.shape(sequences))  # with the size of the batch, whose states are kept
        return super().__call__(sequences, training, mask)

    def compute_mask(self, x, mask):
        return self.forward_layer.compute_mask(x, mask)

    @property
    def states(self) -> list[Array] | None:
        """What the layers keep with ``stateful=True``, the forward layer's first; None if
        nothing."""
        return [*(self.forward_layer.states or ()), *(self.backward_layer.states or ())] or None


def anew(layer: OverTime, prefix: str, backwards: bool) -> OverTime:
    """A layer like this one, that is not built, named after its direction."""
    arguments: dict[str, Any] = copy.deepcopy(layer._arguments) | {"go_backwards": backwards}
    arguments["name"] = f"{prefix}_{layer.name.removeprefix(prefix + '_')}"
    return type(layer)(**arguments)
