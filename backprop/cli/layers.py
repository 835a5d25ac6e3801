"""Layers in one line: `--layers "dense 128 relu, dropout 0.2"`."""

from __future__ import annotations

from typing import Any

from backprop.cli.usage import UsageError
from backprop.spelling import nearest

SHORT = {
    "conv": "Conv2D",
    "maxpool": "MaxPooling2D",
    "avgpool": "AveragePooling2D",
    "batchnorm": "BatchNormalization",
    "layernorm": "LayerNormalization",
    "attention": "MultiHeadAttention",
}


def parse_layers(spec: str) -> list[Any]:
    """`"dense 128 relu, dropout 0.2"` → layers.

    A name, then arguments: in order, by name (``rate=0.2``), or an activation.
    """
    from backprop import activations, layers

    known = {name.lower().replace("_", ""): cls for name, cls in layers.registry.classes.items()}
    known |= {short: layers.registry.classes[name] for short, name in SHORT.items()}
    functions = set(activations.registry.names)
    made = []
    for part in spec.split(","):
        words = part.split()
        if not words:
            raise UsageError(f"--layers has an empty entry in {spec!r}")
        name = words[0].lower().replace("_", "")
        if name not in known and name in functions:
            made.append(layers.Activation(name))
            continue
        if name not in known:
            raise UsageError(
                f"--layers: unknown layer {words[0]!r}{nearest(name, [*known, *functions])}"
            )
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if equals:
                kwargs[key] = literal(value)
            elif word in functions:
                kwargs["activation"] = word
            else:
                args.append(literal(word))
        try:
            made.append(known[name](*args, **kwargs))
        except (TypeError, ValueError) as error:
            raise UsageError(f"--layers: {part.strip()!r}: {error}") from error
    return made


def literal(text: str) -> Any:
    """A number, true, false, none, 3x3 as a pair, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if "x" in text and all(part.isdigit() for part in text.split("x")):
        return tuple(map(int, text.split("x")))
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)
