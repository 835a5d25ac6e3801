"""Connectionist temporal classification: sequences of labels without knowing when each was said."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.input_spec import show_shape
from backprop.losses.classification import exponentials
from backprop.losses.functions import function_of
from backprop.losses.loss import ReductionFirst

Array = np.ndarray
Shape = tuple[int | None, ...]

BLANK = 0  # the class that says "nothing new", and what pads y_true, as in Keras
NEVER = -1e30  # log 0: finite, so that NEVER - NEVER is no NaN; far below any sum of logits


class CTC(ReductionFirst, kw_only=True):
    """values = -log Σ_π Π_t q[t, π[t]], the sum over all alignments π that spell y_true.

        y_true: (n, u)    y_pred, q: (n, t, k)    values: (n,)

    q is softmax(y_pred). An alignment names a class at each step: a label, or 0, the blank. It
    spells what is left when repeats are merged and then blanks dropped: a a 0 a b spells a a b. The
    sum over alignments goes step by step, over what was said last. With A[u] the logarithm of the
    probability to be in label u, B[u] to be in the blank before it, and ⊕ for log(exp + exp), one
    step is

        B[u] ← (B[u] ⊕ A[u-1])        + log q[t, 0]
        A[u] ← (A[u] ⊕ B[u] ⊕ A[u-1]) + log q[t, y_true[u]]

    from the values of the step before, and without A[u-1] in the second line where label u repeats
    label u - 1: only a blank keeps the two apart. The same from the end gives the sum over what can
    still follow. Together they say how probable each state is at each step, given that y_true was
    spelt. With γ[t, k] that probability, summed over the states of class k,

        dy_pred = (q - γ) dvalues

    Parameters
    ----------
    reduction : str, default "sum_over_batch_size"
        See `Loss`.
    name : str
    dtype : str, optional
        What to compute in. Default: the dtype of `y_pred`.
    zero_infinity : bool, default False
        Whether a sample that no alignment can spell costs nothing and gets no gradient, instead of
        raising an error.

    Raises
    ------
    ValueError
        If labels are no whole numbers from 1 to k - 1 with zeros behind them; if a sample's loss is
        infinite, as its steps are too few for its labels or a label has probability 0.

    Notes
    -----
    `y_pred` holds logits. A mask (n, t) says which steps are part of a sequence; the others are
    left out, wherever they are. A mask (n,) weighs samples, as with other losses.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CTC
    >>> y_true = np.array([[1, 0]])  # one label, and padding
    >>> y_pred = np.zeros((1, 2, 2))  # two steps, two classes: all four alignments as probable
    >>> loss = CTC()
    >>> value, cache = loss.forward(y_true, y_pred)
    >>> round(float(np.exp(-value)), 6)  # 1 1, 1 0 and 0 1 spell 1
    0.75
    >>> loss.backward(cache).round(6).tolist()  # q = 1/2, and 2 of those 3 are in class 1
    [[[0.166667, -0.166667], [0.166667, -0.166667]]]

    Source: A. Graves et al., Connectionist Temporal Classification: Labelling Unsegmented Sequence
    Data with Recurrent Neural Networks, 2006, equations 6 to 16.
    """

    zero_infinity: bool = False
    name = "ctc"

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        return y_true.astype(np.intp, copy=False), y_pred

    def measure(self, y_true: Array, y_pred: Array, mask: Any) -> tuple[Array, Any, Any]:
        if mask is None or np.ndim(mask) < 2:
            return *self.values(y_true, y_pred), mask
        real = np.asarray(mask, bool)
        if real.shape != y_pred.shape[:2]:
            raise ValueError(
                f"CTC expects a mask of shape {y_pred.shape[:2]}, one entry a step, and got "
                f"{real.shape}"
            )
        return *self.values(y_true, y_pred, real), None

    def values(self, y_true: Array, y_pred: Array, real: Array | None = None) -> tuple[Array, Any]:
        if real is not None:  # whatever was predicted at a masked step, NaN included
            y_pred = np.where(real[..., None], y_pred, 0)
        z, e, s = exponentials(y_pred)
        np.maximum(z, NEVER, out=z)  # a logit of -inf: the product would make NaN of it
        chosen = one_hot(y_true, z.shape[-1], z.dtype)
        logq = z @ chosen.swapaxes(1, 2)  # row by row what `gradient` scatters: the blank, labels
        logq -= np.log(s)[..., None]
        states = self.read(logq, y_true, real)
        logp = self.total(states, y_true)
        possible = logp > 0.5 * NEVER
        possible |= np.isnan(logp)  # NaN is for those to report who look for it
        if not possible.all() and not self.zero_infinity:
            self.complain(y_true, y_pred.shape[1] if real is None else real.sum(1), possible)
        values = np.where(possible, -logp, 0)
        return values, (e, s, chosen, states, logp, possible, real)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        e, s, chosen, states, logp, possible, real = cache
        dy_pred = e / s[..., None]
        dy_pred -= states.shares(np.where(possible, logp, 0)) @ chosen
        dy_pred *= (dvalues * possible)[:, None, None]
        if real is not None:
            dy_pred *= real[..., None]
        return dy_pred

    def read(self, logq: Array, y_true: Array, real: Array | None) -> States:
        """All states at all steps, from both ends."""
        states, repeated = States(logq, np.count_nonzero(y_true, axis=1)), self.repeated(y_true)
        # label u repeats u - 1, and seen from behind u - 1 repeats u
        behind = np.zeros_like(repeated)
        behind[:, :-1] = repeated[:, 1:]
        repeats = np.concatenate([repeated.T, behind.T[::-1]], axis=1)
        hidden = None if real is None or real.all() else mirrored(~real.T[:, None])
        states.fill(repeats, hidden)
        return states

    def total(self, states: States, y_true: Array) -> Array:
        """log Σ_π Π_t q: an alignment ends in the last label, or in the blank behind it."""
        lengths, at = np.count_nonzero(y_true, axis=1), np.arange(len(y_true))
        blank = states.B[-1, lengths, at]
        if not y_true.shape[1]:
            return blank
        label = np.where(lengths > 0, states.A[-1, lengths - 1, at], NEVER)
        total = np.empty_like(blank)
        add_exp(blank, label, total, np.empty_like(blank))
        return total

    def repeated(self, y_true: Array) -> Array:
        """Which labels are the one before them again: (n, u)."""
        again = np.zeros(y_true.shape, bool)
        np.equal(y_true[:, 1:], y_true[:, :-1], out=again[:, 1:])
        again &= y_true != BLANK  # padding is no label
        return again

    # -------------------------------------------------------- checks

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        self.check_numbers(y_true)
        shape, name = y_true.shape, type(self).__name__
        if len(output_shape) != 3:
            raise ValueError(
                f"{name} expects logits of shape (any, steps, classes) and got outputs of shape "
                f"{show_shape(output_shape)}; let recurrent layers return_sequences=True, and end "
                "in Dense(classes)"
            )
        if len(shape) != 2 or output_shape[0] not in (None, shape[0]):
            raise ValueError(
                f"{name} expects targets of shape {show_shape((output_shape[0], None))}, the "
                f"labels of each sequence with zeros behind them, and got {show_shape(shape)}; "
                "utils.pad_sequences(labels, padding='post') makes them of lists"
            )
        self.check_sequences(y_true, output_shape)

    def check_sequences(self, y_true: Array, output_shape: Shape) -> None:
        """Raise unless every row is labels and then zeros, and fits into the steps."""
        name, classes = type(self).__name__, output_shape[-1]
        if y_true.dtype.kind == "f" and not np.array_equal(y_true, np.floor(y_true)):
            wrong = y_true[~(np.floor(y_true) == y_true)].flat[0]
            raise ValueError(f"{name} expects whole numbers as labels and got {wrong}")
        top = np.inf if classes is None else classes - 1
        wrong = (y_true < BLANK) | (y_true > top)
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise ValueError(
                f"{name} expects labels from 1 to {top} for {classes} classes, with 0 for blanks "
                f"and padding, and got {y_true[i, j]} in sample {i}; give the last layer a unit "
                "for each label and one more, and pad with zeros"
            )
        late = (y_true[:, 1:] != BLANK) & (y_true[:, :-1] == BLANK)
        if late.any():
            i, j = np.argwhere(late)[0]
            raise ValueError(
                f"{name} expects zeros behind the labels only, and in sample {i} a "
                f"{y_true[i, j + 1]} follows a 0; count labels from 1, and pad with "
                "utils.pad_sequences(labels, padding='post')"
            )
        steps = output_shape[1]
        if steps is not None and not self.zero_infinity:
            possible = steps_needed(y_true, self.repeated(y_true)) <= steps
            if not possible.all():
                self.complain(y_true, steps, possible)

    def complain(self, y_true: Array, steps: Any, possible: Array) -> None:
        """Raise, with the name of the first sample that is not possible."""
        i = int(np.flatnonzero(~possible)[0])
        labels = int(np.count_nonzero(y_true[i]))
        needed = int(steps_needed(y_true, self.repeated(y_true))[i])
        steps = int(np.broadcast_to(steps, len(y_true))[i])
        why = f"each alignment of its {labels} label(s) has a logit of -inf"
        if needed > steps:
            blanks = f", {needed - labels} of them after an equal one," if needed > labels else ""
            why = f"{labels} label(s){blanks} take {needed} step(s), and there are {steps}"
        raise ValueError(
            f"{type(self).__name__} is infinite for sample {i} of {len(y_true)}: {why}; leave the "
            "sample out, make the network's steps more, or pass zero_infinity=True"
        )


ctc = function_of(CTC, "[[1], [2]], [[[0.0] * 4], [[0.0] * 4]]", "[1.386294, 1.386294]")


def steps_needed(y_true: Array, repeated: Array) -> Array:
    """The steps of the shortest alignment: one a label, and one for a blank between equal ones."""
    return np.count_nonzero(y_true, axis=1) + np.count_nonzero(repeated, axis=1)


def one_hot(y_true: Array, classes: int, dtype: Any) -> Array:
    """The classes of the states, blank and labels, as rows of 0 and 1: (n, 1 + u, classes)."""
    n, u = y_true.shape
    chosen = np.zeros((n, 1 + u, classes), dtype)
    chosen[:, 0, BLANK] = 1
    chosen[np.arange(n)[:, None], np.arange(1, 1 + u), y_true] = 1
    return chosen


class States:
    """A[t, u] and B[t, u] of `CTC` from both ends, the samples beside one another.

        A, logq: (t + 1, u, 2 n), (t, u, 2 n)    B, logblank: (t + 1, u + 1, 2 n), (t, 1, 2 n)

    Columns n to 2 n are the samples backwards, with steps and labels reversed: what can follow is
    what came before in a sequence that is read from its end. So one loop over time fills both.
    """

    def __init__(self, logq: Array, lengths: Array):
        n, steps, u = logq.shape[0], logq.shape[1], logq.shape[2] - 1
        self.n = n
        self.logq = mirrored(logq[..., 1:].transpose(1, 2, 0))
        self.logblank = mirrored(logq[..., :1].transpose(1, 2, 0))
        self.A = np.empty((steps + 1, u, 2 * n), logq.dtype)
        self.B = np.empty((steps + 1, u + 1, 2 * n), logq.dtype)
        self.A[0], self.B[0] = NEVER, NEVER
        # before the first step nothing was said. Backwards, the padding of y_true comes first, and
        # the sequence starts behind it
        self.B[0, 0, :n] = 0
        self.B[0, u - lengths, np.arange(n, 2 * n)] = 0

    def fill(self, repeated: Array, hidden: Array | None) -> None:
        """The loop over time.

        repeated: (u, 2 n)    hidden: (t, 1, 2 n), the masked steps, at which states stay
        """
        A, B = self.A, self.B
        scratch, entered = np.empty_like(A[0]), np.empty_like(A[0])
        some = repeated.any()
        steps = zip(A, A[1:], B, B[1:], self.logq, self.logblank, strict=False)
        for t, (a, a_next, b, b_next, logq, logblank) in enumerate(steps):
            b_next[0] = b[0]
            add_exp(b[1:], a, b_next[1:], scratch)
            into = b_next[:-1]  # B[u] ⊕ A[u-1]: whence label u is entered, if it is no repeat
            if some:
                np.copyto(entered, into)
                np.copyto(entered, b[:-1], where=repeated)
                into = entered
            add_exp(a, into, a_next, scratch)
            a_next += logq
            b_next += logblank
            if hidden is not None:
                np.copyto(a_next, a, where=hidden[t])
                np.copyto(b_next, b, where=hidden[t])

    def shares(self, logp: Array) -> Array:
        """How probable each state is at each step, the blanks as one: (n, t, 1 + u).

        Σ over the states is 1 at each step. In float32 that holds as far as A and B are exact, and
        the division takes out what their errors have in common.
        """
        u = self.A.shape[1]
        share = np.empty((len(self.A) - 1, 1 + u, self.n), self.A.dtype)
        np.add.reduce(self.meet(self.B, self.logblank, logp), 1, out=share[:, 0])
        share[:, 1:] = self.meet(self.A, self.logq, logp)
        total = share.sum(1, keepdims=True)
        share /= np.where(total > 0, total, 1)
        return np.ascontiguousarray(share.transpose(2, 0, 1))

    def meet(self, states: Array, logq: Array, logp: Array) -> Array:
        """exp(what came before + what can follow - logp): (t, states, n)."""
        n = self.n
        both = states[1:, :, :n] + states[:0:-1, ::-1, n:]
        both -= logq[..., :n]  # the step itself was counted from both ends
        both -= logp
        return np.exp(both, out=both)


def mirrored(x: Array) -> Array:
    """x and beside it x with time and labels reversed: (t, u, n) → (t, u, 2 n)."""
    return np.concatenate([x, x[::-1, ::-1]], axis=-1)


def add_exp(a: Array, b: Array, out: Array, scratch: Array) -> None:
    """out = log(exp(a) + exp(b)). `np.logaddexp` is slower, and warns of NaN."""
    np.maximum(a, b, out=out)
    np.minimum(a, b, out=scratch)
    scratch -= out
    np.exp(scratch, out=scratch)
    np.log1p(scratch, out=scratch)
    out += scratch
