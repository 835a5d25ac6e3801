"""PyTorch: eager with each form of its optimizer, and compiled, in each layout of its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from shared.peers import Peer, Variants
from shared.peers.loop import Calls, Loop
from shared.peers.torch_layers import Network, last_axes
from shared.rows import SGD, Array, Row, batches, has_softmax, questions

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@dataclass(frozen=True)
class Way:
    """How a user may write a row, where there is more than one way that could be the fastest.

    Attributes
    ----------
    channels_last : bool
        Images and kernels with the channels last in memory.
    time_first : bool
        Sequences as (time, batch, features).
    bag : bool
        An embedding and the mean of a sequence as one `EmbeddingBag`.
    """

    channels_last: bool = False
    time_first: bool = False
    bag: bool = False


def ways(row: Row) -> dict[str, Way]:
    """Each with what it adds to a variant's name."""
    found = {"": Way()}
    if len(row.input_shape) == 3:
        found[", channels_last"] = Way(channels_last=True)
    if row.kinds() & {"LSTM", "GRU"}:
        found[", time first"] = Way(time_first=True)
    if {"Embedding", "GlobalAveragePooling1D"} <= row.kinds():
        found[", EmbeddingBag"] = Way(bag=True)
    return found


FORMS: dict[str, dict[str, bool]] = {
    "default": {},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def variants(row: Row, peer: Peer) -> Variants:
    torch._dynamo.reset()  # it compiles a function anew eight times, and then no more
    found: Variants = {}
    for name, way in ways(row).items():
        if peer.name == "torch":
            for form, options in FORMS.items():
                found[form + name] = bound(eager, row, way, **options)
        else:
            found["fused optimizer" + name] = bound(compiled, row, way, whole=False, fused=True)
            found["compiled optimizer" + name] = bound(compiled, row, way, whole=True)
    return found


def predictions(row: Row, peer: Peer) -> Variants:
    torch._dynamo.reset()
    compiles = peer.name == "torch.compile"
    name = "compiled" if compiles else "inference_mode"
    return {name + add: bound(answers, row, way, compiles) for add, way in ways(row).items()}


def answering(row: Row, way: Way) -> torch.nn.Module:
    """The network in inference."""
    model: torch.nn.Module = network(row, way)
    return (torch.nn.Sequential(model, torch.nn.Softmax(-1)) if has_softmax(row) else model).eval()


def answers(row: Row, way: Way, compiles: bool) -> Calls:
    model: Any = answering(row, way)
    if compiles:
        model = torch.compile(model)

    @torch.inference_mode()
    def predict(x: torch.Tensor) -> torch.Tensor:
        return model(x)

    return Calls(predict, [laid_out(x, way) for x in questions(row)], read=last_axes)


def bound(make: Callable[..., Any], *arguments: Any, **options: bool) -> Callable[[], Any]:
    return lambda: make(*arguments, **options)


def optimizer(row: Row, model: Network, **form: bool) -> torch.optim.Optimizer:
    how = row.optimizer
    if isinstance(how, SGD):
        return torch.optim.SGD(model.trained(), how.lr, how.momentum, **form)
    betas = how.beta_1, how.beta_2
    return torch.optim.Adam(model.trained(), how.lr, betas, how.epsilon, **form)


def network(row: Row, way: Way) -> Network:
    model = Network(row, bag=way.bag, time_first=way.time_first)
    return model.to(memory_format=torch.channels_last) if way.channels_last else model


def laid_out(x: Array, way: Way) -> torch.Tensor:
    """An input in the layout that the network takes."""
    if x.ndim == 4:
        order = torch.channels_last if way.channels_last else torch.contiguous_format
        return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=order)
    if x.ndim == 3 and way.time_first:
        return torch.from_numpy(x).transpose(0, 1).contiguous()
    return torch.from_numpy(x)


def tensors(row: Row, way: Way) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The batches as the network takes them, made once."""
    found = batches(row)
    if row.loss == "mse":  # the target is the input
        return [(laid_out(x, way), laid_out(x, way)) for x, _ in found]
    return [(laid_out(x, way), torch.from_numpy(y)) for x, y in found]


def loss_of(row: Row) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    if row.loss == "mse":
        return functional.mse_loss
    if row.loss == "binary":
        return functional.binary_cross_entropy_with_logits
    if len(row.output_shape()) > 1:
        return lambda z, y: functional.cross_entropy(z.flatten(0, -2), y.flatten())
    return functional.cross_entropy


def eager(row: Row, way: Way, **form: bool) -> Loop:
    model, loss_is = network(row, way), loss_of(row)
    update = optimizer(row, model, **form)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        update.zero_grad()
        loss = loss_is(model(x), y)
        loss.backward()
        update.step()
        return loss.detach()

    return Loop(
        step,
        tensors(row, way),
        model.gradients,
        before=lambda t: move_epsilon(row, update, t),
    )


def move_epsilon(row: Row, update: torch.optim.Optimizer, t: int) -> None:
    """Its Adam adds epsilon after v is corrected by 1 - beta_2^t, Keras' before: for the first
    steps, which are compared, give it the epsilon that means the same; then (t = 0) the row's
    own."""
    how = row.optimizer
    if not isinstance(how, SGD):
        for group in update.param_groups:
            group["eps"] = how.epsilon / (1 - how.beta_2**t) ** 0.5 if t else how.epsilon


def compiled(row: Row, way: Way, whole: bool, **form: bool) -> Loop:
    """Forward pass and loss as one compiled function, whose backward pass is compiled too; the
    update as it is, or compiled as well."""
    model, loss_is = network(row, way), loss_of(row)
    update = optimizer(row, model, **form)
    forward: Any = torch.compile(lambda x, y: loss_is(model(x), y))
    advance: Any = torch.compile(update.step) if whole else update.step

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        update.zero_grad()
        loss = forward(x, y)
        loss.backward()
        advance()
        return loss.detach()

    return Loop(step, tensors(row, way), model.gradients)
