"""PyTorch: eager with each form of its optimizer, and compiled."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch.nn import functional

from shared.peers import Peer, Variants
from shared.peers.loop import Loop
from shared.rows import SGD, Array, Row, batches, weights

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def variants(row: Row, peer: Peer) -> Variants:
    if peer.name == "torch":
        return {
            "default": lambda: eager(row),
            "foreach": lambda: eager(row, foreach=True),
            "fused": lambda: eager(row, fused=True),
        }
    return {
        "fused optimizer": lambda: compiled(row, False, fused=True),
        "compiled optimizer": lambda: compiled(row, True),
    }


def network(row: Row) -> torch.nn.Sequential:
    """The layers, with the row's initial weights; `Linear` keeps its kernel turned."""
    parts: list[torch.nn.Module] = []
    n, given = row.input_shape[-1], iter(weights(row))
    for layer in row.layers:
        linear = torch.nn.Linear(n, layer.units)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(next(given).T))
            linear.bias.copy_(torch.from_numpy(next(given)))
        parts.append(linear)
        if layer.activation == "relu":
            parts.append(torch.nn.ReLU())
        n = layer.units
    return torch.nn.Sequential(*parts)


def optimizer(row: Row, model: torch.nn.Module, **form: bool) -> torch.optim.Optimizer:
    how = row.optimizer
    if isinstance(how, SGD):
        return torch.optim.SGD(model.parameters(), how.lr, how.momentum, **form)
    betas = how.beta_1, how.beta_2
    return torch.optim.Adam(model.parameters(), how.lr, betas, how.epsilon, **form)


def tensors(row: Row) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches(row)]


def gradients(model: torch.nn.Module) -> list[Array]:
    found = [p.grad for p in model.parameters()]
    return [g.numpy().T for g in found if g is not None]


def eager(row: Row, **form: bool) -> Loop:
    model = network(row)
    update = optimizer(row, model, **form)
    loss_of = functional.cross_entropy if row.loss == "crossentropy" else functional.mse_loss

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        update.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        update.step()
        return loss.detach()

    return Loop(
        step,
        tensors(row),
        lambda: gradients(model),
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


def compiled(row: Row, whole: bool, **form: bool) -> Loop:
    """Forward pass and loss as one compiled function, whose backward pass is compiled too; the
    update as it is, or compiled as well."""
    model = network(row)
    update = optimizer(row, model, **form)
    loss_of = functional.cross_entropy if row.loss == "crossentropy" else functional.mse_loss
    forward: Any = torch.compile(lambda x, y: loss_of(model(x), y))
    advance: Any = torch.compile(update.step) if whole else update.step

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        update.zero_grad()
        loss = forward(x, y)
        loss.backward()
        advance()
        return loss.detach()

    return Loop(step, tensors(row), lambda: gradients(model))
