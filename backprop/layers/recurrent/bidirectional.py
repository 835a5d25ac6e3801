"""Both directions of time: one layer that goes forwards beside one that goes backwards."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from backprop.checks import array, one_of, sequence
from backprop.counts import Count, plus
from backprop.input_spec import show_shape
from backprop.layer import Array, Context, Layer
from backprop.layers.chain import ActivityPenalty
from backprop.layers.containers import Container, described
from backprop.layers.merging import Add, Average, Concatenate, Multiply
from backprop.layers.recurrent.time import FromStates, OverTime, sequence_shape
from backprop.nest import as_tuple, several, shapes
from backprop.promises import came_back, short_for

DROPS = ("dropout", "recurrent_dropout")  # what may be changed in a direction
JOINS = {"concat": Concatenate, "sum": Add, "ave": Average, "mul": Multiply, None: None}


def arrays(weights: Any) -> list[Array]:
    given = sequence(weights, "Bidirectional", "weights", "a list of arrays")
    return [array(w, "Bidirectional", "each of weights") for w in given]


class Bidirectional(FromStates, Container):
    """y = join(f(x), b(x)): f goes through time forwards and b backwards.

        x: (N, T, ...), or with first states (x, *states of f, *states of b)
        f(x), b(x): (N, units) or (N, T, units)
        y: the same, but for concat (..., 2 units), and for None the two as they are, (f(x), b(x));
           with return_state (y, *states of f, *states of b)

    Where f returns the outputs of all steps, those of b are turned round, so that both halves of
    y[:, t] are about x[:, t]: one has read x up to t, the other from t on. Each direction receives
    its own part of dy, and x the sum of what both pass back:

        concat    df, db = the two halves of dy        sum    df = db = dy
        ave       df = db = dy / 2                     mul    df = dy b(x), db = dy f(x)
        None      df, db = dy

    First and last states are those of the one direction or the other: their gradients pass through
    it alone. The last ones of b are those at the first step.

    With a mask both directions pass over the steps that are masked, wherever these are, so that
    padding changes nothing; and where all outputs are returned, y is 0 there (for "concat", "sum",
    "ave" and "mul" alike), as in Keras.

    Parameters
    ----------
    layer : LSTM, GRU, SimpleRNN, ConvLSTM or RNN
        What goes forwards. As in Keras it is a pattern: the layer that runs is made from its
        configuration, with weights of its own.
    merge_mode : {"concat", "sum", "ave", "mul", None}, default "concat"
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
        If both layers go the same way, or differ in `return_sequences`, `return_state` or
        `stateful`.

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
    >>> y, *states = Bidirectional(LSTM(4, return_state=True))(x)
    >>> y.shape, [state.shape for state in states]
    ((2, 8), [(2, 4), (2, 4), (2, 4), (2, 4)])
    """

    makes_masks = False
    unsaved = ("weights",)

    def __init__(
        self,
        layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Array] | None = None,
        backward_layer=None,
        **kwargs,
    ):
        for name, given in {"layer": layer, "backward_layer": backward_layer}.items():
            if not isinstance(given, OverTime) and (given is not None or name == "layer"):
                raise TypeError(
                    f"Bidirectional expects {name} to be a layer that goes through time, such as "
                    f"LSTM(8), got {given!r}"
                )
        one_of(merge_mode, tuple(JOINS), "Bidirectional", "merge_mode")
        forward = directed(layer, "forward", layer.go_backwards)
        if backward_layer is None:
            backward_layer = directed(layer, "backward", True)
        for name in ("stateful", "return_sequences", "return_state"):
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
        super().__init__(**kwargs)
        self.forward_layer, self.backward_layer = forward, backward_layer
        self.merge_mode = merge_mode
        join = JOINS[merge_mode]
        self._join = None if join is None else join()
        self.stateful = forward.stateful
        self.return_sequences = forward.return_sequences
        self.return_state = forward.return_state
        self._penalties = [
            None if regularizer is None else ActivityPenalty(regularizer)
            for regularizer in (forward.activity_regularizer, backward_layer.activity_regularizer)
        ]
        self._given = None if weights is None else arrays(weights)
        self._arguments.pop("weights", None)  # a saved model has the weights as they are then

    def _argument(self, name, value):
        parts = {"layer": "forward_layer", "backward_layer": "backward_layer"}
        made = [self.__dict__.get(part) for part in parts.values()]
        if name in parts and any(part is not None and part._changed for part in made):
            return self.__dict__[parts[name]]
        return super()._argument(name, value)

    def build(self, input_shape):
        self.check_input(input_shape)
        for i, part in enumerate(self.parts()[1]):
            self.build_part(part, i, sequence_shape(input_shape))
        self.compute_output_shape(input_shape)
        self._tried, self._reversed = frozenset(), False
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

    def parts(self):
        return "direction", [self.forward_layer, self.backward_layer]

    def check_input(self, shape):
        given = self._each(shape) if several(shape) else (shape, shape)
        for part, one in zip(self.parts()[1], given, strict=True):
            part.check_input(one)

    def compute_output_shape(self, input_shape):
        shape = sequence_shape(input_shape)
        f, b = (part.compute_output_shape(shape) for part in self.parts()[1])
        (f, *fs), (b, *bs) = (f, b) if self.return_state else ((f,), (b,))
        return self._outputs(self._joined_shape(f, b), fs, bs)

    def _joined_shape(self, f, b):
        if self._join is None:
            return f, b
        if f[:-1] != b[:-1] or (f != b and self.merge_mode != "concat"):
            raise ValueError(
                f"{self!r} cannot join directions of shapes {show_shape(f[1:])} and "
                f"{show_shape(b[1:])}; merge_mode=None returns both as they are"
            )
        return (self._join.compute_output_shape((f, b)),)

    def _each(self, x: tuple) -> tuple[tuple, tuple]:
        """What each direction is given of (x, *states of f, *states of b)."""
        x, *states = x
        k = self.forward_layer.state_count
        return (x, *states[:k]), (x, *states[k:])

    def _outputs(self, joined: Sequence[Any], fs: Sequence[Any], bs: Sequence[Any]) -> Any:
        """All outputs, or the only one; or what is said of them."""
        found = [*joined, *fs, *bs]
        return tuple(found) if len(found) > 1 else found[0]

    # ------------------------------------------------------------------ forwards and back

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        x = sequence_shape(input_shape)
        return plus(layer.multiply_adds(x) for layer in self.parts()[1])

    def propagate(self, x, ctx):
        ctx = ctx.with_mask(as_tuple(ctx.mask)[0])
        given = self._each(x) if type(x) is tuple else (x, x)
        (f, f_mask, f_cache), (b, b_mask, b_cache) = (
            self._run(i, one, ctx) for i, one in enumerate(given)
        )
        self._tried |= {ctx.training}
        (f, *fs), (b, *bs) = as_tuple(f), as_tuple(b)
        y, joined = (f, b), None
        if self._join is not None:
            y, joined = self._join.forward(y)
            y = (y,)
        cache = (f_cache, b_cache), joined
        return self._outputs(y, fs, bs), cache, self._masks(f_mask, b_mask)

    def compute_mask(self, x, mask=None):
        return self._masks(*(part.compute_mask(x, mask) for part in self.parts()[1]))

    def _masks(self, f: Any, b: Any) -> Any:
        """The masks of all outputs, from those of both directions."""
        (f, *fs), (b, *bs) = as_tuple(f), as_tuple(b)
        return self._outputs((f, b) if self._join is None else (f,), fs, bs)

    def _run(self, i: int, x: Any, ctx: Context) -> tuple[Any, Any, Any]:
        """What one of the directions puts out, the mask of it, and what its way back needs."""
        part, penalty = self.parts()[1][i], self._penalties[i]
        go = part.propagate if ctx.training in self._tried else part.try_out
        try:
            y, cache, mask = go(x, ctx)
        except Exception as error:
            raise self.located(error, i, described(x)) from error
        penalised = None
        if penalty is not None:
            y, *states = as_tuple(y)
            y, penalised, _ = penalty.propagate(y, ctx.with_mask(as_tuple(mask)[0]))
            y = (y, *states) if states else y
        return y, mask, (cache, penalised, shapes(x)) if ctx.backward else None

    def backward(self, dy, cache):
        dxf, dxb = self._reverse(dy, cache, Layer.backward.__name__)
        (dxf, *fs), (dxb, *bs) = as_tuple(dxf), as_tuple(dxb)
        return self._outputs((dxf + dxb,), fs, bs)

    def backward_params(self, dy, cache):
        self._reverse(dy, cache, Layer.backward_params.__name__)

    def _reverse(self, dy, cache, call: str) -> list[Any]:
        """What the method `call` of each direction returns for its own part of dy."""
        caches, joined = cache
        if self._join is None:
            df, db, *dstates = dy
        else:
            dy, *dstates = as_tuple(dy)
            df, db = self._join.backward(dy, joined)
        k = self.forward_layer.state_count
        passed = [
            self._run_back(0, df, dstates[:k], caches[0], call),
            self._run_back(1, db, dstates[k:], caches[1], call),
        ]
        self._reversed |= call == Layer.backward.__name__
        return passed

    def _run_back(self, i: int, d: Any, dstates: list, cache: Any, call: str) -> Any:
        part, penalty = self.parts()[1][i], self._penalties[i]
        cache, penalised, shape = cache
        try:
            d = d if penalty is None else penalty.backward(d, penalised)
            dx = getattr(part, call)((d, *dstates) if dstates else d, cache)
            checked = self._reversed or call != Layer.backward.__name__
            return dx if checked else came_back(part, dx, shape)
        except Exception as error:
            raise self.located_back(error, i, d) from error

    @property
    def state_count(self) -> int:
        """How many states both directions have."""
        return self.forward_layer.state_count + self.backward_layer.state_count

    @property
    def states(self) -> list[Array] | None:
        """What the layers keep with ``stateful=True``, the forward layer's first; None if
        nothing."""
        return [*(self.forward_layer.states or ()), *(self.backward_layer.states or ())] or None


def directed(layer: OverTime, prefix: str, backwards: bool) -> OverTime:
    """A layer like this one, that is not built, named after its direction."""
    arguments = layer._arguments | {
        "go_backwards": backwards,
        "name": f"{prefix}_{layer.name.removeprefix(prefix + '_')}",
    }
    return type(layer)(**{name: anew(value) for name, value in arguments.items()})


def anew(value: Any) -> Any:
    """An argument once more: layers in it are made again, and so are not built."""
    if isinstance(value, Layer):
        return type(value)(**{name: anew(v) for name, v in value._arguments.items()})
    if isinstance(value, list | tuple):
        return type(value)(map(anew, value))
    return copy.deepcopy(value)
