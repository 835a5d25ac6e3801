"""An autoencoder squeezes 64 pixels through 8 numbers; principal components are its yardstick.

    python docs/examples/autoencoder.py

Both are fitted to the training digits and asked to restore the test digits from 8 numbers each. It
prints their mean squared errors, in units of the pixels' variance.
"""

import numpy as np

import backprop as bp

CODE = 8

bp.utils.set_random_seed(0)
(x, _), (x_test, _) = bp.datasets.digits.load_data()
x, x_test = x.reshape(len(x), -1) / 16, x_test.reshape(len(x_test), -1) / 16

model = bp.Sequential(
    [
        bp.Input((64,)),
        bp.layers.Dense(64, activation="gelu"),
        bp.layers.Dense(CODE, name="code"),
        bp.layers.Dense(64, activation="gelu"),
        bp.layers.Dense(64, activation="sigmoid"),
    ]
)
model.compile(bp.optimizers.Adam(3e-3), loss="mse")
model.fit(x, x, epochs=80, batch_size=64, verbose=0)
restored = model.predict(x_test, verbose=0)

# the best that a linear autoencoder can do: the first principal components
mean = x.mean(0)
components = np.linalg.svd(x - mean, full_matrices=False)[2][:CODE]
linear = mean + (x_test - mean) @ components.T @ components

variance = np.mean((x_test - mean) ** 2)
print(f"principal components  {np.mean((x_test - linear) ** 2) / variance:.4f}")
print(f"autoencoder           {np.mean((x_test - restored) ** 2) / variance:.4f}")
