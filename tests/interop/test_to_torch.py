"""Models as modules of PyTorch: each layer, networks there and back, and what is refused."""

import re

import models_of_both as both
import numpy as np
import pytest
from layers_in_files import STRINGS
from onnx_networks import alone, predicted
from torch_networks import NETWORKS

import backprop as bp
from backprop.interop import from_torch, to_torch
from backprop.interop.live.table import ROWS, row, written

torch = pytest.importorskip("torch")
from side_by_torch import as_here, close, computed, numbers, rows, stirred  # noqa: E402

nn = torch.nn
pytestmark = pytest.mark.slow  # torch takes seconds to import, and half a gigabyte


@pytest.mark.parametrize("name", sorted(written()))
def test_each_layer_that_the_table_names_is_a_module_and_comes_back(name):
    model, x = alone(name)
    before = model.get_weights()

    module = to_torch(model)
    shapes = [a.shape[1:] for a in x]
    expected = predicted(model, x)

    for found, wanted in zip(computed(module, x), expected, strict=True):
        close(found, wanted)
    assert all(map(np.array_equal, model.get_weights(), before))
    said = row(name)[5]
    if said == "no":
        with pytest.raises(ValueError, match="cannot be converted from PyTorch"):
            from_torch(module, shapes if len(shapes) > 1 else shapes[0])
        return
    back = from_torch(module, shapes if len(shapes) > 1 else shapes[0])
    for found, wanted in zip(predicted(back, x), expected, strict=True):
        close(found, wanted)
    assert (len(back.arrays()) < len(model.arrays())) is (said == "as constants")


@pytest.mark.parametrize("name", sorted(set(ROWS) - set(written())))
def test_what_the_table_leaves_out_is_refused_with_its_reason(name):
    if name.endswith("Cell") or name in {*STRINGS, "StackedRNNCells", "Pipeline"}:
        pytest.skip("it stands in no model alone, or takes no numbers")
    model, _ = alone(name)
    with pytest.raises(ValueError, match=row(name)[4].removeprefix("no: ")):
        to_torch(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_torch_go_there_and_back(name):
    make, shape, kind = NETWORKS[name]
    module = stirred(make)
    x, ours = numbers(shape, kind)

    model = from_torch(module, shape)
    again = to_torch(model)
    back = from_torch(again, model.input_shape[1:])

    expected = as_here(module(x), kind)
    close(computed(again, [ours])[0], expected)
    close(back.predict(ours, verbose=0), expected)


# what PyTorch has not, by place
NOT_THERE = {
    "named_activations": {"dense_k/sparse_plus", "dense_k/squareplus"},
    "recurrent": {"gru", "gru_k"},
    "directions": {"bidirectional", "bidirectional_k"},
    "cells": {"rnn", "rnn_k"},
    "films": {"conv_lstm2d", "conv_lstm2d_k"},
    "words": {"embedding"},
    "masked": {"masking"},
    "cross_attention": {"additive_attention", "attention"},
    "masked_attention": {"embedding"},
}


@pytest.mark.parametrize("name", both.MODELS)
def test_networks_of_ours_are_modules_or_one_error_says_why_not(name):
    model = both.stirred(np, both.MODELS[name](bp))
    if name in NOT_THERE:
        with pytest.raises(ValueError, match="cannot be converted to PyTorch") as error:
            to_torch(model)
        places = [line.split(": ")[0].strip() for line in str(error.value).splitlines()[1:]]
        assert {re.sub(r"_\d+\b", "_k", place) for place in places} == NOT_THERE[name]
        return
    given = both.inputs(np, name, model)
    given = [given[door.name] for door in model.inputs] if isinstance(given, dict) else rows(given)
    dtype = np.float64 if name == "double" else np.float32
    x = [a.astype(dtype) if a.dtype.kind == "f" else a for a in given]

    found = np.concatenate([np.ravel(y) for y in computed(to_torch(model), x)])

    close(found, both.predicted(np, name, model))


def test_there_are_networks_of_ours_enough():
    assert len(both.MODELS) - len(NOT_THERE) >= 20


def test_a_chain_is_a_sequential_and_anything_else_a_graph_that_may_be_pickled(tmp_path):
    chain, fork = (to_torch(both.MODELS[name](bp)) for name in ("dense", "small_u"))

    assert type(chain) is nn.Sequential and isinstance(fork, torch.fx.GraphModule)
    assert not chain.training and not fork.training
    for module, shape in ((chain, (2, 5)), (fork, (2, 8, 8, 2))):
        torch.save(module, tmp_path / "m.pt")
        again = torch.load(tmp_path / "m.pt", weights_only=False)
        assert torch.equal(again(torch.ones(shape)), module(torch.ones(shape)))


def test_a_step_of_training_there_is_one_here():
    model = both.stirred(np, both.MODELS["small_u"](bp))
    module = to_torch(model)
    x = np.random.default_rng(1).normal(size=(3, 8, 8, 2)).astype(np.float32)
    y = np.random.default_rng(2).normal(size=(3, 8, 8, 1)).astype(np.float32)
    model.compile(bp.optimizers.SGD(0.1), "mse")

    model.train_on_batch(x, y)
    optimizer = torch.optim.SGD(module.train().parameters(), 0.1)
    nn.functional.mse_loss(module(torch.tensor(x)), torch.tensor(y)).backward()
    optimizer.step()

    close(computed(module.eval(), [x])[0], model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [(bp.layers.GaussianNoise(0.5), 0.5), (bp.layers.GaussianDropout(0.2), 2 * 0.25**0.5)],
)
def test_noise_is_there_in_training(layer, deviation):
    torch.manual_seed(0)
    module = to_torch(bp.Sequential([bp.Input((5,)), layer])).train()

    y = module(torch.full((4000, 5), 2.0))

    assert y.std().item() == pytest.approx(deviation, rel=0.03)
    assert y.mean().item() == pytest.approx(2, rel=0.03)


def test_what_matters_in_training_alone_goes_along_both_ways():
    layers = [
        *(bp.layers.BatchNormalization(momentum=0.7), bp.layers.Dropout(0.25)),
        *(bp.layers.AlphaDropout(0.125), bp.layers.BatchNormalization(scale=False)),
    ]
    module = to_torch(bp.Sequential([bp.Input((5,)), *layers]))
    norm, drop, alpha, centred = module

    assert norm.momentum == pytest.approx(0.3) and (drop.p, alpha.p) == (0.25, 0.125)
    assert not centred.weight.requires_grad and centred.bias.requires_grad
    back = from_torch(module, (5,)).layers
    assert back[0].momentum == pytest.approx(0.7)
    assert (back[1].rate, back[2].rate) == (0.25, 0.125)


def test_what_is_frozen_here_is_frozen_there():
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(4, name="a"), bp.layers.Dense(2)])
    model.layers[0].trainable = False

    module = to_torch(model)

    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]
    assert next(name for name, _ in module.named_children()) == "a"


def test_what_is_no_model_or_not_built_is_said():
    with pytest.raises(TypeError, match="expects a model of this library, got Linear"):
        to_torch(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="not built"):
        to_torch(bp.Sequential([bp.layers.Dense(2)]))
