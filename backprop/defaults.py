"""The settings of the process that Keras keeps in `config` and `backend`: the dtype that is meant
where none is given, and what is fixed here.

They are read as `backprop.config.floatx()` or `backprop.backend.floatx()`.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert

_floatx = "float32"
_interactive = True


def floatx() -> str:
    """The dtype of models, layers and initial values where none is given: "float32" unless changed.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.config.floatx()
    'float32'
    """
    return _floatx


def set_floatx(dtype: str) -> None:
    """Choose the dtype of all models and layers that are made from now on without one.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What exists already keeps its own.

    Raises
    ------
    ValueError
        For any other dtype.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.config.set_floatx("float64")
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    >>> bp.config.set_floatx("float32")
    >>> model.layers[0].kernel.dtype
    dtype('float64')
    """
    global _floatx
    _floatx = float_dtype(dtype).name


def float_dtype(dtype, name: str = "dtype") -> np.dtype:
    """float32 or float64, from a name or a type."""
    try:
        found = None if dtype is None else np.dtype(dtype)  # NumPy's own default is float64
    except (TypeError, ValueError):
        found = None
    if found not in (np.float32, np.float64):
        raise ValueError(f"{name} must be 'float32' or 'float64', got {dtype!r}")
    return found


FloatDtype = Annotated[Any, Convert(lambda value, who, name: float_dtype(value, name))]


def standardize_dtype(dtype=None) -> str:
    """The name of a dtype, from a name, a type or a dtype; of None, that of `floatx`.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.standardize_dtype(np.float64), bp.utils.standardize_dtype("int")
    ('float64', 'int64')
    """
    try:
        return _floatx if dtype is None else np.dtype(dtype).name
    except (TypeError, ValueError):
        raise TypeError(f"standardize_dtype() expects a dtype or its name, got {dtype!r}") from None


def epsilon() -> float:
    """What losses keep probabilities away from 0 and 1 by: 1e-7, always."""
    return 1e-7


def image_data_format() -> str:
    """Where the channels of an image are unless a layer is told otherwise: "channels_last"."""
    return "channels_last"


def backend() -> str:
    """What computes: "numpy"."""
    return "numpy"


def set_image_data_format(data_format: str) -> None:
    """Take note that images are channels-last; refuse anything else.

    Parameters
    ----------
    data_format : {"channels_last"}

    Raises
    ------
    ValueError
        For "channels_first", which is an argument of each layer here.
    """
    if not isinstance(data_format, str) or data_format != image_data_format():
        raise ValueError(
            f"the default is 'channels_last' and stays so, got {data_format!r}; give the layers "
            "data_format='channels_first', or turn the images by np.moveaxis(x, 1, -1)"
        )


def set_epsilon(value: float) -> None:
    """Take note that epsilon is 1e-7; refuse anything else.

    Raises
    ------
    ValueError
        For another number: the losses do not read it from here.
    """
    if not isinstance(value, float) or value != epsilon():
        raise ValueError(
            f"epsilon is {epsilon()} in all losses and cannot be changed, got {value!r}; layers "
            "and optimizers take an epsilon= of their own"
        )


def clear_session(free_memory: bool = True) -> None:
    """Do nothing, as there is nothing to clear: no graph and no names are kept beside the models.

    Parameters
    ----------
    free_memory : bool, default True
        Keras'; a model's memory is free as soon as nothing refers to the model.
    """


def enable_interactive_logging() -> None:
    """Show what runs say on stdout, with a progress bar that moves: so it is unless changed."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Send what runs say to the logger ``"backprop"`` at the level INFO, a line an epoch.

    No progress bar is drawn, as on a pipe, and nothing is written to stdout, but what was asked for
    by a function of one's own.

    Examples
    --------
    >>> import logging
    >>> import backprop as bp
    >>> bp.config.disable_interactive_logging()
    >>> bp.config.is_interactive_logging_enabled()
    False
    >>> logging.getLogger("backprop").setLevel(logging.INFO)  # to see them where a handler is
    >>> bp.config.enable_interactive_logging()
    """
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Whether runs write on stdout."""
    return _interactive
