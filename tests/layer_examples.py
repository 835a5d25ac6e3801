"""One layer of each class, with generic weights and a generic input."""

import copy

import numpy as np

from backprop import layers, random
from backprop.layer import Layer
from backprop.layers import Dense, Embedding, ReLU

FLAT, SEQUENCE, IMAGE = (5, 6), (3, 4, 6), (2, 6, 5, 3)
ARGUMENTS = {
    "Activation": ((ReLU(),), FLAT),
    "AveragePooling2D": ((2,), IMAGE),
    "Chain": (([Dense(3, "tanh"), Dense(2)],), FLAT),
    "Conv2D": ((4, 3), IMAGE),
    "Dense": ((4, "tanh"), FLAT),
    "Dropout": ((0.4,), FLAT),
    "Flatten": ((), IMAGE),
    "GRU": ((4,), SEQUENCE),
    "GlobalAveragePooling1D": ((), SEQUENCE),
    "GlobalAveragePooling2D": ((), IMAGE),
    "GlobalMaxPooling2D": ((), IMAGE),
    "InputLayer": (((6,),), FLAT),
    "LSTM": ((4,), SEQUENCE),
    "Masking": ((), SEQUENCE),
    "MaxPooling2D": ((2,), IMAGE),
    "MultiHeadAttention": ((2, 3), SEQUENCE),
    "Parallel": (([Dense(3), Dense(3, "tanh")],), FLAT),
    "Permute": (((2, 1),), SEQUENCE),
    "RepeatVector": ((3,), FLAT),
    "Reshape": (((3, 2),), FLAT),
    "Residual": (([Dense(6, "tanh")],), FLAT),
    "SimpleRNN": ((4,), SEQUENCE),
    "Threshold": ((0.1, 0.5), FLAT),
}


def example(name: str) -> tuple[Layer, np.ndarray]:
    """A layer with generic weights, and a generic input."""
    random.set_random_seed(0)
    rng = np.random.default_rng(0)
    cls = layers.registry.classes[name]
    if name == "Embedding":
        layer, x = Embedding(7, 4), rng.integers(0, 7, (5, 3))
    else:
        args, shape = ARGUMENTS.get(name, ((), FLAT))
        layer, x = cls(*copy.deepcopy(args)), rng.standard_normal(shape)
    layer.build((None, *x.shape[1:]))
    for p in layer.arrays():
        if p.gradient is not None:
            p.value[...] += 0.3 * rng.standard_normal(p.shape)
    return layer, x
