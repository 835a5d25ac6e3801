"""Modules of PyTorch here, and models there: outputs, training, and what is refused."""

import re

import models_of_both as both
import numpy as np
import pytest
from layers_in_files import STRINGS
from onnx_networks import alone, predicted
from torch_modules import MODULES
from torch_networks import NETWORKS, forwards

import backprop as bp
from backprop.interop import from_torch, to_torch
from backprop.interop.live.table import ROWS, row, written

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.slow  # torch takes seconds to import, and half a gigabyte


def stirred(make):
    """A module with generic weights and statistics, in inference."""
    torch.manual_seed(0)
    module = make(nn)
    with torch.no_grad():
        for p in (*module.parameters(), *module.buffers()):
            if p.is_floating_point():
                p += 0.1 * torch.rand_like(p)
    return module.eval()


def numbers(shape, kind, n=4):
    """An input of PyTorch, and the same as it is given here."""
    rng = np.random.default_rng(0)
    if kind == "words":
        x = rng.integers(0, 7, (n, *shape))
        return torch.tensor(x), x
    x = rng.normal(size=(n, *shape)).astype(np.float32)
    if kind == "images":
        return torch.tensor(x), np.moveaxis(x, 1, -1)
    return torch.tensor(x.swapaxes(0, 1) if kind == "steps" else x), x


def as_here(y, kind):
    """An output of PyTorch as it is here."""
    y = y[0] if isinstance(y, tuple) else y
    y = y.detach().numpy()
    if kind == "steps":
        return y.swapaxes(0, 1)
    return np.moveaxis(y, 1, -1) if kind == "images" and y.ndim > 2 else y


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [*MODULES, *NETWORKS])
def test_outputs_of_a_module_are_those_of_the_model(name):
    make, shape, kind = (MODULES | NETWORKS)[name]
    module = stirred(make)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    x, ours = numbers(shape, kind)

    model = from_torch(module, shape)

    close(model.predict(ours, verbose=0), as_here(module(x), kind))
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    trained = sum(p.numel() for p in module.parameters())
    assert sum(p.value.size for p in model.arrays() if p.gradient is not None) <= trained


def test_there_are_networks_enough():
    assert len(NETWORKS) >= 20


@pytest.mark.parametrize(
    ("name", "kind"), [("perceptron", "Sequential"), ("vgg", "Sequential"), ("u_net", "Model")]
)
def test_a_chain_is_a_sequential_of_layers_that_a_user_would_write(name, kind):
    make, shape, _ = NETWORKS[name]

    model = from_torch(stirred(make), shape)

    assert type(model).__name__ == kind
    if name == "vgg":
        names = [type(layer).__name__ for layer in model.layers]
        block = ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"]
        assert names == [*block, *block, "Flatten", "Dense", "ReLU", "Dropout", "Dense"]


# ------------------------------------------------------------------------------- what goes on


@pytest.mark.parametrize("name", ["perceptron", "le_net"])
def test_a_step_of_training_gives_the_same_weights_in_both(name):
    make, shape, kind = NETWORKS[name]
    module = stirred(make)
    x, ours = numbers(shape, kind)
    model = from_torch(module, shape)
    for layer in model.layers:
        if isinstance(layer, bp.layers.Dropout):
            layer.rate = 0.0
    y = torch.rand_like(module(x))
    model.compile(bp.optimizers.SGD(0.1, momentum=0.9), "mse")
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(module(x), y)
        loss.backward()
        optimizer.step()

        assert model.train_on_batch(ours, y.numpy()) == pytest.approx(loss.item(), rel=1e-5)

    for found, expected in zip(
        model.get_weights(), from_torch(module, shape).get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_moving_means_move_as_there():
    module = stirred(lambda nn: nn.BatchNorm2d(3, momentum=0.3))
    x, ours = numbers((3, 5, 4), "images")
    model = from_torch(module, (3, 5, 4))
    model.compile("sgd", "mse")

    module.train()(x)
    model.train_on_batch(ours, ours)

    [layer] = model.layers
    close(layer.moving_mean, module.running_mean.numpy())
    assert layer.momentum == pytest.approx(0.7)


def test_what_is_frozen_stays_frozen():
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    module[0].requires_grad_(False)

    model = from_torch(module, (3,))

    assert [layer.trainable for layer in model.layers] == [False, True, True]


def test_modules_in_float64_are_models_in_float64():
    module = stirred(NETWORKS["le_net"][0]).double()
    x = np.random.default_rng(0).normal(size=(3, 1, 14, 14))

    model = from_torch(module, (1, 14, 14))

    assert model.dtype == np.float64 and bp.config.floatx() == "float32"
    found = model.predict(np.moveaxis(x, 1, -1), verbose=0)
    np.testing.assert_allclose(found, module(torch.tensor(x)).detach().numpy(), rtol=1e-12)


def test_sizes_may_be_open():
    module = stirred(NETWORKS["last_step"][0])
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)

    model = from_torch(module, (None, 3))

    assert model.input_shape == (None, None, 3)
    close(model.predict(x, verbose=0), module(torch.tensor(x)).detach().numpy())


