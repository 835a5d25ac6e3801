"""Optimizers beside Keras': twenty steps from the same values along the same gradients."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from keras_parity import keras_in

from backprop import optimizers
from backprop.layer import Layer
from backprop.vector import ParameterVector
from differential.harness import Draw, Family, dtypes, generator, options

SHAPES = [(3, 2), (2,), (2, 1, 2), ()]
share = st.floats(0.05, 0.95)
betas = {"beta_1": share, "beta_2": st.floats(0.5, 0.999)}
epsilon = {"epsilon": st.floats(1e-7, 1e-2)}
amsgrad = {"amsgrad": st.booleans()}
EACH = {  # options of all of them
    "learning_rate": st.floats(1e-3, 0.1),
    "weight_decay": st.none() | st.floats(0.001, 0.2),
    "gradient_accumulation_steps": st.none() | st.integers(2, 4),
}
CLIPS = [{}, {"clipnorm": st.floats(0.2, 2)}, {"clipvalue": share}, {"global_clipnorm": share}]
AVERAGES = [
    {},
    {"use_ema": True, "ema_momentum": share},
    {"use_ema": True, "ema_momentum": share, "ema_overwrite_frequency": st.integers(1, 5)},
]
OPTIMIZERS = {
    "SGD": {"momentum": st.just(0.0) | share, "nesterov": st.booleans()},
    "RMSprop": {
        "rho": share,
        "momentum": st.just(0.0) | share,
        "centered": st.booleans(),
        "epsilon": st.floats(1e-4, 1e-2),  # with 1e-7 the root of a difference that cancels
    },
    "Adam": {**betas, **epsilon, **amsgrad},
    "AdamW": {**betas, **epsilon, **amsgrad, "weight_decay": st.floats(0.001, 0.2)},
    "Adagrad": {"initial_accumulator_value": st.floats(0, 1), **epsilon},
    "Adadelta": {"rho": share, **epsilon},
    "Adamax": {**betas, **epsilon},
    "Nadam": {**betas, **epsilon},
    "Lion": betas,
    "Lamb": {**betas, **epsilon},
    "Ftrl": {
        "learning_rate_power": st.floats(-1, 0),
        "initial_accumulator_value": st.floats(0.05, 1),
        "l1_regularization_strength": st.floats(0, 0.2),
        "l2_regularization_strength": st.floats(0, 0.2),
        "l2_shrinkage_regularization_strength": st.floats(0, 0.2),
        "beta": st.floats(0, 1),
    },
    "Adafactor": {
        "beta_2_decay": st.floats(-1, -0.3),
        "epsilon_2": st.floats(1e-4, 1e-2),
        "clip_threshold": st.floats(0.5, 2),
        "relative_step": st.booleans(),
    },
    "Muon": {
        "adam_beta_1": share,
        "adam_beta_2": share,
        "momentum": share,
        "nesterov": st.booleans(),
        "ns_steps": st.integers(1, 6),
    },
    "ScheduleFreeAdamW": {**betas, **epsilon, "warmup_steps": st.integers(0, 5)},
}


class Values(Layer):
    """Parameters of given values and nothing else."""

    def __init__(self, values):
        super().__init__(dtype=values[0].dtype)
        for i, value in enumerate(values):
            name = ("kernel", "bias")[i] if i < 2 else f"more_{i}"
            self.param(name, value.shape, value.copy())


def optimizer(name):
    def compare(draw: Draw):
        given = options(draw, EACH | OPTIMIZERS[name])
        given |= options(draw, draw(st.sampled_from(CLIPS)))
        given |= options(draw, draw(st.sampled_from(AVERAGES)))
        dtype, rng = draw(dtypes), generator(draw)
        values = arrays(rng, dtype)
        ours = getattr(optimizers, name)(**given)
        holder = Values(values)
        vector = ParameterVector(list(holder.arrays()))
        with keras_in(dtype) as keras:
            theirs = getattr(keras.optimizers, name)(**given)
            variables = [keras.Variable(value, dtype=dtype) for value in values]
            for _ in range(20):
                gradients = arrays(rng, dtype)
                theirs.apply(gradients, variables)
                for p, g in zip(vector.parameters, gradients, strict=True):
                    p.gradient[...] = g
                ours.step(vector)
                yield dtype, flat(p.value for p in vector.parameters), flat(variables)
            theirs.finalize_variable_values(variables)
            ours.finalize_variable_values(vector)
            yield dtype, flat(p.value for p in vector.parameters), flat(variables)

    return compare


def arrays(rng, dtype):
    return [np.array(rng.normal(size=shape), dtype) for shape in SHAPES]


def flat(values):
    return np.concatenate([np.asarray(value).ravel() for value in values])


FAMILY = Family(
    "Optimizers, 20 steps",
    set(optimizers.registry.classes),
    {name: optimizer(name) for name in OPTIMIZERS},
    {
        "LARS": "Keras has none",
        "LBFGS": "Keras has none; SciPy's is what it is compared with",
    },
    draws=(6, 100),
)
