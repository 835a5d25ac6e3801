"""Few are ill: weights for the classes, what a threshold costs, and the best epoch kept."""

import numpy as np


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    ill = x[:, 0] + x[:, 1] * x[:, 2] + 0.2 * rng.normal(size=400) > 1.6
    return {"x": x, "y": ill.astype("float32")[:, None]}


def build(keras):
    ill = data()["y"].mean()
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(
                1,
                activation="sigmoid",
                bias_initializer=keras.initializers.Constant(np.log(ill / (1 - ill))),
            ),
        ]
    )
    metrics = keras.metrics
    model.compile(
        optimizer=keras.optimizers.Adam(0.02),
        loss=keras.losses.BinaryFocalCrossentropy(gamma=1.0),
        metrics=[
            metrics.MeanSquaredError(name="brier score"),
            metrics.TruePositives(name="tp"),
            metrics.FalsePositives(name="fp"),
            metrics.TrueNegatives(name="tn"),
            metrics.FalseNegatives(name="fn"),
            metrics.Precision(name="precision"),
            metrics.Recall(thresholds=[0.3, 0.5, 0.7], name="recall"),
            metrics.AUC(name="auc"),
            metrics.AUC(name="prc", curve="PR"),
            metrics.F1Score(threshold=0.5, average="macro", name="f1"),
            metrics.SensitivityAtSpecificity(0.9, name="sensitivity"),
            metrics.PrecisionAtRecall(0.8, name="at_recall"),
        ],
        weighted_metrics=[metrics.BinaryAccuracy(name="weighted")],
    )
    return model


def train(keras, model):
    given = data()
    stop = keras.callbacks.EarlyStopping(
        monitor="val_prc", mode="max", patience=2, restore_best_weights=True
    )
    return model.fit(
        **given,
        batch_size=50,
        epochs=12,
        shuffle=False,
        validation_split=0.25,
        class_weight={0: 1.0, 1: 6.0},
        callbacks=[stop],
        verbose=0,
    ).history


def use(keras, model):
    given = data()
    found = model.evaluate(**given, batch_size=100, verbose=0, return_dict=True)
    p = model.predict(given["x"], batch_size=100, verbose=0)
    curve = []
    for threshold in (0.2, 0.4, 0.6, 0.8):
        score = keras.metrics.FBetaScore(beta=2.0, threshold=threshold, average="micro")
        score.update_state(given["y"], p)
        curve.append(float(score.result()))
    return {"curve": np.array(curve)} | {name: np.array(v) for name, v in found.items()}


def check(history, used):
    assert history["auc"][-1] > 0.9
    assert used["recall"][0] >= used["recall"][2]
    assert used["tp"] + used["fn"] == data()["y"].sum()
