"""LSTMs whose products are convolutions: their states are images, volumes or sequences."""

from __future__ import annotations

from backprop.layers.recurrent.images import Images
from backprop.layers.recurrent.lstm import Memory


class ConvLSTM(Memory, Images):
    """c = f c₋ + i g and h = o activation(c), where the gates come from convolutions of x and h₋.

        x: (N, T, sizes ..., C)    kernel: (size ..., C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (size ..., filters, 4 filters)
        i, f, g, o, c, h: (N, counts ..., filters)

    For any number of axes; `ConvLSTM2D` has the parameters, `LSTM` the derivation of a step.
    """

    weights_within = "conv_lstm_cell"


class ConvLSTM1D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), place by place; ₋ marks the step before.

        x: (N, T, L, C)    kernel: (k, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (k, filters, 4 filters)    y: (N, I, filters) or (N, T, I, filters)

    As `ConvLSTM2D`, with one axis in the place of two: dz of a step as in `LSTM`, and from it the
    derivatives of the convolutions.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
    **kwargs
        All others as of `ConvLSTM2D`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM1D
    >>> ConvLSTM1D(4, 3, return_sequences=True)(np.zeros((2, 5, 8, 3))).shape
    (2, 5, 6, 4)
    """

    axes = 1


class ConvLSTM2D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), pixel by pixel; ₋ marks the step before.

        x: (N, T, H, W, C)    kernel: (h, w, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (h, w, filters, 4 filters)    i, f, g, o, c, h: (N, I, J, filters)
        y: (N, I, J, filters) or (N, T, I, J, filters)

        [zi zf zg zo] = x ⋆ kernel + h₋ ⋆ recurrent_kernel + bias
        i, f, o = recurrent_activation(zi), ...(zf), ...(zo)        g = activation(zg)

    ⋆ is a convolution: that of x as in `Conv2D`, that of h₋ with stride 1 and padding that keeps
    the size of a state. One step goes back as in `LSTM`, pixel by pixel, and what were products
    with the kernels there are the convolutions' derivatives here: with dz = dL/dz of all steps,
    which are images like any others,

        dkernel, dx: as in `Conv2D`        dbias = Σ_rows dz
        drecurrent_kernel likewise of h₋ and dz        dh₋ = dz[t] through the recurrent kernel

    First states that are given, (x, h, c), and last ones that are returned are images too, in the
    format of x; their gradients are those at the ends of the loop, as in `LSTM`.

    Parameters
    ----------
    filters : int
        Number of channels of y.
    kernel_size : int or two ints
        Of both kernels.
    strides, padding, data_format, dilation_rate
        Of the convolution of x, as in `Conv2D`.
    activation : str, function or Layer, default "tanh"
        Of g and of c on its way to h.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of i, f and o.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    unit_forget_bias : bool, default True
        Start with 1 as the bias of f.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float, default 0.0
        Fractions of x and h₋ that are dropped in training, the same ones at all steps, with a draw
        for each gate.
    seed, return_sequences, return_state, go_backwards, stateful
        As in `LSTM`.
    **kwargs
        `zero_output_for_mask` as in `LSTM`; `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a value outside of what is said above, a window larger than the image, or images whose
        size is not known when the layer is built.

    References
    ----------
    Shi et al.: Convolutional LSTM network, 2015 (without its peepholes, as in Keras).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM2D
    >>> film = np.zeros((2, 5, 8, 8, 3))
    >>> ConvLSTM2D(4, 3)(film).shape
    (2, 6, 6, 4)
    """

    axes = 2


class ConvLSTM3D(ConvLSTM):
    """c = f c₋ + i g and h = o activation(c), voxel by voxel; ₋ marks the step before.

        x: (N, T, D, H, W, C)    kernel: (d, h, w, C, 4 filters)    bias: (4 filters,)
        recurrent_kernel: (d, h, w, filters, 4 filters)
        y: (N, I, J, K, filters) or (N, T, I, J, K, filters)

    As `ConvLSTM2D`, with three axes in the place of two: dz of a step as in `LSTM`, and from it the
    derivatives of the convolutions.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or three ints
    **kwargs
        All others as of `ConvLSTM2D`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ConvLSTM3D
    >>> ConvLSTM3D(4, 2, return_sequences=True)(np.zeros((1, 2, 3, 3, 3, 1))).shape
    (1, 2, 2, 2, 2, 4)
    """

    axes = 3
