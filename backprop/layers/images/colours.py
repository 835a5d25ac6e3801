"""Images whose colours change: their hue and saturation, and how near they are to grey."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Fraction
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import FromZero, ValueRange, bounds, is_number, uniform
from backprop.layers.images.ranges import clipped, of_images
from backprop.layers.windows import DataFormat

GREY = (0.2989, 0.5870, 0.1140)  # how bright red, green and blue look, as in Keras
EPSILON = 1e-7  # as in Keras: a saturation of 1 is not divided by 0


def share(factor, who: str, name: str) -> tuple[float, float]:
    """Bounds of a share from 0 to 1; f is (0, f). A pair may begin below 0, as in Keras' files."""
    return bounds(factor, who, name, least=0.0 if is_number(factor) else -1.0)


Share = Annotated[Any, Convert(share)]


class OfColours(ImageLayer):
    """What mixes the channels of a pixel: red, green and blue."""

    counts = (3,)  # how many channels it takes

    def check_input(self, shape):
        super().check_input(shape)
        found = shape[self.channel_axis]
        if found not in self.counts:
            raise ValueError(
                f"{self!r} expects images of {' or '.join(map(str, self.counts))} channels along "
                f"axis {self.channel_axis}, got {found} of them in {tuple(shape)}; data_format "
                "says where the channels are"
            )

    def planes(self, x):
        """Red, green and blue, each in one piece: (3, N, H, W)."""
        return np.ascontiguousarray(np.moveaxis(x, self.channel_axis, 0))

    def joined(self, planes):
        n, height, width = planes[0].shape
        shape = (n, 3, height, width) if self.channels_first else (n, height, width, 3)
        y = np.empty(shape, planes[0].dtype)
        # one at a time: NumPy would take a pixel at a time, which is three numbers long
        for place, plane in zip(np.moveaxis(y, self.channel_axis, 0), planes, strict=True):
            place[...] = plane
        return y


class RandomHue(OfColours):
    """y = x with its hues turned around their circle by an angle that is drawn for each image.

        x, y: (N, H, W, 3)    t: (N,), ± 1/2 of a number from factor, the sign by chance

    Let a be the largest and b the smallest of a pixel's channels, c the first that is the largest,
    and p and q the two behind it, around the circle of red, green and blue. The hue is
    h = (2c + e) / 6 with e = (p - q) / (a - b), and from it the channels come back as

        y[j] = a - (a - b) w(k),    k = 6 (h + t) + n[j] mod 6,    n = 5, 3, 1

    with w(k) = min(k, 4 - k, 1), and 0 where that is negative: how far a channel is from the
    brightest. So y is linear in x where the order of the channels is that of x and no hue passes a
    corner of w. With d = dy, and 0 where y was clipped to the value range, sums over j, and w' the
    slope of w:

        da = Σ d        d(a - b) = Σ d (e w' - w)        dp = -dq = -Σ d w'

    each of which goes to the channel that it is: of several that are the smallest, b is the last.
    (Δe = (Δp - Δq - e Δ(a - b)) / (a - b).) A grey pixel is where all orders meet: there red is
    taken for a, blue for b and 0 for e, and so the slope is that of a pixel nearby.

    Parameters
    ----------
    factor : float or pair of float
        How far, from 0 (not at all) to 1 (to the opposite hue). f stands for (0, f).
    value_range : pair of float, default (0, 255)
        Of the pixels.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For a factor beyond its bounds, a range that is no pair, and images without three channels.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomHue
    >>> red = np.array([255.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    >>> RandomHue((1.0, 1.0))(red, training=True).ravel().round(2)  # the opposite of red is cyan
    array([  0., 255., 255.], dtype=float32)
    """

    factor: FromZero
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "value_range")

    def draw(self, x):
        sign = np.where(self.rng.random(len(x)) > 0.5, -1.0, 1.0)
        return 0.5 * sign * uniform(self.rng, self.factor, len(x))

    def change(self, x, drawn):
        a, span, k, _ = self.turned(x, drawn)
        y = self.joined([a - span * far(k_j) for k_j in k])
        # hues are found again and not kept: a layer at the front of a model is never reversed
        y, passed = clipped(y, self.value_range)
        return y, (x, drawn, passed)

    def reverse(self, dy, kept):
        x, drawn, passed = kept
        _, _, k, e = self.turned(x, drawn)
        da, dspan, dp = np.zeros_like(e), np.zeros_like(e), np.zeros_like(e)
        for d, k_j in zip(self.planes(dy * passed), k, strict=True):
            da += d
            dspan += d * (e * slope(k_j) - far(k_j))
            dp -= d * slope(k_j)
        x = self.planes(x)
        tops, bottoms = firsts(x, np.maximum), firsts(x[::-1], np.minimum)[::-1]
        return self.joined(
            [
                (da + dspan) * tops[j] - dspan * bottoms[j] + dp * tops[j - 1] - dp * tops[j - 2]
                for j in range(3)
            ]
        )

    def turned(self, x, drawn):
        """a, a - b, k - 2 of each channel, from -3 to 3, and e."""
        x = self.planes(x)
        a = x.max(0)
        span = a - x.min(0)
        tops = firsts(x, np.maximum)
        e = sum((x[j - 2] - x[j - 1]) * tops[j] for j in range(3))
        e /= span + (span == 0)
        hue = e + 6 * of_images(drawn, e)[..., 0]
        hue += tops[1] * e.dtype.type(2)
        hue += tops[2] * e.dtype.type(4)
        return a, span, [around(hue + n) for n in (3, 1, -1)], e


