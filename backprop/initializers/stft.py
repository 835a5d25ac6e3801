"""Kernels with which a convolution is a short-time Fourier transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import choice
from backprop.initializers.initializer import Initializer, float_or

Array = np.ndarray


def known_window(value: Any, who: str, name: str) -> Any:
    """A window as scipy.signal knows it by name, an array, or None."""
    if isinstance(value, str):
        from scipy.signal import get_window  # here, because it takes longer to import than NumPy

        try:
            get_window(value, 1)
        except ValueError as error:
            raise ValueError(
                f"{who} expects {name} to be a name that scipy.signal.get_window knows, such as "
                f"'hann', an array or None, got {value!r}"
            ) from error
        return value
    return None if value is None else checks.array(value, who, name, finite=True)


Window = Annotated[Any, Convert(known_window)]


class STFT(Initializer):
    """w[t, 0, k] = cos(2π t k / n) win[t] / scale, or -sin: a short-time Fourier transform as the
    kernel of a convolution.

        w: (frame, 1, n/2 + 1)    win: (frame,)

    A convolution with the two of them gives the real and the imaginary part of Σ_t x[t] win[t]
    exp(-2πi t k / n) / scale for the frequencies from 0 to half the sampling rate.

    Parameters
    ----------
    side : {'real', 'imag'}, default 'real'
    window : str or array_like, optional
        A name that `scipy.signal.get_window` knows, or the window. Default: 'hann'. None is no
        window, and no scaling.
    scaling : {'density', 'spectrum', None}, default 'density'
        Divide by sqrt(Σ win²), by Σ |win|, or not at all.
    periodic : bool, default False
        Whether the window, by name, is one for a Fourier transform: with the sample behind its last
        it would begin again. A symmetric one otherwise.

    Raises
    ------
    ValueError
        For another side, scaling or window, and a shape without three axes.

    Examples
    --------
    >>> STFT("imag", window=None)((4, 1, 3)).round(3)[:, 0] + 0.0
    array([[ 0.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0.,  0.],
           [ 0.,  1.,  0.]], dtype=float32)
    """

    side: Annotated[str, choice("real", "imag")] = "real"
    window: Window = "hann"
    scaling: Annotated[Any, choice("density", "spectrum", None)] = "density"
    periodic: bool = False

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if len(shape) != 3:
            raise ValueError(
                f"{self!r} makes kernels (frame, 1, frequencies) and was asked for shape "
                f"{tuple(shape)}"
            )
        frame, _, count = shape
        turns = np.arange(frame)[:, None, None] * np.arange(count) / max(2 * (count - 1), 1)
        w = np.cos(2 * np.pi * turns) if self.side == "real" else -np.sin(2 * np.pi * turns)
        if self.window is not None:
            w *= self._scaled_window(frame)[:, None, None]
        return np.broadcast_to(w, shape).astype(float_or(dtype))

    def _scaled_window(self, frame: int) -> Array:
        win = self.window
        if isinstance(win, str):
            from scipy.signal import get_window

            win = get_window(win, frame, self.periodic)
        win = np.asarray(win, np.float64)
        if win.shape != (frame,):
            raise ValueError(f"{self!r} has a window of shape {win.shape} for frames of {frame}")
        if self.scaling == "density":
            return win / np.sqrt((win**2).sum())
        return win / np.abs(win).sum() if self.scaling == "spectrum" else win
