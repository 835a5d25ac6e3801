"""Who earns much, from a table: categories remembered one by one (wide) and in vectors (deep)."""

import numpy as np

JOBS, REGIONS = 6, 8


def data():
    rng = np.random.default_rng(0)
    count = 200
    job, region = rng.integers(JOBS, size=count), rng.integers(REGIONS, size=count)
    age, hours = rng.uniform(18, 70, count), rng.normal(38, 8, count)
    good = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0])[job] + np.where(region % 3 == 0, 1.5, -0.5)
    score = good + 0.05 * (hours - 38) - ((age - 45) / 15) ** 2 + 0.7
    table = {"age": age, "hours": hours, "job": job, "region": region}
    x = {name: column[:, None] for name, column in table.items()}
    return {"x": x, "y": (score > 0).astype("float32")[:, None]}


def build(keras):
    layers = keras.layers
    given = data()["x"]
    numbers = {name: keras.Input((1,), name=name) for name in ("age", "hours")}
    categories = {name: keras.Input((1,), dtype="int32", name=name) for name in ("job", "region")}
    sizes = {"job": JOBS, "region": REGIONS}
    scaled = []
    for name, column in numbers.items():
        scale = layers.Normalization(name=f"scaled_{name}")
        scale.adapt(given[name])
        scaled.append(scale(column))
    vectors, remembered = [], []
    for name, column in categories.items():
        vectors.append(layers.Flatten()(layers.Embedding(sizes[name], 3)(column)))
        remembered.append(layers.Flatten()(layers.Embedding(sizes[name], 1)(column)))
    wide = layers.add(remembered)
    deep = keras.Sequential(
        [layers.Dense(12, activation="relu"), layers.Dense(6, activation="relu"), layers.Dense(1)],
        name="deep",
    )(layers.concatenate([*scaled, *vectors]))
    much = layers.Activation("sigmoid", name="much")(0.5 * (wide + deep))
    model = keras.Model({**numbers, **categories}, much)
    model.compile(
        keras.optimizers.SGD(0.2, momentum=0.9), "binary_crossentropy", metrics=["accuracy", "AUC"]
    )
    return model


def train(keras, model):
    return model.fit(
        **data(),
        batch_size=32,
        epochs=15,
        shuffle=False,
        validation_split=0.2,
        class_weight={0: 1.0, 1: 1.5},
        verbose=0,
    ).history


def use(keras, model):
    """A job and a region that no row has held together."""
    ages = np.linspace(20.0, 65.0, 5)[:, None]
    row = {
        "hours": np.full_like(ages, 40.0),
        "job": np.full((5, 1), 4),
        "region": np.full((5, 1), 3),
    }
    return {"much": model.predict({"age": ages, **row}, verbose=0)}


def check(history, used):
    assert history["accuracy"][-1] > 0.75
    assert history["val_accuracy"][-1] > 0.7
    middle, young = used["much"][2, 0], used["much"][0, 0]
    assert middle > young
