"""Where PyTorch comes from, which is imported when it is used and not before."""

from __future__ import annotations

import importlib
from typing import Any


def package() -> Any:
    """The package torch, which the extra `torch` brings; type checkers do without it."""
    try:
        importlib.import_module("torch.fx")
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            'modules of PyTorch are converted by torch: pip install "backprop[torch]"'
        ) from error
