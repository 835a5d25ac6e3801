"""What ranks are made of, without a job: who has what, what counts how much, what is refused."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import backprop as bp
from backprop import callbacks, losses, metrics
from backprop.distributed import SingleProcess
from backprop.distributed.agreement import check_rows_apart, check_run, check_together
from backprop.distributed.callbacks import decides
from backprop.distributed.generators import Generators
from backprop.distributed.ranks import divisor
from backprop.distributed.rows import part_of
from backprop.distributed.shards import Shard
from backprop.distributed.updates import WholeUpdates
from backprop.training.nonfinite import first_nonfinite


def rng(seed=0):
    return np.random.default_rng(seed)


def perceptron(*layers, **settings):
    model = bp.Sequential([bp.Input((3,)), *layers, bp.layers.Dense(2)])
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | settings)
    return model


# ------------------------------------------------------------------------------------ who has what


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_row_belongs_to_one_rank_and_none_has_two_more_than_another(size):
    for n in range(12):
        parts = [part_of(n, rank, size) for rank in range(size)]
        rows = [row for part in parts for row in range(part.start, part.stop)]
        counts = [part.stop - part.start for part in parts]

        assert rows == list(range(n))
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("whole", [False, True], ids=["divided", "by parameter"])
@pytest.mark.parametrize("size", [1, 2, 3, 40])
@pytest.mark.parametrize("frozen", [(), (1,), (0, 2)], ids=str)
def test_every_trainable_value_belongs_to_one_shard(whole, size, frozen):
    model = bp.Sequential([bp.Input((3,)), *(bp.layers.Dense(n) for n in (4, 1, 5))])
    for i in frozen:
        model.layers[i].trainable = False
    model.parameters.refresh()
    model.parameters.values[:] = 0
    segments = model.parameters.segments()

    for rank in range(size):
        shard = Shard(model.parameters, rank, size, whole)
        for segment in shard.segments():
            segment.values += 1
            for q in segment.parameters:
                assert q.shape == q.whole.shape or not whole
                q.gradient[...] = 5
            assert (segment.gradients == 5).all()  # which are those of its pieces, and no others
        for s in segments:
            counts = shard.counts(s)
            assert sum(counts) == s.size
            assert counts[rank] == shard.own(s).stop - shard.own(s).start

    for p in model.parameters.parameters:
        assert (p.value == p.trainable).all()


# ----------------------------------------------------------------------------- what counts how much


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize(
    "make",
    [losses.MeanSquaredError, losses.SparseCategoricalCrossentropy],
    ids=lambda c: c.__name__,
)
def test_the_losses_of_parts_weighed_are_the_loss_of_the_whole(make, masked, weighted, reduction):
    loss, n = make(reduction=reduction), 7
    sparse = make is losses.SparseCategoricalCrossentropy
    y_pred = rng().uniform(0.1, 1, (n, 4, 3))
    y_pred /= y_pred.sum(-1, keepdims=True)
    y = rng(1).integers(0, 3, (n, 4)) if sparse else rng(1).normal(size=(n, 4, 3))
    w = rng(2).uniform(0, 3, n) if weighted else None
    mask = rng(3).random((n, 4)) < 0.4 if masked else None
    if masked:
        mask[5:] = False  # the last part has nothing that counts

    def run(rows):
        given = [None if a is None else a[rows] for a in (y, y_pred, w, mask)]
        value, cache = loss.forward(*given)
        return value, cache

    value, cache = run(slice(None))
    parts = [slice(0, 1), slice(1, 5), slice(5, 7)]
    found = [run(rows) for rows in parts]
    counts = [divisor(loss, c) for _, c in found]
    N = 1.0 if None in counts else sum(counts)
    shares = [1.0 if c is None else c / N for c in counts]

    assert sum(s * v for s, (v, _) in zip(shares, found, strict=True)) == pytest.approx(value)
    dy = [loss.backward(c, s) for s, (_, c) in zip(shares, found, strict=True)]
    assert np.concatenate(dy) == pytest.approx(loss.backward(cache))


@pytest.mark.parametrize(
    "make",
    [
        metrics.R2Score,
        metrics.AUC,
        metrics.MeanSquaredError,
        metrics.BinaryAccuracy,
        metrics.F1Score,
        metrics.CosineSimilarity,
        metrics.RootMeanSquaredError,
        metrics.Precision,
        metrics.PearsonCorrelation,
    ],
    ids=lambda c: c.__name__,
)
def test_a_metric_of_two_parts_is_that_of_both(make):
    y_pred, y = rng().random((20, 3)), (rng(1).random((20, 3)) < 0.5).astype(float)
    whole, first, second = make(), make(), make()
    whole.update_state(y, y_pred)
    first.update_state(y[:7], y_pred[:7])
    second.update_state(y[7:], y_pred[7:])

    first.merge(second.variables)

    np.testing.assert_allclose(first.result(), whole.result())


def test_what_layers_draw_depends_on_the_step_and_the_rank_alone():
    def draws(rank, epoch, steps):
        bp.utils.set_random_seed(rank)
        model = perceptron(bp.layers.Dropout(0.5))
        model.trainer.seed = 7
        generators, layer = Generators(model.trainer, rank), model.layers[0]
        for step in steps:
            generators.set(epoch, step)
            found = layer.rng.random(3 + step).tolist()[:3]
        return found

    assert draws(1, 0, [0, 1, 2]) == draws(1, 0, [2])
    assert draws(1, 0, [2]) != draws(0, 0, [2])
    assert draws(1, 0, [2]) != draws(1, 0, [1])
    assert draws(1, 0, [2]) != draws(1, 1, [2])


# ---------------------------------------------------------------------------------- what is refused


class OwnStep(bp.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class ByItself(losses.Loss):
    """Squares, whose cache holds what nobody else can read."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        return float(np.mean((y_pred - y_true) ** 2)), (y_pred, y_true, 1, mask)

    def backward(self, cache, dvalues=None):
        y_pred, y_true, *_ = cache
        return 2 * (y_pred - y_true) / y_pred.size * (1 if dvalues is None else dvalues)


