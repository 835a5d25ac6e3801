"""Recurrent layers: one step of time after the other, each from the state that the one before left.

A layer writes down one step and its derivative. What they share is in `Recurrent`: the inputs of
all steps are projected in one product before the loop, and the gradients of the weights, which are
sums over time, are one product each after the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import fraction, integer, one_of
from backprop.layer import INFERENCE, Array, InputSpec, Layer
from backprop.layers.activations import layer_of
from backprop.linalg import product_of_rows, rows, sum_rows


class Recurrent(Layer):
    """states[t] = step(x[t] kernel + bias, states[t-1]), and y is the first of the states.

        x: (N, T, n)    kernel: (n, gates·units)    recurrent_kernel: (units, gates·units)
        bias: (gates·units,)    each state: (N, units)    y: (N, units), or (N, T, units)

    A subclass says how many `gates` and states it has and writes

        step(z, states, drop) -> states, cache             z: (N, gates·units), x[t] kernel + bias
        step_backward(dstates, cache, drop) -> dz, dstates      and so back to the step before

    At a masked step the states stay what they were, so their gradients pass it by unchanged and
    its dz is 0.

    Dropout: one mask for all steps of a sequence; where there is recurrent dropout, each gate has
    masks of its own, as in Keras.
    """

    gates = 1
    state_count = 1

    def __init__(
        self,
        units: int,
        *,
        activation,
        use_bias: bool,
        kernel_initializer,
        recurrent_initializer,
        bias_initializer,
        kernel_regularizer,
        recurrent_regularizer,
        bias_regularizer,
        kernel_constraint,
        recurrent_constraint,
        bias_constraint,
        dropout: float,
        recurrent_dropout: float,
        seed,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        unroll: bool,
        **kwargs,
    ):
        super().__init__(**kwargs)
        who = type(self).__name__
        if return_state:
            raise ValueError(
                f"{who} gives one array: return_state=True is for graphs of layers, which backprop "
                "does not have. Use return_sequences=True for the outputs of all steps"
            )
        self.units = integer(units, who, "units")
        self.activation = layer_of(activation or "linear")
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.recurrent_initializer = recurrent_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.recurrent_regularizer = recurrent_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.recurrent_constraint = recurrent_constraint
        self.bias_constraint = bias_constraint
        self.dropout = fraction(dropout, who, "dropout")
        self.recurrent_dropout = fraction(recurrent_dropout, who, "recurrent_dropout")
        self.seed = seed
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = one_of(unroll, (False, True), who, "unroll")
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape):
        self.check_input(input_shape)
        n, width = input_shape[-1], self.gates * self.units
        self.kernel, self.dkernel = self.param(
            "kernel",
            (n, width),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel, self.drecurrent_kernel = self.param(
            "recurrent_kernel",
            (self.units, width),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias, self.dbias = self.param(
                "bias",
                self.bias_shape(),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        if self.stateful:
            shape = (self.state_count, self._batch(input_shape), self.units)
            self.carry = self.buffer("carry", shape)
        for function in self.sublayers():
            self._build_activation(function)
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[: 2 if self.return_sequences else 1], self.units)

    def compute_mask(self, x, mask):
        return mask if self.return_sequences else None

    def forward(self, x, ctx=INFERENCE):
        xs = self._in_order(x)
        held = self._held(x, ctx)
        drop = self._draw(self.dropout, x.shape[-1], x, ctx)
        recurrent_drop = self._draw(self.recurrent_dropout, self.units, x, ctx)
        z = project(xs, self.kernel, drop)
        if self.use_bias:
            z += self.input_bias()
        states = self._initial_states(x)
        hs = np.empty((len(xs) + 1, len(x), self.units), x.dtype)
        hs[0] = states[0]
        caches = []
        for t in range(len(xs)):
            new, cache = self.step(z[t], states, recurrent_drop)
            states = new if held is None else hold(held[t], states, new)
            hs[t + 1] = states[0]
            if ctx.backward:
                caches.append(cache)
        if self.stateful:
            self.carry = np.stack(states)
        y = hs[1:].swapaxes(0, 1) if self.return_sequences else states[0]
        return y, (xs, hs, held, drop, recurrent_drop, caches)

    def backward_params(self, dy, cache):
        self._through_time(dy, cache)

    def backward(self, dy, cache):
        dz = self._through_time(dy, cache)
        return self._in_order(project_backward(dz, self.kernel, cache[3]), back=True)

    def _through_time(self, dy, cache):
        xs, hs, held, drop, recurrent_drop, caches = cache
        dz = np.empty((len(xs), hs.shape[1], self.gates * self.units), dy.dtype)
        dstates = [np.zeros_like(hs[0]) for _ in range(self.state_count)]
        if not self.return_sequences:
            dstates[0] += dy
        for t in reversed(range(len(xs))):
            if self.return_sequences:
                dstates[0] = dstates[0] + dy[:, t]
            past = dstates if held is None else [np.where(held[t], 0, d) for d in dstates]
            dz[t], past = self.step_backward(past, caches[t], recurrent_drop)
            dstates = past if held is None else hold(held[t], dstates, past)
        product_of_dropped_rows(xs, dz, drop, out=self.dkernel)
        self.recurrent_gradients(hs[:-1], dz, recurrent_drop, caches)
        return dz

    # ------------------------------------------------------------------ what a subclass writes

    def step(self, z: Array, states: list[Array], drop: Array | None) -> tuple[list[Array], Any]:
        raise TypeError(f"{type(self).__name__} has no step(self, z, states, drop): write one")

    def step_backward(
        self, dstates: list[Array], cache: Any, drop: Array | None
    ) -> tuple[Array, list[Array]]:
        raise TypeError(f"{type(self).__name__} has no step_backward: write one")

    # ------------------------------------------------------------------ what it may refine

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def input_bias(self):
        return self.bias

    def recurrent_gradients(self, hs, dz, drop, caches):
        """Set the gradients of all but the kernel; hs are the h before each step."""
        product_of_dropped_rows(hs, dz, drop, out=self.drecurrent_kernel)
        if self.use_bias:
            self.dbias = sum_rows(dz)

    # ------------------------------------------------------------------ states

    def reset_state(self) -> None:
        """Forget what the batch before left behind; for ``stateful=True``."""
        if self.stateful and self.built:
            self.carry = np.zeros_like(self.carry)

    reset_states = reset_state

    def __call__(self, x, training: bool = False, mask: Array | None = None) -> Array:
        if self.stateful and not self.built:
            self.build(np.shape(x))  # with the size of the batch, whose states are kept
        return super().__call__(x, training, mask)

    def _initial_states(self, x):
        if not self.stateful:
            return [np.zeros((len(x), self.units), x.dtype) for _ in range(self.state_count)]
        if self.carry.shape[1] != len(x):
            raise ValueError(
                f"{self!r} is stateful: it keeps the states of {self.carry.shape[1]} sequences and "
                f"got a batch of {len(x)}; give batches of one size"
            )
        return list(self.carry.copy())

    def _batch(self, input_shape):
        if input_shape[0] is None:
            raise ValueError(
                f"{self!r} is stateful: the size of the batch must be known when it is built; say "
                "it by Input(batch_shape=(batch, time, features))"
            )
        return input_shape[0]

    # ------------------------------------------------------------------ time, masks, dropout

    def _in_order(self, x, back=False):
        """(N, T, ...) → (T, N, ...) in the order of processing, contiguous; or back."""
        if back:
            x = x.swapaxes(0, 1)
            return x[:, ::-1] if self.go_backwards else x
        x = x[:, ::-1] if self.go_backwards else x
        return np.ascontiguousarray(x.swapaxes(0, 1))

    def _held(self, x, ctx):
        """Where a step changes nothing, in the order of processing: (T, N, 1)."""
        if ctx.mask is None:
            return None
        mask = np.asarray(ctx.mask, bool)
        if mask.shape != x.shape[:2]:
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, got {mask.shape}"
            )
        return self._in_order(~mask[..., None])

    def _draw(self, rate, n, x, ctx):
        """What multiplies x or h₋, for all gates or for each: (1 or gates, N, n)."""
        if not ctx.training or not rate:
            return None
        count = self.gates if self.recurrent_dropout else 1
        kept = (self.rng.random((count, len(x), n)) >= rate).astype(x.dtype)
        if rate < 1:  # at 1 nothing is left that could be scaled up
            kept /= x.dtype.type(1 - rate)
        return kept

    def _build_activation(self, function):
        function.build((None, self.units))
        if function.arrays():
            raise ValueError(
                f"{type(self).__name__} applies {function!r} at every step, so it may not have "
                "parameters"
            )
        shape = function.compute_output_shape((None, self.units))
        if tuple(shape) != (None, self.units):
            raise ValueError(
                f"{type(self).__name__} needs an activation that keeps the shape, got {function!r}"
            )


def hold(held: Array, old: list[Array], new: list[Array]) -> list[Array]:
    """The old states where the step is masked, the new ones elsewhere."""
    return [np.where(held, o, n) for o, n in zip(old, new, strict=True)]


def project(h: Array, kernel: Array, drop: Array | None) -> Array:
    """h · kernel, over the last axis; with dropout, of the h that each gate sees."""
    if drop is None:
        return (rows(h) @ kernel).reshape(*h.shape[:-1], kernel.shape[1])
    kernels = np.split(kernel, len(drop), axis=1)
    gates = [project(h * d, k, None) for d, k in zip(drop, kernels, strict=True)]
    return np.concatenate(gates, axis=-1)


def project_backward(dz: Array, kernel: Array, drop: Array | None) -> Array:
    """dh = dz kernelᵀ; with dropout, the sum over the gates of what each saw."""
    if drop is None:
        return (rows(dz) @ kernel.T).reshape(*dz.shape[:-1], kernel.shape[0])
    gates = zip(np.split(dz, len(drop), -1), np.split(kernel, len(drop), 1), drop, strict=True)
    return np.sum([project_backward(dzk, k, None) * d for dzk, k, d in gates], axis=0)


def product_of_dropped_rows(h: Array, dz: Array, drop: Array | None, out: Array) -> None:
    """out = Σ_t hᵀ dz: a kernel's gradient, over all steps at once, or for each dropped h."""
    if drop is None:
        product_of_rows(h, dz, out=out)
        return
    gates = zip(np.split(dz, len(drop), -1), np.split(out, len(drop), 1), drop, strict=True)
    for dzk, o, d in gates:
        o[...] = rows(h * d).T @ rows(dzk)