def test_several_inputs_and_outputs():
    def forward(self, image, words):
        a, b = self.image(image), self.words(words).mean(1)
        return a + b, a * b

    image = nn.Sequential(nn.Conv2d(2, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    parts = {"image": image, "words": nn.Embedding(7, 3)}
    module = stirred(lambda nn: forwards(nn, parts, forward))
    x, x_here = numbers((2, 5, 4), "images")
    w, w_here = numbers((6,), "words")

    model = from_torch(module, [(2, 5, 4), (6,)])

    for found, expected in zip(
        model.predict([x_here, w_here], verbose=0), module(x, w), strict=True
    ):
        close(found, expected.detach().numpy())


def test_a_mask_of_what_comes_later_is_known():
    def forward(self, x):
        return self.block(x, self.mask, is_causal=True)

    block = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    module = stirred(lambda nn: forwards(nn, {"block": block}, forward))
    module.mask = nn.Transformer.generate_square_subsequent_mask(5)
    x, ours = numbers((5, 8), "")

    model = from_torch(module, (5, 8))

    assert model.layers[-1].use_causal_mask
    close(model.predict(ours, verbose=0), as_here(module(x), ""))


def test_the_row_of_padding_is_taken_with_a_warning():
    module = nn.Embedding(7, 4, padding_idx=0)

    with pytest.warns(UserWarning, match="0: the row 0 of padding_idx"):
        model = from_torch(module, (5,))

    close(model.predict(np.zeros((1, 5), int), verbose=0), np.zeros((1, 5, 4)))


# ------------------------------------------------------------------------------- what is refused


def test_one_error_names_all_that_has_no_layer_and_why():
    class Own(nn.Conv2d):
        pass

    def forward(self, x):
        x = self.shuffle(self.own(x))
        return self.head(self.pool(x).flatten(1).cumsum(1))

    parts = {
        "own": Own(3, 4, 1),
        "shuffle": nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(1, 2, 3, padding_mode="reflect")),
        "pool": nn.MaxPool2d(2, return_indices=False, dilation=2),
        "head": nn.Linear(2 * 25, 2),
    }
    module = forwards(nn, parts, forward)

    with pytest.raises(ValueError) as error:
        from_torch(module, (3, 7, 7))

    head, *lines = str(error.value).splitlines()
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert head == "Own cannot be converted from PyTorch:"
    assert said.keys() == {"conv2d", "shuffle.0", "shuffle.1", "pool", "cumsum"}
    assert said["shuffle.0"] == "there is no layer for PixelShuffle"
    assert "reflect" in said["shuffle.1"] and "gaps" in said["pool"]


@pytest.mark.parametrize(
    ("make", "shape", "why"),
    [
        (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 8), "ceil_mode"),
        (lambda: nn.Upsample(size=7), (2, 5, 5), "whole numbers"),
        (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (2, 5, 5), "bicubic"),
        (lambda: nn.BatchNorm1d(3, track_running_stats=False), (3,), "moving statistics"),
        (lambda: nn.LSTM(3, 4, proj_size=2, batch_first=True), (5, 3), "proj_size"),
        (lambda: nn.Hardtanh(-2, 1), (3,), "clips at -2 and 1"),
        (lambda: nn.Embedding(5, 3, max_norm=1.0), (4,), "max_norm"),
        (lambda: nn.ConvTranspose2d(4, 4, 2, groups=2), (4, 5, 5), "groups"),
        (lambda: nn.Linear(3, 2).half(), (3,), "cannot be run"),
        (lambda: nn.Linear(3, 2), (4,), "cannot be run"),
        (lambda: nn.Linear(3, 2), (3, 0), "expects input_shape"),
        (lambda: nn.Linear(3, 2), "images", "expects input_shape"),
    ],
)
def test_what_has_no_counterpart_is_said(make, shape, why):
    with pytest.raises(ValueError, match=why):
        from_torch(make(), shape)


def test_code_that_cannot_be_traced_is_said():
    def forward(self, x):
        return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"torch\.fx cannot trace its forward"):
        from_torch(forwards(nn, {}, forward), (3,))
    with pytest.raises(TypeError, match=r"expects a torch\.nn\.Module, got int"):
        from_torch(3, (3,))


# ------------------------------------------------------------------------------- from here to there


def rows(y):
    return y if isinstance(y, list | tuple) else [y]


def computed(module, x):
    """What a module of PyTorch makes of inputs as they are here."""
    return [y.detach().numpy() for y in rows(module(*map(torch.tensor, x)))]


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
    "activations": {"re_lu"},
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