class Largest(metrics.Metric):
    def __post_init__(self):
        self.top = self.add_variable()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.top = max(self.top, np.max(y_pred))

    def result(self):
        return self.cast(self.top)


def own_step():
    model = OwnStep([bp.Input((3,)), bp.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def stateful():
    layers = [bp.Input((5, 2), batch_size=4), bp.layers.LSTM(3, stateful=True)]
    model = bp.Sequential(layers)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (own_step, "cannot weigh what a train_step of its own"),
        (lambda: perceptron(optimizer=bp.optimizers.LBFGS()), "LBFGS takes all data at once"),
        (lambda: perceptron(loss=ByItself()), "ByItself writes forward or backward by itself"),
        (stateful, "lstm.* is stateful"),
        (lambda: perceptron(bp.layers.Dense(2, activity_regularizer="l2")), "penalty on its activ"),
        (lambda: perceptron(metrics=[Largest()]), "what Largest has seen.*merge"),
    ],
    ids=["own step", "L-BFGS", "own loss", "stateful", "activity", "metric"],
)
def test_what_ranks_cannot_do_alike_is_refused_by_name(make, said):
    model = make()
    model.trainer._find_hooks()
    if model.trainer.metrics.wanted:
        model.evaluate(np.ones((4, 3)), np.ones((4, 2)), verbose=0)

    with pytest.raises(ValueError, match=said):
        check_run(model.trainer, "fit()")


@pytest.mark.parametrize(
    "loss", [losses.Circle(), losses.Dice(), losses.Tversky()], ids=lambda loss: loss.name
)
def test_a_loss_that_compares_rows_is_refused(loss):
    y_pred = rng().random((4, 3))
    y = np.array([0, 1, 0, 1]) if loss.name == "circle" else (y_pred > 0.5).astype(float)

    with pytest.raises(ValueError, match="compares the rows of a batch"):
        check_rows_apart(loss, y, y_pred)


@pytest.mark.parametrize("loss", [losses.Dice(axis=-1), losses.Huber(), losses.KLDivergence()])
def test_a_loss_of_each_row_is_not(loss):
    y_pred = rng().random((4, 3))

    assert check_rows_apart(loss, np.eye(4, 3), y_pred)
    assert not check_rows_apart(loss, np.eye(1, 3), y_pred[:1])  # nothing to be seen in one row