def around(k):
    """k within its circle, from -3 to 3."""
    turns = k * k.dtype.type(1 / 6)
    np.rint(turns, out=turns)
    turns *= 6
    k -= turns
    return k


def far(k):
    """w of k - 2."""
    w = np.abs(k)
    np.subtract(2, w, out=w)
    return w.clip(0, 1, out=w)


def slope(k):
    """w' of k - 2."""
    return ((k > -2) & (k < -1)).astype(k.dtype) - ((k > 1) & (k < 2))


def firsts(x, most):
    """Where each of three planes is the first that is the largest, or the least."""
    end = most(most(x[0], x[1]), x[2])
    first = x[0] == end
    second = (x[1] == end) & ~first
    return first, second, ~(first | second)


class RandomSaturation(OfColours):
    """y = x with its saturation multiplied by a number that is drawn for each image.

        x, y: (N, H, W, 3)    f: (N,), f = q / (1 - q + 1e-7) with q from factor, uniformly

    Hue and the largest channel a stay, and so the distances of the others from it are multiplied.
    Its saturation, (a - b) / (a - low) with the smallest channel b and the range's lower end, is
    full at 1: b = low.

        y[j] = a - r (a - x[j]),    r = min(f, (a - low) / (a - b)), at least 0

    With sums over j, the last line where f was too large and r is not held at 0:

        dx[j] = r dy[j]        da = (1 - r) Σ dy        dr = Σ dy (x - a)

        da += (1 - r) dr / (a - b)        db = r dr / (a - b)

    Parameters
    ----------
    factor : float or pair of float
        q, from 0 (grey) by 0.5 (as it is) to 1 (as colourful as can be). f stands for (0, f). A
        pair may begin at -1; below 0 all is grey.
    value_range, data_format, seed, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomSaturation
    >>> pink = np.array([200.0, 100.0, 100.0]).reshape(1, 1, 1, 3)
    >>> RandomSaturation((1.0, 1.0))(pink, training=True).ravel()
    array([200.,   0.,   0.], dtype=float32)
    """

    factor: Share
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "value_range")
    said_in_pairs = ("factor",)

    def draw(self, x):
        q = uniform(self.rng, self.factor, len(x))
        return q / (1 - q + EPSILON)

    def change(self, x, drawn):
        planes = self.planes(x)
        a = planes.max(0)
        r, full = self.times(planes, a, drawn)
        return self.joined(a - r * (a - planes)), (x, r, full)

    def reverse(self, dy, kept):
        x, r, full = kept
        x, d = self.planes(x), self.planes(dy)
        top, bottom = x.argmax(0), x.argmin(0)
        a, b = x.max(0), x.min(0)
        dr = np.divide((d * (x - a)).sum(0), a - b, out=np.zeros_like(a), where=full & (r > 0))
        da, db = (1 - r) * (d.sum(0) + dr), r * dr
        return self.joined([r * d[j] + da * (top == j) + db * (bottom == j) for j in range(3)])

    def times(self, x, a, drawn):
        """r, and where it is not f."""
        span, room = a - x.min(0), (a - self.value_range[0]).clip(0)
        f = np.broadcast_to(of_images(drawn, x)[..., 0].clip(0), a.shape)
        full = f * span > room
        return np.divide(room, span, out=f.copy(), where=full), full


