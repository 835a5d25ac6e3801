"""Models that either library makes from the same lines: chains and graphs, for files of them.

Nothing in them draws numbers in training, so that both libraries take the same steps.
"""


def dense(k):
    """Objects for every argument that takes one."""
    L, r, c, i = k.layers, k.regularizers, k.constraints, k.initializers
    return k.Sequential(
        [
            k.Input((5,)),
            L.Dense(
                4,
                activation=k.activations.gelu,
                kernel_initializer=i.VarianceScaling(2.0, "fan_avg", "uniform", seed=3),
                bias_initializer=i.Constant(0.1),
                kernel_regularizer=r.L1L2(1e-3, 2e-3),
                bias_regularizer=r.L1(1e-3),
                activity_regularizer=r.L2(1e-3),
                kernel_constraint=c.MaxNorm(1.5, axis=[0]),
                bias_constraint=c.NonNeg(),
            ),
            L.Dense(6, "tanh", kernel_regularizer=r.OrthogonalRegularizer(0.01, "columns")),
            L.Dense(3, use_bias=False, kernel_constraint=c.MinMaxNorm(0.1, 0.9, rate=0.5)),
            L.ActivityRegularization(1e-3, 1e-3),
            L.Dense(2, kernel_initializer=i.Orthogonal(0.7), kernel_constraint=c.UnitNorm()),
        ],
        name="dense",
    )


def activations(k):
    L = k.layers
    return k.Sequential(
        [
            *(k.Input((4, 3)), L.Dense(5), L.LeakyReLU(0.2), L.Dense(5), L.PReLU(shared_axes=[1])),
            *(L.Dense(5), L.ELU(0.7), L.Dense(5), L.ReLU(2.0, 0.1, 0.05), L.Dense(5)),
            *(L.Activation("silu"), L.Dense(5), L.Softmax(axis=1), L.Dense(2, "softplus")),
        ]
    )


def named_activations(k):
    names = [
        *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu"),
        *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu"),
        *("relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign"),
        *("sparse_plus", "squareplus", "tanh", "tanh_shrink"),
    ]
    x = k.Input((4,))
    return k.Model(x, [k.layers.Dense(4, name)(x) for name in names])


def causal(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((9, 3)),
            L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
            L.Conv1D(4, 2, strides=2, groups=2, use_bias=False),
            L.Conv1DTranspose(3, 3, strides=2, padding="same"),
            L.SeparableConv1D(4, 3, depth_multiplier=2, padding="same", activation="tanh"),
            L.DepthwiseConv1D(2, depth_multiplier=2),
            L.GlobalMaxPooling1D(),
        ]
    )


def images(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((10, 9, 2)),
            L.Conv2D(4, (3, 2), padding="same", use_bias=False, kernel_regularizer="l2"),
            L.BatchNormalization(momentum=0.8),
            L.ReLU(),
            L.MaxPooling2D((2, 1), strides=(2, 1), padding="same"),
            L.SeparableConv2D(4, 3, pointwise_constraint="max_norm"),
            L.DepthwiseConv2D(2, depth_multiplier=2),
            L.Conv2DTranspose(3, 3, strides=2, output_padding=1, padding="same"),
            L.AveragePooling2D(2),
            L.GlobalAveragePooling2D(keepdims=True),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def volumes(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((4, 5, 6, 2)),
            *(L.Conv3D(3, 2, activation="elu"), L.MaxPooling3D(2, strides=1), L.Cropping3D(0)),
            *(L.ZeroPadding3D(1), L.AveragePooling3D(2), L.UpSampling3D((1, 2, 1))),
            *(L.GlobalAveragePooling3D(), L.Dense(2)),
        ]
    )


def shapes(k):
    L = k.layers
    return k.Sequential(
        [
            *(k.Input((6, 4)), L.Permute((2, 1)), L.Reshape((4, 3, 2)), L.ZeroPadding2D((1, 2))),
            *(L.Cropping2D(((0, 1), (1, 1))), L.UpSampling2D((1, 2), interpolation="bilinear")),
            *(L.Flatten(), L.Dense(4), L.RepeatVector(3), L.ZeroPadding1D(2), L.Cropping1D((1, 0))),
            *(L.UpSampling1D(2), L.AveragePooling1D(2), L.MaxPooling1D(2, 1, "same")),
            *(L.GlobalAveragePooling1D(), L.Rescaling(0.5, 0.1), L.Identity()),
        ]
    )


