"""An encoder belongs to two models: a denoising autoencoder, and a classifier that has few labels.

    python docs/examples/two_models_share_a_layer.py

The autoencoder learns from all training images, without labels. The classifier then learns from
30 labelled ones, with the encoder that the autoencoder has trained; the yardstick is the same
classifier with an encoder of its own. It prints the accuracies on the test digits, as means over
five seeds, and says whether the two models hold the same arrays.
"""

import numpy as np

import backprop as bp

(x, y), (x_test, y_test) = bp.datasets.digits.load_data()
x, x_test = x.reshape(len(x), -1) / 16, x_test.reshape(len(x_test), -1) / 16
labelled = slice(None, None, 48)  # 30 images


def make_encoder() -> bp.layers.Layer:
    return bp.layers.Chain(
        [bp.layers.Dense(64, activation="relu"), bp.layers.Dense(32, activation="tanh")],
        name="encoder",
    )


def make_autoencoder(encoder: bp.layers.Layer) -> bp.Sequential:
    noise, decoder = bp.layers.Dropout(0.3), bp.layers.Dense(64, activation="relu")
    last = bp.layers.Dense(64, activation="sigmoid")
    model = bp.Sequential([bp.Input((64,)), noise, encoder, decoder, last])
    model.compile(bp.optimizers.Adam(3e-3), loss="mse")
    return model


def make_classifier(encoder: bp.layers.Layer) -> bp.Sequential:
    model = bp.Sequential([bp.Input((64,)), encoder, bp.layers.Dense(10, activation="softmax")])
    model.compile(
        bp.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def accuracy(model: bp.Sequential) -> float:
    model.fit(x[labelled], y[labelled], epochs=100, verbose=0)
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


alone, shared = [], []
for seed in range(5):
    bp.utils.set_random_seed(seed)
    alone.append(accuracy(make_classifier(make_encoder())))

    encoder = make_encoder()
    autoencoder = make_autoencoder(encoder)
    autoencoder.fit(x, x, epochs=50, batch_size=64, verbose=0)
    classifier = make_classifier(encoder)  # the layer itself, not a copy
    encoder.trainable = False  # 30 labels shall not undo what 1,438 images taught
    shared.append(accuracy(classifier))

same = np.shares_memory(autoencoder.get_layer("encoder").weights[0], classifier.weights[0])
print(f"the two models hold the same arrays: {same}")
print(f"an encoder of its own: test accuracy {np.mean(alone):.4f}")
print(f"the autoencoder's:     test accuracy {np.mean(shared):.4f}")
