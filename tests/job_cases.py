"""Cases that one job runs after each other on all ranks, each beside the same run in one process.

A case is a function of the strategy and a folder. With a strategy of one process it is the run that
the ranks have to agree with; what it returns are arrays to compare.
"""

import os
import signal
import warnings
from functools import partial

import jobs
import numpy as np


def told_once(work):
    """What some work returns, and the warnings."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = work()
    return found, [str(one.message) for one in said if one.category is RuntimeWarning]


def no_way_back():
    """y = x, whose gradient is NaN where x is large, and the loss finite."""
    import backprop as bp

    return bp.layers.Lambda(lambda x: x, backward=lambda dy, x, y: np.where(x < 1e3, dy, np.nan))


def poisoned(policy, strategy, folder, *, optimizer=None, bad=((1, 5),), layers=(), x_is=1e200):
    """A run with rows, which rank 1 of 2 has, whose loss is infinite: (batch, row) pairs."""
    import backprop as bp

    settings = {"optimizer": optimizer() if optimizer else bp.optimizers.Adam(0.01)}
    settings |= {"on_nonfinite": policy() if callable(policy) else policy, "metrics": ["mae"]}
    model, x, y = jobs.small(*(make() for make in layers), **settings)
    for batch, row in bad:
        x[6 * batch + row] = x_is  # whose square overflows
    fit = partial(
        model.fit, *(x, y), batch_size=6, epochs=3, shuffle=False, verbose=0, strategy=strategy
    )
    with np.errstate(all="ignore"):
        try:
            history, said = told_once(fit)
        except bp.NonfiniteError as error:
            text = str(error)
            assert (strategy.size > 1) == ("rank 1: all" in text), text
            return [model.parameters.values.copy(), [error.epoch, error.step]]
    assert (strategy.size > 1) == ("rank 1: all" in said[0]), said
    logs = [history.history[name] for name in sorted(history.history)]
    state = [a for a in model.optimizer.get_state().values() if a.ndim]
    return [model.parameters.values.copy(), np.array(logs), *state]


def accumulating():
    import backprop as bp

    return bp.optimizers.Adam(0.01, gradient_accumulation_steps=3)


def every_step():
    import backprop as bp

    return bp.OnNonfinite("restore", every=1)


def memory_mapped(strategy, folder):
    """Arrays that lie in files, shuffled."""
    model, x, y = jobs.small()
    for name, a in (("x", x), ("y", y)):
        np.save(f"{folder}/{name}-{strategy.rank}-{strategy.size}.npy", a)
    x, y = (
        np.load(f"{folder}/{name}-{strategy.rank}-{strategy.size}.npy", mmap_mode="r")
        for name in "xy"
    )
    model.trainer.seed = 3
    model.fit(x, y, batch_size=7, epochs=3, verbose=0, strategy=strategy)
    return [model.parameters.values.copy()]


def early_stopping(strategy, folder):
    """Validation rows that no number of ranks divides, and a run that ends by them."""
    import backprop as bp

    model, x, y = jobs.small(optimizer=bp.optimizers.SGD(0.4))
    stop = bp.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    history = model.fit(
        *(x[:17], y[:17]),
        batch_size=5,
        epochs=40,
        shuffle=False,
        verbose=0,
        validation_data=(x[17:], y[17:]),
        validation_batch_size=3,
        callbacks=[stop],
        strategy=strategy,
    )
    assert 1 < len(history.history["loss"]) < 40
    return [model.parameters.values.copy(), history.history["val_loss"]]


def uneven_groups(strategy, folder):
    """Seven batches, of which each three make an update."""
    model, x, y = jobs.small(optimizer=accumulating())
    model.fit(x[:20], y[:20], batch_size=3, epochs=3, shuffle=False, verbose=0, strategy=strategy)
    return [model.parameters.values.copy(), *states(model)]


def states(model):
    return [a for a in model.optimizer.get_state().values() if a.ndim]


def stopped(where, strategy, folder):
    """A run that the last rank alone wants to stop: in a callback, or while it reads a batch, as
    another thread might."""
    model, x, y = jobs.small()
    read = []

    def stop():
        if strategy.rank == strategy.size - 1:
            model.stop_training = True

    def batches():
        for start in range(0, 24, 4):
            read.append(start)
            if start == 12 and where == "data":
                stop()
            yield x[start : start + 4], y[start : start + 4]

    callbacks = [jobs.at(3, stop)] if where == "callback" else []
    model.fit(batches(), verbose=0, callbacks=callbacks, strategy=strategy)
    return [model.parameters.values.copy(), [model.optimizer._steps, len(read)]]


def stopped_late(strategy, folder):
    """The last rank wants to stop when the losses of the third step are told already: it is heard
    with those of the fourth."""
    import backprop as bp

    model, x, y = jobs.small()
    step = bp.optimizers.SGD.step

    class Stopping(bp.optimizers.SGD):
        def step(self, parameters):
            step(self, parameters)
            if self._steps == 3 and strategy.rank == strategy.size - 1:
                model.stop_training = True

    model.compile(Stopping(0.1), "mse")
    model.fit(x, y, batch_size=4, verbose=0, strategy=strategy)
    assert model.optimizer._steps == (3 if strategy.size == 1 else 4)
    return []


def evaluated(strategy, folder):
    """An evaluation before any run, of a number of rows that is uneven."""
    model, x, y = jobs.small(metrics=["mae"])
    model.trainer.strategy = strategy
    found = model.evaluate(x[:23], y[:23], batch_size=5, verbose=0, return_dict=True)
    return [list(found.values())]


def from_a_generator(strategy, folder):
    """Batches that every rank reads by itself, in a run of a given number of steps."""
    model, x, y = jobs.small()

    def batches():
        while True:
            for start in range(0, 24, 5):
                yield x[start : start + 5], y[start : start + 5]

    model.fit(batches(), steps_per_epoch=4, epochs=3, verbose=0, strategy=strategy)
    return [model.parameters.values.copy()]


def checkpoints(strategy, folder):
    """Checkpoints, each rank with a folder: rank 0's are written and no others; and the best of
    them, read again, goes on."""
    import backprop as bp

    model, x, y = jobs.small(metrics=["mae"])
    own = f"{folder}/of-{strategy.size}-{strategy.rank}"
    os.mkdir(own)
    save = bp.callbacks.ModelCheckpoint(f"{own}/best.npz", save_best_only=True, monitor="loss")
    run = {"batch_size": 6, "shuffle": False, "verbose": 0, "strategy": strategy}
    model.fit(x, y, epochs=2, callbacks=[save], **run)
    assert os.listdir(own) == ["best.npz"] * (strategy.rank == 0)
    again = bp.models.load_model(f"{folder}/of-{strategy.size}-0/best.npz")
    again.fit(x, y, epochs=1, **run)
    return [again.parameters.values.copy(), *states(again)]


def command_line(strategy, folder):
    """`backprop train`, on a table that every rank reads; rank 0 writes the model."""
    import backprop as bp
    from backprop.cli import main

    _, x, y = jobs.small()
    table, model = f"{folder}/table-{strategy.rank}.csv", f"{folder}/trained-{strategy!r}.npz"
    np.savetxt(table, np.hstack([x, y]), delimiter=",", header="a,b,c,d,y", comments="")
    options = ["--target", "y", "--epochs", "3", "--layers", "dense 4 relu", "--quiet"]
    how = ["--strategy", "mpi" if strategy.size > 1 else "single", "--output", model]
    assert main(["train", table, *options, *how]) == 0
    if strategy.size > 1:
        collective().barrier()  # rank 0 has more to do
    return [bp.models.load_model(model).parameters.values.copy()]


ALIKE = {
    **{policy: partial(poisoned, policy) for policy in ("skip", "stop", "restore", "raise")},
    "skip, gathered": partial(poisoned, "skip", optimizer=accumulating),
    "skip, gradient": partial(poisoned, "skip", layers=[no_way_back], x_is=1e4),
    "restore in a group": partial(poisoned, every_step, optimizer=accumulating, bad=((3, 3),)),
    "restore, gathered": partial(poisoned, "restore", optimizer=accumulating, bad=((1, 5), (3, 3))),
    "memory maps": memory_mapped,
    "early stopping": early_stopping,
    "uneven groups": uneven_groups,
    "stopped by a callback": partial(stopped, "callback"),
    "stopped from outside": partial(stopped, "data"),
    "stopped after the losses were told": stopped_late,
    "evaluated": evaluated,
    "generator": from_a_generator,
    "checkpoints": checkpoints,
    "command line": command_line,
}
WHOLE = ("checkpoints", "command line")  # which are not run with the optimizer in shards


def alike(folder):
    """All cases, with the optimizer whole and sharded, and what differs from one process."""
    from backprop.distributed import MPI, SingleProcess

    for name, case in ALIKE.items():
        expected = case(SingleProcess(), folder) if MPI().rank == 0 else None
        expected = collective().bcast(expected)
        for shard in (False, True):
            strategy = MPI(shard_optimizer=shard)
            if name in WHOLE and shard:
                continue
            found = case(strategy, folder)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(
                    a, b, rtol=1e-9, atol=1e-12, err_msg=f"{name}, rank {strategy.rank}, {strategy}"
                )
            print(f"{name}{', sharded' * shard}: alike", flush=True)
    both = [" ".join(calls(shard)) for shard in (False, True)]
    if strategy.rank == 0:
        print(*both, sep="\n", flush=True)


def collective():
    from mpi4py import MPI

    return MPI.COMM_WORLD


def ends_early(kind, folder):
    """Data that end on one rank before the others', or a signal that the job or a rank is sent."""
    import backprop as bp
    from backprop.distributed import MPI, failure

    strategy = MPI()
    model, x, y = jobs.small()
    if kind == "generator":
        failure.PATIENCE = jobs.HANGS

        def batches():
            for start in range(0, 24 - 6 * strategy.rank, 6):
                yield x[start : start + 6], y[start : start + 6]

        model.fit(batches(), verbose=0, strategy=strategy)

    class Telling(bp.callbacks.Callback):
        """Has no method for batches: then signals are told with the losses."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3 and strategy.rank == 0:
                print("running", flush=True)
            if epoch == 3 and strategy.rank == 1 and kind == "one":
                os.kill(os.getpid(), signal.SIGTERM)

    backup = bp.callbacks.BackupAndRestore(f"{folder}/backup")
    run = {"batch_size": 2, "epochs": 10**9, "verbose": 0, "strategy": strategy}
    model.fit(x, y, callbacks=[backup, Telling()], **run)
    print("the script goes on, and should not")


class Counting:
    """A communicator that counts the calls on arrays."""

    def __init__(self, comm):
        self.comm, self.names = comm, []

    def __getattr__(self, name):
        if name[0].isupper():
            self.names.append(name)
        return getattr(self.comm, name)


def calls(shard):
    """The collective calls of the third and the fourth step of an epoch, on rank 0."""
    import backprop as bp
    from backprop.distributed import MPI

    class Watch(bp.callbacks.Callback):
        writes_only = True  # so that the ranks need not agree behind each batch

        def on_epoch_begin(self, epoch, logs=None):
            across = self.model.trainer.across
            across.comm = self.counting = Counting(across.comm)
            self.ends = []

        def on_train_batch_end(self, batch, logs=None):
            self.ends.append(len(self.counting.names))

    model, x, y = jobs.small()
    watch, strategy = Watch(), MPI(shard_optimizer=shard)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0, callbacks=[watch], strategy=strategy)
    return watch.counting.names[watch.ends[1] : watch.ends[3]] if strategy.rank == 0 else []