def recurrent(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((6, 3)),
            L.LSTM(4, return_sequences=True, unit_forget_bias=False, go_backwards=True),
            L.GRU(4, return_sequences=True, reset_after=False, recurrent_regularizer="l2"),
            L.GRU(3, return_sequences=True, activation="relu", recurrent_activation="sigmoid"),
            L.SimpleRNN(5, use_bias=False, recurrent_constraint=k.constraints.UnitNorm()),
            L.Dense(2),
        ]
    )


def directions(k):
    L = k.layers
    back = L.LSTM(3, return_sequences=True, go_backwards=True, activation="softsign")
    return k.Sequential(
        [
            k.Input((5, 3)),
            L.Bidirectional(L.LSTM(3, return_sequences=True), backward_layer=back),
            L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="ave"),
            L.Bidirectional(L.RNN(L.SimpleRNNCell(2)), merge_mode="mul"),
        ]
    )


def cells(k):
    L = k.layers
    stack = [L.LSTMCell(4, use_bias=False), L.GRUCell(3, reset_after=False), L.SimpleRNNCell(2)]
    return k.Sequential(
        [
            *(k.Input((5, 3)), L.RNN(stack, return_sequences=True), L.RNN(L.GRUCell(3))),
            L.Dense(2),
        ]
    )


def films(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((3, 5, 5, 1)),
            L.ConvLSTM2D(2, 2, return_sequences=True, padding="same"),
            L.TimeDistributed(L.Conv2D(2, 2)),
            L.ConvLSTM2D(2, 2, go_backwards=True, dropout=0.0),
            L.GlobalMaxPooling2D(),
        ]
    )


def words(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((6,), dtype="int32"),
            L.Embedding(9, 4, mask_zero=True, embeddings_regularizer="l2"),
            L.Bidirectional(L.LSTM(3, return_sequences=True)),
            L.TimeDistributed(L.Dense(3, "tanh")),
            L.GRU(3),
            L.Dense(2),
        ]
    )


def masked(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.Masking(0.5), L.LSTM(4), L.Dense(2)])


def normalized(k):
    L = k.layers
    return k.Sequential(
        [
            *(k.Input((4, 6)), L.LayerNormalization(axis=[1, 2], epsilon=1e-2), L.Dense(6)),
            *(L.GroupNormalization(3), L.Dense(6), L.UnitNormalization(), L.Dense(6)),
            *(
                L.RMSNormalization(),
                L.Dense(4, use_bias=False),
                L.BatchNormalization(scale=False, center=False),
            ),
            *(L.BatchNormalization(axis=1), L.LayerNormalization(center=False)),
        ]
    )


def prepared(k):
    L = k.layers
    known = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    return k.Sequential([k.Input((3,)), L.Rescaling([1.0, 2.0, 3.0]), known, L.Dense(2)])


def double(k):
    L = k.layers
    d = "float64"
    return k.Sequential(
        [
            *(k.Input((4, 3), dtype=d), L.Dense(4, "tanh", dtype=d)),
            *(L.BatchNormalization(dtype=d), L.LSTM(3, dtype=d), L.Dense(2, dtype=d)),
        ],
    )


def chains_in_chains(k):
    L = k.layers
    inner = k.Sequential([k.Input((4,)), L.Dense(4), L.BatchNormalization()], name="inner")
    frozen = k.Sequential([k.Input((4,)), inner, L.Dense(4, "relu")], name="frozen")
    frozen.trainable = False
    still = L.Dense(4, trainable=False)
    return k.Sequential([k.Input((4,)), frozen, still, L.Dense(3), L.Dense(2, name="head")])


# ----------------------------------------------------------------------------------- graphs


def shared(k):
    L = k.layers
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    tower = L.Dense(4, "tanh", name="tower")
    h = L.Concatenate()([tower(a), tower(b)])
    return k.Model([a, b], [L.Dense(2, name="scores")(h), L.Dense(1, name="box")(h)])


