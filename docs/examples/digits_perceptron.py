"""A perceptron with two hidden layers reads handwritten digits.

    python docs/examples/digits_perceptron.py

It prints the accuracy on the 359 digits that it was not trained with.
"""

import backprop as bp

bp.utils.set_random_seed(0)
(x, y), (x_test, y_test) = bp.datasets.digits.load_data()
x, x_test = x / 16, x_test / 16  # 0 is paper, 16 is ink

model = bp.Sequential(
    [
        bp.Input((8, 8)),
        bp.layers.Flatten(),
        bp.layers.Dense(128, activation="relu"),
        bp.layers.Dense(64, activation="relu"),
        bp.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()

# the last tenth of the rows decides when to stop; the test rows are not looked at until the end
stop = bp.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
history = model.fit(x, y, epochs=40, validation_split=0.1, callbacks=[stop], verbose=0)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"{len(history.epoch)} epochs, test accuracy {accuracy:.4f}, loss {loss:.4f}")
