"""Steps whose loss or gradient is NaN or infinite: what is not taken leaves nothing behind."""

import pickle

import numpy as np
import pytest

import backprop as bp
from backprop import archive, callbacks, layers
from backprop.losses import Loss
from backprop.training import guarded, nonfinite

RNG = np.random.default_rng(0)
MARK = 50.0
BAD = 3  # which batch is bad


class Spike(layers.Layer):
    """y = x, and dx is infinite in rows that begin with a number above 5."""

    def forward(self, x, ctx=None):
        return x, x

    def backward(self, dy, x):
        return np.where(x[..., :1] > 5, np.inf, dy).astype(dy.dtype)


class HalfKnown(Loss):
    """Half of the squared error, NaN where a target is the mark; its gradient is finite."""

    def values(self, y_true, y_pred):
        d = y_pred - np.where(y_true == MARK, 0, y_true)
        return np.where(y_true == MARK, np.nan, d * d / 2).mean(-1), d

    def gradient(self, dvalues, d):
        return d * dvalues[..., None] / d.shape[-1]


def dense():
    x = bp.Input((4,))
    return bp.Model(x, layers.Dense(2)(Spike()(layers.Dense(4, "tanh")(x) + 9 * bump(x))))


def bump(x):
    """Above 5 where x is marked, and of no weight on anything where it is not."""
    return layers.ReLU(threshold=20)(x) / MARK


def listed(*inside, shape=(4,), **options):
    return bp.Sequential([bp.Input(shape, **options), Spike(), *inside, layers.Dense(2)])


NETWORKS = {
    "dense": dense,
    "batch normalization": lambda: listed(
        layers.Dense(4), layers.BatchNormalization(), layers.Dense(3, "relu")
    ),
    "convolution": lambda: listed(
        layers.Conv1D(3, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.Flatten(),
        shape=(6, 2),
    ),
    "recurrent": lambda: listed(layers.LSTM(3), shape=(5, 2)),
    "stateful": lambda: listed(layers.GRU(3, stateful=True), batch_shape=(8, 5, 2), shape=None),
}


def behind_the_spike(network):
    """Something to train before it, so that what it does to dx arrives at weights."""
    model = NETWORKS[network]()
    if network == "dense":
        return model
    first = layers.Dense(model.input_shape[-1], kernel_initializer="identity", name="before")
    inside = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    return bp.Sequential([bp.Input(batch_shape=model.input_shape), first, *inside])


def batches_for(model, kind="gradient", bad=(BAD,), n=7):
    rng = np.random.default_rng(1)
    shape = tuple(k or 8 for k in model.input_shape)
    for i in range(n):
        x = rng.uniform(-1, 1, shape).astype("float32")
        y = rng.normal(size=(8, 2)).astype("float32")
        if i in bad and kind == "gradient":
            x[0, ..., 0] = MARK
        elif i in bad:
            y[0, 0] = MARK
        yield x, y


def compiled(network="batch normalization", policy="warn", optimizer=None, **options):
    bp.utils.set_random_seed(0)
    model = behind_the_spike(network)
    model.compile(
        optimizer or bp.optimizers.Adam(0.01), HalfKnown(), on_nonfinite=policy, **options
    )
    return model


def state(model):
    """All that a step may move, but for generators."""
    found = {p.path: p.value.copy() for p in [*model.arrays(), *model.states_kept()]}
    return found | {f"optimizer/{k}": v.copy() for k, v in model.optimizer.get_state().items()}


def same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], name)


def fit(model, given, **options):
    return model.fit(list(given), verbose=0, shuffle=False, **options)


OPTIMIZERS = {
    "adam": lambda: bp.optimizers.Adam(0.01),
    "momentum": lambda: bp.optimizers.SGD(0.01, momentum=0.9, clipnorm=1.0),
    "accumulation": lambda: bp.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "averages": lambda: bp.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
}
quiet = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")


