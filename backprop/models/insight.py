"""What a model can be asked about itself: gradients by name, and what its layers put out.

Nothing is trained by asking: what a pass moves (gradients, statistics, states, generators) is put
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.checks import one_of
from backprop.layer import PREDICT, Array, Context, Layer
from backprop.layers.graph import Graph
from backprop.layers.wiring import calls_between
from backprop.nest import as_one, as_tuple, each, matched, packed
from backprop.run_state import generator_state
from backprop.seeds import own_seeds
from backprop.training.trainer import Trainer

WHO = "gradients()"
Reverse = Callable[
    [Context, bool], Any
]  # sets all gradients; returns dL/dx where that is asked for


class Insight:
    """What a researcher asks a model."""

    def gradients(
        self: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        dy: Any = None,
        wrt: str = "weights",
        training: bool = False,
    ) -> Any:
        """dL/dw for each array w of the model, or dL/dx.

        L is the compiled loss of `y` with all penalties, as `fit` descends on it; or, where `dy` is
        given instead of `y`, the sum ⟨dy, model(x)⟩ without any penalty, for which the model needs
        no loss: ``dy=np.eye(10)[3]`` is the gradient of the fourth output, added up over the batch.

        Parameters
        ----------
        x, y, sample_weight
            One batch, as `fit` takes it.
        dy : array, or lists and dicts of arrays as the model's outputs, optional
            dL/d model(x), or what broadcasts to its shape. Where one of several outputs has None,
            L does not depend on it.
        wrt : {"weights", "inputs"}, default "weights"
            With respect to what.
        training : bool, default False
            Whether layers behave as in training: dropout drops, and batch normalization takes the
            batch's statistics. The default is a function of x and the weights alone.

        Returns
        -------
        dict or ndarray
            For "weights" a dict by names of layers, of dicts by names of arrays:
            ``found["dense"]["kernel"]``; arrays of layers within a layer go by their `path`,
            ``found["bidirectional"]["forward_lstm/kernel"]``. Frozen layers are in it, buffers,
            which nobody trains, are not. For "inputs" an array like x, or lists and dicts of
            arrays as the model takes them, with None for one of integers. The arrays are copies.

        Raises
        ------
        RuntimeError
            With `y`, before `compile`.
        ValueError, TypeError
            For data that do not fit, both of `y` and `dy` or neither, or a model that takes nothing
            but integers, with respect to which there is no derivative.

        Notes
        -----
        The model is left as it was: gradients, states, statistics, generators and the optimizer.
        So another call draws, in training mode, what the first one drew.
        The gradient with respect to what a layer inside puts out is that of a model that begins
        there: ``Model(layer.output, model.output).gradients(h, dy=..., wrt="inputs")``.

        Examples
        --------
        >>> import numpy as np
        >>> import backprop as bp
        >>> bp.utils.set_random_seed(0)
        >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2, name="dense")])
        >>> x = np.ones((4, 3), "float32")
        >>> model.gradients(x, dy=[1.0, 0.0])["dense"]["bias"]
        array([4., 0.], dtype=float32)
        >>> slope = model.gradients(x, dy=[1.0, 0.0], wrt="inputs")
        >>> np.allclose(slope, model.layers[0].kernel[:, 0])
        True
        """
        one_of(wrt, ("weights", "inputs"), WHO, "wrt")
        if (y is None) == (dy is None):
            raise ValueError(
                f"{WHO} takes the targets y, for the gradient of the loss, or dy, for that of "
                f"<dy, model(x)>; got {'neither' if y is None else 'both'}"
            )
        if dy is not None and sample_weight is not None:
            raise ValueError(f"{WHO} takes sample_weight with y; with dy, weigh the rows of dy")
        inputs = wrt == "inputs"
        if inputs and all(as_tuple(self.integer_input)):
            raise ValueError(
                f"{WHO} with respect to the inputs: {self.name} takes integers, and there is no "
                "derivative with respect to them; begin behind the layer that looks them up, as "
                "in Model(embedding.output, model.output)"
            )
        reverse = of_outputs(self, x, dy) if y is None else of_loss(self, x, y, sample_weight)
        with left_as_it_was(self):
            dx = reverse(Context(training=bool(training), penalties=[]), inputs)
            return as_inputs(self, dx) if inputs else gradients_by_name(self)

    def activations(self: Any, x: Any, layers: Any = None) -> dict[str, Any]:
        """What each layer puts out for a batch, in inference.

        Parameters
        ----------
        x
            One batch, as a call of the model takes it.
        layers : list of str or Layer, or one of them, optional
            Of which layers. Default: of all but the inputs.

        Returns
        -------
        dict
            By the names of the layers, in the model's order. A layer that stands in several places
            has a list with an array for each, in the order in which they run; one of several
            outputs has a tuple.

        Notes
        -----
        A model within this one is a layer like any other; what its layers put out is what
        ``inner.activations`` says of what came in. It computes as far as the layers need that were
        asked for, and leaves the model as it was.

        Examples
        --------
        >>> import numpy as np
        >>> import backprop as bp
        >>> model = bp.Sequential(
        ...     [bp.Input((3,)), bp.layers.Dense(4, "relu", name="hidden"), bp.layers.Dense(2)]
        ... )
        >>> found = model.activations(np.ones((5, 3)))
        >>> {name: y.shape for name, y in found.items()}
        {'hidden': (5, 4), 'dense': (5, 2)}
        >>> list(model.activations(np.ones((5, 3)), "hidden"))
        ['hidden']
        """
        x = trainer_of(self).input_batch(x)
        symbols = symbols_by_name(self)
        wanted = list(symbols) if layers is None else [named(self, item) for item in listed(layers)]
        for name in wanted:
            if name not in symbols:
                raise ValueError(
                    f"activations(): {name} is an Input of {self.name}: what it puts out is x"
                )
        with left_as_it_was(self):
            graph = Graph(self.input, [symbols[name] for name in wanted])
            y, _, _ = graph.propagate(x, PREDICT)
        ends = [as_listed(symbols[name]) for name in wanted]
        return dict(zip(wanted, packed(ends, as_tuple(y)), strict=True))


# --------------------------------------------------------------------------------------- gradients


def of_loss(model: Any, x: Any, y: Any, sample_weight: Any) -> Reverse:
    """The gradients of the loss and the penalties, for data that are checked now."""
    trainer: Trainer | None = model.trainer
    if trainer is None:
        raise RuntimeError(
            f"{WHO} of a loss needs compile() first: model.compile(loss='mse'); or give dy, the "
            f"gradient with respect to what {model.name} puts out, instead of y"
        )
    trainer._find_hooks()
    trainer._require("gradients", "compute_loss")
    x, y, w = trainer.prepare_batch(trainer.reader, x, y, sample_weight, who=WHO, training=False)

    def reverse(ctx: Context, inputs: bool) -> Any:
        y_pred, caches, mask = model.propagate(x, ctx)
        _, dy, fused = trainer._differentiate(x, y, y_pred, w, mask)
        if fused:
            dx = model.backward_logits(dy, caches, dx=inputs)
        else:
            dx = back(model, dy, caches, inputs)
        for p in trainer._regularized:
            p.gradient += p.regularizer.gradient(p.value)
        return dx

    return reverse


def of_outputs(model: Any, x: Any, dy: Any) -> Reverse:
    """The gradients of ⟨dy, y⟩, for data that are checked now."""
    x = trainer_of(model).input_batch(x)

    def reverse(ctx: Context, inputs: bool) -> Any:
        y, caches, _ = model.propagate(x, ctx)
        given = fitted(model, dy, y)
        dx = back(model, given, caches, inputs)
        if any(layer.penalises for layer in model.walk()):
            dx = without_penalties(model, dx, given, caches, inputs)
        return dx

    return reverse


def trainer_of(model: Any) -> Trainer:
    """The model's, or one that takes no seed from what is made later."""
    with own_seeds(0):
        return model.trainer or Trainer(model)


