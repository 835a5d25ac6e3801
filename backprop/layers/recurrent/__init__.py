"""Recurrent layers: one step of time after the other, each from the state that the one before left.

`simple`, `lstm` and `gru` write down one step each, forwards and back; `conv_lstm` has that of
`lstm`. Behind them:

    time        a run through time: the order of the steps, masks, first, last and kept states
    weights     the arguments and arrays that layers and cells of gates have
    loop        the loop over time, forwards and back, for all of them
    beside      what goes on beside the loop on a second thread
    units       states that are a number for each unit, and `products` of them with the kernels
    images      states that are images, and `convolutions` of them
    inplace     activations within the loop

`cell` says what one step is as a layer of its own, `cells` has those of `simple`, `lstm` and `gru`,
plain as in a book, `stacked` puts cells one behind the other, and `rnn` repeats any of them.

`bidirectional` and `time_distributed` are containers: a layer in both directions, and any layer at
every step; `sums` adds up the gradients of what runs step by step.
"""

from __future__ import annotations

from backprop.layers.recurrent.bidirectional import Bidirectional
from backprop.layers.recurrent.cell import Cell as Cell
from backprop.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from backprop.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from backprop.layers.recurrent.gru import GRU
from backprop.layers.recurrent.lstm import LSTM
from backprop.layers.recurrent.rnn import RNN
from backprop.layers.recurrent.simple import SimpleRNN
from backprop.layers.recurrent.stacked import StackedRNNCells
from backprop.layers.recurrent.time_distributed import TimeDistributed

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "GRUCell",
    "LSTMCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "TimeDistributed",
]