@quiet
@pytest.mark.parametrize("kind", ["gradient", "loss"])
@pytest.mark.parametrize(
    ("network", "optimizer"),
    [*((network, "adam") for network in NETWORKS), *(("dense", name) for name in OPTIMIZERS)],
)
def test_a_skipped_step_leaves_what_a_run_without_its_batch_would(network, optimizer, kind):
    model = compiled(network, "skip", OPTIMIZERS[optimizer]())
    given = list(batches_for(model, kind))
    with pytest.warns(RuntimeWarning, match="step 4 of epoch 1.*not taken") as told:
        history = fit(model, given).history
    whole = compiled(network, "warn", OPTIMIZERS[optimizer]())
    expected = fit(whole, given[:BAD] + given[BAD + 1 :]).history

    same(state(model), state(whole))
    assert history == expected | {"skipped_steps": [1.0]}
    assert sum("not taken" in str(w.message) for w in told) == 1


@quiet
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ["gradient", "loss"])
def test_raising_leaves_what_was_before_the_step_and_the_run_can_go_on(network, kind):
    model, whole = compiled(network, "raise"), compiled(network)
    given = list(batches_for(model, kind))
    with pytest.raises(FloatingPointError, match="step 4 of epoch 1") as caught:
        fit(model, given)
    error = caught.value
    fit(whole, given[:BAD])
    same(state(model), state(whole))
    fit(model, given[BAD + 1 :])
    fit(whole, given[BAD + 1 :])

    same(state(model), state(whole))
    assert isinstance(error, bp.NonfiniteError)
    assert (error.epoch, error.step, error.checkpoint) == (0, BAD, None)
    assert np.isnan(error.loss) == (kind == "loss")
    assert error.tensor == ("loss" if kind == "loss" else "gradient of the input")
    assert str(vars(pickle.loads(pickle.dumps(error)))) == str(vars(error))


@quiet
def test_several_outputs_are_guarded_as_one():
    def make(policy):
        bp.utils.set_random_seed(0)
        x = bp.Input((4,))
        h = layers.BatchNormalization()(layers.Dense(4)(x))
        model = bp.Model(x, [layers.Dense(2, name="a")(h), layers.Dense(2, name="b")(Spike()(h))])
        model.compile("adam", ["mse", HalfKnown()], on_nonfinite=policy)
        return model

    rng = np.random.default_rng(2)
    y = [[rng.normal(size=(8, 2)).astype("float32") for _ in "ab"] for _ in range(4)]
    x = [rng.uniform(-1, 1, (8, 4)).astype("float32") for _ in range(4)]
    y[2][1][3, 1] = MARK
    given = [(a, tuple(b)) for a, b in zip(x, y, strict=True)]
    model, whole = make("skip"), make("warn")
    with pytest.warns(RuntimeWarning, match="HalfKnown of 'b' is nan"):
        history = fit(model, given).history
    expected = fit(whole, given[:2] + given[3:]).history

    same(state(model), state(whole))
    assert history == expected | {"skipped_steps": [1.0]}


@quiet
def test_stopping_ends_the_run_with_the_values_of_before():
    model, whole = compiled(policy="stop"), compiled()
    given = list(batches_for(model))
    with pytest.warns(RuntimeWarning, match="The run ends here"):
        history = fit(model, given, epochs=3)
    expected = fit(whole, given[:BAD]).history

    same(state(model), state(whole))
    assert history.history == expected | {"skipped_steps": [1.0]}


@quiet
def test_restoring_goes_back_to_values_that_good_steps_have_followed():
    policy = bp.OnNonfinite("restore", factor=0.25, every=2)
    model, whole = compiled("stateful", policy), compiled("stateful")
    given = list(batches_for(model, bad=(7,), n=8))
    with pytest.warns(RuntimeWarning, match="step 4 of the optimizer.*rate of 0.0025"):
        history = fit(model, given).history
    fit(whole, given[:4])  # kept after 4 and 6 steps, and the latter have not been followed by two

    found, expected = state(model), state(whole)
    assert found.pop("optimizer/learning_rate") == 0.25 * expected.pop("optimizer/learning_rate")
    same(found, expected)
    assert np.isnan(history["loss"]) and history["skipped_steps"] == [1.0]
    assert model.trainer._kept == []  # no memory is held after a run