def without_penalties(model: Any, dx: Any, dy: Any, caches: Any, inputs: bool) -> Any:
    """Take from all gradients the share of what layers add to the loss: it is what comes back of a
    dy of 0."""
    parameters = model.parameters.parameters
    whole = [p.gradient.copy() for p in parameters]
    share = back(model, each(np.zeros_like, dy), caches, inputs)
    for p, gradient in zip(parameters, whole, strict=True):
        p.gradient[...] = gradient - p.gradient
    pairs = zip(as_tuple(dx), as_tuple(share), strict=True)
    return as_one([None if d is None else d - own for d, own in pairs])


def back(model: Any, dy: Any, caches: Any, inputs: bool) -> Any:
    return model.backward(dy, caches) if inputs else model.backward_params(dy, caches)


def as_inputs(model: Any, dx: Any) -> Any:
    """dx as the inputs were drawn; None where an input has no derivative."""
    kept = zip(as_tuple(dx), as_tuple(model.integer_input), strict=True)
    return packed(model.input, [None if integers else np.array(d) for d, integers in kept])


def fitted(model: Any, dy: Any, y: Any) -> Any:
    """dy as it was given for the outputs y, in their shapes and dtypes."""
    names = [symbol.name for symbol in model.outputs]
    single = type(y) is not tuple
    given = [dy] if single else matched(dy, model.output, names, model.name, "output")
    found = []
    for name, d, one in zip(names, given, as_tuple(y), strict=True):
        found.append(None if d is None else as_large(np.asarray(d, one.dtype), one, name))
    return as_one(found)


