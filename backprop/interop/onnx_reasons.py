"""Why a layer is in no ONNX file, where there is more to say than that nobody wrote it."""

from __future__ import annotations

from backprop import layers
from backprop.layers import registry

TEXT = "ONNX' operators on strings are not those of Keras: prepare the data before the model"
IMAGES = "it is one of the layers that prepare images: do so before the model"
PARTS = "its windows are of different sizes"
LOOP = "it would be a loop of operators, and ONNX has none for this cell"
REASONS: dict[type, str] = {
    **dict.fromkeys(
        (layers.StringLookup, layers.TextVectorization, layers.Hashing, layers.HashedCrossing), TEXT
    ),
    **dict.fromkeys(
        (
            getattr(layers, f"Adaptive{kind}Pooling{n}D")
            for kind in ("Average", "Max")
            for n in (1, 2, 3)
        ),
        PARTS,
    ),
    **dict.fromkeys((layers.RNN, layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D), LOOP),
    layers.Lambda: "it is a function of Python",
    layers.Sparsemax: "it sorts, and takes what ONNX has no short form for",
    layers.SpectralNormalization: (
        "the kernel that it uses is made anew at each step: take layer.layer with that kernel"
    ),
}


def reason(cls: type) -> str:
    """What is said of a class that is in no table.

    Examples
    --------
    >>> from backprop import layers
    >>> reason(layers.ConvLSTM2D)
    'it would be a loop of operators, and ONNX has none for this cell'
    """
    if cls in REASONS:
        return REASONS[cls]
    if cls.__name__ not in registry.classes or registry.classes[cls.__name__] is not cls:
        return "it is a class outside of the library"
    if cls.__module__.startswith("backprop.layers.images"):
        return IMAGES
    return "there is no operator for it"
