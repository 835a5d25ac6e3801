"""`HTMLReport`: a run as one page that is written while it goes on."""

from __future__ import annotations

import math
import os
import platform
import re
import reprlib
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import numpy as np

from backprop.arguments import Convert, argument
from backprop.atomic import replacing
from backprop.callbacks.activation_statistics import ActivationStatistics
from backprop.callbacks.callback import Callback, Logs, lazy
from backprop.callbacks.gradient_flow import GradientFlow
from backprop.callbacks.paths import check_writable, path as named_path
from backprop.checks import is_real
from backprop.config import Configurable
from backprop.nest import each

if TYPE_CHECKING:
    from backprop.gradcheck.report import Report

SHARE = 0.02  # of the time of a run that writing may take, at most
REST = 1.0  # seconds from one writing to the next, at least
SAMPLE = 8  # rows on which gradients are certified
PATIENCE = 20.0  # seconds that it may take
LONG = re.compile(r"\d+\.\d{9,}(e-?\d+)?")  # a number such as 0.00030000000000000003
HEAD = 1024  # bytes in which a page says who wrote it


def certifying(value: Any, who: str, name: str) -> Any:
    from backprop.gradcheck.report import Report

    if isinstance(value, tuple | list) and len(value) == 2:
        return tuple(value)
    if not isinstance(value, bool | Report):
        raise TypeError(
            f"{who} expects {name} to be True, False, rows (x, y) or a report of gradcheck, got "
            f"{reprlib.repr(value)}"
        )
    return value


