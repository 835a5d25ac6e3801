"""What a CTC network said: the labels that its logits spell, step by step or by beam search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backprop import checks
from backprop.arguments import checked
from backprop.checks import ArrayLike, Axis
from backprop.linalg import log_softmax

Array = np.ndarray

STRATEGIES = ("greedy", "beam_search")
NOTHING = -1  # fills up what is decoded, as in Keras


@checked
def ctc_decode(
    inputs: ArrayLike,
    sequence_lengths: ArrayLike,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: Axis | None = 0,
) -> tuple[Array, Array]:
    """The labels that the logits of a network trained with `losses.CTC` spell.

    Greedy decoding takes the likeliest class of each step. Beam search looks for the likeliest
    labels: it sums over the alignments that spell the same, which may be more probable together
    than the one best alignment.

    Parameters
    ----------
    inputs : array_like, (n, t, k)
        Logits, not normalised.
    sequence_lengths : array_like of int, (n,)
        How many of the t steps belong to each sequence.
    strategy : {"greedy", "beam_search"}, default "greedy"
    beam_width : int, default 100
        How many beginnings the search keeps after each step.
    top_paths : int, default 1
        How many results the search returns for each sequence.
    merge_repeated : bool, default True
        Whether equal classes at consecutive steps are one label. Beam search always merges.
    mask_index : int or None, default 0
        The blank. None: the last class.

    Returns
    -------
    labels : ndarray of int32, (1, n, t), or (top_paths, n, t) for beam search
        The labels, the likeliest first, with -1 behind them.
    scores : ndarray, (n, 1) or (n, top_paths)
        Greedy: minus the sum of the chosen logits, as in Keras. Beam search: the logarithm of the
        probability of the labels, as far as the beam has seen its alignments; -inf where there are
        fewer results than `top_paths`.

    Raises
    ------
    ValueError
        If shapes do not fit, a length is not between 0 and t, an argument is out of its range, or
        beam search is asked not to merge.

    Notes
    -----
    The results are those of `keras.ops.ctc_decode`. A sequence of length 0, of which Keras' search
    reads one step, spells nothing here.

    Examples
    --------
    Nothing twice is the best alignment, with 0.36; but the three that spell 1 have 0.64 together:

    >>> import numpy as np
    >>> from backprop import utils
    >>> logits = np.log([[[0.6, 0.4], [0.6, 0.4]]])
    >>> utils.ctc_decode(logits, [2])[0].tolist()
    [[[-1, -1]]]
    >>> labels, scores = utils.ctc_decode(logits, [2], strategy="beam_search", top_paths=2)
    >>> labels.tolist()
    [[[1, -1]], [[-1, -1]]]
    >>> np.exp(scores).round(6).tolist()
    [[0.64, 0.36]]

    Source: A. Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using
    Bi-Directional Recurrent DNNs, 2014, algorithm 1, without a language model.
    """
    who = "ctc_decode()"
    checks.one_of(strategy, STRATEGIES, who, "strategy")
    x = np.asarray(inputs)
    if x.ndim != 3 or x.dtype.kind not in "fiub" or not x.shape[2]:
        raise ValueError(
            f"{who} expects logits of shape (batch, steps, classes) and got an array of "
            f"{x.dtype}, {x.shape}"
        )
    x = x if x.dtype.char in "fd" else x.astype(np.float32)
    n, steps, classes = x.shape
    lengths = np.asarray(sequence_lengths)
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"{who} expects a whole number for each of {n} sequences as sequence_lengths and got "
            f"an array of {lengths.dtype}, {lengths.shape}"
        )
    if n and not (lengths.min() >= 0 and lengths.max() <= steps):
        raise ValueError(
            f"{who} expects sequence_lengths from 0 to the {steps} steps of inputs and got "
            f"{lengths.min()} to {lengths.max()}"
        )
    blank = classes - 1 if mask_index is None else mask_index
    if not -classes <= blank < classes:
        raise ValueError(f"{who} expects mask_index to be one of {classes} classes, got {blank}")
    blank %= classes
    real = np.arange(steps) < lengths[:, None]
    if strategy == "greedy":
        return greedy(x, real, blank, merge_repeated)
    if not merge_repeated:
        raise ValueError(
            f"{who} merges equal classes in a beam search, as CTC does; merge_repeated=False is "
            "for strategy='greedy'"
        )
    checks.integer(beam_width, who, "beam_width")
    checks.integer(top_paths, who, "top_paths")
    if top_paths > beam_width:
        raise ValueError(
            f"{who} keeps {beam_width} beginnings, and so cannot return {top_paths} results; make "
            "beam_width larger"
        )
    return beam_search(x, real, beam_width, top_paths, blank)


def greedy(x: Array, real: Array, blank: int, merge_repeated: bool) -> tuple[Array, Array]:
    """The likeliest class of each step, merged, without blanks."""
    best = x.argmax(-1)
    scores = np.where(real, x.max(-1), 0)
    said = real & (best != blank)
    if merge_repeated:
        said[:, 1:] &= best[:, 1:] != best[:, :-1]
    to_the_front = np.argsort(~said, axis=1, kind="stable")
    labels = np.take_along_axis(np.where(said, best, NOTHING), to_the_front, axis=1)
    return labels[None].astype(np.int32), -scores.sum(1, keepdims=True)


class Beginnings:
    """All beginnings of label sequences that a search has met, as trees with a root a sample.

    A beginning is a number; `parent` and `label` say which other it continues, and by what. The
    same labels have the same number, so that a beginning that left the beam and comes back is known
    again.
    """

    def __init__(self, n: int):
        self.parent, self.label = [NOTHING] * n, [NOTHING] * n
        self.known: dict[tuple[int, int], int] = {}

    def continued(self, parents: Array, labels: Array) -> list[int]:
        """The numbers of beginnings with a label more."""
        numbers = []
        for key in zip(parents.tolist(), labels.tolist(), strict=True):
            number = self.known.setdefault(key, len(self.parent))
            if number == len(self.parent):
                self.parent.append(key[0])
                self.label.append(key[1])
            numbers.append(number)
        return numbers

    def spelt(self, number: int) -> list[int]:
        labels = []
        while number != NOTHING and self.parent[number] != NOTHING:
            labels.append(self.label[number])
            number = self.parent[number]
        return labels[::-1]


class Beam(NamedTuple):
    """The likeliest beginnings of each sequence. A slot without one has probability 0.

    number, parent, last, ends_blank, ends_label: (n, w)

    A beginning's probability is that of all alignments that spell it, those that end in a blank and
    those that end in its last label: only the first can be continued by that label again.
    """

    number: Array
    parent: Array  # the number of what it continues
    last: Array  # its last label
    ends_blank: Array  # logarithms
    ends_label: Array

    def total(self) -> Array:
        return np.logaddexp(self.ends_blank, self.ends_label)


EMPTY = (NOTHING, NOTHING, NOTHING, -np.inf, -np.inf)


def beam_search(
    x: Array, real: Array, width: int, top_paths: int, blank: int
) -> tuple[Array, Array]:
    """The likeliest labels, from the likeliest beginnings after each step."""
    n, steps, _ = x.shape
    logq = log_softmax(x)
    beginnings = Beginnings(n)
    beam = Beam(*np.full((3, n, width), NOTHING), *np.full((2, n, width), -np.inf, x.dtype))
    beam.number[:, 0], beam.ends_blank[:, 0] = np.arange(n), 0
    for t in range(steps):
        stay_blank, stay_label, more = continued(beam, logq[:, t], blank)
        here = real[:, t, None]
        found = pruned(beam, stay_blank, stay_label, more, here, beginnings)
        for old, new in zip(beam, found, strict=True):
            np.copyto(old, new, where=here)  # a sequence that has ended stays as it is

    total = beam.total()
    best = np.argsort(-total, axis=1, kind="stable")[:, :top_paths]
    labels = np.full((top_paths, n, steps), NOTHING, np.int32)
    for (i, rank), number in np.ndenumerate(np.take_along_axis(beam.number, best, 1)):
        spelt = beginnings.spelt(number)
        labels[rank, i, : len(spelt)] = spelt
    return labels, np.take_along_axis(total, best, 1)


def continued(beam: Beam, q: Array, blank: int) -> tuple[Array, Array, Array]:
    """One step on: what stays the same and ends in a blank, or in its last label, and what has a
    label more.

        q: (n, k)    stay_blank, stay_label: (n, w)    more: (n, w, k)
    """
    total, last = beam.total(), beam.last
    stay_blank = total + q[:, [blank]]
    stay_label = beam.ends_label + np.take_along_axis(q, np.maximum(last, 0), 1)
    more = total[..., None] + q[:, None]
    more[..., blank] = -np.inf
    row, slot = np.nonzero(last != NOTHING)
    label = last[row, slot]
    more[row, slot, label] = beam.ends_blank[row, slot] + q[row, label]
    # where one beginning continues to another of the beam, it is that other one
    row, child, origin = relatives(beam)
    same = row, origin, last[row, child]
    stay_label[row, child] = np.logaddexp(stay_label[row, child], more[same])
    more[same] = -np.inf
    return stay_blank, stay_label, more


def relatives(beam: Beam) -> tuple[Array, Array, Array]:
    """Where a beginning of the beam continues another of it: row, slot and the other's slot."""
    width = beam.number.shape[1]
    numbers, parents = beam.number.reshape(-1), beam.parent.reshape(-1)
    order = np.argsort(numbers)  # no two sequences have a beginning in common
    at = np.searchsorted(numbers, parents, sorter=order)
    other = order[np.minimum(at, numbers.size - 1)]
    child = np.flatnonzero((parents != NOTHING) & (numbers[other] == parents))
    return child // width, child % width, other[child] % width


def pruned(
    beam: Beam,
    stay_blank: Array,
    stay_label: Array,
    more: Array,
    here: Array,
    beginnings: Beginnings,
) -> Beam:
    """The best w of what `continued` found; new beginnings get numbers where sequences go on."""
    n, width, classes = more.shape
    scores = np.logaddexp(stay_blank, stay_label)
    scores = np.concatenate([scores, more.reshape(n, width * classes)], axis=1)
    chosen = np.argpartition(scores, -width, axis=1)[:, -width:]
    score = np.take_along_axis(scores, chosen, 1)
    slot = np.where(chosen < width, chosen, (chosen - width) // classes)
    states = (beam.number, beam.parent, beam.last, stay_blank, stay_label)
    number, parent, last, ends_blank, ends_label = (np.take_along_axis(a, slot, 1) for a in states)
    new = (chosen >= width) & (score > -np.inf) & here
    parent[new], last[new] = number[new], (chosen[new] - width) % classes
    number[new] = beginnings.continued(parent[new], last[new])
    ends_blank[new], ends_label[new] = -np.inf, score[new]
    found = Beam(number, parent, last, ends_blank, ends_label)
    for a, nothing in zip(found, EMPTY, strict=True):
        a[score == -np.inf] = nothing
    return found