class LSTM(Recurrent):
    """c = f c₋ + i g and h = o activation(c), step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, 4 units)    recurrent_kernel: (units, 4 units)
        bias: (4 units,)    i, f, g, o, c, h: (N, units)    y: (N, units) or (N, T, units)

        z = [zi zf zg zo] = x kernel + h₋ recurrent_kernel + bias
        i, f, o = recurrent_activation(zi), ...(zf), ...(zo)        g = activation(zg)

    y is the last h, or all of them. A step receives dh from y and from the step after, dc from the
    step after. By the product rule, going back through h, then c:

        do = dh activation(c)        dc += activation'(c) (dh o)
        di = dc g        df = dc c₋        dg = dc i        dc₋ = dc f

    The activations' derivatives turn di, df, dg, do into dz, and

        dh₋ = dz recurrent_kernelᵀ        dx = dz kernelᵀ
        dkernel = Σ_t xᵀ dz        drecurrent_kernel = Σ_t h₋ᵀ dz        dbias = Σ_t dz

    where the sums over time (and batch) are one product each, after the loop. At a masked step
    h = h₋ and c = c₋: dh and dc pass it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g and of c on its way to h. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of the gates i, f, o.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    unit_forget_bias : bool, default True
        Start with 1 as the bias of f, so that c is kept at first.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout : float, default 0.0
        Fractions of x and h₋ that are dropped in training, the same ones at all steps of a
        sequence. With recurrent dropout each gate has its own draw of both.
    seed : int, optional
    return_sequences : bool, default False
        Whether y is h at all steps.
    return_state : bool, default False
        Only False: a layer gives one array.
    go_backwards : bool, default False
        Go from the last step to the first; with `return_sequences` the outputs stand in that order.
    stateful : bool, default False
        Start each batch with the states that the one before ended with, sequence by sequence; no
        gradient flows between batches. The states are saved with the weights; `reset_state`
        zeroes them. Needs batches of one size, known when the layer is built.
    unroll : bool, default False
    use_cudnn : {"auto", True, False}
        Both choose among implementations in Keras; here there is one, so neither changes anything.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a value outside of what is said above.

    Notes
    -----
    A mask is passed on with `return_sequences`, in the order of x even when going backwards, as in
    Keras.

    References
    ----------
    Hochreiter, Schmidhuber: Long short-term memory, 1997; with the forget gate of Gers,
    Schmidhuber, Cummins, 2000. Dropout: Gal, Ghahramani, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LSTM
    >>> x = np.zeros((2, 5, 3))
    >>> LSTM(4)(x).shape, LSTM(4, return_sequences=True)(x).shape
    ((2, 4), (2, 5, 4))
    """

    gates = 4
    state_count = 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.recurrent_activation = layer_of(recurrent_activation or "linear")
        self.unit_forget_bias = unit_forget_bias
        self.use_cudnn = one_of(use_cudnn, ("auto", True, False), "LSTM", "use_cudnn")

    def build(self, input_shape):
        super().build(input_shape)
        if self.use_bias and self.unit_forget_bias:
            self.bias[self.units : 2 * self.units] = 1

    def step(self, z, states, drop):
        h, c_before = states
        z = z + project(h, self.recurrent_kernel, drop)
        z = z.reshape(len(z), 4, self.units)
        gates, a_gates = self.recurrent_activation.forward(z[:, IFO])
        g, a_g = self.activation.forward(z[:, 2])
        i, f, o = gates.swapaxes(0, 1)
        c = f * c_before + i * g
        s, a_s = self.activation.forward(c)
        return [o * s, c], (i, f, g, o, s, c_before, a_gates, a_g, a_s)

    def step_backward(self, dstates, cache, drop):
        dh, dc = dstates
        i, f, g, o, s, c_before, a_gates, a_g, a_s = cache
        dc = dc + self.activation.backward(dh * o, a_s)
        dgates = np.stack([dc * g, dc * c_before, dh * s], axis=1)
        dz = np.empty((len(dh), 4, self.units), dh.dtype)
        dz[:, IFO] = self.recurrent_activation.backward(dgates, a_gates)
        dz[:, 2] = self.activation.backward(dc * i, a_g)
        dz = dz.reshape(len(dh), 4 * self.units)
        return dz, [project_backward(dz, self.recurrent_kernel, drop), dc * f]