def nested(k):
    """Models in a model, each in two places; dicts and lists go in and out."""
    L = k.layers
    tower = k.Sequential([k.Input((3,)), L.Dense(4, "relu"), L.BatchNormalization()], name="tower")
    x = k.Input((4,))
    inner = k.Model(x, L.Add()([L.Dense(4)(x), x]), name="inner")
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    outputs = {"s": L.Dense(2, name="s")(inner(tower(a))), "t": inner(tower(b))}
    return k.Model({"a": a, "b": b}, outputs, name="outer")


def again(k):
    L = k.layers
    x = k.Input((4,))
    twice = L.Dense(4, "tanh")
    h = twice(twice(x))
    return k.Model(x, L.Multiply()([twice(h), x]))


def residual(k):
    L = k.layers
    x = h = k.Input((8, 8, 3))
    h = L.Conv2D(4, 3, padding="same")(h)
    for _ in range(2):
        before = h
        h = L.Activation("relu")(L.BatchNormalization()(h))
        h = L.add([L.Conv2D(4, 3, padding="same", use_bias=False)(h), before])
    return k.Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(h)))


def arithmetic(k):
    x, y = k.Input((5, 3)), k.Input((5, 3))
    h = k.layers.Dense(3)(x)
    return k.Model([x, y], [1 - h * y, (h + 2) / 4 - y, h[:, 0] * 3, h[:, 1:-1:2], -h, abs(h) ** 2])


def merged(k):
    L = k.layers
    x = k.Input((4,))
    a, b = L.Dense(4)(x), L.Dense(4, "sigmoid")(x)
    outputs = [L.Average()([a, b, x]), L.Maximum()([a, b]), L.Minimum()([a, x])]
    outputs += [L.Subtract()([a, b]), L.Multiply()([a, b]), L.Dot(1, normalize=True)([a, b])]
    return k.Model(x, L.Concatenate(axis=-1)(outputs))


def self_attention(k):
    L = k.layers
    x = k.Input((5, 4))
    h = L.MultiHeadAttention(2, 3, output_shape=4)(x, x, use_causal_mask=True)
    h = L.LayerNormalization()(L.Add()([x, h]))
    wide = L.Dense(4)(L.Dense(8, "gelu")(h))
    return k.Model(x, L.LayerNormalization()(L.Add()([h, wide])))


def cross_attention(k):
    L = k.layers
    q, v = k.Input((4, 3)), k.Input((5, 3))
    return k.Model(
        [q, v],
        [
            L.MultiHeadAttention(2, 3, use_bias=False)(q, v),
            L.GroupQueryAttention(2, 2, 1)(q, v),
            L.AdditiveAttention()([q, v]),
            L.Attention(use_scale=True)([q, v, v]),
        ],
    )


def masked_attention(k):
    L = k.layers
    x = k.Input((6,), dtype="int32")
    h = L.Embedding(9, 4, mask_zero=True)(x)
    h = L.MultiHeadAttention(2, 2)(h, h)
    return k.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(h)))


def translation(k):
    L = k.layers
    source, target = k.Input((5, 3), name="source"), k.Input((4, 2), name="target")
    _, h, c = L.LSTM(4, return_state=True)(source)
    y = L.LSTM(4, return_sequences=True)(target, initial_state=[h, c])
    return k.Model([source, target], L.TimeDistributed(L.Dense(3))(y))


def both_directions(k):
    L = k.layers
    x = k.Input((5, 3))
    forward, backward = L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None)(x)
    return k.Model(x, L.Concatenate()([L.GRU(2)(forward), L.GRU(2)(backward)]))


def small_u(k):
    L = k.layers
    x = k.Input((8, 8, 2))
    down = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    up = L.Conv2DTranspose(3, 2, strides=2)(L.MaxPooling2D()(down))
    return k.Model(x, L.Conv2D(1, 1)(L.Concatenate()([up, down])))


def inception(k):
    L = k.layers
    x = k.Input((6, 6, 2))
    paths = [L.Conv2D(2, n, padding="same", activation="relu")(x) for n in (1, 3, 5)]
    paths.append(L.Conv2D(2, 1)(L.MaxPooling2D(3, 1, "same")(x)))
    return k.Model(x, L.Dense(2)(L.Flatten()(L.Concatenate()(paths))))


