"""What happens to a step whose loss or gradient is NaN or infinite.

    warn       say once where it began, and go on, as Keras does: only the loss is looked at
    raise      `NonfiniteError`
    skip       the step is not taken, and counted
    stop       the step is not taken, and the run ends after it
    restore    back to values that were good, with a smaller learning rate

All but the first look at the gradient g too, before the optimizer moves anything: Σ 0 g is 0 unless
there is NaN (0 NaN = NaN) or an infinity (0 ∞ = NaN) in g, and no finite number makes it overflow.
A step that is not taken leaves values, moments, averages, buffers and states as they were;
generators go on.
"""

from __future__ import annotations

import math
import reprlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backprop.kernels import finite
from backprop.layer import Array
from backprop.run_state import model_state, named, set_values
from backprop.training.loop import Logs, Outcome, logs_of
from backprop.training.nonfinite import Finding, first_nonfinite
from backprop.training.policies import NonfiniteError, read_policy
from backprop.training.steps import Steps

DROPPED = "skipped_steps"  # in the logs of an epoch
# what a run has counted of bad steps, and of the good ones between them
COUNTED = {"in_a_row": int, "good": int, "since": int, "stopped": bool, "warned": bool}


class Guarded(Steps):
    """Steps that are taken if loss and gradient are finite.

    Attributes
    ----------
    on_nonfinite : OnNonfinite
    skipped : int
        Steps of this epoch that were not taken.
    saved : str or None
        The file in which finite values of this run are.
    """

    # buffers and states beside a ParameterVector, found anew where the model's memory is another
    _moving: tuple[Any, list[Any]] = (None, [])

    def __init__(self, *arguments: Any, on_nonfinite: Any = "warn"):
        super().__init__(*arguments)
        self.on_nonfinite = read_policy(on_nonfinite)
        if self.optimizer.full_batch and self.on_nonfinite.policy != "warn":
            raise ValueError(
                f"{type(self.optimizer).__name__} turns back by itself from values whose loss is "
                "not finite: leave on_nonfinite out"
            )
        self.skipped = 0
        self.saved: str | None = None
        self._warned = self._looked = self._told = False
        self._in_a_row = self._good = self._since = 0
        self._goes_on = self._stopped = False  # after an interruption; by `stop`
        self._names: list[str] = []  # in the logs of an epoch
        self._loss_of_dropped = math.nan
        self._kept: list[dict[str, Array]] = []  # older values, and newer ones that may be bad yet

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_moving": (None, [])}

    def prepare(self, data: Any, who: str, *, training: bool) -> Any:
        how = self.on_nonfinite
        if training and how.policy == "restore" and how.factor != 1:
            rate = self.optimizer.__dict__.get("_learning_rate")
            if not isinstance(rate, float):
                raise TypeError(
                    f"on_nonfinite='restore' multiplies the learning rate with {how.factor}, and "
                    f"that of {type(self.optimizer).__name__} is a schedule, which no number "
                    "replaces: give on_nonfinite=OnNonfinite('restore', factor=1)"
                )
        return super().prepare(data, who, training=training)

    # ------------------------------------------------------------------------------- the look

    def checked_gradients(self, x: Any, y: Any, sample_weight: Any = None) -> Outcome:
        """Every gradient of the model is set, and finite.

        Raises
        ------
        NonfiniteError
            Where the loss or a gradient is not, unless the policy is to warn. Buffers and states
            are put back then, as where a layer raises.
        """
        self._looked = True
        if self.on_nonfinite.policy == "warn":
            outcome = self._gradients(x, y, sample_weight)
            if not math.isfinite(outcome[0]) and not self._warned:
                self._warned = True
                text, _ = self._report_of(outcome[0], x, y, sample_weight, True)
                warnings.warn(text, RuntimeWarning, stacklevel=5)
            return outcome
        parameters, moving = self._moving
        # in every step, so without what `parameters` checks
        if parameters is None or parameters is not self.model._vector:
            parameters, moving = self.model.parameters, moved_by_a_pass(self.model)
            self._moving = (parameters, moving)
        before = [(p, p.value.copy()) for p in moving] if moving else []
        try:
            outcome = self._gradients(x, y, sample_weight)
            good = zero_of(parameters.segments()) == 0 and math.isfinite(outcome[0])
            if self._on_all(good):
                return outcome
        except BaseException:
            put_back(before)
            raise
        put_back(before)
        raise self._error(outcome[0], x, y, sample_weight)

    def _on_all(self, finite: bool) -> bool:
        """Whether a rank's look has found everything finite on all ranks, which step alike."""
        return finite if self.across is None else self.across.all(finite)

    def _error(self, loss: Any, x: Any, y: Any, sample_weight: Any) -> NonfiniteError:
        how = self.on_nonfinite
        again = how.policy == "skip" and self._warned and self._in_a_row + 1 < how.limit
        text, found = self._report_of(loss, x, y, sample_weight, not again)
        saved = "there is no checkpoint" if self.saved is None else f"last saved is {self.saved!r}"
        text = f"{text}. The step was not taken; {saved}"
        return NonfiniteError(text, self.epoch, self.step, float(loss), found, self.saved)

    def _report_of(self, loss: Any, x, y, w, look: bool) -> tuple[str, Finding | None]:
        """What happened and, after a second look, where it began."""
        what = "a gradient" if math.isfinite(loss) else "the loss"
        became = "is not finite" if math.isfinite(loss) else f"became {loss}"
        text = f"{what} {became} in step {self.step + 1} of epoch {self.epoch + 1}"
        if not look:
            return text, None
        found, at = first_nonfinite(self, x, y, w), ""
        if self.across is not None:
            rank, found = self.across.first_of(found)
            at = f"rank {rank}: " if found.tensor else ""
        return f"{text}: {at}{found.about}", found

    # ----------------------------------------------------------------------------- the policies

    def run_epochs(
        self, run: Any, data: Any, epochs: int, steps: int | None, validation: Any
    ) -> Logs:
        if not self._goes_on:
            self._kept, self._in_a_row, self._since, self._good = [], 0, 0, 0
            if self.step == 0:  # else a checkpoint has said how many
                self.skipped = 0
            self._stopped = False
            if self.on_nonfinite.policy != "warn":
                self._warned = False
        try:
            if self._stopped and self.on_nonfinite.policy == "stop" and self.epoch < epochs:
                return self._end_stopped(run, validation)
            return super().run_epochs(run, data, epochs, steps, validation)
        finally:
            self._kept, self._goes_on = [], False

    def _end_stopped(self, run: Any, validation: Any) -> Logs:
        """What was left to do of a run that was stopped, and then interrupted."""
        self.model.stop_training = True
        if not self.step:
            return {}
        run.on_epoch_begin(self.epoch)
        return self.end_epoch(run, self.epoch, self.results, validation)

    def guard_state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What the policy has counted in a run, and the values that it has kept, for a file."""
        found: dict[str, Any] = {name: getattr(self, f"_{name}") for name in COUNTED}
        if self.across is not None:  # each rank has kept what is its own
            return found | {"kept": 0}, {}
        arrays = {
            f"kept/{i}/{name}": a for i, kept in enumerate(self._kept) for name, a in kept.items()
        }
        return found | {"kept": len(self._kept)}, arrays

    def check_guard(self, found: Any, arrays: Mapping[str, Array]) -> Callable[[], None]:
        """Returns what puts a state of `guard_state` back; None of a file is that of a run that
        begins.

        Raises
        ------
        ValueError
            If it is none of this model.
        """
        if found is None:  # of a file of before
            return lambda: None
        kinds = COUNTED | {"kept": int}
        sound = isinstance(found, dict) and found.keys() == kinds.keys()
        if not sound or not (
            all(type(found[name]) is kind and found[name] >= 0 for name, kind in kinds.items())
            and found["kept"] <= 2
        ):
            raise ValueError(f"what its run has counted of bad steps is {reprlib.repr(found)}")
        kept = [
            {
                name.removeprefix(f"kept/{i}/"): a.copy()
                for name, a in arrays.items()
                if name.startswith(f"kept/{i}/")
            }
            for i in range(found["kept"])
        ]
        mine = {name: a.shape for name, a in self._values().items()} if kept else {}
        for values in kept:
            # an optimizer that is not built yet has no moments to compare
            given = {name: a.shape for name, a in values.items() if name in mine}
            if given != mine or not all(finite_numbers(a) for a in values.values()):
                raise ValueError("the values that its run has kept are not those of such a model")

        def put() -> None:
            for name in COUNTED:
                setattr(self, f"_{name}", found[name])
            self._kept, self._goes_on = kept, True

        return put

    def _stepper(self, name: str) -> Callable[[Any, Any, Any], Any]:
        step = super()._stepper(name)
        if name != "train_step" or self.on_nonfinite.policy == "warn":
            return step
        restores, before = self.on_nonfinite.policy == "restore", {}
        so_far: Any = self.results if self._goes_on else before

        def guarded(x, y, w):
            nonlocal so_far
            if restores and not self._kept:
                self._keep()
            self._looked = False
            try:
                found = step(x, y, w)
            except NonfiniteError as error:
                self._drop(error)
                return so_far if self._good else before
            so_far = found
            self._taken()
            return so_far

        return guarded

    def _taken(self) -> None:
        """After a step that was taken."""
        how = self.on_nonfinite
        self._good += 1
        if not (self._looked or self._told):
            self._told = True
            warnings.warn(
                f"{type(self.model).__name__}.train_step finds gradients by itself, where "
                "on_nonfinite does not look: it does in super().train_step(data) and in "
                "self.trainer.gradients(x, y)",
                stacklevel=3,
            )
        if how.policy != "restore":
            self._in_a_row = 0
            return
        self._since += 1
        if self._since >= how.every:
            self._in_a_row = 0
            self._keep()

    def _drop(self, error: NonfiniteError) -> None:
        """After a step that was not taken: raise, or let the run go on."""
        how = self.on_nonfinite
        if how.policy == "raise":
            raise error
        self._in_a_row += 1
        if how.policy != "stop" and self._in_a_row >= how.limit:
            error.add_note(f"{how.policy}: so it has been {how.limit} times in succession")
            raise error
        if how.policy == "skip" and not np.isfinite(self.model.parameters.values).all():
            error.add_note("skip: with such weights no other batch would be better")
            raise error
        self.skipped += 1
        self._loss_of_dropped = error.loss
        if how.policy == "restore":
            self._restore(error)
        elif how.policy == "stop":
            self.model.stop_training = self._stopped = True
            warnings.warn(f"{error}. The run ends here", RuntimeWarning, stacklevel=5)
        elif not self._warned:
            self._warned = True
            told = f"{error}. The next ones are counted as {DROPPED!r} in the logs"
            warnings.warn(told, RuntimeWarning, stacklevel=5)

    def _keep(self) -> None:
        """Keep copies of the present values, unless some are not finite."""
        self._since = 0
        if self.across is not None:  # what was gathered for the next update is a part of the state
            self.across.updates.flush()
        arrays = self._values()
        if self._on_all(all(np.isfinite(a).all() for a in arrays.values())):
            self._kept = [*self._kept[-1:], {name: a.copy() for name, a in arrays.items()}]

    def _values(self) -> dict[str, Array]:
        """All that a restored step needs, as it is now."""
        _, arrays = model_state(self.model)
        states = named(self.model.states_kept()).items()
        return arrays | {f"states/{name}": p.value for name, p in states}

    def _restore(self, error: NonfiniteError) -> None:
        """Go back to the older of the values that were kept; the epoch's sums begin anew."""
        if not self._kept:
            error.add_note("restore: no values that were finite have been kept")
            raise error
        del self._kept[1:]
        rate = self.optimizer.learning_rate * self.on_nonfinite.factor
        if self.across is not None:
            self.across.updates.forget()
        set_values(self.model, self._kept[0])
        if self.on_nonfinite.factor != 1:
            self.optimizer.learning_rate = float(rate)
        self.reset()
        self._good = self._since = 0
        warnings.warn(
            f"{error}. The run goes on from values of before, at step "
            f"{self.optimizer.iterations} of the optimizer, with a learning rate of {rate:.4g}",
            RuntimeWarning,
            stacklevel=6,
        )

    def end_epoch(self, run: Any, epoch: int, so_far: Any, validation: Any) -> Logs:
        if self.on_nonfinite.policy in ("warn", "raise"):
            return super().end_epoch(run, epoch, so_far, validation)
        if self.across is not None:
            self.across.collect()  # of rank 0's logs, which are those of all
        logs = logs_of(self._said(so_far))
        if not self._good and not self.loss_so_far.count:
            logs = dict.fromkeys(self._names or self.results(), math.nan)  # of no step at all
        self._names = list(logs)
        logs[DROPPED] = float(self.skipped)
        self.skipped = self._good = 0
        return super().end_epoch(run, epoch, logs, validation)

    def logs_of_dropped(self) -> Logs:
        """What a batch reports whose step was not taken: its loss."""
        return {**dict.fromkeys(self.results(), math.nan), "loss": self._loss_of_dropped}


def moved_by_a_pass(model: Any) -> list[Any]:
    """What a pass moves beside gradients: buffers, and states that layers carry on."""
    return [p for p in model.arrays() if p.gradient is None] + model.states_kept()


def finite_numbers(a: Array) -> bool:
    return a.dtype.kind in "fiub" and bool(np.isfinite(a).all())


def zero_of(segments: list[Any]) -> float:
    """0 where the gradients in these stretches are finite, else NaN."""
    total = 0.0
    for segment in segments:
        total += finite.times_zero(segment.gradients)
    return total


def put_back(before: list[tuple[Any, Array]]) -> None:
    for p, value in before:
        p.value[...] = value
