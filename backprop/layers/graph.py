"""Back-propagation in a graph: where the way forks, what comes back is summed."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np

from backprop.context import Context, Logits
from backprop.counts import of_calls
from backprop.input_spec import fits, show_shape
from backprop.layer import Array, Layer
from backprop.layers.chain import add_up, repeated
from backprop.layers.containers import Listed, described, take_in
from backprop.layers.given import Given
from backprop.layers.slots import (
    Gradients,
    clean,
    filled,
    like,
    put,
    put_masks,
    silence,
    take,
    take_masks,
)
from backprop.layers.wiring import (
    Wiring,
    check_calls,
    drawn_again,
    replayed,
    steps_of,
    wired,
)
from backprop.nest import as_one, as_tuple, each, leaves, matched, packed, several
from backprop.parameters import Parameter
from backprop.promises import came_back, declared_shape
from backprop.registry import (
    as_one as as_one_configuration,
    being_written,
    custom_object_scope,
    deserialize,
    reading,
    serialize,
)


class Graph(Listed):
    """y = f(x): steps, each a layer that reads what the inputs are or earlier steps have written.

        x: (N, ...), or several such    v: all arrays of a pass, x first    y: some of v

        v[writes] = layer(v[reads]), step by step

    What comes back to an array is the sum of what each step that reads it passes back, complete
    once all of these are reversed:

        dv[reads] += layer.backward(dv[writes]), from the last step to the first

    A layer that stands in several steps has one set of values, whose gradient is the sum over its
    steps. A `Chain` is the graph in which each step reads what the one before it wrote.

    Parameters
    ----------
    inputs, outputs : Symbol, or lists and dicts of them
        What `Input` and the calls of layers return.
    trainable : bool, default True
    name : str, optional

    Raises
    ------
    ValueError
        If an output depends on what is no input, nothing depends on an input, or two layers were
        given one name.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense, Graph, Input
    >>> x = Input((2,))
    >>> h = Dense(3, activation="relu")(x)
    >>> narrow, wide = Graph(x, [Dense(1)(h), Dense(4)(h)])(np.ones((5, 2)))
    >>> narrow.shape, wide.shape
    ((5, 1), (5, 4))
    """

    several_inputs = True
    fixed_list = "are those that were drawn: call layers on symbolic arrays, and make another model"

    def __init__(self, inputs: Any, outputs: Any, trainable: bool = True, name: Any = None):
        super().__init__(name=name)
        self._wire(wired(type(self).__name__, inputs, outputs))
        if not trainable:
            self.trainable = False

    def _wire(self, wiring: Wiring) -> None:
        """Become what was drawn; the drawing itself is not kept."""
        self._draws = "inputs" not in self._arguments
        for end in ("inputs", "outputs"):
            self._arguments.pop(end, None)
        self.__dict__["layers"] = wiring.layers
        self._wiring = wiring
        self._into = tuple(leaves(wiring.inputs))
        self._steps, self._size, self._out, integers = steps_of(wiring)
        self.integer_input = as_one([place in integers for place in self._into])
        self.string_input = as_one([self._takes_strings(place) for place in self._into])
        self.output_kind = as_one(["i" if place in integers else "f" for place in self._out])
        self._ends_at = as_one(self._out)
        own = {id(layer) for layer in wiring.layers}
        self.helpers = [step.layer for step in self._steps if id(step.layer) not in own]
        self._again = repeated([step.layer for step in self._steps])
        dtypes = {layer.dtype for layer in wiring.layers if layer.arrays()}
        if len(dtypes) > 1:
            raise ValueError(
                f"{self.name} has layers of {' and '.join(sorted(map(str, dtypes)))}: choose one "
                "dtype for the whole model"
            )
        self.adopt_dtype(next(iter(dtypes), None))
        self.changes_mask = any(layer.changes_mask for layer in wiring.layers)
        self.makes_masks = any(la.changes_mask and la.makes_masks for la in wiring.layers)
        self._tried, self._reversed = frozenset(), False
        self.build_shape = as_one([wiring.shapes[i] for i in self._into])
        self.built = True
        take_in(self, wiring.layers)

    # ------------------------------------------------------------------ forward

    multiply_adds = of_calls

    def propagate(self, x, ctx):
        values, masks = [None] * self._size, [None] * self._size
        put(values, self._into, clean(x, ctx.mask))
        put_masks(masks, self._into, ctx.mask)
        caches: list[Any] = []
        tried = ctx.training in self._tried
        plain = tried and ctx.mask is None and not self.makes_masks
        step: Any = None
        given = x
        try:
            for step in self._steps:
                given = take(values, step.reads)
                own = ctx if step.training is None else ctx.with_training(step.training)
                if plain:
                    y, cache = step.layer.forward(given, own)
                else:
                    own = own.with_mask(take_masks(masks, step.reads))
                    run = step.layer.propagate if tried else step.layer.try_out
                    y, cache, mask = run(given, own)
                    if mask is not own.mask:
                        y = clean(y, mask)
                    put_masks(masks, step.writes, mask)
                put(values, step.writes, y)
                for place in step.over:  # nobody reads it any more
                    values[place] = None
                if ctx.backward:
                    caches.append((cache, each(like, y)) if step.may_be_unused else cache)
                cache = None  # in inference nothing outlives its layer
        except Exception as error:
            raise self.located(error, step.place, described(given)) from error
        if not tried:
            self._tried |= {ctx.training}
        if ctx.backward:
            caches.append(each(like, x))
        mask = None if plain else take_masks(masks, self._ends_at)
        return take(values, self._ends_at), caches, mask

    # ------------------------------------------------------------------ backward

    def backward(self, dy, caches):
        return self._reverse(dy, caches, True)

    def backward_params(self, dy, caches):
        self._reverse(dy, caches, False)

    def backward_logits(self, dz, caches, *, dx=True):
        return self._reverse(dz if len(self._out) > 1 else Logits(dz), caches, dx)

    def _reverse(self, dy, caches, dx: bool) -> Any:
        """Walk back, to all inputs where dL/dx is wanted, else as far as there is a gradient to
        set."""
        grads = Gradients(self._size)
        grads.add(self._out, as_tuple(dy))
        again: list[tuple[Parameter, Array]] = []
        step: Any = None
        known, d = self._reversed, dy
        shapes = [] if known else self.shapes_within(self.build_shape)
        try:
            for i in range(len(self._steps) - 1, -1, -1):
                step, cache = self._steps[i], caches[i]
                wanted = dx or step.below
                d, found = grads.take(step.writes), None
                if step.may_be_unused:
                    cache, alike = cache
                    d = filled(d, alike)
                if type(d) is Logits:
                    found = step.layer.backward_logits(d.dz, cache, dx=wanted)
                elif d is None:  # an output that nobody used: no gradient comes from there
                    silence(step.layer)
                    wanted = False
                elif wanted:
                    found = step.layer.backward(d, cache)
                elif step.learns:
                    step.layer.backward_params(d, cache)
                if wanted:
                    if not known:
                        came_back(step.layer, found, take(shapes, step.reads))
                    grads.add(step.reads, found)
                if self._again[i]:
                    again += [(p, p.gradient.copy()) for p in self._again[i]]
        except Exception as error:
            raise self.located_back(error, step.place, d) from error
        self._reversed = True
        if again:
            add_up(again)
        return filled(grads.take(as_one(self._into)), caches[-1]) if dx else None

    # ------------------------------------------------------------------ at the border

    def gather(self, *inputs, mask=None, **named):
        (x,) = inputs or (named.pop("inputs"),)
        x = self.in_order(x)
        return super().gather(x, mask=None if mask is None else self.in_order(mask), **named)

    def in_order(self, given: Any) -> Any:
        """What is given for the inputs, as lists and dicts like those that were drawn or as a dict
        by their names: a tuple in their order, or the one."""
        structure = self._wiring.inputs
        return as_one(matched(given, structure, self.input_names, self.name, "input"))

    def arranged(self, y):
        ends = self._wiring.outputs
        return packed(ends, as_tuple(y)) if len(self._out) > 1 or isinstance(ends, dict) else y

    # ------------------------------------------------------------------ what it is

    @property
    def drawn(self):
        return self._wiring.inputs, self._wiring.outputs

    @property
    def sparse_input(self) -> Any:
        """Whether all that reads an input takes sparse rows; for several inputs, of each."""
        return as_one([self._takes_sparse(place) for place in self._into])

    def input_name(self, i):
        return self.input_names[i]

    def readers(self, i: int) -> list[Layer]:
        """The layers that read the i-th input, and nothing else."""
        return [step.layer for step in self._steps if step.reads == self._into[i]]

    def _takes_sparse(self, place: int) -> bool:
        readers = [step for step in self._steps if place in as_tuple(step.reads)]
        return place not in self._out and all(
            step.reads == place and step.layer.sparse_input for step in readers
        )

    def _takes_strings(self, place: int) -> bool:
        readers = [step.layer for step in self._steps if place in as_tuple(step.reads)]
        return bool(readers) and all(reader.string_input for reader in readers)

    @property
    def doors(self) -> list[Any]:
        """The `InputLayer` of each input, in order."""
        return self._wiring.doors

    @property
    def ends_in_softmax(self) -> Any:
        """Whether y is a softmax that nothing else reads; for several outputs, of each."""
        read = {place for step in self._steps for place in as_tuple(step.reads)}
        made = {step.writes: step.layer for step in self._steps}
        return as_one(
            tuple(
                place in made
                and made[place].ends_in_softmax
                and place not in read
                and self._out.count(place) == 1
                for place in self._out
            )
        )

    def check_input(self, shape):
        names = self.input_names
        given = as_tuple(shape) if several(shape) else (tuple(shape),)
        if len(given) != len(names):
            raise ValueError(
                f"{self.name} has {len(names)} input(s), {', '.join(names)}, and got {len(given)}"
            )
        rows = [one[0] for one in given if one]
        if len(set(rows) - {None}) > 1:
            raise ValueError(
                f"{self.name} expects a row of each input for each sample, and got {rows} of "
                f"{', '.join(names)}"
            )
        for door, one in zip(self.doors, given, strict=True):
            if not fits(one, door.batch_shape):
                advice = ""
                if fits((None, *one), door.batch_shape):
                    advice = ", which is a single sample: give x[np.newaxis]"
                raise ValueError(
                    f"{self.name} expects its input {door.name!r} to be of shape "
                    f"{show_shape(door.batch_shape[1:])} and got {show_shape(one[1:])}{advice}"
                )

    def check_values(self, x):
        given = dict(zip(self._into, as_tuple(x), strict=True))
        for step in self._steps:
            if type(step.reads) is int and given.get(step.reads) is not None:
                step.layer.check_values(given[step.reads])

    def compute_output_shape(self, input_shape):
        return take(self.shapes_within(input_shape), self._ends_at)

    def shapes_within(self, input_shape):
        known: list[Any] = [None] * self._size
        put(known, self._into, input_shape if len(self._into) > 1 else (input_shape,))
        for step in self._steps:
            given = take(known, step.reads)
            try:
                put(known, step.writes, declared_shape(step.layer, given))
            except Exception as error:
                raise self.located(error, step.place, show_shape(given[1:])) from error
        return known

    def trace(self, x, ctx):
        values, masks = [None] * self._size, [None] * self._size
        put(values, self._into, x)
        put_masks(masks, self._into, ctx.mask)
        layers = copy.deepcopy([step.layer for step in self._steps])
        for step, layer in zip(self._steps, layers, strict=True):
            own = ctx if step.training is None else ctx.with_training(step.training)
            own = own.with_mask(take_masks(masks, step.reads))
            y, _, mask = layer.propagate(take(values, step.reads), own)
            put(values, step.writes, y)
            put_masks(masks, step.writes, mask)
            yield step.place, layer, y
        return take(values, self._ends_at), take_masks(masks, self._ends_at)

    def compute_mask(self, x, mask=None) -> Any:
        if mask is None and not self.makes_masks:
            return None
        return self.propagate(x, Context(mask=mask, backward=False))[2]

    def _draw(self):
        return drawn_again(self._wiring)

    def __setstate__(self, state):
        self.__dict__ |= state
        take_in(self, self.layers)

    # ------------------------------------------------------------------ step by step

    @property
    def can_step(self):
        return self._given_none.can_step

    @property
    def can_step_query(self) -> bool:
        """Whether it can go step by step along its first input, where the others are whole."""
        return len(self._into) > 1 and Given(self).can_step

    @property
    def _given_none(self) -> Given:
        return Given(self, range(len(self._into)))

    def remember(self, *others, mask=None) -> Any:
        """What `step` along the first input begins with, where the others are whole; `mask` is
        theirs."""
        begun = Given(self, (0,), others, None if mask is None else as_tuple(mask)).remember()
        return Given(self), begun

    def step(self, x, memory):
        given, before = memory or (self._given_none, None)
        y, after = given.step(x, before)
        return y, (given, after)

    # ------------------------------------------------------------------ configuration

    def __repr__(self) -> str:
        if self._draws:
            return super().__repr__()
        names = ", ".join(door.name for door in self.doors)
        return f"<{type(self).__name__} {self.name}: {names} -> {', '.join(self.output_names)}>"

    @property
    def input_names(self) -> list[str]:
        return [door.name for door in self.doors]

    @property
    def output_names(self) -> list[str]:
        """Of the layers that make the outputs."""
        made = {p: call.layer.name for call in self._wiring.calls for p in as_tuple(call.writes)}
        made |= dict(zip(self._into, self.input_names, strict=True))
        return [made[place] for place in leaves(self._wiring.outputs)]

    def connections(self) -> list[tuple[Any, Any, list[str]]]:
        """Each layer with the shape of what it puts out, a list of several, and the names of what
        it reads, in all of its calls: ``dense[1][0]`` is the array 0 of the call 1 of `dense`."""
        wiring = self._wiring
        names = {
            place: f"{door.name}[0][0]" for place, door in zip(self._into, self.doors, strict=True)
        }
        shapes = {id(door): door.batch_shape for door in self.doors}
        reads: dict[int, list] = {id(layer): [] for layer in wiring.layers}
        count: Counter[int] = Counter()
        for call in wiring.calls:
            key, writes = id(call.layer), as_tuple(call.writes)
            reads[key] += [names[place] for place in as_tuple(call.reads) if place is not None]
            names |= {p: f"{call.layer.name}[{count[key]}][{i}]" for i, p in enumerate(writes)}
            found = [wiring.shapes[place] for place in writes]
            shapes.setdefault(key, found[0] if len(found) == 1 else found)
            count[key] += 1
        return [(layer, shapes[id(layer)], reads[id(layer)]) for layer in wiring.layers]

    @as_one_configuration(being_written)
    def get_config(self) -> dict[str, Any]:
        """Name, layers, and the calls that connect them."""
        config = super().get_config()
        if self._draws:  # the constructor will draw again
            return {k: v for k, v in config.items() if k not in ("inputs", "outputs")}
        wiring = self._wiring
        index = {id(layer): i for i, layer in enumerate(wiring.layers)}
        return config | {
            "layers": serialize(wiring.layers),
            "calls": [[index[id(call.layer)], *call[1:]] for call in wiring.calls],
            "inputs": packed(wiring.inputs, [index[id(door)] for door in wiring.doors]),
            "outputs": wiring.outputs,
            "dtype": self.dtype and self.dtype.name,
        }

    @classmethod
    @reading
    def from_config(cls, config, custom_objects=None):
        """A graph of the same layers, connected alike, with fresh values."""
        if "calls" not in config:
            return super().from_config(config, custom_objects)
        rest = {k: v for k, v in config.items() if k not in ("layers", "calls", "dtype")}
        check_calls(cls.__name__, config)
        with custom_object_scope(custom_objects):
            layers = deserialize(config["layers"])
            for layer in layers if config.get("dtype") else ():
                layer.adopt_dtype(np.dtype(config["dtype"]))
            inputs, outputs = replayed(cls.__name__, layers, config)
            return super().from_config(rest | {"inputs": inputs, "outputs": outputs})
