"""Text to numbers: cleaned, split into tokens, and each token looked up in a vocabulary."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert, argument
from backprop.checks import Positive
from backprop.counts import no_products
from backprop.defaults import floatx
from backprop.layer import INFERENCE
from backprop.layers.columns.column import as_array, strings
from backprop.layers.text.lookup import Lookup
from backprop.layers.text.vocabulary import Vocabulary, mode
from backprop.registry import users_own

Array = np.ndarray
Tokens = list[list[str]]

LOWER = dict(zip(map(ord, string.ascii_uppercase), string.ascii_lowercase, strict=True))
STRIP = dict.fromkeys(map(ord, string.punctuation))
STANDARDS = {
    "lower_and_strip_punctuation": LOWER | STRIP,
    "lower": LOWER,
    "strip_punctuation": STRIP,
}
WORD = re.compile(r"[^ \t\n\v\f\r]+")  # str.split knows more kinds of white space than Keras
SEPARATORS = "\x1c\x1d\x1e\x1f"  # those of ASCII


def known(value: Any, who: str, name: str, names: tuple) -> Any:
    found = registered(value)
    return found if callable(found) else checks.one_of(found, names, who, name)


class TextVectorization(Lookup):
    """y[n, t] = the number, in a vocabulary, of token t of text n.

        x: (N,) of str    y: (N, T) of int, or (N, V) of counts, V the vocabulary's size

    A text is standardized, split into tokens, and where `ngrams` says so neighbouring tokens are
    joined; then each token is looked up. With "int", number 0 is padding and 1 all tokens that are
    not in the vocabulary; else there is no padding, and number 0 is what is unknown. The tokens of
    a vocabulary that `adapt` learned go from the most frequent to the least, and where they are as
    frequent, backwards through the alphabet. Keras' layer of that name, with its numbers.

    It stands in a model, behind ``Input((1,), dtype="string")``, or before one:
    ``model.fit(vectorize(texts), y)`` numbers the texts once and not in every epoch. The vocabulary
    is part of `get_config`, as plain JSON, so that a saved model has it. A text has no derivative;
    for the sake of the containers dx is 0.

    Parameters
    ----------
    max_tokens : int, optional
        At most so many numbers, those of padding and unknown included.
    standardize : str or callable, optional
        "lower_and_strip_punctuation" (the default), "lower", "strip_punctuation", or None. As in
        Keras they know ASCII only; a function gets an array of str and returns one of its
        shape: ``np.char.lower`` for all alphabets.
    split : str or callable, optional
        "whitespace" (the default), "character", or None, and the last axis of x holds tokens. A
        function gets an array of standardized texts and returns a list of tokens for each.
    ngrams : int or tuple of int, optional
        n: runs of one to n tokens, joined by spaces, are the tokens, first those of one. A tuple:
        runs of these lengths, in its order.
    output_mode : {"int", "multi_hot", "count", "tf_idf"}
        The numbers; or for each number whether it is there, how often, and how often times its idf,
        log(1 + texts / (1 + texts that hold it)). "one_hot" is for `StringLookup`.
    output_sequence_length : int, optional
        With "int", cut or fill up every text to so many numbers. Default: as long as the longest.
    pad_to_max_tokens : bool, default False
        Whether rows of counts have `max_tokens` entries in any case.
    vocabulary, idf_weights : as in `StringLookup`
    sparse : bool, default False
        Whether counts are a SciPy CSR array, which `Dense` multiplies as it is: a text has few of
        all tokens. Otherwise they are a plain array, as in Keras.
    ragged : bool, default False
        With "int", a list of arrays, each as long as its text.
    encoding : str, default "utf-8"
        Of texts that are given as bytes.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an argument is out of its range, or nothing was adapted to.
    TypeError
        Where the input holds no strings.

    Examples
    --------
    >>> from backprop.layers import TextVectorization
    >>> vectorize = TextVectorization(output_sequence_length=4)
    >>> vectorize.adapt(["foo bar", "Bar, baz!", "baz bada boom"])
    >>> vectorize.get_vocabulary()
    ['', '[UNK]', 'baz', 'bar', 'foo', 'boom', 'bada']
    >>> vectorize(["foo qux bar", "qux baz"])
    array([[4, 1, 3, 0],
           [1, 2, 0, 0]])
    >>> TextVectorization(vocabulary=["baz", "bar"], output_mode="count")(["bar bar baz"])
    array([[0, 1, 2]])
    """

    max_tokens: Any = None
    standardize: Annotated[Any, Convert(known, names=(None, *STANDARDS), none=True)] = (
        "lower_and_strip_punctuation"
    )
    split: Annotated[Any, Convert(known, names=(None, "whitespace", "character"), none=True)] = (
        "whitespace"
    )
    ngrams: Annotated[
        Any, Convert(lambda value, who, name: lengths_of_ngrams(value), none=True)
    ] = None
    output_mode: Annotated[str, Convert(mode)] = "int"
    output_sequence_length: Positive | None = None
    pad_to_max_tokens: bool = False
    vocabulary: Any = argument(default=None)
    idf_weights: Any = None
    sparse: bool = False
    ragged: bool = False
    encoding: str = "utf-8"

    def __post_init__(self):
        who, ints = type(self).__name__, self.output_mode == "int"
        checks.one_of(self.output_mode, ("int", "multi_hot", "count", "tf_idf"), who, "output_mode")
        for name, value, wanted in (
            ("output_sequence_length", self.output_sequence_length is not None, True),
            ("ragged", self.ragged, True),
            ("sparse", self.sparse, False),
            ("pad_to_max_tokens", self.pad_to_max_tokens, False),
        ):
            if value and ints is not wanted:
                raise ValueError(
                    f"{who} has {name} for output_mode='int' {'only' if wanted else 'not'}; "
                    f"output_mode is {self.output_mode!r}"
                )
        vocabulary = self.vocabulary
        self.vocabulary = Vocabulary(
            who, self.output_mode, self.max_tokens, "", "[UNK]", 1, self.pad_to_max_tokens
        )
        self._begin(vocabulary, self.idf_weights)

    def compute_output_shape(self, input_shape):
        batch, *rest = input_shape
        if rest not in ([], [1]) if self.split is not None else len(rest) != 1:
            raise ValueError(f"{self!r} expects {self._expected()}, and got {tuple(input_shape)}")
        if self.output_mode != "int":
            return batch, self.depth
        whole = rest[0] if self.split is None and not self.ngrams else None
        return batch, self.output_sequence_length or whole

    def obeys_mask(self, x, mask):
        return False

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        if self.ragged:
            raise ValueError(
                f"{self!r} gives lists, which stand before a model and not in it: leave ragged out"
            )
        return super().forward(x, ctx)

    def _compute(self, x, training, mask):
        """y of a call: for one text without a batch one row, and with `ragged` a list of arrays."""
        one = x.ndim == 0 or (x.ndim == 1 and self.split is None)
        if self.ragged:
            numbers, ends = self._numbers(x)
            y = [numbers[i:j][: self.output_sequence_length] for i, j in pairwise(ends)]
        else:
            y = self.rows_of(x).tocsr() if self.sparse else self._dense(x)
        return y[0] if one and not self.sparse else y

    def _dense(self, x):
        y = self.rows_of(x)
        return y if self.output_mode == "int" else y.toarray()

    def rows_of(self, x: Array) -> Any:
        numbers, ends = self._numbers(x)
        if self.output_mode != "int":
            return self.vocabulary.encode(numbers, ends, self.dtype or floatx())
        return padded(numbers, np.diff(ends), self.output_sequence_length)

    def _numbers(self, x: Array) -> tuple[Array, Array]:
        """The numbers of all tokens one after the other, and where each text ends."""
        documents = self._tokens(strings(x, "TextVectorization", self.encoding))
        lengths = [len(tokens) for tokens in documents]
        numbers = self.vocabulary.look_up(chain.from_iterable(documents))
        return numbers, np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)])

    def _documents(self, batch):
        texts = strings(as_array(batch), "TextVectorization", self.encoding)
        # without a split a list of words is a list of documents of one word
        found = self._tokens(texts[:, None] if texts.ndim == 1 and self.split is None else texts)
        # without weights it does not matter what is in which
        return found if self.output_mode == "tf_idf" else [chain.from_iterable(found)]

    def _tokens(self, texts: Array) -> Iterable[list[str]]:
        """The tokens of each text."""
        texts = self._standardized(texts)
        if self.split is None:
            found = texts.reshape(-1, texts.shape[-1] if texts.ndim else 1).tolist()
        else:
            if texts.ndim > 1 and texts.shape[1:] != (1,):
                raise ValueError(f"{self!r} expects {self._expected()}, and got {texts.shape}")
            found = self._split(texts.reshape(-1))
        return [joined(tokens, self.ngrams) for tokens in found] if self.ngrams else found

    def _expected(self) -> str:
        if self.split is None:
            return "rows of tokens, an array of shape (N, T), with split=None"
        return (
            "a list of texts, or an array of shape (N,) or (N, 1); with split=None the last axis "
            "holds tokens"
        )

    def _standardized(self, texts: Array) -> Array:
        if self.standardize is None:
            return texts
        if not isinstance(self.standardize, str):
            done = np.asarray(self.standardize(texts.astype(str)), dtype=object)
            if done.shape != texts.shape:
                raise ValueError(
                    "TextVectorization expects standardize to return as many texts as it gets, in "
                    f"an array of {texts.shape}, and got {done.shape}"
                )
            return done
        table = STANDARDS[self.standardize]
        done = np.empty(texts.shape, object)
        done.reshape(-1)[:] = translated(texts.ravel().tolist(), table)
        return done

    def _split(self, texts: Array) -> Tokens:
        if self.split == "whitespace":
            whole = "".join(texts)
            if whole.isascii() and not any(c in whole for c in SEPARATORS):
                return [text.split() for text in texts]
            return [WORD.findall(text) for text in texts]
        if self.split == "character":
            return [list(text) for text in texts]
        found = [list(tokens) for tokens in self.split(texts.astype(str))]
        if len(found) != len(texts):
            raise ValueError(
                f"TextVectorization expects split to return the tokens of each of {len(texts)} "
                f"texts, and got {len(found)} lists"
            )
        return [[str(token) for token in tokens] for tokens in found]


def translated(texts: list[str], table: Any) -> list[str]:
    """The texts with characters replaced or left out: all as one, as Python looks each character up
    once in a call. An end that is in a text itself would be one more."""
    end = "\0"
    whole = end.join(texts)
    if whole.count(end) != len(texts) - 1:
        return [text.translate(table) for text in texts]
    return whole.translate(table).split(end)


def registered(function: Any) -> Any:
    """The function of that registered name, as a configuration holds it; else what was given."""
    return users_own(function) or function if isinstance(function, str) else function


MOST = 2**10  # words in a run


def lengths_of_ngrams(ngrams: Any) -> tuple[int, ...]:
    """The lengths of the runs that become tokens; none where single tokens do."""
    if ngrams is None:
        return ()
    if isinstance(ngrams, list | tuple) and ngrams:
        return tuple(checks.integer(n, "TextVectorization", "each of ngrams") for n in ngrams)
    return tuple(range(1, checks.integer(ngrams, "TextVectorization", "ngrams", most=MOST) + 1))


def joined(tokens: list[str], lengths: tuple[int, ...]) -> list[str]:
    """Runs of tokens of these lengths, joined by spaces."""
    return [" ".join(tokens[i : i + n]) for n in lengths for i in range(len(tokens) - n + 1)]


def padded(numbers: Array, lengths: Array, width: int | None) -> Array:
    """Numbers one text after the other as rows that are filled up with 0."""
    if width is None:
        width = int(lengths.max(initial=0))
    y = np.zeros((len(lengths), width), np.int64)
    place = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = place < width
    y[np.repeat(np.arange(len(lengths)), lengths)[kept], place[kept]] = numbers[kept]
    return y
