"""Recurrent layers: one step of time after the other, each from the state that the one before left.

`time` has what all of them share: their arguments, the order of the steps, masks, and states that
are kept between batches. `loop` runs the layers whose state is a number for each unit, of which
`simple`, `lstm` and `gru` write down one step each; the states of `conv_lstm` are images.
`bidirectional` and `time_distributed` are
containers: a layer in both directions, and any layer at every step.
"""

from __future__ import annotations

from backprop.layers.recurrent.bidirectional import Bidirectional
from backprop.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from backprop.layers.recurrent.gru import GRU
from backprop.layers.recurrent.lstm import LSTM
from backprop.layers.recurrent.simple import SimpleRNN
from backprop.layers.recurrent.time_distributed import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "SimpleRNN",
    "TimeDistributed",
]
