"""The inputs and the outputs of a model: what data, losses and metrics are given for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.nest import as_tuple, is_nest, leaves, matched, packed, paths


class Ends:
    """The inputs of a model, or its outputs, in the order in which the model takes them.

    Parameters
    ----------
    who : str
        The model's name, for errors.
    kind : {"input", "output"}
    structure
        Lists and dicts as the model was drawn, with a leaf for each; the only one by itself. None
        for a chain, whose data are given by no name.
    names : list of str
        Of the layers there; a dict that was drawn has its own names.

    Attributes
    ----------
    names : list of str
        What dicts of data, losses and metrics go by, and logs.
    layers : list of str
        The names of the layers, which will do in dicts too.
    places : list of str
        The names, below the lists and dicts that hold them: ``"1/a"``, as Keras writes them.
    several : bool
        Whether there are more than one.
    """

    def __init__(self, who: str, kind: str, structure: Any, names: list[str]):
        self.who, self.kind, self.structure, self.layers = who, kind, structure, names
        ways = [way for way, _ in paths(structure)]
        self.names = [
            way[-1] if way and isinstance(way[-1], str) else name
            for way, name in zip(ways, names, strict=True)
        ]
        self.places = [
            "/".join(map(str, (*way[:-1], name)))
            for way, name in zip(ways, self.names, strict=True)
        ]
        self.several = len(self.names) > 1

    def ordered(self, given: Any, what: str, partly: bool = False) -> list:
        """What is given for each of them.

        Parameters
        ----------
        given
            Lists and dicts as the model was drawn, a list in order, or a dict by the names.
        what : str
            For errors, such as "x".
        partly : bool, default False
            Whether some may be missing in a dict: they are None.
        """
        names = self.names
        if isinstance(given, Mapping):
            if not set(given) & set(names) and set(given) <= set(self.layers):
                names = self.layers
            if len(set(names)) < len(names):
                raise ValueError(
                    f"{what} is a dict, and {self.who} has {self.kind}s of the same name, "
                    f"{', '.join(names)}: give a list in this order, or other names to the layers"
                )
            if partly:
                given = self._completed(given, names)
        elif self._is_flat(given):
            return list(given)
        try:
            return matched(given, self.structure, names, self.who, self.kind)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None

    def _is_flat(self, given: Any) -> bool:
        """Whether a list has an entry for each, however they were drawn."""
        listed = isinstance(given, list | tuple) and len(given) == len(self.names)
        drawn = isinstance(self.structure, list | tuple) and len(self.structure) == len(self.names)
        return listed and not drawn

    def _completed(self, given: Mapping, names: list[str]) -> Mapping:
        if isinstance(self.structure, Mapping) and set(given) <= set(self.structure):
            return completed(given, self.structure)
        return {**dict.fromkeys(names), **given} if set(given) <= set(names) else given

    def in_order(self, given: Any, what: str, partly: bool = False) -> Any:
        """Several values as a tuple, which they may be already; the one by itself."""
        if not self.several or given is None:
            return given
        ready = type(given) is tuple and len(given) == len(self.names)
        if ready and not any(map(is_nest, given)):
            return given
        return tuple(self.ordered(given, what, partly))

    def arranged(self, values: Any) -> Any:
        """Several values as the model was drawn; the one by itself."""
        return packed(self.structure, as_tuple(values)) if self.several else values

    def label(self, what: str, i: int) -> str:
        """What an array is called in a message: ``x``, or ``x['user']`` among several."""
        return f"{what}[{self.names[i]!r}]" if self.several else what

    def labelled(self, what: str, values: Any) -> list[tuple[str, Any]]:
        return [(self.label(what, i), value) for i, value in enumerate(as_tuple(values))]


CHAIN = Ends("a Sequential", "input", None, ["x"])


def completed(given: Any, structure: Any) -> Any:
    """Dicts with None where `structure` has an entry and they have none."""
    if given is None and is_nest(structure):
        return packed(structure, [None] * len(leaves(structure)))
    if not isinstance(structure, Mapping) or not isinstance(given, Mapping):
        return given
    return {key: completed(given.get(key), structure[key]) for key in structure}


def ends_of(model: Any) -> tuple[Ends, Ends]:
    """Its inputs and its outputs."""
    inputs, outputs = model.drawn
    if inputs is None:
        last = model.layers[-1].name if model.layers else "y"
        return CHAIN, Ends(CHAIN.who, "output", None, [last])
    return (
        Ends(model.name, "input", inputs, model.input_names),
        Ends(model.name, "output", outputs, model.output_names),
    )
