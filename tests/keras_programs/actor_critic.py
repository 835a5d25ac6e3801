"""The way through a corridor by trial: one trunk says where to go and how good it is here.

An action that went better than expected is made more likely and one that went worse less: the
weight of its sample is the difference, which may be below zero.
"""

import numpy as np

CELLS, STEPS, RIGHT = 6, 24, 1
DISCOUNT = 0.9


def data():
    """Visited cells, what was done there, and how it went: what a step of training is given."""
    rng = np.random.default_rng(0)
    cells = rng.integers(CELLS, size=16)
    returns = rng.uniform(0, 1, (16, 1))
    return {
        "x": np.eye(CELLS)[cells],
        "y": [rng.integers(2, size=16), returns],
        "sample_weight": [rng.normal(size=16), np.ones(16)],
    }


def build(keras):
    layers = keras.layers
    cell = keras.Input((CELLS,), name="cell")
    h = layers.Dense(16, activation="tanh")(cell)
    policy = layers.Dense(2, activation="softmax", name="policy")(h)
    value = layers.Dense(1, name="value")(h)
    model = keras.Model(cell, [policy, value])
    model.compile(
        keras.optimizers.SGD(0.5),
        loss=["sparse_categorical_crossentropy", "mse"],
        loss_weights=[1.0, 0.5],
    )
    return model


def walk(model, rng):
    """So many steps, from the left end to the right one and again: cells, actions, how each went,
    and how often the end was reached."""
    cells, actions, rewards = [], [], []
    cell = 0
    for _ in range(STEPS):
        policy, _ = model.predict_on_batch(np.eye(CELLS)[[cell]])
        action = int(rng.random() < policy[0, RIGHT])
        cells.append(cell)
        actions.append(action)
        cell = max(cell + (1 if action == RIGHT else -1), 0)
        rewards.append(float(cell == CELLS - 1))
        cell %= CELLS - 1
    returns, following = [], 0.0
    for reward in reversed(rewards):
        following = reward or DISCOUNT * following
        returns.append(following)
    return np.array(cells), np.array(actions), np.array(returns[::-1]), sum(rewards)


def train(keras, model):
    rng = np.random.default_rng(1)
    history = {"loss": [], "arrivals": []}
    for _ in range(40):
        cells, actions, returns, arrivals = walk(model, rng)
        x = np.eye(CELLS)[cells]
        _, expected = model.predict_on_batch(x)
        better = returns - expected[:, 0]
        logs = model.train_on_batch(
            x,
            [actions, returns[:, None]],
            sample_weight=[better, np.ones(STEPS)],
            return_dict=True,
        )
        history["loss"].append(float(logs["loss"]))
        history["arrivals"].append(arrivals)
    return history


def use(keras, model):
    policy, value = model.predict(np.eye(CELLS), verbose=0)
    return {"policy": policy, "value": value}


def check(history, used):
    assert np.mean(history["arrivals"][-5:]) > 3  # five steps are the shortest way
    assert (used["policy"][:-1, RIGHT] > 0.5).all()
