"""Mistakes in spectrograms: frames that overlap, kernels, parts of complex numbers, decibels."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.audio import MelSpectrogram, STFTSpectrogram
from backprop.testing.bugs.bank import bug, normal

stft = partial(
    bug,
    x=normal(2, 17, 2),
    inputs="sequences",
    options={"steps": (9, 13), "features": (1, 2)},
    config={"mode": "psd", "frame_length": 6, "frame_step": 4},
    tags=("piecewise",),
)
mel = partial(
    bug,
    x=normal(2, 17),
    inputs="rows",
    options={"min_side": 9, "max_side": 13},
    config={"fft_length": 8, "sequence_stride": 5, "num_mel_bins": 4, "sampling_rate": 1000},
    tags=("piecewise", "couples_rows"),
)


@stft("V")
class SpectrogramForgetsThatInteriorFrequenciesCountTwice(STFTSpectrogram):
    """Going back from a power density all frequencies count once."""

    def _mode_backward(self, dy, r, i):
        return 2 * dy * r, 2 * dy * i


@stft("V", config={"mode": "log", "frame_length": 6, "frame_step": 4})
class SpectrogramTakesTheLogarithmOfThePower(STFTSpectrogram):
    """dR = 2 R dy / P, that of ln P, where y is ln sqrt(P)."""

    def _mode_backward(self, dy, r, i):
        dr, di = super()._mode_backward(dy, r, i)
        return 2 * dr, 2 * di


@stft("V", config={"mode": "stft", "frame_length": 6, "frame_step": 4})
class SpectrogramConjugatesGoingBack(STFTSpectrogram):
    """dI has the opposite sign, as where a transform is reversed by its inverse."""

    def _mode_backward(self, dy, r, i):
        dr, di = super()._mode_backward(dy, r, i)
        return dr, -di


@stft("V")
class SpectrogramFramesDoNotAddUp(STFTSpectrogram):
    """A sample in two frames receives what the later one sends."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        step, length = self._step, self.frame_length
        once = dx.copy()
        for first in range(step, dx.shape[1] - length + 1, step):
            once[:, first : first + length - step] /= 2
        return once


# with the highest triangle beyond half the sampling rate, which is in no other
wide = {"num_mel_bins": 4, "sampling_rate": 1000, "max_freq": 700}


@mel("V", config={"fft_length": 8, "sequence_stride": 5, **wide})
class MelSpectrogramHalvesAllFrequencies(MelSpectrogram):
    """Half the sampling rate counts by half too, where it is alone in its conjugate."""

    def backward(self, dy, cache):
        shape, s, power, m, cut = cache
        s = s.copy()
        s[..., -1] /= 2
        return super().backward(dy, (shape, s, power, m, cut))


@mel("V")
class MelSpectrogramForgetsItsMirrors(MelSpectrogram):
    """What the mirror images at the ends receive does not go back to the signal."""

    def _mirrored_back(self, dp, samples):
        margin = self.fft_length // 2
        return dp[..., margin : margin + samples].copy()


quiet = {"top_db": 3.0, "num_mel_bins": 4, "sampling_rate": 1000}


@mel("V", config={"fft_length": 8, "sequence_stride": 5, **quiet})
class MelSpectrogramForgetsTheLoudest(MelSpectrogram):
    """What is cut off at max(L) - top_db passes nothing on to the largest, which moves it."""

    def _decibels_backward(self, dy, m, cut):
        below, _ = cut
        return super()._decibels_backward(np.where(below, 0, dy), m, None)
