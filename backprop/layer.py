"""The whole contract of a layer.

The author of a layer writes `forward` and `backward`, and `build` where there are parameters:

    class Scale(Layer):
        def build(self, input_shape):
            self.gamma, self.dgamma = self.param("gamma", input_shape[-1:], "ones")

        def forward(self, x, ctx=INFERENCE):
            return self.gamma * x, x

        def backward(self, dy, x):
            self.dgamma = sum_rows(dy * x)
            return self.gamma * dy

Options are annotated attributes, `units: Positive` (see `backprop.arguments`). Everything else is
written once, a room further down: arrays, configuration and copies in `layer_arrays.py`, the checks
at the border in `layer_calls.py`, what users of Keras ask a layer in `layer_face.py`. The rules
that keep layers free to be shared, repeated and run side by side:

* `forward` returns what `backward` will need; nothing about one call is kept on the layer.
* `backward` sets every gradient, it never adds. Assigning to a parameter or gradient copies into
  the model's vector.
* Write only into arrays made in this call: not into `x`, `dy`, the cache, or anything already
  returned.
* Training behaviour comes from `ctx`, randomness from `self.rng`.
* A layer of several inputs takes a tuple as `x` and returns one as dx; a layer of several outputs
  returns a tuple as `y` and is given one as `dy`; shapes and masks likewise. No other layer ever
  sees a tuple.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from backprop import constraints, initializers, regularizers
from backprop.bounds import spend
from backprop.context import (
    INFERENCE as INFERENCE,
    PREDICT as PREDICT,
    TRAINING as TRAINING,
    Context as Context,
)
from backprop.defaults import floatx
from backprop.input_spec import InputSpec as InputSpec, Shape as Shape, as_shape
from backprop.layer_face import LayerFace
from backprop.linalg import and_sum
from backprop.parallel import one_at_a_time
from backprop.parameters import Parameter, State
from backprop.promises import check_methods, check_row, leave_shortcuts

Array = np.ndarray


class Layer(LayerFace):
    """A function with parameters and a hand-derived derivative; see the module's docstring for how
    to write one.

    Parameters
    ----------
    activity_regularizer : str or Regularizer, optional
        Penalty on the layer's output, divided by the batch's size. Containers apply it.
    trainable : bool, default True
        Whether an optimizer may change the parameters.
    dtype : str, optional
        Of the parameters and of what the layer computes in. Default: the model's; outside a
        model, `config.floatx`.
    name : str, optional
        Default: the class' name in snake case, made unique by the model.
    input_shape : tuple, optional
        Shape of one sample, where the layer is the first of a model and there is no `Input`.
    input_dim : int, optional
        Short for ``input_shape=(input_dim,)``.
    """

    divides_batches = False  # whether it has threads of its own work on parts of a batch
    sparse_input = False  # whether x may be a SciPy CSR matrix; a model makes others dense
    changes_mask = False  # whether compute_mask is overridden
    makes_masks = True  # whether it may then give one where there was none
    fixed_rows = None  # how many rows every batch must have; None for any number
    takes_targets = False  # a loss': forward(y_true, y_pred, ...) and backward(cache, dvalues)
    finishes_parts = False  # whether `finish` may be given a part of z after the other
    shortcuts: ClassVar[frozenset[str]] = frozenset()  # methods that are short for others

    def __new__(cls, *args, **kwargs):
        if cls.forward is Layer.forward and hasattr(cls, "call"):
            raise TypeError(
                f"{cls.__name__} is written for Keras' automatic differentiation (call); here a "
                "layer derives its own: rename call to forward(self, x, ctx) and return (y, "
                "cache), write backward(self, dy, cache) that returns dx, and replace add_weight "
                "by self.param. See docs/write_a_layer.md"
            )
        if not cls.takes_targets:
            check_methods(cls)
        return super().__new__(cls, *args, **kwargs)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = once(cls.build)
        cls.changes_mask = cls.compute_mask is not Layer.compute_mask
        if "compute_mask" in cls.__dict__:
            cls.makes_masks = cls.__dict__.get("makes_masks", True)
        leave_shortcuts(cls)

    # ---------------------------------------------------------- what the author of a layer writes

    def build(self, input_shape: Any) -> None:
        """Make the parameters. `input_shape` has the batch axis, as None: ``(None, 784)``.

        Default: there are none, and the shape is checked.
        """
        self.check_input(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of `y` for a shape of `x`, both with the batch axis. Default: the same."""
        return tuple(input_shape)

    def forward(self, x: Any, /, ctx: Context = INFERENCE) -> tuple[Any, Any]:
        """`x` → `(y, cache)`: the result, and what `backward` will need. Several inputs, or
        outputs, are a tuple, and so are their shapes, masks and gradients."""
        raise TypeError(
            f"{type(self).__name__} has no forward(self, x, ctx): write one that returns (y, cache)"
        )

    def backward(self, dy: Any, cache: Any, /) -> Any:
        """dL/dy → dL/dx; sets the gradient of every parameter."""
        raise TypeError(
            f"{type(self).__name__} has no backward(self, dy, cache): write one that returns dx"
        )

    def backward_params(self, dy: Any, cache: Any, /) -> None:
        """Set the gradients alone; for a model's first layer, whose dx nobody needs."""
        self.backward(dy, cache)

    def finish(self, z: Array, ctx: Context = INFERENCE, bias: Any = None) -> tuple[Array, Any]:
        """`forward` of z + bias, for a z that whoever made it needs no longer: y may be written
        over it. So a layer applies its activation. The bias is a vector along the last axis of z.
        Default: they are added, and `forward`.

        An activation that writes each number over its own, and to whose `backward` y is the cache,
        may set `finishes_parts`: then z can be finished part by part, while it is in a cache.

        Mark it by ``@short_for("forward", "backward")``, and what else it relies on: a subclass
        that writes one of these anew has the default again.
        """
        return self.forward(z if bias is None else np.add(z, bias, out=z), ctx)

    def backward_finish(self, dy: Array, cache: Any, dbias: Array | None = None) -> Array:
        """The way back of `finish`: `backward`, dL/dy → dz, and dbias = Σ_rows dz is set where
        there is a bias. Default: one and then the other. Mark another as `finish` is marked."""
        return and_sum(self.backward(dy, cache), dbias)

    def compute_mask(self, x: Any, mask: Any = None, /) -> Any:
        """The mask of `y`. Default: that of `x`."""
        return mask

    def obeys_mask(self, x: Any, mask: Any, /) -> bool:
        """Whether this mask is kept to: what stands at masked steps of `x` moves no real step of
        `y`. Where not, the mask ends at this layer, which says so once.

        Default: yes, as it is where every step goes through the layer by itself.
        """
        return True

    def step(self, x: Any, memory: Any, /) -> tuple[Any, Any]:
        """`x`, further time steps of a sequence → `(y, memory)`, in inference.

        `memory` is what an earlier `step` of the same sequence returned, None at its beginning; it
        is not changed, so that a sequence can be continued in two ways.
        """
        if not self.time_local:
            raise TypeError(f"{self!r} cannot go step by step: run the whole sequence by forward")
        return self.forward(x, PREDICT)[0], None

    @property
    def can_step(self) -> bool:
        """Whether y of a whole sequence is that of one `step` after the other."""
        return self.time_local

    @property
    def ends_in_softmax(self) -> bool:
        """Whether y is a softmax along its last axis and `backward_logits` can start before it."""
        return False

    def backward_logits(self, dz: Array, cache: Any, /, *, dx: bool = True) -> Any:
        """`backward` from dL/dz, where y = softmax(z); without dL/dx where `dx` is False."""
        raise TypeError(f"{type(self).__name__} does not end in a softmax")

    # ------------------------------------------------------------------------- what the author uses

    def param(
        self,
        name: str,
        shape: Iterable[int | None],
        initializer: Any = "glorot_uniform",
        *,
        regularizer=None,
        constraint=None,
    ) -> tuple[Array, Array]:
        """Make a trainable array; to be called in `build`.

        Parameters
        ----------
        name : str
            Unlike every other array of the layer.
        shape : tuple of int
        initializer : str or Initializer
        regularizer, constraint : str or object, optional

        Returns
        -------
        value, gradient : ndarray
            Assign them to attributes: ``self.kernel, self.dkernel = self.param("kernel", (3, 4))``.
            From then on an assignment to either attribute copies into the array, and its shape must
            be exactly the array's.
        """
        value = self._fresh(name, shape, initializer)
        gradient = np.zeros_like(value)
        self._parameters[name] = Parameter(
            self, name, value, gradient, regularizers.get(regularizer), constraints.get(constraint)
        )
        return value, gradient

    def declared_param(
        self, name: str, shape: Iterable[int | None], says: str = ""
    ) -> tuple[Array, Array]:
        """`param` with what the arguments of its name, or of the name `says`, say of it, such as
        `kernel_initializer`, `kernel_regularizer` and `kernel_constraint` for "kernel"."""
        says = says or name
        return self.param(
            name,
            shape,
            getattr(self, f"{says}_initializer"),
            regularizer=getattr(self, f"{says}_regularizer", None),
            constraint=getattr(self, f"{says}_constraint", None),
        )

    def buffer(self, name: str, shape: Iterable[int | None], fill: Any = 0.0) -> Array:
        """Make a weight that is saved with the model and never trained; `fill` is a number or an
        initializer."""
        if isinstance(fill, int | float):
            fill = initializers.Constant(fill)
        value = self._fresh(name, shape, fill)
        self._parameters[name] = Parameter(self, name, value, None)
        return value

    def state(self, name: str, shape: Iterable[int | None], fill: float = 0.0) -> Array:
        """Make an array that is carried from one call to the next; to be called in `build`.

        It is part of a run, and so of its checkpoints, but no weight: not counted, not saved with
        the model, and of any size without a model of other batches having other weights.

        Parameters
        ----------
        name : str
            Unlike every other array of the layer.
        shape : tuple of int
        fill : float, default 0
            What it holds at first, and after `reset_state`.

        Returns
        -------
        ndarray
            Assign it to an attribute: ``self.carry = self.state("carry", (8, 3))``. From then on an
            assignment to the attribute copies into the array.
        """
        value = np.zeros(self._declare(name, shape), self.dtype or np.float32)
        self._parameters[name] = found = State(self, name, value, fill)
        if fill:  # memory that is never written to costs nothing, however much a file declares
            found.reset()
        return value

    def reset_state(self) -> None:
        """Fill the states of this layer, and of those in it, anew: forget what came before."""
        for state in self.states_kept():
            state.reset()

    def _declare(self, name: str, shape: Iterable[int | None]) -> tuple[int, ...]:
        """The shape of a new array, checked."""
        if name in self._parameters:
            raise ValueError(f"{self!r} already has an array named {name!r}")
        shape = tuple(shape)
        if any(n is None for n in shape):
            raise ValueError(
                f"{self!r} cannot size {name!r} {shape}: the input's shape must be known there, "
                "and None is one that may differ, as the batch does"
            )
        return shape  # type: ignore[return-value] - no None is in it

    def _fresh(self, name: str, shape: Iterable[int | None], initializer) -> Array:
        shape = self._declare(name, shape)
        spend(math.prod(shape), f"{self!r} declares {name!r}")
        dtype = self.dtype or floatx()
        return initializers.made(initializer, shape, dtype, self.rng, name)

    def take_seeds(self) -> None:
        """Seed this layer and those in it now, so that the order of building decides and not that
        of first draws."""
        for layer in self.walk():
            _ = layer.rng

    def real_steps(self, x: Array, mask: Array) -> Array:
        """The mask of the steps of x: (N, T, ...), as (N, T); that of whole rows is that of all
        their steps."""
        if mask.shape == x.shape[:1]:
            mask = np.broadcast_to(mask[:, None], x.shape[:2])
        if mask.shape != x.shape[:2]:
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, got {mask.shape}"
            )
        return mask


def once(build):
    """A layer is built once: `build` on a built layer only checks that the shape is acceptable."""

    def wrapper(self, input_shape=None):
        if input_shape is None:
            input_shape = getattr(self, "declared_shape", None)
        if self.built:
            if input_shape is not None:
                self.check_input(input_shape)
            return
        if input_shape is None:
            raise ValueError(
                f"{self.name} does not know its input's shape: build((None, 784)), or add an Input "
                "first"
            )
        input_shape = as_shape(input_shape, self.name)
        unbuilt = [(layer, dict(layer.__dict__)) for layer in self.walk() if not layer.built]
        for layer in self.sublayers():
            layer.adopt_dtype(self.dtype)
        try:
            if self.input_spec is not None:
                self.check_input(input_shape)
            build(self, input_shape)
            check_row(self, input_shape)
        except BaseException:
            for layer, before in unbuilt:  # half-built is unbuilt, layers within too
                layer.__dict__.clear()
                layer.__dict__.update(before)
                layer._parameters.clear()
                layer._arrays.clear()
            raise
        self.build_shape = input_shape
        self.built = True

    return one_at_a_time(wrapper, like=build)


Layer.build = once(Layer.build)
