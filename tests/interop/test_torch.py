"""Modules of PyTorch here, and models there: outputs, training, and what is refused."""

import numpy as np
import pytest
from torch_networks import MODULES, NETWORKS

from backprop.interop import from_torch

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
