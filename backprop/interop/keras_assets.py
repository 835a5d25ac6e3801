"""What layers of Keras keep in files of text: the vocabularies that they have learned.

They lie in the archive where the arrays of the layer would lie in the HDF5 beside it:

    assets/layers/string_lookup/vocabulary.txt              a token in each line
    assets/layers/functional/layers/string_lookup_1/vocabulary.txt

A layer here is built for its vocabulary. So it is put into the layer's configuration, as it would
be if the layer had been given it, before anything is made of the configuration. The other way
nothing is needed: Keras takes a vocabulary from a configuration as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from backprop.spelling import snake_case

NAME = re.compile(r"assets/(\w+(?:/\w+)*)/vocabulary\.txt")
LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
INNER = "_lookup_layer"  # of a TextVectorization, which says all twice
IDF = "vars/idf_weights"


def vocabularies(members: Mapping[str, bytes]) -> dict[str, list[str]]:
    """The lines of each vocabulary, by the place of its layer."""
    found = {}
    for name, contents in members.items():
        known = NAME.fullmatch(name)
        if known:
            found[known[1].removesuffix(f"/{INNER}")] = contents.decode("utf-8").split("\n")
    return found


def supplied(
    config: Mapping[str, Any], words: Mapping[str, list[str]], idf: Mapping[str, np.ndarray]
) -> None:
    """Put vocabularies and the weights of their tokens into the layers of a configuration."""
    places = dict(lookups(config, ""))
    for at, lines in words.items():
        if at not in places:
            raise ValueError(f"it holds a vocabulary for {at!r}, and no such layer")
        layer = places[at]
        whole = layer["class_name"] == "IntegerLookup"
        layer["config"]["vocabulary"] = [int(line) for line in lines] if whole else lines
        if at in idf:
            layer["config"]["idf_weights"] = idf[at].tolist()


def lookups(config: Any, at: str) -> Iterator[tuple[str, Any]]:
    """The layers with vocabularies in a configuration of Keras, by their places."""
    inner = config.get("config") if isinstance(config, Mapping) else None
    rows = inner.get("layers") if isinstance(inner, Mapping) else None
    count: Counter[str] = Counter()
    for layer in rows if isinstance(rows, list) else ():
        if not isinstance(layer, Mapping) or not isinstance(layer.get("class_name"), str):
            continue
        name = snake_case(layer["class_name"])
        place = f"{at}layers/{name}" + (f"_{count[name]}" if count[name] else "")
        count[name] += 1
        if layer["class_name"] in LOOKUPS and isinstance(layer.get("config"), dict):
            yield place, layer
        yield from lookups(layer, f"{place}/")


def kept(layer: Any) -> dict[str, np.ndarray]:
    """What stands among the arrays of a layer under a name, by its place there."""
    idf = getattr(getattr(layer, "vocabulary", None), "idf", None)
    if idf is None:
        return {}
    own = {IDF: np.asarray(idf, layer.dtype)}
    return own | ({f"{INNER}/{IDF}": own[IDF]} if type(layer).__name__ == LOOKUPS[-1] else {})


def weights_of_tokens(datasets: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What a file says each token of a vocabulary weighs, by the place of its layer."""
    return {
        at.removesuffix(f"/{IDF}").removesuffix(f"/{INNER}"): dataset[()]
        for at, dataset in datasets.items()
        if at.endswith(f"/{IDF}")
    }