@quiet
def test_restoring_keeps_no_values_that_are_not_finite_and_ends_at_its_limit():
    policy = bp.OnNonfinite("restore", every=1, limit=3, factor=1)
    model = compiled("dense", policy)
    given = list(batches_for(model, bad=range(2, 9), n=9))
    with (
        pytest.warns(RuntimeWarning, match="goes on from values"),
        pytest.raises(bp.NonfiniteError, match="step 5 of") as caught,
    ):
        fit(model, given)
    model.layers[-1].kernel[0, 0] = np.inf

    assert caught.value.__notes__ == ["restore: so it has been 3 times in succession"]
    with pytest.raises(bp.NonfiniteError, match="weight dense") as caught:
        fit(model, given[:1])
    assert caught.value.__notes__ == ["restore: no values that were finite have been kept"]


@quiet
def test_skipping_ends_where_it_is_hopeless():
    model = compiled("dense", bp.OnNonfinite("skip", limit=2))
    given = list(batches_for(model, bad=(1, 3, 4)))
    with (
        pytest.warns(RuntimeWarning, match="step 2 of"),
        pytest.raises(bp.NonfiniteError, match=r"step 5 of .*dL/dx of layer") as caught,
    ):
        fit(model, given)
    assert caught.value.__notes__ == ["skip: so it has been 2 times in succession"]

    model.layers[-1].kernel[0, 0] = np.nan
    with pytest.raises(bp.NonfiniteError, match="weight dense_1/kernel holds NaN") as caught:
        fit(model, given[:1])
    assert "no other batch would be better" in caught.value.__notes__[0]


@quiet
def test_an_epoch_of_no_step_has_no_loss_and_the_history_no_hole():
    model = compiled(policy="skip", metrics=["mae"])
    good, bad = list(batches_for(model, n=2, bad=())), list(batches_for(model, n=2, bad=(0, 1)))
    with pytest.warns(RuntimeWarning, match="step 1 of epoch 2"):
        history = model.fit(iter(good + bad + good), epochs=3, steps_per_epoch=2, verbose=0).history

    assert history["skipped_steps"] == [0.0, 2.0, 0.0]
    assert np.isnan(history["loss"]).tolist() == np.isnan(history["mae"]).tolist()
    assert np.isnan(history["loss"]).tolist() == [False, True, False]


@quiet
def test_one_batch_that_is_skipped_reports_its_loss_and_moves_nothing():
    model = compiled(policy="skip", metrics=["mae"])
    good, bad = batches_for(model, "loss", n=2, bad=(1,))
    model.train_on_batch(*good)
    before = state(model)
    with pytest.warns(RuntimeWarning, match="the loss became nan"):
        loss, mae = model.train_on_batch(*bad)

    assert np.isnan(loss) and np.isnan(mae)
    same(state(model), before)