def as_large(dy: Array, y: Array, name: str) -> Array:
    try:
        return np.broadcast_to(dy, y.shape)
    except ValueError:
        raise ValueError(
            f"{WHO} expects a dy of the shape of the output {name}, {y.shape}, or what broadcasts "
            f"to it, and got {dy.shape}"
        ) from None


def gradients_by_name(model: Any) -> dict[str, dict[str, Array]]:
    """Copies of all gradients, by layer and array."""
    found = {layer.name: dict(gradients_within(layer)) for layer in model.layers}
    return {name: gradients for name, gradients in found.items() if gradients}


def gradients_within(layer: Layer) -> Iterator[tuple[str, Array]]:
    """The gradient of each array of a layer by its name, and of each in the layers within by its
    path, each once."""
    taken: set[str] = set()
    for part in layer.walk():
        own = [p for p in part.own_arrays() if p.gradient is not None]
        path = ""
        if own and part is not layer:
            path = f"{unlike(taken, part.name)}/"
        for p in own:
            yield path + p.name, p.gradient.copy()


def unlike(taken: set[str], name: str) -> str:
    """The name, or with a number where it is taken; it is taken then."""
    k, found = 0, name
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    taken.add(found)
    return found


# -------------------------------------------------------------------------------------- activations


def listed(items: Any) -> Iterable[Any]:
    return [items] if isinstance(items, str | Layer) else items


def named(model: Any, item: Any) -> str:
    """The name of one of the model's layers, given it or its name."""
    if isinstance(item, str):
        return model.get_layer(item).name
    if not any(item is layer for layer in model.layers):
        raise ValueError(f"{item!r} is no layer of {model.name}")
    return item.name


def symbols_by_name(model: Any) -> dict[str, list[Any]]:
    """What came out of each call of each layer, symbolic arrays, in the model's order."""
    ends, goals = model.symbols()
    calls, _ = calls_between(model.name, ends, goals)
    found: dict[str, list[Any]] = {layer.name: [] for layer in model.layers}
    for call in sorted(calls, key=lambda call: call.number):
        found[call.layer.name].append(call.outputs)
    return {name: symbols for name, symbols in found.items() if symbols}


def as_listed(symbols: list[Any]) -> Any:
    return symbols[0] if len(symbols) == 1 else symbols


# ------------------------------------------------------------------------------------ as it was


@contextmanager
def left_as_it_was(model: Any) -> Iterator[None]:
    """Put back what passes within the block move: gradients, buffers, states, and generators; and
    the model that each layer says that it stands in."""
    layers = list(model.walk())
    own = [p for layer in layers for p in layer._parameters.values()]
    arrays = [p.value if p.gradient is None else p.gradient for p in own]
    kept = [(array, array.copy()) for array in arrays]
    generators = [(layer._rng, generator_state(layer)) for layer in layers]
    within = [layer._within for layer in layers]
    try:
        yield
    finally:
        for array, before in kept:
            array[...] = before
        for rng, state in generators:
            if rng is not None:
                rng.bit_generator.state = state
        for layer, around in zip(layers, within, strict=True):
            layer.__dict__["_within"] = around
