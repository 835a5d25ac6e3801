"""Modules of PyTorch here, and models there: outputs, training, and what is refused."""

import numpy as np
import pytest
from torch_modules import MODULES
from torch_networks import NETWORKS, forwards

import backprop as bp
from backprop.interop import from_torch

torch = pytest.importorskip("torch")
from side_by_torch import as_here, close, numbers, stirred  # noqa: E402 - it imports torch

nn = torch.nn
pytestmark = pytest.mark.slow  # torch takes seconds to import, and half a gigabyte


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
        "shuffle": nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(16, 2, 1, padding_mode="reflect")),
        "pool": nn.MaxPool2d(2, dilation=2),
        "head": nn.Linear(2, 2),
    }
    module = forwards(nn, parts, forward)

    with pytest.raises(ValueError) as error:
        from_torch(module, (3, 8, 8))

    head, *lines = str(error.value).splitlines()
    said = dict(line.strip().split(": ", 1) for line in lines)
    assert head == "Own cannot be converted from PyTorch:"
    assert said.keys() == {"conv2d", "shuffle.0", "shuffle.1", "pool", "cumsum"}
    assert said["shuffle.0"] == "there is no layer for PixelUnshuffle"
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


def test_hooks_are_refused():
    module = nn.Linear(3, 2)
    module.register_forward_hook(lambda m, args, y: 2 * y)

    with pytest.raises(ValueError, match="it has hooks"):
        from_torch(module, (3,))


def test_code_that_cannot_be_traced_is_said():
    def forward(self, x):
        return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"torch\.fx cannot trace its forward"):
        from_torch(forwards(nn, {}, forward), (3,))
    with pytest.raises(TypeError, match=r"expects a torch\.nn\.Module, got int"):
        from_torch(3, (3,))
