"""What Keras has too, beside Keras, on drawn arguments, shapes, weights, masks and dtypes.

    harness.py          what a comparison is, and the record of what was compared
    values.py           losses and metrics
    functions.py        activations, schedules, initializers, regularizers, constraints
    layers.py           layers, forward and backward; on_jax.py is Keras on JAX, in its own process
    images.py           images, columns and sounds, as far as Keras needs no JAX there
    optimizers.py       optimizers
    families.py         all of them
    test_draws.py       few draws of each
    test_errors.py      what Keras refuses is refused
    table.py            the tables in docs/beside_keras.md
    __main__.py         many draws, and those tables:
                        PYTHONPATH=.:tests python -m differential

Tests of one family try its own corners; here options, shapes, axes, weights, reductions and dtypes
meet by chance. A new name needs one entry in its family's table of comparisons.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")  # before anything imports keras
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