@quiet
def test_what_was_skipped_is_counted_on_after_an_interruption(tmp_path):
    class Stop(Exception):
        pass

    class At(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 5:
                raise Stop

    def run(*more):
        model = compiled(policy="skip")
        given = list(batches_for(model))
        backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        return model, fit(model, given, callbacks=[backup, *more]).history

    with pytest.warns(RuntimeWarning, match="step 4"), pytest.raises(Stop):
        run(At())
    model, history = run()
    whole = compiled()
    given = list(batches_for(whole))
    fit(whole, given[:BAD] + given[BAD + 1 :])

    same(state(model), state(whole))
    assert history["skipped_steps"] == [1.0]


class Saves(callbacks.Callback):
    """Saves after the n-th batch or end of an epoch."""

    runs_last = True

    def __init__(self, path, n):
        self.path, self.left = path, n

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.model.trainer.save_state(self.path)

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_end(0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bad", [(3,), (2, 3, 4, 5, 6)], ids=["one", "most"])
@pytest.mark.parametrize("policy", ["skip", "stop", "restore"])
@pytest.mark.parametrize("n", range(1, 17, 2))
def test_what_a_policy_has_counted_and_kept_goes_on_after_an_interruption(policy, bad, n, tmp_path):
    def run(n, at=None):
        how = bp.OnNonfinite(policy, every=2, limit=50)
        model = compiled(policy=how, metrics=["mae"])
        if at is not None:
            model.trainer.restore_state(at)
        data = list(batches_for(model, "loss", bad))
        history = fit(model, data, epochs=2, callbacks=[Saves(tmp_path / f"{n}.npz", n)])
        return model, history

    whole, wanted = run(n)
    if not (tmp_path / f"{n}.npz").exists():  # stopped before
        return
    model, history = run(0, tmp_path / f"{n}.npz")

    same(state(model), state(whole))
    np.testing.assert_equal(history.history, wanted.history)


@pytest.mark.filterwarnings("ignore")
def test_so_many_bad_steps_in_succession_are_counted_on(tmp_path):
    def run(n, at=None):
        model = compiled(policy=bp.OnNonfinite("skip", limit=3))
        if at is not None:
            model.trainer.restore_state(at)
        data = list(batches_for(model, "loss", (2, 3, 4, 5, 6)))
        with pytest.raises(bp.NonfiniteError) as caught:
            fit(model, data, callbacks=[Saves(tmp_path / "run.npz", n)])
        return caught.value.step

    assert run(4) == run(0, tmp_path / "run.npz") == 4


@quiet
@pytest.mark.parametrize(
    "change",
    [
        {"in_a_row": -1},
        {"good": 1.0},
        {"stopped": 1},
        {"kept": 3},
        {"kept": 10**9},
        {"kept": "1"},
        {"more": 1},
    ],
)
def test_what_a_file_says_of_bad_steps_is_checked(change, tmp_path):
    def run(n, at=None):
        model = compiled(policy="restore")
        if at is not None:
            model.trainer.restore_state(at)
        fit(model, batches_for(model, bad=()), callbacks=[Saves(tmp_path / "run.npz", n)])

    run(2)
    header, arrays = archive.read(tmp_path / "run.npz", ("checkpoint",))
    assert header["run"]["guard"]["kept"] == 1
    header["run"]["guard"] |= change
    for name in ("format", "version", "kind"):
        del header[name]
    archive.write(tmp_path / "run.npz", "checkpoint", header, arrays)

    with pytest.raises(archive.ModelFileError, match=r"run.npz.*(bad steps|has kept)"):
        run(0, tmp_path / "run.npz")


@quiet
def test_the_error_names_the_last_file_that_holds_finite_values(tmp_path):
    model = compiled(policy="raise")
    given = list(batches_for(model, bad=(0,), n=1))
    good = list(batches_for(model, bad=(), n=2))
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch}.npz")
    with pytest.raises(bp.NonfiniteError, match=r"1\.npz") as caught:
        model.fit(
            iter(good + given + given), epochs=2, steps_per_epoch=2, verbose=0, callbacks=keep
        )

    assert caught.value.checkpoint == str(tmp_path / "1.npz")
    loaded = bp.saving.load_model(tmp_path / "1.npz", {"Spike": Spike, "HalfKnown": HalfKnown})
    same(state(loaded), state(model))


@quiet
def test_looking_where_it_began_moves_no_generator_and_no_buffer(monkeypatch):
    def run():
        bp.utils.set_random_seed(0)
        inside = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), Spike()]
        model = bp.Sequential([bp.Input((4,)), *inside, layers.Dense(2)])
        model.compile("adam", "mse", on_nonfinite="raise")
        x = RNG.uniform(-1, 1, (8, 4))
        model.train_on_batch(x, x[:, :2])
        model.layers[1].beta[0] = 1000
        with pytest.raises(bp.NonfiniteError):
            model.train_on_batch(x, x[:, :2])
        return state(model), model.layers[2].rng.bit_generator.state

    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state
    looked, drawn = run()
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state
    monkeypatch.setattr(guarded, "first_nonfinite", lambda *_: nonfinite.Finding("?"))
    expected, drawn_without = run()

    same(looked, expected)
    assert drawn == drawn_without