# ------------------------------------------------------------------- grey


class Greyed(OfColours):
    """(1 - f) x + f g, where g = Σ_c w[c] x[c] is in all channels, and f is for each image.

    w are the weights with which red, green and blue look bright; one channel is grey already.
    Transposed, a channel gets its own dy and, through g, those of all three:

        dx[c] = (1 - f) dy[c] + w[c] Σ_k f dy[k]
    """

    counts = (1, 3)

    def greyed(self, x, f):
        return x + f * (self.weighed(x) - x)

    def greyed_back(self, dy, f):
        dgrey = f * dy
        dx = dy - dgrey
        dx += self.lightness(dy) * dgrey.sum(self.channel_axis, keepdims=True)
        return dx

    def weighed(self, x):
        planes = self.planes(x)
        grey = sum(w * plane for w, plane in zip(self.lightness(x).ravel(), planes, strict=True))
        return np.expand_dims(grey, self.channel_axis)

    def lightness(self, x):
        w = np.array(GREY if x.shape[self.channel_axis] == 3 else [1.0], x.dtype)
        return w[:, None, None] if self.channels_first else w


class RandomColorDegeneration(Greyed):
    """y = clip((1 - f) x + f g), with g the grey of each pixel, f drawn for each image.

        x, y: (N, H, W, 3)    g = 0.2989 r + 0.5870 g + 0.1140 b    f: (N,), from factor, uniformly

    With d = dy, and 0 where y was clipped to the value range:

        dx[c] = (1 - f) d[c] + w[c] Σ_k f d[k]

    Parameters
    ----------
    factor : float or pair of float
        f, from 0 (as it is) to 1 (grey). f stands for (0, f). A pair may begin at -1; below 0
        colours become stronger.
    value_range, data_format, seed, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomColorDegeneration
    >>> red = np.array([100.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    >>> RandomColorDegeneration((0.5, 0.5))(red, training=True).ravel().round(2)
    array([64.94, 14.95, 14.95], dtype=float32)
    """

    factor: Share
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "value_range")
    said_in_pairs = ("factor",)

    def draw(self, x):
        return uniform(self.rng, self.factor, len(x))

    def change(self, x, drawn):
        f = of_images(drawn, x)
        y, passed = clipped(self.greyed(x, f), self.value_range)
        return y, (f, passed)

    def reverse(self, dy, kept):
        f, passed = kept
        return self.greyed_back(dy * passed, f)


class RandomGrayscale(Greyed):
    """y = the grey of x or x itself, by a draw for each image.

        x, y: (N, H, W, 3)    g = 0.2989 r + 0.5870 g + 0.1140 b, in all three channels

    With f = 1 for an image that becomes grey and else 0, dx[c] = (1 - f) dy[c] + w[c] Σ_k f dy[k].

    Parameters
    ----------
    factor : float, default 0.5
        How likely an image becomes grey.
    data_format, seed, **kwargs : as in `RandomHue`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomGrayscale
    >>> red = np.array([100.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
    >>> RandomGrayscale(1.0)(red, training=True).ravel().round(2)
    array([29.89, 29.89, 29.89], dtype=float32)
    """

    factor: Fraction = 0.5
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor",)

    def draw(self, x):
        return self.rng.random(len(x)) < self.factor

    def change(self, x, drawn):
        grey = of_images(drawn, x)
        return np.where(grey, self.weighed(x), x), grey

    def reverse(self, dy, kept):
        return self.greyed_back(dy, kept)