class HTMLReport(Configurable, Callback):
    """A training run as one page of HTML: learning curves, gradient flow, the network as a graph,
    warnings, the certificate of its gradients, settings and environment.

    The page needs no network and no script. It is written as a whole at the beginning, at ends of
    epochs, and at the end of a run, however that comes; an open one loads itself anew while the run
    goes on. It is a guest: writing takes at most 2 % of the time, but for the first page and the
    last, and a disk that fills up ends no training.

    What `GradientFlow` and `ActivationStatistics` see is shown too: those of the run, or its own.

    Parameters
    ----------
    path : str or path, default "report.html"
        Missing folders are made. A page of an `HTMLReport` is replaced, another file never.
    title : str, optional
        Default: the model's name.
    certify : bool, (x, y) or Report, default True
        Where gradients are certified at the end, by `gradcheck` in at most 20 seconds: on 8 rows of
        the arrays that are trained on, on these rows, or nowhere; or a check that was made already.
        Of a run that is interrupted they are not.
    inside : bool, default True
        Whether to look at gradients and activations where no other callback of the run does.

    Attributes
    ----------
    rows : list of dict
        Of each epoch its number from 0, its seconds, and what was logged; in a run that is resumed
        those of before too.
    certificate : Report, str or None
        What the check of the gradients found, or why there was none.

    Raises
    ------
    FileExistsError
        Before training, if a file of somebody else's is there.
    OSError
        Before training, if the page cannot be written.
    TypeError
        If `certify` is none of these.

    Warns
    -----
    UserWarning
        Once, if the page cannot be written any more; and what the two callbacks warn of.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> report = bp.callbacks.HTMLReport("run.html")
    >>> history = model.fit(x, x[:, :1], verbose=0, callbacks=[report])  # doctest: +SKIP
    """

    writes_only = True
    runs_last = True  # it shows what the others add to the logs
    unsaved = ("certify",)

    path: Annotated[str | os.PathLike, Convert(named_path, kind="file")] = "report.html"
    title: str | None = None
    certify: Annotated[Any, Convert(certifying)] = argument(default=True)
    inside: bool = True

    def __post_init__(self):
        check_writable(os.fspath(self.path), "HTMLReport", "path")
        self.rows: list[dict[str, Any]] = []
        self.certificate: Report | str | None = None
        self._looks: list[Any] = []  # its own
        self._running = False
        self._told = False  # that it cannot be written
        self._written, self._took = -math.inf, 0.0

    # ------------------------------------------------------------------ the run

    def on_train_begin(self, logs: Logs | None = None) -> None:
        from backprop.callbacks.html_report.network import network

        self._path = os.path.realpath(self.path)  # a run may change its folder
        check_ours(self._path)
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        first = getattr(getattr(self.model, "trainer", None), "epoch", 0)
        self.rows = [row for row in self.rows if row["epoch"] < first]
        self.certificate, self._told, self._ended = None, False, ("training", "")
        self._network = network(self.model)
        self._begin_looking()
        self._running = True
        self._write()

    def _begin_looking(self) -> None:
        shown = {type(c): c for c in self.companions if isinstance(c, LOOKS)}
        self._looks = [kind() for kind in LOOKS if self.inside and kind not in shown]
        for look in self._looks:
            look.set_model(self.model)
            look.set_params(self.params or {})
            look.on_train_begin()
            shown[type(look)] = look
        self._flow, self._activations = (shown.get(kind) for kind in LOOKS)

    @lazy
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for look in self._looks:
            look.on_train_batch_end(batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for look in self._looks:
            look.on_epoch_begin(epoch, logs)
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = dict(logs or {})
        found.setdefault("learning_rate", getattr(self.model.optimizer, "learning_rate", None))
        numbers = {name: float(value) for name, value in found.items() if is_number(value)}
        took = time.perf_counter() - self._epoch_began
        self.rows.append({"epoch": epoch, "seconds": took} | numbers)
        since = time.perf_counter() - self._written
        if since > max(REST, self._took / SHARE):
            self._try_to_write()

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        self._ended = ("interrupted", f"by a signal in epoch {epoch + 1}")
        self.certificate = "The run was interrupted, and its gradients were not certified."

    def on_train_end(self, logs: Logs | None = None) -> None:
        for look in self._looks:
            look.on_train_end(logs)
        self._running = False
        if self._ended[0] == "training":
            epochs = (self.params or {}).get("epochs", 0)
            done = self.rows[-1]["epoch"] + 1 if self.rows else 0
            self._ended = ("finished", f"of {epochs:,} that were asked for" * (done < epochs))
            self.certificate = self._certified()
        self._try_to_write()

    def on_exception(self, error: BaseException) -> None:
        for look in self._looks:
            look.on_exception(error)
        if self._running:
            self._running = False
            self._ended = ("failed", f"by {type(error).__name__}: {error}")
            self._try_to_write()

    # ------------------------------------------------------------------ the certificate

    def show_certificate(self, report: Report) -> None:
        """Put a check of the gradients that was made after the run on its page.

        Raises
        ------
        OSError
            The page cannot be written.
        """
        self.certificate = report
        self._write()

    def _certified(self) -> Report | str | None:
        from backprop.gradcheck import gradcheck
        from backprop.gradcheck.report import Report

        if isinstance(self.certify, Report):
            return self.certify
        if self.certify is False:
            return None
        rows = self._sample() if self.certify is True else self.certify
        if rows is None:
            return (
                "The data were no arrays, of which rows can be read again: give "
                "HTMLReport(certify=(x, y)) a few to certify gradients on."
            )
        try:
            return gradcheck(self.model, *rows, time_limit=PATIENCE)
        except Exception as error:  # the run is over, and its page is to say how it was
            return f"Gradients could not be checked: {type(error).__name__}: {error}"

    def _sample(self) -> tuple[Any, Any] | None:
        """Some rows of the arrays that are trained on."""
        from backprop.training.data import ArrayData

        data = next(iter(self.model.trainer._data), None)
        data = getattr(data, "data", data)  # of which a rank reads its part
        if not isinstance(data, ArrayData):
            return None
        x, y, _ = next(iter(data.batches(0, 0, 1)))
        return each(lambda a: a[:SAMPLE], x), each(lambda a: a[:SAMPLE], y)

    # ------------------------------------------------------------------ the page

    def _try_to_write(self) -> None:
        try:
            self._write()
        except OSError as error:
            if not self._told:
                warnings.warn(f"HTMLReport: {error}; training goes on", stacklevel=2)
                self._told = True

    def _write(self) -> None:
        from backprop.callbacks.html_report.page import Run, page
        from backprop.environment import environment

        began = time.perf_counter()
        state, note = self._ended
        shown = [look for look in (self._flow, self._activations) if look is not None]
        run = Run(
            title=self.title or self.model.name,
            state=state,
            note=note,
            epochs=(self.params or {}).get("epochs", 0),
            rows=self.rows,
            network=self._network,
            settings=settings_of(self.model, self.params or {}),
            environment={"Python": platform.python_version(), **environment()},
            warnings=[sentence for look in shown for sentence in look.warnings],
            flow=self._flow,
            activations=self._activations,
            certificate=self.certificate,
        )
        with replacing(self._path) as file:
            file.write(page(run).encode())
        self._written = time.perf_counter()
        self._took = self._written - began

    # ------------------------------------------------------------------ the state of a run

    def get_state(self) -> dict[str, Any]:
        looks = {type(look).__name__: look.get_state() for look in self._looks}
        return {"rows": self.rows, "looks": looks}

    def set_state(self, state: Mapping[str, Any]) -> None:
        rows, looks = state.get("rows"), state.get("looks")
        if not isinstance(rows, list) or not all(map(is_row, rows)) or not isinstance(looks, dict):
            raise ValueError("HTMLReport remembers a list of epochs, and what it looked at")
        self.rows = rows
        for look in self._looks:
            if type(look).__name__ in looks:
                look.set_state(looks[type(look).__name__])

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_looks": [], "_flow": None, "_activations": None}


LOOKS = (GradientFlow, ActivationStatistics)


def check_ours(path: str) -> None:
    """Raise where a file is that no `HTMLReport` has written."""
    if os.path.lexists(path) and not is_ours(path):
        raise FileExistsError(
            f"HTMLReport: {path!r} exists and is no page of an HTMLReport: choose another path, or "
            "move the file away"
        )


def is_ours(path: str | os.PathLike) -> bool:
    """Whether an `HTMLReport` wrote a file, so that overwriting it loses no one's work."""
    from backprop.callbacks.html_report.page import MARK

    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(HEAD)
    except OSError:
        return False


def is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and all(is_number(value) for value in row.values())
        and {"epoch", "seconds"} <= row.keys()
        and type(row["epoch"]) is int
    )


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is one; a metric may report an array."""
    return np.ndim(value) == 0 and is_real(np.asarray(value)[()])


def settings_of(model: Any, params: Mapping[str, Any]) -> dict[str, str]:
    """How a run was set up, in words."""
    found = {"Model": type(model).__name__}
    count = model.count_params()
    frozen = sum(p.size for p in model.arrays() if not p.trainable)
    found["Parameters"] = f"{count:,}" + (f" ({frozen:,} not trained)" if frozen else "")
    found["Type"] = str(model.dtype)
    trainer = getattr(model, "trainer", None)
    if trainer is not None:
        found["Optimizer"] = LONG.sub(lambda m: f"{float(m[0]):.6g}", repr(trainer.optimizer))
        found["Loss"] = repr(trainer.loss)
        found["Seed"] = str(trainer.seed)
    found["Epochs"] = f"{params.get('epochs', 0):,}"
    if params.get("steps"):
        found["Batches"] = f"{params['steps']:,} an epoch"
    return found
