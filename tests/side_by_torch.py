"""The same numbers for a module of PyTorch and for a model."""

import numpy as np
import torch


def stirred(make):
    """A module with generic weights and statistics, in inference."""
    torch.manual_seed(0)
    module = make(torch.nn)
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


def rows(y):
    return y if isinstance(y, list | tuple) else [y]


def computed(module, x):
    """What a module of PyTorch makes of inputs as they are here."""
    return [y.detach().numpy() for y in rows(module(*map(torch.tensor, x)))]
