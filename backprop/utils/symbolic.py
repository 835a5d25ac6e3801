"""What can be asked of symbolic arrays, under Keras' names."""

from __future__ import annotations

from typing import Any

from backprop.symbols import Symbol


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a symbolic array, such as `Input()` and the call of a layer on it return.

    Examples
    --------
    >>> import backprop as bp
    >>> x = bp.Input((3,))
    >>> bp.utils.is_keras_tensor(x), bp.utils.is_keras_tensor(bp.layers.Dense(2))
    (True, False)
    """
    return isinstance(x, Symbol)


def get_source_inputs(tensor: Symbol) -> list[Symbol]:
    """What `Input` made that this symbolic array depends on, as a walk back meets it.

    Examples
    --------
    >>> import backprop as bp
    >>> a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    >>> y = bp.layers.Concatenate()([bp.layers.Dense(2)(a), b])
    >>> bp.utils.get_source_inputs(y)
    [<Symbol a, shape (None, 3), float32>, <Symbol b, shape (None, 3), float32>]
    """
    if not is_keras_tensor(tensor):
        raise TypeError(
            "get_source_inputs() expects what Input() or the call of a layer on it returned, got "
            f"{type(tensor).__name__}"
        )
    way, met, found = [tensor], {tensor}, []
    while way:
        symbol = way.pop()
        if not symbol.call.reads:
            found.append(symbol)
        for read in reversed(symbol.call.reads):
            if read not in met:
                met.add(read)
                way.append(read)
    return found
