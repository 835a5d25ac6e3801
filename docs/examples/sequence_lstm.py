"""An LSTM reads a digit row by row, from the top, and says at the end what it was.

    python docs/examples/sequence_lstm.py

It prints the accuracy on the test digits, first with all eight rows, then with the lower rows
masked away: a masked step leaves the state as it was.
"""

import numpy as np

import backprop as bp

bp.utils.set_random_seed(0)
(x, y), (x_test, y_test) = bp.datasets.digits.load_data()
x, x_test = x / 16, x_test / 16  # (digits, 8 time steps, 8 features)

model = bp.Sequential(
    [
        bp.Input((8, 8)),
        bp.layers.Masking(mask_value=-1.0),
        bp.layers.LSTM(48),
        bp.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    bp.optimizers.Adam(0.02, global_clipnorm=1.0),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)

# of some digits the last rows are hidden, so that partial digits are learned as well
rng = np.random.default_rng(0)
seen = np.where(rng.random(len(x)) < 0.7, 8, rng.integers(4, 9, len(x)))
x = np.where(np.arange(8)[:, None] < seen[:, None, None], x, -1.0)
model.fit(x, y, batch_size=64, epochs=15, verbose=0)

for rows in (8, 7, 6, 5, 4):
    partial = x_test.copy()
    partial[:, rows:] = -1.0
    accuracy = model.evaluate(partial, y_test, verbose=0, return_dict=True)["accuracy"]
    print(f"{rows} rows: test accuracy {accuracy:.4f}")
