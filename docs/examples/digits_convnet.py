"""A convolutional network reads handwritten digits, and its gradients are certified.

    python docs/examples/digits_convnet.py

It prints the accuracy on the 359 digits that it was not trained with, and the table of the check.
"""

import backprop as bp
from backprop.gradcheck import gradcheck

EPOCHS, BATCH = 20, 32

bp.utils.set_random_seed(0)
(x, y), (x_test, y_test) = bp.datasets.digits.load_data()
x, x_test = x[..., None] / 16, x_test[..., None] / 16  # one channel, the last axis

model = bp.Sequential(
    [
        bp.Input((8, 8, 1)),
        bp.layers.RandomTranslation(0.05, 0.05, fill_mode="constant"),
        bp.layers.Conv2D(16, 3, padding="same", activation="relu"),
        bp.layers.BatchNormalization(momentum=0.9),
        bp.layers.Conv2D(32, 3, padding="same", activation="relu"),
        bp.layers.BatchNormalization(momentum=0.9),
        bp.layers.MaxPooling2D(2),
        bp.layers.Conv2D(32, 3, activation="relu"),
        bp.layers.Flatten(),
        bp.layers.Dropout(0.4),
        bp.layers.Dense(10, activation="softmax"),
    ]
)
steps = EPOCHS * -(-len(x) // BATCH)
rate = bp.optimizers.schedules.OneCycle(0.005, total_steps=steps)
model.compile(
    bp.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)

print(gradcheck(model, x_test[:4], y_test[:4]))
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.4f}, loss {loss:.4f}")
