"""Samples with several labels, in batches that a class of the script puts together."""

import numpy as np


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 6))
    y = (x @ rng.normal(size=(6, 4)) > 0.3).astype("float32")
    return {"x": x, "y": y}


def batches(keras, size):
    class Batches(keras.utils.PyDataset):
        def __init__(self, size, **kwargs):
            super().__init__(**kwargs)
            self.given, self.size = data(), size

        def __len__(self):
            return int(np.ceil(len(self.given["x"]) / self.size))

        def __getitem__(self, i):
            part = slice(i * self.size, (i + 1) * self.size)
            x, y = self.given["x"][part], self.given["y"][part]
            return x, y, 1 + y.mean(-1)

    return Batches(size)


def build(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(10, kernel_constraint=keras.constraints.MaxNorm(2.0)),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(4, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Lamb(0.05),
        "binary_crossentropy",
        metrics=[
            keras.metrics.AUC(multi_label=True, num_labels=4, name="auc"),
            keras.metrics.F1Score(average=None, threshold=0.5, name="f1"),
            keras.metrics.Precision(class_id=2, name="third"),
            keras.metrics.Recall(top_k=2, name="of_two"),
        ],
    )
    return model


def train(keras, model):
    return model.fit(batches(keras, 20), epochs=6, shuffle=False, verbose=0).history


def use(keras, model):
    p = model.predict(batches(keras, 32), verbose=0)
    found = model.evaluate(batches(keras, 32), verbose=0, return_dict=True)
    return {"labels": p} | {name: np.array(v) for name, v in found.items()}


def check(history, used):
    assert history["auc"][-1] > history["auc"][0]
    assert used["f1"].shape == (4,)
