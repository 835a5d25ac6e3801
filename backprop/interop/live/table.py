"""Which bridge carries which layer: read from the bridges themselves, for the documentation.

python -m backprop.interop.live.table        prints the table of docs/bridges.md
"""

from __future__ import annotations

from backprop.interop import onnx_export  # noqa: F401 - it fills the table of emitters
from backprop.interop.keras_configs import OURS
from backprop.interop.live import torch_export  # noqa: F401 - so does it
from backprop.interop.live.torch_writing import EMITTERS as MODULES, reason as why_no_module
from backprop.interop.onnx_reasons import reason
from backprop.interop.onnx_writing import EMITTERS
from backprop.layers import registry

ROWS = sorted(registry.classes.keys() - {"Graph", "InputLayer"})
# Keras' class computes something else, or can stand in no model
OTHERWISE = {"Equalization", "Threshold"}
# what is read again as constants of arithmetic, which are not trained
AS_CONSTANTS = {
    *("AdditiveAttention", "Attention", "EinsumDense", "GroupNormalization", "Normalization"),
    *("PositionEmbedding", "RMSNormalization"),
}
AS_CONSTANTS_FROM_TORCH = {"Normalization"}
ONE_WAY_TO_TORCH = {"Dot"}  # it becomes a sum of products that is not read
# what ONNX has operators for that have no layer here
ONE_WAY = {"HardShrink", "Resizing", "Threshold"}
HEAD = "layer", "Keras", "`to_onnx`", "`from_onnx`", "`to_torch`", "`from_torch`"


def carried() -> list[str]:
    """The layers that a file of ONNX can hold, by name.

    Examples
    --------
    >>> from backprop.interop.live.table import carried
    >>> "Dense" in carried(), "Sparsemax" in carried()
    (True, False)
    """
    return [name for name in ROWS if registry.classes[name] in EMITTERS]


def written() -> list[str]:
    """The layers that are modules of PyTorch, by name.

    Examples
    --------
    >>> from backprop.interop.live.table import written
    >>> "Dense" in written(), "Masking" in written()
    (True, False)
    """
    return [name for name in ROWS if registry.classes[name] in MODULES]


def row(name: str) -> tuple[str, ...]:
    """What is said of a layer: its name, whether Keras has it, files of ONNX hold it, it comes
    back from there, it is a module of PyTorch, and it comes back from there.

    Examples
    --------
    >>> from backprop.interop.live.table import row
    >>> row("Dense"), row("ConvLSTM2D")[2]
    (('Dense', 'yes', 'yes', 'yes', 'yes', 'yes'), 'no: it would be a loop of operators, and ...')
    """
    cls = registry.classes[name]
    keras = "no" if name in OURS or name in OTHERWISE else "yes"
    onnx, from_onnx = f"no: {reason(cls)}", ""
    if name in carried():
        back = "as constants" if name in AS_CONSTANTS else "no" if name in ONE_WAY else "yes"
        onnx, from_onnx = "yes", back
    torch, from_torch = f"no: {why_no_module(cls)}", ""
    if name in written():
        constant = name in AS_CONSTANTS_FROM_TORCH
        back = "as constants" if constant else "no" if name in ONE_WAY_TO_TORCH else "yes"
        torch, from_torch = "yes", back
    return name, keras, onnx, from_onnx, torch, from_torch


def table() -> str:
    """The table, in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *((f"`{name}`", *rest) for name, *rest in map(row, ROWS))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(table())