def ratings(k):
    L = k.layers
    users, items = k.Input((1,), dtype="int32"), k.Input((1,), dtype="int32")
    a, b = L.Embedding(7, 3)(users), L.Embedding(9, 3)(items)
    return k.Model([users, items], L.Dot(axes=1)([L.Flatten()(a), L.Flatten()(b)]))


def wide_and_deep(k):
    L = k.layers
    wide, deep = k.Input((6,), name="wide"), k.Input((3,), name="deep")
    h = L.Dense(4, "selu", kernel_initializer="lecun_normal")(deep)
    y = L.Dense(1, name="value")(L.Concatenate()([wide, h]))
    return k.Model({"wide": wide, "deep": deep}, {"value": y, "kind": L.Dense(3, name="kind")(h)})


def over_time(k):
    L = k.layers
    x = k.Input((3,))
    inner = k.Model(x, L.Add()([L.Dense(3)(x), x]), name="inner")
    y = k.Input((4, 3))
    return k.Model(y, L.GlobalMaxPooling1D()(L.TimeDistributed(inner)(y)))


def gates(k):
    """A mixture of experts, with dimensions made and taken away."""
    L = k.layers
    x = k.Input((4,))
    gate = L.Dense(2, "softmax")(x)
    experts = [L.Reshape((1, 3))(L.Dense(3, "relu")(x)) for _ in range(2)]
    y = L.Dot(axes=(1, 1))([gate, L.Concatenate(axis=1)(experts)])
    return k.Model(x, [y, gate])


def chain_of_graphs(k):
    L = k.layers
    x = k.Input((3,))
    inner = k.Model(x, L.Multiply()([L.Dense(3)(x), x]), name="inner")
    return k.Sequential([k.Input((3,)), inner, L.Dense(2)])


MODELS = {
    make.__name__: make
    for make in [
        *(dense, activations, named_activations, causal, images, volumes, shapes, recurrent),
        *(directions, cells, films, words, masked, normalized, prepared, double),
        *(chains_in_chains, shared, nested, again, residual, arithmetic, merged),
        *(self_attention, cross_attention, masked_attention, translation, both_directions),
        *(small_u, inception, ratings, wide_and_deep, over_time, gates, chain_of_graphs),
    ]
}


def schedules(k):
    s = k.optimizers.schedules
    return [
        s.ExponentialDecay(0.02, 2, 0.8, staircase=True),
        s.PiecewiseConstantDecay([1, 3], [0.02, 0.01, 0.005]),
        s.PolynomialDecay(0.02, 5, 0.001, 2.0, cycle=True),
        s.InverseTimeDecay(0.02, 2, 0.5),
        s.CosineDecay(0.001, 5, 0.1, warmup_target=0.02, warmup_steps=2),
        s.CosineDecayRestarts(0.02, 2, 2.0, 0.9),
    ]


# an optimizer for each option that Keras' have: class and arguments
OPTIMIZERS = {
    "adam": ("Adam", {}),
    "amsgrad": ("Adam", {"beta_1": 0.8, "amsgrad": True, "epsilon": 1e-3}),
    "adamw": ("AdamW", {"weight_decay": 0.1}),
    "adamax": ("Adamax", {}),
    "nadam": ("Nadam", {}),
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "rmsprop": ("RMSprop", {}),
    "centered": ("RMSprop", {"rho": 0.8, "momentum": 0.5, "centered": True}),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.2}),
    "adadelta": ("Adadelta", {"rho": 0.9, "learning_rate": 1.0}),
    "lion": ("Lion", {"weight_decay": 0.02}),
    "clipnorm": ("Adam", {"clipnorm": 0.1}),
    "clipvalue": ("SGD", {"clipvalue": 0.05}),
    "global_clipnorm": ("RMSprop", {"global_clipnorm": 0.2}),
    "ema": ("Adam", {"use_ema": True, "ema_momentum": 0.8}),
    "overwriting": (
        "SGD",
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    ),
    "accumulating": ("Adam", {"gradient_accumulation_steps": 2}),
    "ftrl": ("Ftrl", {"l1_regularization_strength": 0.01, "beta": 0.1}),
    "adafactor": ("Adafactor", {}),
    "lamb": ("Lamb", {}),
    "muon": ("Muon", {"exclude_layers": ["head"]}),
    "schedule free": ("ScheduleFreeAdamW", {"warmup_steps": 2}),
    **{f"schedule {i}": ("Adam", {"learning_rate": i}) for i in range(6)},
}
# Keras on torch averages with the momentum that the step has just changed in place
TORCH_ERRS = "schedule free"


