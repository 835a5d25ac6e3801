"""A module of PyTorch as a model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from backprop import layers as L
from backprop.defaults import floatx, set_floatx
from backprop.interop.drawing import images
from backprop.interop.live import (  # noqa: F401 - they fill the tables
    torch_from_functions,
    torch_from_images,
    torch_from_plain,
    torch_from_sequences,
)
from backprop.interop.live.torch_package import package
from backprop.interop.live.torch_reading import (
    BATCHES,
    FEATUREWISE,
    ModuleReader,
    Seen,
    class_of,
    is_ours,
    lying,
    seen,
)
from backprop.models import Model, Sequential
from backprop.symbols import Symbol

# modules that want the channels before the pixels, by how their names begin, and functions
CHANNELS_FIRST = (
    *("Conv", "MaxPool", "AvgPool", "Adaptive", "BatchNorm", "InstanceNorm", "GroupNorm"),
    *(
        "Pixel",
        "pad",
        "Upsampl",
        "ZeroPad",
        "ConstantPad",
        "PReLU",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
    ),
    *("conv", "max_pool", "avg_pool", "adaptive", "interpolate", "Softmax2d"),
)
STEPS_FIRST = "LSTM", "GRU", "RNN", "MultiheadAttention", "Transformer"
ANY_SIZE = 19  # stands for a size that is open while shapes are found out


def from_torch(module: Any, input_shape: Any, *, name: str | None = None) -> Any:
    """A module of PyTorch as a model: layers with its weights, which are trained on here.

    Parameters
    ----------
    module : torch.nn.Module
        Made of modules that have a layer here, called by a `forward` that `torch.fx` can trace. It
        stays as it is.
    input_shape : tuple of int or None, or list of such
        The shape of an input as PyTorch has it, without the batch: ``(3, 32, 32)`` of images,
        ``(20, 8)`` of 20 steps, whichever axis the batch is. A list for several inputs.
    name : str, optional
        Of the model. Default: the module's class.

    Returns
    -------
    Sequential or Model
        A Sequential where each layer reads what the one before made. What convolves, pools and
        normalizes images there has its channels behind the pixels here: an input that goes to such
        a module is (N, height, width, channels), and so is an output that comes from one. Other
        arrays have their axes as they are, the batch in front. In inference outputs are equal
        to 1e-5.

    Warns
    -----
    UserWarning
        ``padding_idx`` of an `Embedding`: the row is trained like the others here.

    Raises
    ------
    TypeError
        It is no module of PyTorch.
    ValueError
        It cannot be traced or run, or something in it has no counterpart here: the error names
        every such module and function, and why.
    ImportError
        torch is not installed: ``pip install "backprop[torch]"``.

    Notes
    -----
    Training goes on alike, with these differences: PyTorch's moving variance is that of a sample,
    n / (n - 1) as large; its transformer layers have one dropout more.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> from backprop.interop import from_torch
    >>> module = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
    ...     torch.nn.Linear(8 * 32 * 32, 10),
    ... )  # doctest: +SKIP
    >>> from_torch(module, (3, 32, 32)).input_shape  # doctest: +SKIP
    (None, 32, 32, 3)
    """
    torch = package()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"from_torch() expects a torch.nn.Module, got {type(module).__name__}")
    shapes = checked_shapes(input_shape)
    name = name or type(module).__name__
    traced = traced_module(torch, copy.deepcopy(module).cpu().eval(), name)
    with in_dtype(torch, module) as dtype:
        doors, kinds = doors_of(traced, shapes, name)
        results = [ran(torch, traced, shapes, kinds, dtype, n) for n in BATCHES]
        reader = ModuleReader(traced, results)
        outputs = reader.read_all(doors)
        if not reader.faults and not outputs:
            reader.faults.append((name, "it returns no array"))
        if reader.faults:
            lines = "\n".join(f"  {at}: {why}" for at, why in dict.fromkeys(reader.faults))
            raise ValueError(f"{name} cannot be converted from PyTorch:\n{lines}")
        ends = [symbol_of(reader, output) for output in outputs]
        return model_of([door.symbol for door in doors.values()], ends, name)


def checked_shapes(given: Any) -> list[tuple[int | None, ...]]:
    shapes = given if isinstance(given, list) else [given]
    for shape in shapes:
        sizes = shape if isinstance(shape, Sequence) and not isinstance(shape, str) else ("?",)
        if not shapes or not all(n is None or (type(n) is int and n > 0) for n in sizes):
            raise ValueError(
                "from_torch() expects input_shape to be a tuple of sizes without the batch, such "
                f"as (3, 32, 32), or a list of such, got {given!r}"
            )
    return [tuple(shape) for shape in shapes]


def traced_module(torch: Any, module: Any, name: str) -> Any:
    """The module with its calls written down."""
    if class_of(module) and class_of(module) != "Sequential":
        module = torch.nn.Sequential(module)

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return is_ours(m) or super().is_leaf_module(m, module_qualified_name)

    try:
        return torch.fx.GraphModule(module, Tracer().trace(module))
    except Exception as error:  # a user's code raises anything
        raise ValueError(
            f"{name} cannot be converted from PyTorch: torch.fx cannot trace its forward ({error})"
        ) from error


@contextmanager
def in_dtype(torch: Any, module: Any) -> Iterator[Any]:
    """Layers are made in the dtype that the module has."""
    double = any(p.dtype == torch.float64 for p in module.parameters())
    before = floatx()
    set_floatx("float64" if double else "float32")
    try:
        yield torch.float64 if double else torch.float32
    finally:
        set_floatx(before)


# ----------------------------------------------------------------------------------- inputs


def doors_of(traced: Any, shapes: list[Any], name: str) -> tuple[dict[Any, Seen], list[str]]:
    """The inputs as layers have them, and what each is: images, steps, integers or plain."""
    nodes = [node for node in traced.graph.nodes if node.op == "placeholder"]
    modules = dict(traced.named_modules())
    needed = [node for node in nodes if not node.args]
    if not len(needed) <= len(shapes) <= len(nodes):
        raise ValueError(f"{name} takes {len(nodes)} inputs, and input_shape has {len(shapes)}")
    for node in nodes[len(shapes) :]:
        if node.users:
            raise ValueError(f"{name} has an input {node.name}, for which input_shape has nothing")
    nodes = nodes[: len(shapes)]
    kinds = [kind_of(node, modules) for node in nodes]
    doors = {}
    for node, kind, shape in zip(nodes, kinds, shapes, strict=True):
        if kind == "images" and len(shape) > 1:
            symbol = L.Input((*shape[1:], shape[0]), name=node.name)
            doors[node] = lying(symbol, images(symbol).order)
        elif kind == "steps":
            order = (1, 0, *range(2, len(shape) + 1))
            doors[node] = lying(L.Input(shape, name=node.name), order)
        else:
            dtype = "int32" if kind == "integers" else None
            doors[node] = seen(L.Input(shape, dtype=dtype, name=node.name))
    return doors, kinds


def kind_of(node: Any, modules: dict[str, Any]) -> str:
    """What an input is, as the first that looks at its axes has it."""
    for user in node.users:
        module: Any = modules[user.target] if user.op == "call_module" else None
        name = class_of(module) if user.op == "call_module" else user.target
        name = str(getattr(name, "__name__", name))
        if name == "Embedding":
            return "integers"
        if name.startswith(STEPS_FIRST):
            inner = module.layers[0].self_attn if name == "TransformerEncoder" else module
            inner = getattr(inner, "self_attn", inner)
            return "plain" if inner.batch_first else "steps"
        if name.startswith(CHANNELS_FIRST):
            return "images"
        if name in FEATUREWISE or name in ("add", "mul", "iadd", "cat"):
            found = kind_of(user, modules)
            if found != "plain":
                return found
    return "plain"


def ran(torch: Any, traced: Any, shapes: list[Any], kinds: list[str], dtype: Any, n: int) -> Any:
    """What every call of the module returns for a batch of n."""
    given = []
    for shape, kind in zip(shapes, kinds, strict=True):
        sizes = [ANY_SIZE if size is None else size for size in shape]
        sizes.insert(1 if kind == "steps" else 0, n)
        given.append(torch.ones(sizes, dtype=torch.int64 if kind == "integers" else dtype))
    found: dict[Any, Any] = {}

    class Listening(torch.fx.Interpreter):
        def run_node(self, n: Any) -> Any:
            found[n] = super().run_node(n)
            return found[n]

    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            Listening(traced).run(*given)
    except Exception as error:  # a user's code raises anything
        raise ValueError(
            f"the module cannot be run on inputs of shapes {[tuple(g.shape) for g in given]}: "
            f"{error}"
        ) from error
    return found


# ----------------------------------------------------------------------------------- the model


def symbol_of(reader: ModuleReader, output: Seen) -> Symbol:
    """An output as the model gives it: the batch in front, channels of images behind."""
    return output.symbol if output.lies else reader.plain(output)


def model_of(doors: list[Symbol], outputs: list[Symbol], name: str) -> Any:
    """A Sequential of a chain, a Model of anything else."""
    chain = layers_between(doors, outputs)
    if chain is not None:
        return Sequential([doors[0], *(chain or [L.Identity()])], name=name)
    if any(output in doors for output in outputs):
        outputs = [L.Identity()(o) if o in doors else o for o in outputs]
    return Model(doors if len(doors) > 1 else doors[0], one_or_all(outputs), name=name)


def one_or_all(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def layers_between(doors: list[Symbol], outputs: list[Symbol]) -> list[Any] | None:
    """The layers of a chain from the one input to the one output; None where it is no chain."""
    if len(doors) != 1 or len(outputs) != 1:
        return None
    found: list[Any] = []
    at = outputs[0]
    while at is not doors[0]:
        reads = at.call.reads
        if len(reads) != 1 or isinstance(at.call.outputs, tuple) or at.layer in found:
            return None
        found.append(at.layer)
        at = reads[0]
    return found[::-1]
