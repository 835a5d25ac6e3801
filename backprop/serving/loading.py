"""A model's file, with what was learned about the columns of its table."""

from __future__ import annotations

import os
from typing import Any

from backprop import saving
from backprop.archive import describing
from backprop.saving import SigningKey
from backprop.tabular import Preprocessing


def load(
    path: str | os.PathLike, key: SigningKey | None = None
) -> tuple[Any, Preprocessing | None]:
    """A saved model with its preprocessing.

    Parameters
    ----------
    path : path
        What `backprop train` wrote, or `model.save`.
    key : SigningKey, optional
        What the file must be signed with.

    Returns
    -------
    (model, Preprocessing or None)
        None where the file has no preprocessing, as those of `model.save` have not.

    Raises
    ------
    ModelFileError
        See `saving.load_model`.
    """
    model, extra = saving.models.read_model(path, compile=False, key=key)
    if "preprocessing" not in extra:
        return model, None
    with describing(path):
        return model, Preprocessing.from_json(extra["preprocessing"])