@quiet
def test_the_error_names_the_layer_and_its_tensor():
    class Root(layers.Layer):
        def forward(self, x, ctx=None):
            return np.sqrt(np.maximum(x, 0)), x

        def backward(self, dy, x):
            with np.errstate(divide="ignore", invalid="ignore"):
                return dy / (2 * np.sqrt(np.maximum(x, 0)))

    model = bp.Sequential([bp.Input((2,)), layers.Dense(2), Root(name="root"), layers.Dense(1)])
    model.layers[0].kernel[...] = np.array([[-1, 1], [-1, 1]])
    model.compile("sgd", "mse", on_nonfinite="raise")
    with pytest.raises(bp.NonfiniteError) as caught:
        model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))

    error = caught.value
    assert (error.layer, error.tensor) == ("root", "gradient of the input")
    assert "a gradient is not finite in step 1 of epoch 1" in str(error)
    assert "4 infinite of 8" in str(error) or "4 NaN of 8" in str(error)
    assert np.isfinite(error.range).all()


@quiet
def test_steps_of_a_models_own_are_guarded_where_the_trainer_finds_the_gradients():
    class Own(bp.Sequential):
        def train_step(self, data):
            x, y = data
            loss, y_pred, _ = self.trainer.gradients(x, y)
            self.optimizer.step(self.parameters)
            return {"loss": loss, **self.compute_metrics(x, y, y_pred)}

    class ByHand(bp.Sequential):
        def train_step(self, data):
            self.predict_on_batch(data[0])
            return {"loss": 1.0}

    def make(cls, policy):
        bp.utils.set_random_seed(0)
        model = cls([bp.Input((4,)), layers.Dense(4), Spike(), layers.Dense(2)])
        model.compile("adam", HalfKnown(), on_nonfinite=policy)
        return model

    model, whole = make(Own, "skip"), make(Own, "warn")
    given = list(batches_for(model, "loss"))
    with pytest.warns(RuntimeWarning, match="step 4"):
        history = fit(model, given).history
    fit(whole, given[:BAD] + given[BAD + 1 :])
    same(state(model), state(whole))
    assert list(history) == ["loss", "skipped_steps"]

    with pytest.warns(UserWarning, match="ByHand.train_step finds gradients by itself"):
        fit(make(ByHand, "skip"), given)


def test_what_cannot_be_is_an_error_of_compile_or_before_the_first_step():
    model = bp.Sequential([bp.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="'warn', 'raise', 'skip'"):
        model.compile("sgd", "mse", on_nonfinite="ignore")
    with pytest.raises(TypeError, match="expects on_nonfinite to be 'warn'"):
        model.compile("sgd", "mse", on_nonfinite=None)
    with pytest.raises(ValueError, match="leave on_nonfinite out"):
        model.compile("lbfgs", "mse", on_nonfinite="skip")
    for wrong in ({"factor": 0}, {"factor": 2}, {"every": 0}, {"limit": 1.5}):
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            bp.OnNonfinite("restore", **wrong)
    schedule = bp.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
    model.compile(bp.optimizers.SGD(schedule), "mse", on_nonfinite="restore")
    with pytest.raises(TypeError, match="give on_nonfinite=OnNonfinite"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    whole = bp.OnNonfinite("restore", factor=1)
    model.compile(bp.optimizers.SGD(schedule), "mse", on_nonfinite=whole)
    assert "skipped_steps" in model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0).history


def test_the_policy_is_in_files_and_copies(tmp_path):
    model = bp.Sequential([bp.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", on_nonfinite=bp.OnNonfinite("restore", factor=0.1, every=7))
    model.save(tmp_path / "model.npz")
    with pytest.warns(UserWarning, match="does not say what happens to a step"):
        model.save(tmp_path / "model.keras")

    for found in (bp.saving.load_model(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert found.trainer.on_nonfinite.get_config() == model.trainer.on_nonfinite.get_config()
        x = np.ones((4, 2))
        found.fit(x, x[:, :1], verbose=0)
    assert bp.saving.load_model(tmp_path / "model.keras").trainer.on_nonfinite.policy == "warn"


@quiet
def test_terminate_on_nan_does_not_see_what_was_skipped():
    model = compiled(policy="skip")
    with pytest.warns(RuntimeWarning, match="step 1 of"):
        history = fit(
            model,
            batches_for(model, "loss", bad=(0,)),
            epochs=2,
            callbacks=[callbacks.TerminateOnNaN()],
        )

    assert history.epoch == [0, 1]
