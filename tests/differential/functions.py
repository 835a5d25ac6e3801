"""Functions of one array, or of a step, beside Keras': activations, schedules, initializers,
regularizers, constraints."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from keras_parity import keras_in

from backprop import activations, constraints, initializers, regularizers
from backprop.optimizers import schedules
from differential.harness import Draw, Family, dtypes, generator, options, seeds

share = st.floats(0.05, 0.95)

# ---------------------------------------------------------------------------- activations

axes = {"axis": st.sampled_from([-1, -2, 1])}
thresholds = {"threshold": st.floats(0, 2)}
alphas = {"alpha": st.floats(0.1, 3)}
ACTIVATIONS = {  # those that take options
    "celu": alphas,
    "elu": alphas,
    "gelu": {"approximate": st.booleans()},
    "glu": axes,
    "hard_shrink": thresholds,
    "soft_shrink": thresholds,
    "leaky_relu": {"negative_slope": st.floats(0, 1)},
    "log_softmax": axes,
    "softmax": axes,
    "relu": {
        "negative_slope": st.just(0.0) | share,
        "max_value": st.none() | st.floats(0.5, 6),
        **thresholds,
    },
    "squareplus": {"b": st.floats(0.1, 5)},
    "threshold": {**thresholds, "default_value": st.floats(-2, 2)},
}


def activation(name):
    def compare(draw: Draw):
        given = options(draw, ACTIVATIONS.get(name, {}))
        dtype, rng = draw(dtypes), generator(draw)
        x = draw(st.sampled_from([1e-3, 1.0, 30.0])) * rng.standard_normal((3, 4, 6))
        if draw(st.booleans()) and "axis" not in given:
            x.flat[:4] = [np.inf, -np.inf, np.nan, -0.0]
        x = x.astype(dtype)
        found = getattr(activations, name)(x, **given)
        with keras_in(dtype) as keras:
            wanted = np.asarray(getattr(keras.activations, name)(x, **given))
        if "axis" in given:
            yield dtype, found, wanted
            return
        # NaN goes through here, and is 0 in some of Keras'; at infinity Keras may have 0 · infinity
        assert (np.isnan(found) == np.isnan(x)).all()
        known = ~np.isnan(x) & ~np.isnan(wanted)
        yield dtype, found[known], wanted[known]

    return compare


ACTIVATION_FAMILY = Family(
    "Activations",
    set(activations.FUNCTIONS),
    {name: activation(name) for name in activations.FUNCTIONS if name != "sparsemax"},
    {"sparsemax": "what Keras returns sums to less than 1 for most inputs"},
)

# ---------------------------------------------------------------------------- schedules

steps = st.integers(1, 40)
rate = st.floats(1e-4, 1)
decay = {
    "initial_learning_rate": rate,
    "decay_steps": steps,
    "decay_rate": share,
    "staircase": st.booleans(),
}


@st.composite
def pieces(draw):
    boundaries = sorted(draw(st.lists(steps, min_size=1, max_size=4, unique=True)))
    n = len(boundaries) + 1
    return {
        "boundaries": boundaries,
        "values": draw(st.lists(rate, min_size=n, max_size=n)),
    }


SCHEDULES = {
    "ExponentialDecay": st.fixed_dictionaries(decay),
    "InverseTimeDecay": st.fixed_dictionaries(decay),
    "PiecewiseConstantDecay": pieces(),
    "PolynomialDecay": st.fixed_dictionaries(
        {
            "initial_learning_rate": rate,
            "decay_steps": steps,
            "end_learning_rate": rate,
            "power": st.floats(0.5, 3),
            "cycle": st.booleans(),
        }
    ),
    "CosineDecay": st.fixed_dictionaries(
        {
            "initial_learning_rate": rate,
            "decay_steps": steps,
            "alpha": share,
            "warmup_target": st.none() | rate,
            "warmup_steps": steps,
        }
    ),
    "CosineDecayRestarts": st.fixed_dictionaries(
        {
            "initial_learning_rate": rate,
            "first_decay_steps": steps,
            "t_mul": st.sampled_from([1.0, 1.5, 2.0]),
            "m_mul": share,
            "alpha": share,
        }
    ),
}


def schedule(name):
    def compare(draw: Draw):
        given = draw(SCHEDULES[name])
        ours = getattr(schedules, name)(**given)
        with keras_in("float32") as keras:
            theirs = getattr(keras.optimizers.schedules, name)(**given)
            # Keras computes rates in float32 whatever the dtype
            curve = [float(theirs(step)) for step in range(60)]
        yield "float32", [ours(step) for step in range(60)], curve

    return compare


SCHEDULE_FAMILY = Family(
    "Schedules",
    set(schedules.registry.classes),
    {name: schedule(name) for name in SCHEDULES},
    dict.fromkeys(["OneCycle", "WarmUp"], "Keras has none"),
)

# ---------------------------------------------------------------------------- initializers

INITIALIZERS = {
    "Zeros": {},
    "Ones": {},
    "Constant": {"value": st.floats(-3, 3)},
    "Identity": {"gain": st.floats(-3, 3)},
    "RandomNormal": {"mean": st.floats(-1, 1), "stddev": share},
    "RandomUniform": {"minval": st.floats(-1, 0), "maxval": share},
    "TruncatedNormal": {"mean": st.floats(-1, 1), "stddev": share},
    "STFT": {
        "side": st.sampled_from(["real", "imag"]),
        "window": st.sampled_from(["hann", "hamming", None]),
        "scaling": st.sampled_from(["density", "spectrum", None]),
        "periodic": st.booleans(),
    },
    "Orthogonal": {"gain": st.floats(0.1, 3)},
    "VarianceScaling": {
        "scale": st.floats(0.1, 3),
        "mode": st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
        "distribution": st.sampled_from(["truncated_normal", "untruncated_normal", "uniform"]),
    },
    "GlorotNormal": {},
    "GlorotUniform": {},
    "HeNormal": {},
    "HeUniform": {},
    "LecunNormal": {},
    "LecunUniform": {},
}


NOT_RANDOM = {"Zeros", "Ones", "Constant", "Identity", "STFT"}


def initializer(name):
    """From a seed come Keras' own numbers, so statistics are the same too; they are compared once
    more where both draw what they like."""

    def compare(draw: Draw):
        given = options(draw, INITIALIZERS[name])
        rank = 2 if name == "Identity" else draw(st.integers(2, 4))
        shape = tuple(draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank)))
        if name == "STFT":
            shape = (2 + shape[0], 1, 2 + shape[1])
        dtype, random = draw(dtypes), name not in NOT_RANDOM
        seeded = given | ({"seed": draw(seeds)} if random else {})
        found = getattr(initializers, name)(**seeded)(shape, dtype=dtype)
        with keras_in(dtype) as keras:
            theirs = getattr(keras.initializers, name)
            yield dtype, found, np.asarray(theirs(**seeded)(shape, dtype=dtype))
            if not random or name == "Orthogonal":
                return
            assert found.dtype == dtype
            free = getattr(initializers, name)(**given)((50, 40), dtype=dtype)
            wanted = np.asarray(theirs(**given)((50, 40), dtype=dtype))
        spread = wanted.std()
        assert abs(free.mean() - wanted.mean()) < 8 * spread / np.sqrt(free.size)
        assert abs(free.std() - spread) < 0.15 * spread
        assert abs(np.ptp(free) - np.ptp(wanted)) < 2.5 * spread

    return compare


INITIALIZER_FAMILY = Family(
    "Initializers",
    set(initializers.registry.classes),
    {name: initializer(name) for name in INITIALIZERS},
)

# ---------------------------------------------------------------------------- regularizers

factor = st.floats(0, 2)
REGULARIZERS = {
    "L1": {"l1": factor},
    "L2": {"l2": factor},
    "L1L2": {"l1": factor, "l2": factor},
    "OrthogonalRegularizer": {"factor": factor, "mode": st.sampled_from(["rows", "columns"])},
}


def regularizer(name):
    def compare(draw: Draw):
        given = options(draw, REGULARIZERS[name])
        dtype, rng = draw(dtypes), generator(draw)
        w = rng.standard_normal(draw(st.tuples(st.integers(2, 5), st.integers(2, 5)))).astype(dtype)
        found = getattr(regularizers, name)(**given)(w)
        # Keras takes NumPy's columns for rows when it normalises them: it gets them as rows
        columns = given.pop("mode", "rows") == "columns"
        with keras_in(dtype) as keras:
            theirs = getattr(keras.regularizers, name)(**given)
            yield dtype, found, np.asarray(theirs(w.T if columns else w))

    return compare


REGULARIZER_FAMILY = Family(
    "Regularizers",
    set(regularizers.registry.classes),
    {name: regularizer(name) for name in REGULARIZERS},
)

# ---------------------------------------------------------------------------- constraints

CONSTRAINTS = {
    "MaxNorm": {"max_value": st.floats(0.1, 3)},
    "MinMaxNorm": {
        "min_value": st.floats(0, 0.5),
        "max_value": st.floats(0.6, 3),
        "rate": st.floats(0, 1),
    },
    "NonNeg": {},
    "UnitNorm": {},
}


def constraint(name):
    def compare(draw: Draw):
        given = options(draw, CONSTRAINTS[name])
        shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
        axis = st.integers(0, len(shape) - 1)
        if name != "NonNeg":
            several = st.lists(axis, min_size=1, max_size=2, unique=True).map(tuple)
            given["axis"] = draw(axis | several)
        dtype, rng = draw(dtypes), generator(draw)
        w = rng.standard_normal(shape).astype(dtype)
        found = getattr(constraints, name)(**given)(w.copy())
        with keras_in(dtype) as keras:
            yield dtype, found, np.asarray(getattr(keras.constraints, name)(**given)(w))

    return compare


CONSTRAINT_FAMILY = Family(
    "Constraints",
    set(constraints.registry.classes),
    {name: constraint(name) for name in CONSTRAINTS},
)