def optimizer(k, name):
    kind, arguments = OPTIMIZERS[name]
    rate = arguments.get("learning_rate", 0.01)
    rate = schedules(k)[rate] if isinstance(rate, int) else rate
    return getattr(k.optimizers, kind)(**arguments | {"learning_rate": rate})


# ----------------------------------------------------------------------------------- runs

SEVERAL = {"named_activations", "nested", "arithmetic", "cross_attention", "gates"}  # outputs
BY_NAME = {"nested", "wide_and_deep"}  # their inputs are dicts
LOSSES = {
    "wide_and_deep": {
        "loss": {"value": "mse", "kind": "categorical_crossentropy"},
        "loss_weights": {"value": 0.3, "kind": 2.0},
        "metrics": {"kind": ["mae", "mse"]},
    },
    "shared": {"loss": ["mae", "huber"], "loss_weights": [0.5, 2.0], "metrics": [["mse"], []]},
}
# behind a normalization some gradients are rounding alone, which Adam would make steps of
STEADY = {"images": "nesterov", "normalized": "momentum"}
STEPS = 3


def cases(k):
    """Models, each with how it is compiled: every model once, and one with every optimizer."""
    names = [name for name in OPTIMIZERS if name != TORCH_ERRS]
    for i, (name, make) in enumerate(MODELS.items()):
        way = {"loss": "mse"} | ({} if name in SEVERAL else {"metrics": ["mae"]})
        way["optimizer"] = optimizer(k, STEADY.get(name, names[i % len(names)]))
        yield name, make, way | LOSSES.get(name, {})
    for name in OPTIMIZERS:
        yield name, few, {"optimizer": optimizer(k, name), "loss": "mse"}


def few(k):
    """What every optimizer is tried on."""
    L = k.layers
    layers = [L.Dense(4, "tanh", kernel_constraint="max_norm"), L.BatchNormalization()]
    return k.Sequential([k.Input((3,)), *layers, L.Dense(2, name="head")])


def inputs(np, name, model):
    """Numbers for the inputs of a model, as it takes them."""
    found = {}
    for i, symbol in enumerate(model.inputs):
        rng, shape = np.random.default_rng(i), (4, *symbol.shape[1:])
        if "int" in str(symbol.dtype):
            found[symbol.name] = rng.integers(0, 6, shape)
        else:
            found[symbol.name] = rng.normal(size=shape)
            found[symbol.name][0, -2:] = 0.5
    if name in BY_NAME:
        return found
    rows = list(found.values())
    return rows if len(rows) > 1 else rows[0]


def targets(np, y):
    """As much as the outputs of a model, in the same lists and dicts."""
    if isinstance(y, dict):
        return {key: targets(np, value) for key, value in y.items()}
    if isinstance(y, list | tuple):
        return [targets(np, value) for value in y]
    return 0.5 + 0.5 * np.cos(np.arange(np.size(y)).reshape(np.shape(y)))


def flat(np, y):
    if isinstance(y, dict):
        y = [y[key] for key in sorted(y)]
    if isinstance(y, list | tuple):
        return np.concatenate([flat(np, value) for value in y])
    return np.asarray(y, "float64").ravel()


def predicted(np, name, model):
    return flat(np, model.predict(inputs(np, name, model), verbose=0))


def trained(np, name, model):
    """The losses and metrics of a few steps, and what is predicted after them."""
    x = inputs(np, name, model)
    y = targets(np, model.predict(x, verbose=0))
    logs = [model.train_on_batch(x, y, return_dict=True) for _ in range(STEPS)]
    rows = [[log[key] for key in sorted(log)] for log in logs]
    return np.concatenate([np.ravel(rows), predicted(np, name, model)])


def stirred(np, model):
    rng = np.random.default_rng(5)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    return model
