"""The short-time Fourier transform of signals, by kernels that can be trained."""

from __future__ import annotations

from math import ceil, log2
from typing import Annotated, Any

import numpy as np

from backprop.checks import Positive, choice
from backprop.defaults import epsilon
from backprop.initializers import STFT
from backprop.initializers.stft import Window
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.audio.frames import frames, overlapped
from backprop.layers.windows import DataFormat, Padding, Windows, shape_last

Array = np.ndarray


class STFTSpectrogram(Layer):
    """y = mode(R, I), with R[t, k] = Σ_u x[t s + u] real_kernel[u, k] and I likewise.

        x: (N, T, C)    real_kernel, imag_kernel: (frame_length, 1, F)    R, I: (N, frames, F, C)
        y: (N, frames, C F), F = fft_length / 2 + 1

    A frame of the signal begins every s = frame_step samples. The kernels begin as the cosines and
    sines of a Fourier transform, with a window (`initializers.STFT`), and are trained like any
    others. Each channel is taken by itself. With P = R² + I² and ε = 1e-7, by `mode`:

        real, imag    R, I                              stft         R, and behind it I
        magnitude     M = sqrt(max(P, ε))               log          ln M
        psd           P, twice but at the two ends      angle        atan2(I, R)

    R and I are linear in x and in the kernels. So with dR and dI

        dx[t s + u] += Σ_k dR[t, k] real_kernel[u, k] + dI[t, k] imag_kernel[u, k]
        dreal_kernel[u, k] = Σ_t x[t s + u] dR[t, k]        dimag_kernel likewise, with dI

    and these follow from dP, dR = 2 R dP and dI = 2 I dP, or directly:

        magnitude    dP = dy / 2M, 0 where P is not above ε      log    dP = dy / 2M², likewise
        psd          dP = dy, twice but at the two ends
        angle        dR = -I dy / P, dI = R dy / P, and 0 where P is

    Parameters
    ----------
    mode : {"log", "magnitude", "psd", "real", "imag", "angle", "stft"}, default "log"
    frame_length : int, default 256
        In samples.
    frame_step : int, optional
        From one frame to the next, at most `frame_length`. Default: half of it.
    fft_length : int, optional
        At least `frame_length`; F frequencies are evenly spaced from 0 to half the sampling rate.
        Default: the next power of two.
    window : str or array_like, optional
        A name that `scipy.signal.get_window` knows, or `frame_length` numbers. Default: "hann".
    periodic : bool, default False
        Of a window by name.
    scaling : {"density", "spectrum", None}, default "density"
        Of the window, see `initializers.STFT`.
    padding : {"valid", "same"}, default "valid"
    expand_dims : bool, default False
        Images, (N, frames, F, C), instead of sequences.
    data_format : {"channels_last", "channels_first"}, optional
        With channels first, x is (N, C, T) and y (N, C F, frames) or (N, C, frames, F).
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For another mode, padding, scaling or window, for lengths that do not go together, and for a
        signal that is shorter than a frame.

    Notes
    -----
    A mask of samples ends here. Angles jump by 2π where R is negative and I changes its sign, as
    rounding does at the two ends of the frequencies, where I is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import STFTSpectrogram
    >>> x = np.cos(np.pi * np.arange(16) / 2).reshape(1, 16, 1)  # a quarter of the sampling rate
    >>> STFTSpectrogram("psd", 8, scaling="spectrum")(x)[0, 0].round(2)
    array([0.  , 0.18, 0.5 , 0.18, 0.  ], dtype=float32)
    """

    mode: Annotated[str, choice("log", "magnitude", "psd", "real", "imag", "angle", "stft")] = "log"
    frame_length: Positive = 256
    frame_step: Positive | None = None
    fft_length: Positive | None = None
    window: Window = "hann"
    periodic: bool = False
    scaling: Annotated[Any, choice("density", "spectrum", None)] = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None

    real_kernel = dreal_kernel = imag_kernel = dimag_kernel = None

    def __post_init__(self):
        length, step, n = self.frame_length, self.frame_step, self.fft_length
        if step is not None and step > length:
            raise ValueError(
                f"STFTSpectrogram expects frame_step to be at most frame_length, got {step} and "
                f"{length}"
            )
        if n is not None and n < length:
            raise ValueError(
                f"STFTSpectrogram expects fft_length to be at least frame_length, got {n} and "
                f"{length}"
            )
        self._step = step or max(length // 2, 1)
        self._bins = (n or 2 ** ceil(log2(length))) // 2 + 1
        self._windows = Windows((length,), (self._step,), self.padding)
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        shape = self.frame_length, 1, self._bins
        start = self.window, self.scaling, self.periodic
        if self.mode != "imag":
            self.real_kernel, self.dreal_kernel = self.param(
                "real_kernel", shape, STFT("real", *start)
            )
        if self.mode != "real":
            self.imag_kernel, self.dimag_kernel = self.param(
                "imag_kernel", shape, STFT("imag", *start)
            )

    def compute_output_shape(self, input_shape):
        n, samples, channels = shape_last(input_shape, self.data_format)
        (count,) = self._windows.counts((samples,))
        if count is not None and count < 1:
            raise ValueError(
                f"{self!r} has a frame longer than its input of {show_shape(input_shape[1:])}; "
                "take padding='same' or a smaller frame_length"
            )
        bins = self._bins * (2 if self.mode == "stft" else 1)
        last = self.data_format == "channels_last"
        if self.expand_dims:
            return (n, count, bins, channels) if last else (n, channels, count, bins)
        together = None if channels is None else channels * bins
        return (n, count, together) if last else (n, together, count)

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def compute_mask(self, x, mask=None):
        return mask if mask is not None and mask.ndim == 1 else None

    def obeys_mask(self, x, mask):
        return mask.ndim == 1

    def forward(self, x, ctx=INFERENCE):
        signals = x.swapaxes(1, 2) if self.data_format == "channels_last" else x
        margin = self._windows.margins(signals.shape[2:])
        padded = np.pad(signals, ((0, 0), (0, 0), *margin))
        rows = self._frames(padded)
        r, i = (None if k is None else rows @ k[:, 0] for k in self._kernels())
        return self._laid_out(self._mode(r, i)), (padded, x.shape, r, i)

    def backward(self, dy, cache):
        padded, shape, *_ = cache
        d = self._set_gradients(dy, cache)
        pairs: Any = zip(d, self._kernels(), strict=True)
        drows: Any = sum(a @ k[:, 0].T for a, k in pairs if a is not None)
        samples = shape[1] if self.data_format == "channels_last" else shape[2]
        ((before, _),) = self._windows.margins((samples,))
        dx = overlapped(drows, self._step, padded.shape[-1])[..., before : before + samples]
        return dx.swapaxes(1, 2) if self.data_format == "channels_last" else dx

    def backward_params(self, dy, cache):
        self._set_gradients(dy, cache)

    # ---------------------------------------------------------------------------- parts

    def _kernels(self):
        return self.real_kernel, self.imag_kernel

    def _frames(self, padded: Array) -> Array:
        """(N, C, T) → (N, C, frames, frame_length), one behind the other, as a product wants it."""
        return np.ascontiguousarray(frames(padded, self.frame_length, self._step))

    def _set_gradients(self, dy: Array, cache: Any) -> tuple[Any, Any]:
        """dR and dI, None where the mode has none; sets the gradients of the kernels."""
        padded, _, r, i = cache
        dr, di = self._mode_backward(self._laid_back(dy, r if i is None else i), r, i)
        rows = self._frames(padded).reshape(-1, self.frame_length).T
        if dr is not None:
            self.dreal_kernel = (rows @ dr.reshape(-1, self._bins))[:, None]
        if di is not None:
            self.dimag_kernel = (rows @ di.reshape(-1, self._bins))[:, None]
        return dr, di

    def _mode(self, r: Any, i: Any) -> Array:
        """R and I, (N, C, frames, F), → y in this layout."""
        if self.mode in ("real", "imag"):
            return i if r is None else r
        if self.mode == "stft":
            return np.concatenate([r, i], axis=-1)
        if self.mode == "angle":
            return np.arctan2(i, r)
        power = r * r + i * i
        if self.mode == "psd":
            power[..., 1:-1] *= 2
            return power
        power = power.clip(epsilon())
        return np.sqrt(power) if self.mode == "magnitude" else np.log(power) / 2

    def _mode_backward(self, dy: Array, r: Any, i: Any) -> tuple[Any, Any]:
        """dy, (N, C, frames, F), → dR and dI."""
        if self.mode in ("real", "imag"):
            return (dy, None) if i is None else (None, dy)
        if self.mode == "stft":
            return dy[..., : self._bins], dy[..., self._bins :]
        power = r * r + i * i
        if self.mode == "psd":
            d = 2 * dy
            d[..., 1:-1] *= 2
            return d * r, d * i
        seen = power > (0 if self.mode == "angle" else epsilon())
        d = np.where(seen, dy, 0)
        d /= np.where(seen, np.sqrt(power) if self.mode == "magnitude" else power, 1)
        return (-d * i, d * r) if self.mode == "angle" else (d * r, d * i)

    def _laid_out(self, y: Array) -> Array:
        """(N, C, frames, F) → as the user has it."""
        last, (n, channels, count, bins) = self.data_format == "channels_last", y.shape
        if self.expand_dims:
            return y.transpose(0, 2, 3, 1) if last else y
        if last:
            return y.transpose(0, 2, 1, 3).reshape(n, count, channels * bins)
        return y.swapaxes(2, 3).reshape(n, channels * bins, count)

    def _laid_back(self, dy: Array, like: Array) -> Array:
        """The inverse of `_laid_out`, for R or I."""
        last, (n, channels, count, _) = self.data_format == "channels_last", like.shape
        bins = self._bins * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return dy.transpose(0, 3, 1, 2) if last else dy
        if last:
            return dy.reshape(n, count, channels, bins).transpose(0, 2, 1, 3)
        return dy.reshape(n, channels, bins, count).swapaxes(2, 3)
