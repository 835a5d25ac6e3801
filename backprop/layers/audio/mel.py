"""How loud a signal is in bands that are as wide as an ear hears them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.bounds import reckon
from backprop.checks import NumberAboveZero, NumberFromZero, Positive, number
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.audio.frames import frames, overlapped, window_of
from backprop.symbols import Symbol

Array = np.ndarray
DECIBEL = 4.342944819032518  # 10 / ln 10


def window_by_name(value: Any, who: str, name: str) -> Any:
    if isinstance(value, str) and value not in ("hann", "hamming"):
        raise ValueError(
            f"{who} expects {name} to be 'hann', 'hamming', an array or None, got {value!r}"
        )
    return value


class MelSpectrogram(Layer):
    """y = dB((|S|^mag_exp) · A)ᵀ, with S the Fourier transform of each frame of the signal.

        x: (N, T)    S: (N, frames, F), F = fft_length / 2 + 1    A: (F, bins)
        y: (N, bins, frames)

    A frame begins every s = sequence_stride samples of p, the signal with fft_length / 2 samples of
    its mirror image on either side, and S[t, k] = Σ_u win[u] p[t s + u] exp(-2πi u k / n). The
    columns of A are triangles, which overlap by half and are equally wide in mel. Decibels are

        dB(m) = max(L, max(L) - top_db)        L = 10 log10(max(m, min_power) / ref_power)

    where max(L) is that of the whole batch. S is linear in x, so with dm the gradient of dB and

        dP = dm Aᵀ        dS = mag_exp |S|^(mag_exp - 2) S dP, 0 where S is

    each sample receives what the real and the imaginary part move, Re(dS) cos - Im(dS) sin, which
    is n times an inverse transform in which all but the two ends count by half:

        dp[t s + u] += win[u] n irfft(dS[t] halved)[u]

    and the mirrored ones go back to where they come from. A number that is below max(L) - top_db
    passes its dy on to the largest.

    Parameters
    ----------
    fft_length : int, default 2048
    sequence_stride : int, default 512
        Samples from one frame to the next.
    sequence_length : int, optional
        Of a frame, in samples; zeros around it make it `fft_length` long. Default: as long.
    window : {"hann", "hamming"} or array_like, optional
        Of `sequence_length`. Default: "hann". None: no window.
    sampling_rate : int, default 16000
        In hertz.
    num_mel_bins : int, default 128
    min_freq, max_freq : float, default 20.0 and half the sampling rate
        Of the triangles, in hertz.
    power_to_db : bool, default True
        Whether y is in decibels.
    top_db : float, optional
        Default 80.0; None cuts nothing off.
    mag_exp : float, default 2.0
        1 for magnitudes, 2 for powers.
    min_power : float, default 1e-10
        What is less, of m and of `ref_power`, counts as this.
    ref_power : float, default 1.0
        What has 0 decibels.
    **kwargs : `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where `sequence_length` exceeds `fft_length`, a window is unknown or of another length, or
        another number is out of its range.

    Notes
    -----
    One signal by itself, (T,), may be given to a call on arrays. The rows of a batch meet in
    max(L): with `top_db`, what is less than 80 dB below the loudest is cut off, as in Keras. A mask
    of samples ends here. A has the formula of HTK, mel = 1127 ln(1 + hertz / 700), without the
    frequency 0.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MelSpectrogram
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> y = MelSpectrogram(num_mel_bins=20)(tone)
    >>> y.shape, y.mean(1).argmax()
    ((20, 32), np.int64(3))
    """

    fft_length: Positive = 2048
    sequence_stride: Positive = 512
    sequence_length: Positive | None = None
    window: Annotated[Any, Convert(window_by_name)] = "hann"
    sampling_rate: Positive = 16000
    num_mel_bins: Positive = 128
    min_freq: NumberFromZero = 20.0
    max_freq: NumberAboveZero | None = None
    power_to_db: bool = True
    top_db: NumberFromZero | None = 80.0
    mag_exp: NumberAboveZero = 2.0
    min_power: NumberAboveZero = 1e-10
    ref_power: Annotated[float, Convert(number)] = 1.0

    input_spec = InputSpec(min_ndim=2)

    def __post_init__(self):
        self.sequence_length = self.sequence_length or self.fft_length
        self.max_freq = self.max_freq or self.sampling_rate // 2
        if self.sequence_length > self.fft_length:
            raise ValueError(
                f"MelSpectrogram expects sequence_length to be at most fft_length, got "
                f"{self.sequence_length} and {self.fft_length}"
            )
        if self.max_freq <= self.min_freq:
            raise ValueError(
                f"MelSpectrogram expects max_freq to be above min_freq, got {self.max_freq} and "
                f"{self.min_freq}"
            )
        places = self.fft_length // 2 + 1
        reckon(self.fft_length + places * self.num_mel_bins, f"{type(self).__name__}()")
        before = (self.fft_length - self.sequence_length) // 2
        win = window_of(self.window, self.sequence_length, True, "MelSpectrogram")
        self._win = np.zeros(self.fft_length)
        self._win[before : before + self.sequence_length] = win
        self._bands = triangles(
            places,
            self.num_mel_bins,
            self.sampling_rate,
            self.min_freq,
            self.max_freq,
        )

    def __call__(self, *inputs, **named):
        if inputs and not isinstance(inputs[0], Symbol) and np.ndim(inputs[0]) == 1:
            return super().__call__(np.asarray(inputs[0])[None], *inputs[1:], **named)[0]
        return super().__call__(*inputs, **named)

    def compute_output_shape(self, input_shape):
        *rows, samples = input_shape
        margin = 2 * (self.fft_length // 2) - self.fft_length
        count = None if samples is None else (samples + margin) // self.sequence_stride + 1
        return (*rows, self.num_mel_bins, count)

    def check_input(self, shape):
        super().check_input(shape)
        if shape[-1] is not None and shape[-1] < 2:
            raise ValueError(f"{self!r} expects a signal of two samples at least, got {shape[-1]}")

    def compute_mask(self, x, mask=None):
        return mask if mask is not None and mask.ndim == 1 else None

    def obeys_mask(self, x, mask):
        return mask.ndim == 1

    def forward(self, x, ctx=INFERENCE):
        from scipy.fft import rfft  # here, because it takes longer to import than NumPy

        p = x[..., self._places(x.shape[-1])]
        parts: Any = frames(p, self.fft_length, self.sequence_stride) * self._win.astype(x.dtype)
        s: Any = rfft(parts)
        power = s.real**2 + s.imag**2
        half = self.mag_exp / 2
        m = (power if half == 1 else power**half) @ self._bands.astype(x.dtype)
        y, cut = self._decibels(m) if self.power_to_db else (m, None)
        return y.swapaxes(-1, -2), (x.shape, s, power, m, cut)

    def backward(self, dy, cache):
        from scipy.fft import irfft

        shape, s, power, m, cut = cache
        dm = dy.swapaxes(-1, -2)
        if self.power_to_db:
            dm = self._decibels_backward(dm, m, cut)
        ds = (dm @ self._bands.T.astype(dy.dtype)) * self.mag_exp
        if self.mag_exp != 2:
            ds *= np.where(power > 0, power, 1) ** (self.mag_exp / 2 - 1) * (power > 0)
        ds = ds * s
        n = self.fft_length
        ds[..., 1 : (n + 1) // 2] /= 2
        dp: Any = irfft(ds, n) * (n * self._win).astype(dy.dtype)
        dp = overlapped(dp, self.sequence_stride, shape[-1] + 2 * (n // 2))
        return self._mirrored_back(dp, shape[-1])

    # ---------------------------------------------------------------------------- parts

    def _places(self, samples: int) -> Array:
        """Where each sample of p stands in x."""
        return np.pad(np.arange(samples), self.fft_length // 2, mode="reflect")

    def _mirrored_back(self, dp: Array, samples: int) -> Array:
        places, margin = self._places(samples), self.fft_length // 2
        dx = dp[..., margin : margin + samples].copy()
        for end in (slice(0, margin), slice(margin + samples, None)):
            to: Any = (..., places[end])
            np.add.at(dx, to, dp[..., end])  # a short signal is mirrored often
        return dx

    def _decibels(self, m: Array) -> tuple[Array, Any]:
        """dB(m), and which numbers are cut off, with the place of the largest."""
        loud = 10 * np.log10(m.clip(self.min_power))
        loud -= 10 * float(np.log10(max(abs(self.ref_power), self.min_power)))
        if self.top_db is None or not loud.size:
            return loud, None
        least = loud.max() - loud.dtype.type(self.top_db)
        return np.maximum(loud, least), (loud < least, loud.argmax())

    def _decibels_backward(self, dy: Array, m: Array, cut: Any) -> Array:
        if cut is not None:
            below, largest = cut
            lost = dy[below].sum()
            dy = np.where(below, 0, dy)
            dy.reshape(-1)[largest] += lost
        heard = m > self.min_power
        return np.where(heard, DECIBEL * dy, 0) / np.where(heard, m, 1)


def triangles(count: int, bins: int, rate: float, lowest: float, highest: float) -> Array:
    """A: (count, bins), of which each column rises from the peak of the one before to its own, and
    falls to that of the next. Frequency 0 is in none."""
    edges = np.linspace(mel(lowest), mel(highest), bins + 2)
    at = mel(np.linspace(0.0, rate / 2, count))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    found = np.minimum(rising, falling).clip(0)
    found[0] = 0
    return found


def mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + hertz / 700.0)
