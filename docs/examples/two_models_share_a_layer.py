"""An encoder belongs to two models: an autoencoder, and a classifier that has few labels.

    python docs/examples/two_models_share_a_layer.py

The autoencoder learns from all training images, without labels. The classifier then learns from 60
labelled ones, with the encoder that the autoencoder has trained; the yardstick is the same classifier
with an encoder of its own. It prints the accuracies on the test digits, and shows that the two models
hold the same arrays.
"""

import numpy as np

import backprop as bp

LABELLED = 60


def encoder() -> bp.layers.Chain:
    return bp.layers.Chain(
        [bp.layers.Dense(64, activation="gelu"), bp.layers.Dense(24, activation="tanh")],
        name="encoder",
    )


def classifier(front: bp.layers.Layer) -> bp.Sequential:
    model = bp.Sequential([bp.Input((64,)), front, bp.layers.Dense(10, activation="softmax")])
    model.compile(
        bp.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def accuracy(model: bp.Sequential) -> float:
    model.fit(x[:LABELLED], y[:LABELLED], epochs=60, verbose=0)
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


bp.utils.set_random_seed(0)
(x, y), (x_test, y_test) = bp.datasets.digits.load_data()
x, x_test = x.reshape(len(x), -1) / 16, x_test.reshape(len(x_test), -1) / 16

alone = accuracy(classifier(encoder()))

shared = encoder()
autoencoder = bp.Sequential(
    [bp.Input((64,)), shared, bp.layers.Dense(64, "gelu"), bp.layers.Dense(64, "sigmoid")]
)
autoencoder.compile(bp.optimizers.Adam(3e-3), loss="mse")
autoencoder.fit(x, x, epochs=40, batch_size=64, verbose=0)

labelled = classifier(shared)  # the layer itself, not a copy
shared.trainable = False  # 60 labels shall not undo what 1,438 images taught
pretrained = accuracy(labelled)

# the encoder's values moved into the classifier's vector when that was built; both models see them
same = np.shares_memory(autoencoder.layers[0].weights[0], labelled.parameters.values)
print(f"the two models hold the same arrays: {same}")
print(f"{LABELLED} labels, an encoder of its own:      test accuracy {alone:.4f}")
print(f"{LABELLED} labels, the autoencoder's encoder:  test accuracy {pretrained:.4f}")
