"""A model as a module of PyTorch."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from backprop.interop.live import (  # noqa: F401 - they fill the table
    torch_to_images,
    torch_to_plain,
    torch_to_sequences,
)
from backprop.interop.live.torch_to_plain import chain, graph
from backprop.interop.live.torch_writing import ModuleWriter
from backprop.interop.onnx_export import doors_of
from backprop.interop.onnx_writing import Value
from backprop.layers.graph import Graph
from backprop.models.base import BaseModel
from backprop.nest import as_tuple


def to_torch(model: Any) -> Any:
    """A model as a module of PyTorch: the same layers, with weights that are trained on there.

    Parameters
    ----------
    model : Sequential or Model
        Built. It stays as it is.

    Returns
    -------
    torch.nn.Module
        A `torch.nn.Sequential` where each module reads what the one before made, else a
        `torch.fx.GraphModule`. Arrays that go in and out have the axes that they have here, images
        their channels behind: modules that turn them stand around those that want them in front.
        Several inputs are several arguments, in the order of `model.inputs`; several outputs a
        tuple. It is in inference (``eval()``), where its outputs are those of `model` to 1e-5. What
        is frozen here has ``requires_grad=False``.

    Raises
    ------
    TypeError
        It is no model of this library.
    ValueError
        It is not built, or has layers for which there is no module: the error names all of them,
        and why.
    ImportError
        torch is not installed: ``pip install "backprop[torch]"``.

    Notes
    -----
    Regularizers, constraints, and how the model was compiled stay behind.

    Examples
    --------
    >>> import backprop as bp
    >>> from backprop.interop import to_torch
    >>> model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(3, "relu", name="head")])
    >>> to_torch(model)  # doctest: +SKIP
    Sequential(
      (head): Linear(in_features=4, out_features=3, bias=True)
      (head_relu): ReLU()
    )
    """
    if not isinstance(model, BaseModel):
        raise TypeError(f"to_torch() expects a model of this library, got {type(model).__name__}")
    if not model.built:
        raise ValueError(f"{model.name} is not built yet, so it has no weights: give it an Input")
    doors = doors_of(model)
    w = ModuleWriter(len(doors), any(p.value.dtype == np.float64 for p in model.arrays()))
    given: Any = tuple(
        Value(str(i), tuple(shape), integer=dtype.kind in "iub")
        for i, (_, shape, dtype) in enumerate(doors)
    )
    write: Any = graph if isinstance(model, Graph) else chain
    with w.in_dtype():
        found = as_tuple(write(w, model, given if len(given) > 1 else given[0]))
    outputs = [int(w.plain(w.as_float(y))) for y in found]
    if w.faults:
        lines = "\n".join(f"  {at}: {why}" for at, why in dict.fromkeys(w.faults))
        raise ValueError(f"{model.name} cannot be converted to PyTorch:\n{lines}")
    module = (
        row_of(w) if is_row(w, len(doors), outputs) else graph_of(w, doors, outputs, model.name)
    )
    return module.eval()


def is_row(w: ModuleWriter, inputs: int, outputs: list[int]) -> bool:
    """Whether each call reads what the one before made, and the last one makes the output."""
    at = 0
    names = [name for name, _, _ in w.calls]
    for _, reads, makes in w.calls:
        if reads != [at] or len(makes) > 1:
            return False
        at = makes[0]
    return inputs == 1 and outputs == [at] and len(set(names)) == len(names)


def row_of(w: ModuleWriter) -> Any:
    row = w.nn.Sequential()
    for name, _, _ in w.calls:
        row.add_module(name, w.steps[name])
    return row


def graph_of(w: ModuleWriter, doors: list[Any], outputs: list[int], name: str) -> Any:
    """The calls as a graph of PyTorch's own, which may be traced, printed and pickled."""
    graph = w.torch.fx.Graph()
    known = {i: graph.placeholder(as_name(door)) for i, (door, _, _) in enumerate(doors)}
    for step, reads, makes in w.calls:
        y = graph.call_module(step, tuple(known[n] for n in reads))
        if len(makes) == 1:
            known[makes[0]] = y
            continue
        known |= {n: graph.call_function(operator.getitem, (y, i)) for i, n in enumerate(makes)}
    ends = tuple(known[n] for n in outputs)
    graph.output(ends if len(outputs) > 1 else known[outputs[0]])
    return w.torch.fx.GraphModule(w.steps, graph, as_name(name))


def as_name(name: str) -> str:
    """A name as Python has them."""
    found = "".join(letter if letter.isalnum() else "_" for letter in name)
    return found if found.isidentifier() else f"_{found}"
