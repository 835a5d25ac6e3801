"""The metrics of a run."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop import metrics
from backprop.layer import Array, Layer
from backprop.losses.labels import ClassNumbers
from backprop.masks import cleaned
from backprop.nest import entries
from backprop.parallel import one_at_a_time
from backprop.training.batches import located
from backprop.training.ends import Ends
from backprop.training.options import listed


def users(metric: Any) -> Any:
    """The metric that the user means by a name, if it is not one of the library."""
    found = metrics.registry.users(metric) if isinstance(metric, str) else None
    if found is None:
        return metric
    # "package>name" of a file is no name for the logs
    return found if ">" in metric else metrics.resolve(metric, (None, 2), (None, 2))


class Metrics:
    """The metrics of a run.

    Attributes
    ----------
    items : list of (str, Metric, bool)
        Those of `compile`, each with its name in the logs and whether it is weighted.
    own : list of Metric
        Those that a model with a step of its own keeps and updates by itself.
    losses : list of Metric
        Of `items`, the means of several losses.
    order : list of str
        The names of the outputs, where the losses are told in an order that is not theirs.
    """

    items: list[tuple[str, Any, bool]]
    own: list[Any]
    losses: tuple[Any, ...] | list[Any] = ()
    order: Sequence[str] = ()
    # of an interrupted run, what metrics have seen that the first batch chooses
    _late: Mapping[str, list[Array]] = {}

    def build(self, y_shape: Any, output_shape: Any, trial: tuple | None = None) -> None:
        """Choose the metrics for these shapes, once, and try copies of them on a `trial` of
        (y, y_pred, weight)."""
        raise NotImplementedError

    def update(self, y: Any, y_pred: Any, sample_weight: Any, mask: Any = None) -> None:
        """Add a batch."""
        raise NotImplementedError

    def add_losses(self, parts: list[float], rows: int) -> None:
        """Add the losses of a batch, each of an output."""
        for metric, part in zip(self.losses, parts, strict=False):
            metric.add(part, rows)

    def order_losses(self, outputs: Ends, given: Any) -> None:
        """Tell several losses in the order of the dict that `compile` was given, as Keras does
        where the outputs are a dict too."""

    def reset(self) -> None:
        if self._late:
            self._late = {}
        for metric in self._all():
            if metric._awaited:  # no attribute more while another thread copies it
                metric._awaited = ()
            metric.reset_state()

    def results(self, losses: bool = True) -> dict[str, Any]:
        """What has been found so far; the means of several losses too, unless told otherwise."""
        left_out = () if losses else self.losses
        found = {name: metric.result() for name, metric, _ in self.items if metric not in left_out}
        return found | {metric.name: metric.result() for metric in self.own}

    def names(self) -> list[str]:
        found = [name for name, _, _ in self.items] + [*self._late]
        return found + [metric.name for metric in self.own]

    def state(self) -> list[list[Array]]:
        """What all have seen, in the order of `names`."""
        found = [seen(metric) for _, metric, _ in self.items] + [*self._late.values()]
        return found + [seen(metric) for metric in self.own]

    def unchosen(self) -> int:
        """How many metrics the first batch is still to choose."""
        return self._wanted() if len(self.items) == len(self.losses) else 0

    def partners(self, names: list[str], late: bool = False, unchosen: int = 0) -> list[Any] | None:
        """The metric of each of the names of a state, None where the first batch is to choose it,
        as of a step of a model's own (`late`); None where it is a state of other metrics. The
        state has no names of those that were `unchosen` when it was saved."""
        first = [metric.name for metric in self.losses]
        first, own = sorted(first, key=self.names().index), [metric.name for metric in self.own]
        known = first + own if unchosen else self.names()
        if unchosen not in (0, self._wanted()) or not (late or names == known):
            return None
        if names not in (self.names(), first + own) and not (
            len(self.items) == len(first)
            and len(names) == len(first) + self._wanted() + len(own)
            and names[: len(first)] == first
            and names[len(names) - len(own) :] == own
        ):
            return None
        chosen = {name: metric for name, metric, _ in self.items}
        return [*map(chosen.get, names[: len(names) - len(own)]), *self.own]

    def take(self, names: list[str], state: list[list[Array]]) -> None:
        """Have seen what metrics of these names had; what none of them is has seen nothing."""
        self.reset()
        for name, metric, values in zip(
            names, self.partners(names, late=True) or (), state, strict=False
        ):
            if metric is None:
                self._late = {**self._late, name: values}
            else:
                see(metric, values)

    def _take_late(self) -> None:
        """Give metrics that were chosen now what was kept for them."""
        if self._late:
            late, self._late = self._late, {}
            chosen = {name: metric for name, metric, _ in self.items}
            if not late.keys() <= chosen.keys():
                raise ValueError(
                    f"the run that goes on has the metrics {', '.join(late)}, and the model now "
                    f"has {', '.join(chosen)}: compile it as it was"
                )
            for name, values in late.items():
                see(chosen[name], values)

    def _wanted(self) -> int:
        """How many metrics `compile` was given."""
        raise NotImplementedError

    def _all(self) -> list[Any]:
        return [metric for _, metric, _ in self.items] + self.own


class MetricSet(Metrics):
    """The metrics of one output, resolved when the shapes are known."""

    def __init__(self, plain: Iterable | None, weighted: Iterable | None, loss: Any):
        for name, given in (("metrics", plain), ("weighted_metrics", weighted)):
            if given is not None and not isinstance(given, list | tuple):
                raise TypeError(
                    f"compile() expects {name} to be a list, such as ['accuracy'], got {given!r}"
                )
        # a name of the user's own is looked up now, while it is in scope
        self.wanted = [
            (users(m), is_weighted)
            for given, is_weighted in ((plain, False), (weighted, True))
            for m in listed(given)
        ]
        self.loss = loss
        self.items: list[tuple[str, Any, bool]] = []
        self.own: list[Any] = []
        self._ignoring: set[str] = set()  # metrics that leave out the labels that the loss ignores
        for identifier, _ in self.wanted:  # a misspelt name is an error of compile, not of fit
            if isinstance(identifier, Layer) and not identifier.takes_targets:
                raise TypeError(
                    "compile() expects metrics to be names, objects of Metric or functions of "
                    f"y_true and y_pred, got the layer {identifier!r}"
                )
            metrics.resolve(identifier, (None, 2), (None, 2))

    def __bool__(self) -> bool:
        return bool(self.wanted)

    @one_at_a_time
    def build(self, y_shape, output_shape, trial: tuple | None = None) -> None:
        items, ignoring = self.items, self._ignoring
        if not items:
            items, ignoring = self._resolve(y_shape, output_shape)
        if trial is not None:
            y, y_pred, w = trial
            tried = []
            for name, metric, weighted in items:
                tried.append(copy.deepcopy(metric))
                with located(f"metric {name!r} of compile()"):
                    tried[-1].update_state(y, y_pred, w if weighted else None)
            for (_, metric, weighted), other in zip(items, tried, strict=True):
                if len(metric.variables) < len(other.variables):
                    # sums that the first batch makes: a checkpoint has values for them before it
                    metric.update_state(y, y_pred, w if weighted else None)
                    metric.reset_state()
        self.items, self._ignoring = items, ignoring
        self._take_late()

    def _wanted(self) -> int:
        return len(self.wanted)

    def _resolve(self, y_shape, output_shape) -> tuple[list[tuple[str, Any, bool]], set[str]]:
        items: list[tuple[str, Any, bool]] = []
        ignoring = set()
        for wanted, weighted in self.wanted:
            identifier = metrics.named(wanted)
            metric = metrics.resolve(identifier, output_shape, y_shape, self.loss)
            name, k = metric.name, 0
            while name in {taken for taken, _, _ in items}:
                k += 1
                name = f"weighted_{metric.name}" if weighted and k == 1 else f"{metric.name}_{k}"
            items.append((name, metric, weighted))
            sparse = isinstance(metric, metrics.SPARSE)
            metric.labels_known = not sparse or isinstance(self.loss, ClassNumbers)
            by_name = isinstance(identifier, str) and sparse
            if by_name and getattr(self.loss, "ignore_class", None) is not None:
                ignoring.add(name)
        return items, ignoring

    def update(self, y, y_pred, sample_weight, mask=None) -> None:
        """Padding has no weight in any metric, whatever stands there; sample weights count in the
        weighted ones. Labels that the loss ignores have none in the metrics that were chosen by
        name for it."""
        y, y_pred = cleaned(y, mask), cleaned(y_pred, mask)
        valid = self._valid(y, y_pred, mask) if self._ignoring else None
        for name, metric, weighted in self.items:
            weight = sample_weight if weighted else None
            counted = valid if name in self._ignoring else mask
            metric.update_state(
                y, y_pred, weight if counted is None else metrics.apply_mask(weight, counted)
            )

    def _valid(self, y, y_pred, mask) -> Array:
        """The mask, without the labels that the loss ignores."""
        labels, _ = self.loss.align(y, y_pred)
        valid = self.loss.valid(labels)
        return valid if mask is None else valid & np.asarray(mask, bool).reshape(valid.shape)


class LossMean(metrics.Mean):
    """The mean of a loss over all rows."""

    _direction = "down"  # for callbacks: less is better

    def add(self, value: float, rows: int) -> None:
        """Add the mean of that many rows."""
        # in every step: `+=` of arrays without axes takes ten times as long
        self.total.fill(float(self.total) + rows * value)
        self.count.fill(float(self.count) + rows)

    def reset_state(self):
        self.total.fill(0)
        self.count.fill(0)

    def result(self):
        return float(self.total) / max(float(self.count), 1)


class MetricSets(Metrics):
    """The metrics of several outputs.

    Parameters
    ----------
    names : list of str
        Of the outputs, which go before the names of their metrics.
    sets : list of MetricSet
        Of each output.
    losses : list of str
        Names of the losses whose means are told.
    """

    def __init__(self, names: list[str], sets: list[MetricSet], losses: list[str]):
        self.outputs, self.sets = names, sets
        self.losses = [LossMean(name=name) for name in losses]
        self._told = self.losses
        self.own = []
        self.items = self._named()

    def __bool__(self) -> bool:
        return bool(self.losses) or any(self.sets)

    @one_at_a_time
    def build(self, y_shape, output_shape, trial=None):
        for i, part in enumerate(self.sets):
            if not part:
                continue
            with located(f"output {self.outputs[i]!r}"):
                if y_shape[i] is None:
                    raise ValueError("its metrics need y, and it has none")
                part.build(
                    y_shape[i], output_shape[i], None if trial is None else entries(trial, i)
                )
        self.items = self._named()
        self._take_late()

    def _wanted(self) -> int:
        return sum(part._wanted() for part in self.sets)

    def order_losses(self, outputs, given):
        if not isinstance(outputs.structure, Mapping) or not isinstance(given, Mapping):
            return
        self.order = [name for name in given if name in self.outputs]
        place = {f"{name}_loss": i for i, name in enumerate(self.order)}
        self._told = sorted(self.losses, key=lambda metric: place.get(metric.name, len(place)))
        self.items = self._named()

    def _named(self) -> list[tuple[str, Any, bool]]:
        """All items by Keras' names, in the order in which its `evaluate` lists them: first the
        losses, then the metrics by name."""
        losses: list[tuple[str, Any, bool]] = []
        for metric in self._told:
            losses.append((unused(metric.name, losses), metric, False))
        items: list[tuple[str, Any, bool]] = []
        for kind in (False, True):
            for output, part in zip(self.outputs, self.sets, strict=True):
                items += [
                    (unused(f"{output}_{name}", items), metric, kind)
                    for name, metric, weighted in part.items
                    if weighted is kind
                ]
        return losses + sorted(items, key=lambda item: item[0])

    def update(self, y, y_pred, sample_weight, mask=None):
        for i, part in enumerate(self.sets):
            if part:
                part.update(*entries((y, y_pred, sample_weight, mask), i))


def unused(name: str, items: list[tuple[str, Any, bool]]) -> str:
    """The name, or the first of name_1, name_2 ... that no item has."""
    taken, k, found = {other for other, _, _ in items}, 0, name
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    return found


def fresh(value: Any, memo: dict[int, Any] | None = None) -> Any:
    """A copy in which a metric, if it is one or a list of them, has seen nothing; `memo` says, by
    identity, what stands for what."""
    value = copy.deepcopy(value, memo)
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, metrics.Metric):
            item.reset_state()
    return value


def metrics_in(model: Any) -> list[Any]:
    """The metrics that a model holds as attributes, alone or in lists, each once."""
    found: dict[int, Any] = {}
    for name, value in model.__dict__.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if not name.startswith("_") and isinstance(item, metrics.Metric):
                found[id(item)] = item
    return list(found.values())


def seen(metric: Any) -> list[Array]:
    """What a metric has seen."""
    return [np.array(v) for v in (*metric.variables, *metric._awaited)]


def see(metric: Any, values: list[Array]) -> None:
    """Have a metric seen what `seen` returned; variables that it makes at its first batch begin
    with that then."""
    variables = metric.variables
    for variable, value in zip(variables, values, strict=False):
        variable[...] = value
    for variable in variables[len(values) :]:
        variable[...] = 0  # made since, so they had seen nothing
    if len(values) > len(variables):
        metric._awaited = values[len(variables) :]


@contextmanager
def set_aside(mean: LossMean, metrics: Metrics) -> Iterator[None]:
    """Within the block other sums may be made; then they are what they were."""
    loss, kept = [float(value) for value in mean.variables], (metrics.names(), metrics.state())
    try:
        yield
    finally:
        mean.total[...], mean.count[...] = loss
        metrics.take(*kept)