IFO = [0, 1, 3]  # where the gates stand among the four parts of z; the candidate g stands at 2


class SimpleRNN(Recurrent):
    """h = activation(x kernel + h₋ recurrent_kernel + bias), step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, units)    recurrent_kernel: (units, units)    bias: (units,)
        h: (N, units)    y: (N, units) or (N, T, units)

    y is the last h, or all of them. A step receives dh from y and from the step after; behind the
    activation that is dz, and

        dh₋ = dz recurrent_kernelᵀ        dx = dz kernelᵀ
        dkernel = Σ_t xᵀ dz        drecurrent_kernel = Σ_t h₋ᵀ dz        dbias = Σ_t dz

    At a masked step h = h₋: dh passes it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        It keeps the shape and has no parameters.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout, seed
    return_sequences, return_state, go_backwards, stateful, unroll
        As in `LSTM`.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    References
    ----------
    Elman: Finding structure in time, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SimpleRNN
    >>> layer = SimpleRNN(1, activation=None, kernel_initializer="ones", return_sequences=True,
    ...                   recurrent_initializer="ones")
    >>> layer(np.array([[[1.0], [2.0], [3.0]]]))[0, :, 0]
    array([1., 3., 6.], dtype=float32)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )

    def step(self, z, states, drop):
        h, a = self.activation.forward(z + project(states[0], self.recurrent_kernel, drop))
        return [h], a

    def step_backward(self, dstates, cache, drop):
        dz = self.activation.backward(dstates[0], cache)
        return dz, [project_backward(dz, self.recurrent_kernel, drop)]


class GRU(Recurrent):
    """h = u h₋ + (1 - u) g, step by step; ₋ marks the step before.

        x: (N, T, n)    kernel: (n, 3 units)    recurrent_kernel: (units, 3 units)
        bias: (3 units,), or (2, 3 units) with reset_after: of x kernel and of h₋ recurrent_kernel
        u, r, g, h: (N, units)    y: (N, units) or (N, T, units)

        [zu zr zg] = x kernel + bias        [wu wr wg] = h₋ recurrent_kernel + recurrent bias
        u, r = recurrent_activation(zu + wu), ...(zr + wr)        the gates update and reset
        g = activation(zg + r wg)                                 with reset_after, else
        g = activation(zg + (r h₋) recurrent_kernel_g)

    y is the last h, or all of them. A step receives dh from y and from the step after, and

        du = dh (h₋ - g)        dg = dh (1 - u)        dh₋ = dh u, and more from the products

    Behind the activations these are dzu and dzg, and with reset_after

        dwg = dzg r        dr = dzg wg, behind its activation dzr
        dh₋ += [dzu dzr dwg] recurrent_kernelᵀ        drecurrent_kernel = Σ_t h₋ᵀ [dzu dzr dwg]

    else, with v = r h₋, which is what recurrent_kernel_g multiplies,

        dv = dzg recurrent_kernel_gᵀ        dr = dv h₋        drecurrent_kernel_g = Σ_t vᵀ dzg
        dh₋ += dv r + [dzu dzr] recurrent_kernel_urᵀ

    and in both cases dx = dz kernelᵀ and dkernel = Σ_t xᵀ dz. At a masked step h = h₋: dh passes
    it unchanged, and its dz is 0.

    Parameters
    ----------
    units : int
    activation : str, function or Layer, default "tanh"
        Of g. It keeps the shape and has no parameters.
    recurrent_activation : str, function or Layer, default "sigmoid"
        Of u and r.
    use_bias : bool, default True
    kernel_initializer, recurrent_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform, orthogonal, zeros.
    kernel_regularizer, recurrent_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, recurrent_constraint, bias_constraint : str or Constraint, optional
    dropout, recurrent_dropout, seed
    return_sequences, return_state, go_backwards, stateful, unroll, use_cudnn
        As in `LSTM`.
    reset_after : bool, default True
        Whether r multiplies behind or before the product with the recurrent kernel.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    References
    ----------
    Cho et al.: Learning phrase representations using RNN encoder-decoder, 2014 (reset before).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers.recurrent import GRU
    >>> GRU(4, return_sequences=True)(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs,
    ):
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.recurrent_activation = layer_of(recurrent_activation or "linear")
        self.reset_after = reset_after
        self.use_cudnn = one_of(use_cudnn, ("auto", True, False), "GRU", "use_cudnn")

    def step(self, z, states, drop):
        h = states[0]
        m = 2 * self.units  # where g's part begins
        if self.reset_after:
            w = project(h, self.recurrent_kernel, drop)
            if self.use_bias:
                w += self.bias[1]
        else:
            w = project(h, self.recurrent_kernel[:, :m], None if drop is None else drop[:2])
        gates = (z[:, :m] + w[:, :m]).reshape(len(h), 2, self.units)
        gates, a_gates = self.recurrent_activation.forward(gates)
        u, r = gates.swapaxes(0, 1)
        if self.reset_after:
            v = w[:, m:]
            g, a_g = self.activation.forward(z[:, m:] + r * v)
        else:
            v = r * self._seen_by_g(h, drop)
            g, a_g = self.activation.forward(z[:, m:] + v @ self.recurrent_kernel[:, m:])
        return [u * h + (1 - u) * g], (h, u, r, g, v, a_gates, a_g)

    def step_backward(self, dstates, cache, drop):
        dh = dstates[0]
        h, u, r, g, v, a_gates, a_g = cache
        m = 2 * self.units
        dzg = self.activation.backward(dh * (1 - u), a_g)
        dv = None if self.reset_after else dzg @ self.recurrent_kernel[:, m:].T
        dr = dzg * v if dv is None else dv * self._seen_by_g(h, drop)
        dzur = self.recurrent_activation.backward(np.stack([dh * (h - g), dr], 1), a_gates)
        dzur = dzur.reshape(len(dh), m)
        if dv is None:
            dw = np.concatenate([dzur, dzg * r], axis=1)
            dh_before = project_backward(dw, self.recurrent_kernel, drop)
        else:
            kernel, drop_ur = self.recurrent_kernel[:, :m], None if drop is None else drop[:2]
            dh_before = project_backward(dzur, kernel, drop_ur)
            dh_before += self._seen_by_g(dv * r, drop)
        return np.concatenate([dzur, dzg], axis=1), [dh * u + dh_before]

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self):
        return self.bias[0] if self.reset_after else self.bias

    def recurrent_gradients(self, hs, dz, drop, caches):
        m = 2 * self.units
        if not self.reset_after:
            v = np.array([cache[4] for cache in caches], dz.dtype).reshape(hs.shape)
            dzur, drop_ur = dz[..., :m], None if drop is None else drop[:2]
            product_of_dropped_rows(hs, dzur, drop_ur, out=self.drecurrent_kernel[:, :m])
            product_of_rows(v, dz[..., m:], out=self.drecurrent_kernel[:, m:])
            if self.use_bias:
                self.dbias = sum_rows(dz)
            return
        r = np.array([cache[2] for cache in caches], dz.dtype).reshape(hs.shape)
        dw = np.concatenate([dz[..., :m], dz[..., m:] * r], axis=-1)
        product_of_dropped_rows(hs, dw, drop, out=self.drecurrent_kernel)
        if self.use_bias:
            self.dbias = np.stack([sum_rows(dz), sum_rows(dw)])

    def _seen_by_g(self, h, drop):
        return h if drop is None else h * drop[2]
