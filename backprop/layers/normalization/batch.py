"""Normalization of each channel over all rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Fraction, number
from backprop.context import constant
from backprop.counts import no_products
from backprop.initializers import InitializerLike
from backprop.kernels import normalization as kernels
from backprop.layer import INFERENCE, InputSpec
from backprop.layers.normalization.shared import Scaled, axes_of, stretched
from backprop.linalg import rows, rows_of, sum_rows, zeros
from backprop.parallel import share
from backprop.tuning import NORMALIZATION_BLOCK


def bounds(value: Any, who: str, name: str) -> dict[str, float]:
    """What the correction of a batch renormalization is clipped to."""
    known = ("rmin", "rmax", "dmax")
    if not isinstance(value, Mapping) or not set(value) <= set(known):
        raise ValueError(
            f"{who} expects {name} to be a dict with some of {', '.join(known)}, got {value!r}"
        )
    found = {key: number(v, who, key) for key, v in value.items() if v is not None}
    if found.get("rmin", -np.inf) > found.get("rmax", np.inf) or found.get("dmax", 0) < 0:
        raise ValueError(
            f"{who} expects of {name} that rmin is not above rmax and dmax not below 0, got "
            f"{value!r}"
        )
    return found


class BatchNormalization(Scaled):
    """y = gamma * x̂ + beta, where x̂ = (x - mean) * r and r = 1 / sqrt(var + epsilon), by channel.

        x, x̂, y: (..., n)    mean, var, r, gamma, beta: (n,)

    In training, mean and var are those of the batch: mean = Σ p x and var = Σ p (x - mean)² over
    all m rows, with p = 1/m. Under a mask, p = 1/(number of real rows) at a real row and 0 at a
    masked one. So every row reaches every other row's y, through the mean and through the variance.
    With dy = dL/dy, and all sums over rows:

        dgamma = Σ dy x̂        dbeta = Σ dy        dx = gamma r (dy - p (dbeta + x̂ dgamma))

    In inference, and where the layer is not trainable, mean and var are the moving ones, which are
    constants: p = 0 above. Each batch of training moves them, the variance like the mean:

        moving_mean = momentum * moving_mean + (1 - momentum) * mean

    A channel without any real row in the batch leaves them where they are.

    Small batches have noisy statistics, which inference has not. Batch renormalization (`renorm`)
    takes, in training, slowly moving ones instead, written as a correction of x̂:

        y = gamma * (k x̂ + s) + beta        k = σ / σ_R        s = (mean - mean_R) / σ_R

    with σ = 1 / r, and mean_R and σ_R what mean and σ were on average so far: then k x̂ + s =
    (x - mean_R) / σ_R. k and s are clipped and count as constants, so that x still reaches y
    through the batch's own mean and variance; `gradcheck` holds them too (`constant`). What goes
    through k x̂ + s is that for x̂, times k:

        dgamma = k Σ dy x̂ + s Σ dy        dx = gamma k r (dy - p (Σ dy + x̂ Σ dy x̂))

    Parameters
    ----------
    axis : int, default -1
        The axis of the channels.
    momentum : float, default 0.99
        From 0 to 1.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer
    beta_constraint, gamma_constraint
        As in `LayerNormalization`.
    moving_mean_initializer, moving_variance_initializer : str or Initializer
        Defaults: zeros and ones.
    renorm : bool, default False
        Batch renormalization. The layer then keeps `moving_stddev`, `renorm_mean` and
        `renorm_stddev` too, and the moving variance is the square of `moving_stddev`, less epsilon.
    renorm_clipping : dict, optional
        With `renorm`: k from ``"rmin"`` to ``"rmax"``, s at most ``"dmax"`` to either side of 0.
        Default: not clipped.
    renorm_momentum : float, default 0.99
        As `momentum`, of mean_R and σ_R.
    synchronized : bool, default False
        Statistics over several devices; True is an error, as there is one.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Ioffe, Szegedy: Batch normalization: accelerating deep network training by reducing internal
    covariate shift, 2015. Ioffe: Batch renormalization: towards reducing minibatch dependence in
    batch-normalized models, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import BatchNormalization
    >>> norm = BatchNormalization(epsilon=0.0, momentum=0.5)
    >>> norm(np.array([[1.0], [3.0]]), training=True)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> norm.moving_mean
    array([1.], dtype=float32)
    """

    axis: int = -1
    momentum: Fraction = 0.99
    moving_mean_initializer: InitializerLike = argument(default="zeros", after="gamma_initializer")
    moving_variance_initializer: InitializerLike = argument(
        default="ones", after="moving_mean_initializer"
    )
    renorm: bool = argument(default=False, after="gamma_constraint")
    renorm_clipping: Annotated[Any, Convert(bounds)] = argument(default=None, after="renorm")
    renorm_momentum: Fraction = argument(default=0.99, after="renorm_clipping")
    synchronized: bool = argument(default=False, after="renorm_momentum")

    changeable = ("momentum", "renorm_momentum")

    def __post_init__(self):
        if self.synchronized:
            raise ValueError(
                "BatchNormalization has no synchronized statistics, as there is one device; leave "
                "synchronized out"
            )

    def build(self, input_shape):
        n = input_shape[axes_of(self, self.axis, input_shape)[0]]
        self.scale_and_shift((n,))
        self.moving_mean = self.buffer("moving_mean", (n,), self.moving_mean_initializer)
        self.moving_variance = self.buffer(
            "moving_variance", (n,), self.moving_variance_initializer
        )
        if self.renorm:
            stddev = np.sqrt(self.moving_variance)
            self.moving_stddev = self.buffer("moving_stddev", (n,), stddev)
            self.renorm_mean = self.buffer("renorm_mean", (n,), self.moving_mean)
            self.renorm_stddev = self.buffer("renorm_stddev", (n,), stddev)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: n})

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        real = None if ctx.mask is None else stretched(ctx.mask, x.shape).swapaxes(self.axis, -1)
        x = np.ascontiguousarray(x.swapaxes(self.axis, -1))
        corrected = None
        ranks = ctx.ranks if ctx.training and self.trainable else None
        if ctx.training and self.trainable:
            seen = None
            if ranks is None:
                mean, var, p = self._moments(x, real)
            else:
                mean, var, p, seen = self._moments_of_all(x, real, ranks)
            if self.renorm:
                corrected = constant("k and s", lambda: self._correction(mean, var))
            if ranks is None:
                self._move(mean, var, x, real)
            else:
                self._move_where(seen, mean, var)
        else:
            mean, var, p = self.moving_mean.copy(), self.moving_variance, None
        r = 1 / np.sqrt(var + self.epsilon)
        y = affine(x, mean, self._slope(r, corrected), self._offset(r, corrected))
        if real is not None:  # backward multiplies a masked row by 0
            x = np.where(real | np.isfinite(x), x, mean)
        cache: Any = x, mean, r, p, corrected
        return y.swapaxes(self.axis, -1), cache if ranks is None else (*cache, ranks)

    def backward(self, dy, cache):
        x, mean, r, p, corrected, *ranks = cache
        dy = np.ascontiguousarray(dy.swapaxes(self.axis, -1))
        dgamma, dbeta = self._sums(dy, x, mean, r, corrected)
        if ranks:
            dgamma, dbeta = ranks[0].sum(np.stack([dgamma, dbeta]))
        a = self._slope(r, corrected)
        if p is None:
            dx = dy * a
        elif np.ndim(p) == 0:
            dx = affine_of_both(dy, x, mean, p * r * dgamma, p * dbeta, a)
        else:
            dx = a * (dy - p * (dbeta + (x - mean) * (r * dgamma)))
        return dx.swapaxes(self.axis, -1)

    def backward_params(self, dy, cache):
        x, mean, r, _, corrected, *_ = cache
        self._sums(np.ascontiguousarray(dy.swapaxes(self.axis, -1)), x, mean, r, corrected)

    def _sums(self, dy, x, mean, r, corrected):
        """Σ dy x̂ and Σ dy: what dx needs of all rows, and the gradients where they are trained."""
        products, dbeta = sums(dy, x, mean)
        dgamma = products * r
        if self.scale:
            self.dgamma = dgamma
            if corrected is not None:
                k, s = corrected
                self.dgamma = k * dgamma + s * dbeta
        if self.center:
            self.dbeta = dbeta
        return dgamma, dbeta

    def _slope(self, r, corrected):
        """gamma k r: what x - mean is multiplied by."""
        r = r if corrected is None else corrected[0] * r
        return self.gamma * r if self.scale else r

    def _offset(self, r, corrected):
        """gamma s + beta."""
        beta = self.beta if self.center else zeros(r.shape, r.dtype)
        if corrected is None:
            return beta
        return (self.gamma * corrected[1] if self.scale else corrected[1]) + beta

    def _correction(self, mean, var):
        """k and s."""
        clip = self.renorm_clipping or {}
        # never narrower than σ of a constant, which comes early where σ_R begins at 0
        stddev = self.renorm_stddev.clip(self.epsilon**0.5)
        k = np.sqrt(var + self.epsilon) / stddev
        s = (mean - self.renorm_mean) / stddev
        most = clip.get("dmax", np.inf)
        return k.clip(clip.get("rmin", 0), clip.get("rmax", np.inf)), s.clip(-most, most)

    def _moments(self, x, real):
        """Mean, variance and p of a batch."""
        if real is None:
            mean, var = moments(x)
            p = 1 / max(x.size // x.shape[-1], 1)
        else:  # whatever stands in a masked row does not count, be it infinite
            m = np.maximum(sum_rows(real.astype(x.dtype)), 1)
            mean = sum_rows(np.where(real, x, 0)) / m
            var = sum_rows(np.where(real, x - mean, 0) ** 2) / m
            p = real / m
        return mean, var, p

    def _moments_of_all(self, x, real, ranks):
        """Mean and variance of the rows of all ranks, p of those here, and where there are any.

        m = Σ_r m_r    mean = Σ_r m_r mean_r / m    var = Σ_r m_r (var_r + (mean_r - mean)²) / m
        """
        n = x.shape[-1]
        m, own_mean, own_var = np.zeros((3, n), x.dtype)
        if not ranks.idle:
            own_mean, own_var, _ = self._moments(x, real)
            m += x.size // n if real is None else sum_rows(real.astype(x.dtype))
        total, sums = ranks.sum(np.stack([m, m * own_mean]))
        least = np.maximum(total, 1)
        mean = sums / least
        var = ranks.sum(m * (own_var + (own_mean - mean) ** 2)) / least
        if ranks.idle:
            return mean, var, None, total > 0  # what is here is a row of no batch
        p = 1 / least[0] if real is None else real / least
        return mean, var, p, total > 0

    def _move(self, mean, var, x, real):
        """Move the moving statistics towards those of a batch."""
        if x.size:
            self._move_where(
                True if real is None else sum_rows(real.astype(x.dtype)) > 0, mean, var
            )

    def _move_where(self, seen, mean, var):
        """Move those of the channels of which something was seen."""
        self.moving_mean = moved(self.moving_mean, mean, self.momentum, seen)
        if not self.renorm:
            self.moving_variance = moved(self.moving_variance, var, self.momentum, seen)
            return
        stddev = np.sqrt(var + self.epsilon)
        self.moving_stddev = moved(self.moving_stddev, stddev, self.momentum, seen)
        found = (self.moving_stddev**2 - self.epsilon).clip(0)
        self.moving_variance = np.where(seen, found, self.moving_variance)
        self.renorm_mean = moved(self.renorm_mean, mean, self.renorm_momentum, seen)
        self.renorm_stddev = moved(self.renorm_stddev, stddev, self.renorm_momentum, seen)


def moved(average, new, keep, seen):
    """A moving average after a batch, at the channels of which something was seen."""
    found = keep * average + (1 - keep) * new
    return found if seen is True else np.where(seen, found, average)


def by_channel(work, x):
    """[work(slice of rows) for each thread's part]: images have so many that it pays."""
    return share(work, len(x), rows_of(x, NORMALIZATION_BLOCK), follow=True)


def moments(x):
    """Mean and variance of each channel over all m rows, from those of each part's rows:

    Σ (x - mean)² = Σ_b (Σ (x - mean_b)² + m_b (mean_b - mean)²)
    """
    x = rows(x)

    def work(part):
        mean, squares = np.empty((2, x.shape[1]), x.dtype)
        kernels.moments(x[part], mean, squares)
        return part.stop - part.start, mean, squares

    found, m = by_channel(work, x), max(len(x), 1)
    if len(found) == 1:
        return found[0][1], found[0][2] / m
    mean = sum(count / m * mean for count, mean, _ in found)
    squares = sum(squares + count * (here - mean) ** 2 for count, here, squares in found)
    return mean, squares / m


def sums(dy, x, mean):
    """Σ dy (x - mean) and Σ dy over all rows."""
    dy, x = rows(dy), rows(x)

    def work(part):
        along, total = np.empty((2, x.shape[1]), x.dtype)
        kernels.products(dy[part], x[part], mean, along, total)
        return along, total

    (along, total), *others = by_channel(work, x)
    for one, other in others:
        along += one
        total += other
    return along, total


def affine(x, mean, a, c):
    """(x - mean) a + c."""
    y, flat = np.empty_like(x), rows(x)
    out = rows(y)
    by_channel(lambda part: kernels.affine(flat[part], mean, a, c, out[part]), flat)
    return y


def affine_of_both(dy, x, mean, a, c, b):
    """(dy - c - (x - mean) a) b."""
    dx, dy, x = np.empty_like(x), rows(dy), rows(x)
    out = rows(dx)
    by_channel(lambda part: kernels.affine_of_both(dy[part], x[part], mean, a, c, b, out[part]), x)
    return dx
