"""Which bridge carries which layer: read from the bridges themselves, for the documentation.

python -m backprop.interop.table        prints the table of docs/bridges.md
"""

from __future__ import annotations

from backprop.interop import onnx_export  # noqa: F401 - it fills the table of emitters
from backprop.interop.keras_configs import OURS
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
# what ONNX has operators for that have no layer here
ONE_WAY = {"HardShrink", "Masking", "Resizing", "Threshold"}


def carried() -> list[str]:
    """The layers that a file of ONNX can hold, by name.

    Examples
    --------
    >>> from backprop.interop.table import carried
    >>> "Dense" in carried(), "Sparsemax" in carried()
    (True, False)
    """
    return [name for name in ROWS if registry.classes[name] in EMITTERS]


def row(name: str) -> tuple[str, str, str, str]:
    """What is said of a layer: its name, whether a file of Keras holds it, one of ONNX, and whether
    it comes back from there.

    Examples
    --------
    >>> from backprop.interop.table import row
    >>> row("Dense"), row("ConvLSTM2D")[2]
    (('Dense', 'yes', 'yes', 'yes'), 'no: it would be a loop of operators, and ONNX has none ...')
    """
    keras = "no" if name in OURS or name in OTHERWISE else "yes"
    if name not in carried():
        return name, keras, f"no: {reason(registry.classes[name])}", ""
    back = "as constants" if name in AS_CONSTANTS else "no" if name in ONE_WAY else "yes"
    return name, keras, "yes", back


def table() -> str:
    """The table, in Markdown."""
    head = ["| layer | `.keras` | `to_onnx` | `from_onnx` |", "|---|---|---|---|"]
    return "\n".join([*head, *("| `{}` | {} | {} | {} |".format(*row(name)) for name in ROWS)])


if __name__ == "__main__":
    print(table())
