"""`Model`: a graph of layers with a trainer, in Keras' shape."""

from __future__ import annotations

from typing import Any

from backprop.layers.graph import Graph
from backprop.models.base import BaseModel
from backprop.nest import packed
from backprop.training.hooks import refuse


class Model(BaseModel, Graph):
    """A model: layers that are connected as they were called on each other, trained by
    back-propagation.

    Parameters
    ----------
    inputs : Symbol, or lists and dicts of them
        What `Input` returned, or the call of a layer: the model begins there.
    outputs : Symbol, or lists and dicts of them
        What the calls of layers returned.
    trainable : bool, default True
    name : str, optional

    Attributes
    ----------
    parameters : ParameterVector
        All trainable values as one vector, all gradients as another.
    inputs, outputs : list of Symbol
    input_names, output_names : list of str
        The names of each `Input`, and of the layers that make the outputs: what dicts of data,
        losses and metrics go by.
    optimizer, loss, metrics
        As compiled.
    history : History
        Of the last `fit`.
    stop_training : bool
        Set it to True in a callback, and the run ends after the batch in hand.

    Notes
    -----
    Layers are shared by calling them twice, or in two models. A model is called like a layer.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> user, item = bp.Input((), dtype="int32", name="user"), bp.Input((), dtype="int32")
    >>> a, b = bp.layers.Embedding(9, 4)(user), bp.layers.Embedding(5, 4)(item)
    >>> model = bp.Model([user, item], bp.layers.Dense(1)(bp.layers.Concatenate()([a, b])))
    >>> model.predict([np.array([1, 2]), np.array([3, 4])], verbose=0).shape
    (2, 1)
    """

    def __new__(cls, *args, **kwargs):
        refuse(cls)  # before a `call` that is never called says that there are no inputs
        return super().__new__(cls, *args, **kwargs)

    def __init__(
        self, inputs: Any = None, outputs: Any = None, trainable: bool = True, name: Any = None
    ):
        for end, given in (("inputs", inputs), ("outputs", outputs)):
            if given is None:
                raise TypeError(
                    f"{type(self).__name__} was given no {end}: call layers on what Input() "
                    "returns, and make Model(inputs, outputs) of it, or Sequential(layers) of a "
                    "chain; a subclass draws its layers and then calls super().__init__(inputs, "
                    "outputs)"
                )
        super().__init__(inputs, outputs, trainable=trainable, name=name)
        _ = self.parameters  # lay them now: whoever takes an array from a layer takes the model's

    @property
    def input(self) -> Any:
        return packed(self._wiring.inputs, self._drawing("input")[0])

    @property
    def output(self) -> Any:
        return packed(self._wiring.outputs, self._drawing("output")[1])

    @property
    def output_shape(self) -> Any:
        """With the batch axis; a list for several outputs."""
        found = [symbol.shape for symbol in self.outputs]
        return found[0] if len(found) == 1 else found
