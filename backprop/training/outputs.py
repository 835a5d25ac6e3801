"""What `compile` is given for one output or for several: losses, their weights, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backprop import losses
from backprop.losses.several import WeightedSum
from backprop.nest import is_nest
from backprop.training.batches import located
from backprop.training.ends import Ends
from backprop.training.options import number, only
from backprop.training.tracking import MetricSet, MetricSets


def read_losses(outputs: Ends, loss: Any, weights: Any) -> tuple[Any, float]:
    """The loss of a model, and a factor on it.

    Parameters
    ----------
    outputs : Ends
    loss, weights
        As `compile` takes them: those of several outputs in a list, or in a dict by name, where an
        output without a loss is None or missing; one loss alone is that of each.
    """
    if not outputs.several:
        found = one_loss(alone(outputs, "loss", loss))
        weight = alone(outputs, "loss_weights", weights)
        return found, 1.0 if weight is None else number(weight)
    if is_nest(loss) and not is_configuration(loss):
        given = outputs.ordered(loss, "loss of compile()", partly=True)
    else:
        given = [loss] * len(outputs.names)
    found = []
    for name, item in zip(outputs.names, given, strict=True):
        with located(f"the loss of output {name!r}"):
            found.append(one_loss(item))
    factors = read_weights(outputs, weights, [i for i, part in enumerate(found) if part])
    if not any(found):
        return None, 1.0
    return WeightedSum(outputs.names, found, factors), 1.0


def one_loss(given: Any) -> Any:
    """A loss that can be trained on."""
    loss = losses.get(given)
    if loss is not None and loss.reduction in (None, "none"):
        raise ValueError(
            f"compile() expects a loss that is one number, got {loss!r}: "
            "choose reduction='sum_over_batch_size' or 'sum'"
        )
    return loss


def read_weights(outputs: Ends, weights: Any, places: list[int]) -> list[float]:
    """A factor for the loss of each output; a list may have one for each loss alone."""
    n = len(outputs.names)
    if weights is None:
        return [1.0] * n
    if not is_nest(weights):
        raise ValueError(
            f"compile() expects loss_weights as a list or a dict, with a number for each output, "
            f"{', '.join(outputs.names)}, got {weights!r}"
        )
    if isinstance(weights, list | tuple) and len(weights) == len(places) < n:
        weights = [weights[places.index(i)] if i in places else None for i in range(n)]
    given = outputs.ordered(weights, "loss_weights of compile()", partly=True)
    return [1.0 if weight is None else number(weight) for weight in given]


def read_metrics(outputs: Ends, plain: Any, weighted: Any, loss: Any) -> MetricSet | MetricSets:
    """The metrics of a run: of several outputs those of each, in a list or in a dict by name."""
    kinds = {"metrics": plain, "weighted_metrics": weighted}
    if not outputs.several:
        plain, weighted = (alone(outputs, *given, whole=True) for given in kinds.items())
        return MetricSet(plain, weighted, loss)
    lists = []
    for kind, given in kinds.items():
        if given is not None and not is_nest(given):
            raise TypeError(
                f"compile() expects {kind} to be a list with an entry for each output, or a dict "
                f"by their names, {', '.join(outputs.names)}, got {given!r}"
            )
        items = [None] * len(outputs.names)
        if given:
            items = outputs.ordered(given, f"{kind} of compile()", partly=True)
        lists.append([item if isinstance(item, list | tuple | None) else [item] for item in items])
    parts = [None] * len(outputs.names) if loss is None else loss.losses
    sets = []
    for name, *given in zip(outputs.names, *lists, parts, strict=True):
        with located(f"the metrics of output {name!r}"):
            sets.append(MetricSet(*given))
    names = [f"{outputs.places[i]}_loss" for i in loss.places] if loss is not None else []
    return MetricSets(outputs.names, sets, names if len(names) > 1 else [])


def alone(outputs: Ends, what: str, given: Any, whole: bool = False) -> Any:
    """What is given for the one output, by itself, in a list or in a dict by its name, which for a
    chain is that of its last layer. A `whole` list stays."""
    if isinstance(given, Mapping) and not is_configuration(given):
        given = outputs.ordered(given, f"{what} of compile()", partly=True)[0]
        return [given] if whole and not isinstance(given, list | tuple | None) else given
    return given if whole else only(given, what, outputs.who)


def is_configuration(given: Any) -> bool:
    return isinstance(given, Mapping) and "class_name" in given


def given_losses(trainer: Any) -> tuple[Any, Any]:
    """Losses and their weights as `compile` takes them."""
    loss = trainer.loss
    if isinstance(loss, WeightedSum):
        by_name = dict(zip(loss.names, loss.losses, strict=True))
        order = trainer.metrics.order
        return {name: by_name[name] for name in order} if order else loss.losses, loss.weights
    return loss, trainer.loss_weight


def given_metrics(metrics: Any, weighted: bool, of: Callable = lambda metric: metric) -> list:
    """The metrics as `compile` takes them; `of` makes one of each."""
    if isinstance(metrics, MetricSets):
        return [given_metrics(part, weighted, of) for part in metrics.sets]
    return [of(metric) for metric, is_weighted in metrics.wanted if is_weighted is weighted]
