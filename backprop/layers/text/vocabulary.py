"""Tokens and their numbers: what the lookups and the vectorization of text share.

    number:  0 ... start-1        start, start + 1 ...
    token:   mask and unknown     the tokens, the most frequent first

Frequencies are counted by `adapt`; of tokens that are as frequent the one that is later in the
order of code points comes first, as in Keras. The weight of a token in tf-idf is, with n documents
of which d hold it,

    idf = log(1 + n / (1 + d)),    and for unknown tokens the mean of all idf
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

import numpy as np

from backprop import checks
from backprop.layers.columns.rows import Rows

Array = np.ndarray

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
OLD_NAMES = {"binary": "multi_hot", "tf-idf": "tf_idf"}  # as Keras accepts them
DROPPED = -2  # the number of a mask token where numbers become counts


class Vocabulary:
    """Tokens in order, and which of the first numbers stand for no token.

    Parameters
    ----------
    who : str
        For messages.
    output_mode : {"int", "one_hot", "multi_hot", "count", "tf_idf"}
        Only with "int" the mask has a number.
    max_tokens : int, optional
        At most so many numbers, those before the tokens included.
    mask_token : str or int, optional
    oov_token : str or int, optional
        How unknown tokens are called.
    unknown : int
        How many numbers stand for unknown tokens.
    pad : bool
        Whether counts get `max_tokens` columns, however few tokens there are.
    spread : callable, optional
        Where several numbers stand for unknown tokens: a list of tokens → integers, of which the
        remainder says the number.
    invert : bool, default False
        Whether numbers become tokens: then none may be called as unknown ones are.
    """

    def __init__(
        self,
        who: str,
        output_mode: str,
        max_tokens: int | None,
        mask_token: Any,
        oov_token: Any,
        unknown: int,
        pad: bool,
        spread: Callable[[list[Any]], Array] = np.asarray,
        invert: bool = False,
    ):
        if max_tokens is not None:
            max_tokens = checks.integer(max_tokens, who, "max_tokens", least=2)
        elif pad:
            raise ValueError(f"{who} expects max_tokens where pad_to_max_tokens is True, got None")
        self.who = who
        self.output_mode = output_mode
        self.max_tokens = max_tokens
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.unknown = unknown
        self.pad = pad
        self.spread = spread
        self.reserved = {"mask": mask_token} | ({"oov": oov_token} if invert else {})
        self.first_unknown = int(mask_token is not None and output_mode == "int")
        self.start = self.first_unknown + unknown
        self.tokens: list[Any] | None = None  # until they are set or learned
        # integers that are known, in order, and their numbers: made when they are first asked for
        self.in_order: tuple[Array, Array] | None = None
        self.idf: Array | None = None  # of every column

    # ------------------------------------------------------------------------- setting and learning

    def set(self, tokens: Any, idf_weights: Any = None) -> None:
        """Take these tokens; those that stand for mask and unknown may be at their front."""
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ValueError(
                f"{self.who} expects idf_weights with a vocabulary where output_mode is 'tf_idf', "
                f"and only there; output_mode is {self.output_mode!r}"
            )
        given = list(tokens)
        if not given:
            raise ValueError(f"{self.who} expects a vocabulary that is not empty")
        special = given[: self.start] == self._special()
        found = given[self.start :] if special else given
        repeated = [token for token, n in Counter(found).items() if n > 1]
        if repeated:
            raise ValueError(
                f"{self.who} expects every token of a vocabulary once; repeated: {repeated[:9]}"
            )
        for kind, token in self.reserved.items():
            if token is not None and token in found:
                raise ValueError(
                    f"{self.who} expects the {kind} token {token!r} to be left out of the "
                    f"vocabulary, or to stand at its front as in {self._special()}; it is entry "
                    f"{len(given) - len(found) + found.index(token)}"
                )
        self._check_size(found)
        if idf_weights is not None:
            self.idf = self._given_idf(idf_weights, len(given), special)
        self._keep(found)

    def learn(self, documents: Iterable[Iterable[Any]]) -> None:
        """Take the most frequent tokens of all documents, which are tokens or say how often each
        is there. Where nothing is weighted, several may come as one."""
        counts: Counter[Any] = Counter()
        holding: Counter[Any] = Counter()  # of each token, the documents that hold it
        n = 0
        for document in documents:
            there = Counter(document)
            counts.update(there)
            if self.output_mode == "tf_idf":
                holding.update(there.keys())
            n += 1
        for special in (self.mask_token, self.oov_token):
            counts.pop(special, None)
        if not counts:
            raise ValueError(f"{self.who}.adapt() found no tokens in its data")
        found = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        if self.max_tokens is not None:
            found = found[: max(self.max_tokens - self.start, 0)]
        if self.output_mode == "tf_idf":
            idf = np.log(1 + n / (1 + np.array([holding[token] for token in found], float)))
            self.idf = self._padded_idf(idf.astype(np.float32))
        self._keep(found)

    def _keep(self, tokens: list[Any]) -> None:
        self.tokens = tokens
        self.in_order = None
        self.numbers = {token: i for i, token in enumerate(tokens, self.start)}
        if self.mask_token is not None:
            self.numbers[self.mask_token] = 0 if self.output_mode == "int" else DROPPED

    def _check_size(self, tokens: list[Any]) -> None:
        if self.max_tokens is not None and self.start + len(tokens) > self.max_tokens:
            raise ValueError(
                f"{self.who} expects a vocabulary of at most max_tokens={self.max_tokens} with the "
                f"{self.start} for mask and unknown, got {len(tokens)} tokens"
            )

    def _given_idf(self, weights: Any, length: int, special: bool) -> Array:
        idf = np.array(weights, np.float32)
        if idf.shape != (length,):
            raise ValueError(
                f"{self.who} expects idf_weights of shape ({length},), one for each entry of the "
                f"vocabulary, got {idf.shape}"
            )
        return self._padded_idf(idf[self.start :] if special else idf, idf if special else None)

    def _padded_idf(self, idf: Array, whole: Array | None = None) -> Array:
        """The weight of every column: unknown tokens get the mean, columns of no token get 0."""
        if whole is None:
            whole = np.concatenate([np.full(self.start, idf.mean(), np.float32), idf])
        if not self.pad:
            return whole
        assert self.max_tokens is not None  # padding asks for it
        return np.pad(whole, (0, self.max_tokens - len(whole)))

    # --------------------------------------------------------------------------------------- asking

    def _special(self) -> list[Any]:
        return [self.mask_token] * self.first_unknown + [self.oov_token] * self.unknown

    def known(self) -> list[Any]:
        """The tokens, or an error that says how to get some."""
        if self.tokens is None:
            raise ValueError(
                f"{self.who} has no vocabulary yet: call adapt(data), set_vocabulary(tokens), or "
                "pass vocabulary=tokens"
            )
        return self.tokens

    def all(self, include_special_tokens: bool = True) -> list[Any]:
        """The token of every number, or those that are no mask and not unknown."""
        return (self._special() if include_special_tokens else []) + (self.tokens or [])

    @property
    def columns(self) -> int:
        """How many columns counts have."""
        if self.pad:
            assert self.max_tokens is not None
            return self.max_tokens
        return self.start + len(self.known())

    def look_up(self, tokens: Iterable[Any]) -> Array:
        """The number of each token. An array is one of integers."""
        self.known()
        other = self.first_unknown if self.unknown == 1 else -1
        if isinstance(tokens, np.ndarray):
            found = self._of_integers(tokens.astype(np.int64, copy=False), other)
        else:
            tokens = list(tokens)
            numbers = map(self.numbers.get, tokens, repeat(other))
            found = np.fromiter(numbers, np.int64, len(tokens))
        if self.unknown != 1 and (found == -1).any():
            listed = tokens.tolist() if isinstance(tokens, np.ndarray) else tokens
            self._place_unknown(listed, found)
        return found

    def _of_integers(self, x: Array, other: int) -> Array:
        """The numbers of integers: from a table of all between the least and the largest that is
        known, where that is not much longer than x, else by bisection."""
        if self.in_order is None:
            known = np.array(list(self.numbers), np.int64)
            order = known.argsort()
            self.in_order = known[order], np.array(list(self.numbers.values()), np.int64)[order]
        known, numbers = self.in_order
        if not len(known):
            return np.full(len(x), other)
        low, high = known[[0, -1]].tolist()
        if high - low > 2 * len(x) + len(known):
            place = np.searchsorted(known, x).clip(max=len(known) - 1)
            found = numbers[place]
            found[known[place] != x] = other
            return found
        table = np.full(high - low + 1, other)
        table[known - low] = numbers
        found = table[x.clip(low, high) - low]
        found[(x < low) | (x > high)] = other
        return found

    def _place_unknown(self, tokens: list[Any], found: Array) -> None:
        """Numbers of unknown tokens, where there are several for them, or none."""
        places = np.flatnonzero(found == -1)
        if not self.unknown:
            raise ValueError(
                f"{self.who} has no number for unknown tokens (num_oov_indices=0) and got "
                f"{tokens[places[0]]!r}"
            )
        spread = self.spread([tokens[i] for i in places])
        found[places] = self.first_unknown + spread % spread.dtype.type(self.unknown)

    def encode(self, numbers: Array, ends: Array, dtype: Any) -> Any:
        """Numbers of tokens as rows of `output_mode`; row i is made of
        numbers[ends[i]:ends[i + 1]]. `dtype` is that of weighted counts."""
        rows = Rows(numbers, ends, self.output_mode, self.columns)
        if self.output_mode != "tf_idf":
            return rows
        assert self.idf is not None
        y = rows.tocsr().astype(dtype)
        y.data *= self.idf[y.indices]
        return y


def mode(output_mode: Any, who: str, name: str = "output_mode") -> str:
    """The output mode of that name, old names included."""
    known = OLD_NAMES.get(output_mode, output_mode) if isinstance(output_mode, str) else output_mode
    return checks.one_of(known, MODES, who, name)


def lines_of(path: str) -> list[str]:
    """The lines of a file with a token in each."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path!r} with a vocabulary")
    with open(path, encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")