def test_a_strategy_is_an_object():
    model = perceptron()
    with pytest.raises(TypeError, match=r"strategy is an object such as .*MPI\(\), got 'mpi'"):
        model.fit(np.ones((4, 3)), np.ones((4, 2)), strategy="mpi", verbose=0)

    history = model.fit(np.ones((4, 3)), np.ones((4, 2)), strategy=SingleProcess(), verbose=0)
    assert len(history.history["loss"]) == 1


def test_steps_by_hand_are_refused_where_other_ranks_would_not_take_them():
    model = perceptron()
    model.trainer.strategy = SimpleNamespace(size=2)

    with pytest.raises(RuntimeError, match=r"train_on_batch\(\) steps on this rank alone"):
        model.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))


def test_a_weight_that_has_come_apart_is_named():
    model = perceptron(bp.layers.BatchNormalization(name="norm"))
    alike = SimpleNamespace(trainer=model.trainer, comm=SimpleNamespace(allgather=lambda a: [a, a]))
    apart = SimpleNamespace(
        trainer=model.trainer,
        comm=SimpleNamespace(allgather=lambda a: [a, a * (np.arange(len(a)) != 3)]),
    )

    check_together(alike)
    with pytest.raises(ValueError, match=r"norm/moving_variance has come apart.*0 on rank 1"):
        check_together(apart)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: callbacks.EarlyStopping(), False),
        (lambda: callbacks.BackupAndRestore("backup"), False),
        (lambda: callbacks.BackupAndRestore("backup", save_freq=3), True),
        (lambda: callbacks.ModelCheckpoint("m.npz", save_freq=2), True),
        (lambda: callbacks.CSVLogger("log.csv"), False),
        (lambda: callbacks.TerminateOnNaN(), True),
        (lambda: callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None), True),
        (lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None), False),
    ],
    ids=["early stopping", "backup", "backup in epochs", "checkpoint in epochs", "log", "NaN",
         "batch hook", "epoch hook"],
)  # fmt: skip
def test_ranks_agree_behind_batches_where_a_callback_may_stop_there(make, expected):
    assert decides(make()) is expected


def test_a_rank_whose_rows_are_finite_says_that_those_of_another_are_not():
    model = perceptron()
    model.trainer.across = SimpleNamespace(size=2)

    found = first_nonfinite(model.trainer, np.ones((4, 3)), np.ones((4, 2)), None)

    assert "in the rows of another rank" in found.about


def test_gathered_gradients_are_told_once_an_update():
    optimizer = bp.optimizers.SGD(0.5, gradient_accumulation_steps=3)
    model = perceptron(optimizer=optimizer)
    told = []
    ranks = SimpleNamespace(trainer=model.trainer, sum=lambda a: told.append(a.copy()))
    updates = WholeUpdates(ranks)
    values, gradients = model.parameters.values, model.parameters.gradients
    before = values.copy()

    for step in range(1, 6):
        gradients[:] = step
        updates.step(model.parameters)

    assert [a.tolist() for a in told] == [[6.0] * 8]
    assert values == pytest.approx(before - 0.5 * 6 / 3)
    updates.flush()  # such as for a checkpoint in the middle
    gradients[:] = 6
    updates.step(model.parameters)
    assert [a[0] for a in told] == [6, 9, 6]
    assert values == pytest.approx(before - 0.5 * 6 / 3 - 0.5 * 15 / 3)


def test_a_shard_of_an_optimizer_has_its_part_of_the_memory():
    model = perceptron(bp.layers.Dense(30), bp.layers.Dense(20))
    sizes = []
    for rank in range(4):
        optimizer = bp.optimizers.Adam()
        optimizer.build(Shard(model.parameters, rank, 4, whole=False))
        slots = optimizer._slots.vectors
        sizes.append(sum(v.size for name in slots for v in slots[name].values()))

    assert sum(sizes) == 2 * model.count_params()
    assert max(sizes) - min(sizes) <= 2


# ---------------------------------------------------------------------------------- what it costs


def test_nothing_of_it_is_imported_where_it_is_not_used():
    script = (
        "import sys, numpy as np, backprop as bp\n"
        "model = bp.Sequential([bp.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((4, 2)), np.ones(4), verbose=0)\n"
        "print([m for m in sys.modules if m.startswith(('mpi4py', 'backprop.distributed'))])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is not None, reason="mpi4py is there")
def test_without_mpi4py_the_error_says_what_to_install():
    from backprop.distributed import MPI

    with pytest.raises(ImportError, match=r"pip install backprop\[mpi\]"):
        MPI()
