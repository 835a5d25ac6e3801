"""Categories to numbers and back: a table of strings, a table of integers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert, argument
from backprop.checks import integer
from backprop.defaults import floatx
from backprop.hashes import hashed
from backprop.layers.columns.column import Column, as_array, as_entries, batches, strings
from backprop.layers.columns.hashing import Salt
from backprop.layers.columns.rows import row_ends
from backprop.layers.text.vocabulary import Vocabulary, lines_of, mode

Array = np.ndarray

# each is a row of what comes out, and a token in front of the vocabulary
Unknown = Annotated[int, Convert(integer, least=0, most=2**20)]


class Lookup(Column):
    """y = the number of x in a vocabulary: what all that have one share.

    x: (...) of tokens    y: (...) of int, or rows of counts
    """

    vocabulary: Any = None

    fixed = ("max_tokens", "vocabulary", "idf_weights", "output_mode", "pad_to_max_tokens")
    given = False  # whether the vocabulary came with the constructor

    def _begin(self, vocabulary: Any, idf_weights: Any) -> None:
        """Take the constructor's vocabulary."""
        self.given = vocabulary is not None
        if self.given:
            self.set_vocabulary(vocabulary, idf_weights)
            for name in ("vocabulary", "idf_weights"):
                if isinstance(self._arguments.get(name), list | tuple):  # repr need not list them
                    self._arguments[name] = np.array(self._arguments[name])
        elif idf_weights is not None:
            raise ValueError(f"{type(self).__name__} got idf_weights and no vocabulary for them")

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from data; what was learned before is forgotten.

        Parameters
        ----------
        data : array-like, or iterable of batches
            A row is a document. A list, a tuple or an array holds all rows, anything else that can
            be iterated over yields batches of them.
        batch_size : int, optional
            Has no influence on the result, here as in Keras.
        steps : int, optional
            How many batches to take. Default: all.

        Raises
        ------
        ValueError
            Where there is no token in the data, or the constructor was given a vocabulary.
        """
        if self.given:
            raise ValueError(
                f"{type(self).__name__} was given its vocabulary; leave it out to adapt"
            )
        if batch_size is not None:
            checks.integer(batch_size, type(self).__name__, "batch_size")
        with self._one_depth():
            self.vocabulary.learn(
                document for batch in batches(data, steps) for document in self._documents(batch)
            )

    @contextmanager
    def _one_depth(self) -> Iterator[None]:
        """Raise where what happens within changes the length of rows that a model was built for."""
        built = self.in_a_model and self.output_mode != "int" and self.vocabulary.tokens is not None
        before, state = self.depth if built else None, dict(vars(self.vocabulary))
        yield
        if built and self.depth != before:
            found = self.depth
            vars(self.vocabulary).update(state)
            raise ValueError(
                f"{self!r} stands in a model, which was built for rows of {before}, and they would "
                f"have {found}: make a new model, or set pad_to_max_tokens"
            )

    def _documents(self, batch: Any) -> Iterable[Any]:
        raise TypeError(f"{type(self).__name__} has no _documents(self, batch): write one")

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Give it its tokens.

        Parameters
        ----------
        vocabulary : array-like, or path
            The tokens in order, each once, with or without those for mask and unknown at the front.
            A path is that of a UTF-8 text file with a token in each line.
        idf_weights : array-like of float, optional
            One for each entry, where `output_mode` is "tf_idf", and only there.

        Raises
        ------
        ValueError
            Where a token repeats, there are none or too many, or weights are missing.
        TypeError
            Where a token is of another kind.
        """
        if isinstance(vocabulary, str | os.PathLike):
            vocabulary = lines_of(os.fspath(vocabulary))
        one = isinstance(vocabulary, np.ndarray) and not vocabulary.ndim
        if one or isinstance(vocabulary, bytes) or not isinstance(vocabulary, Iterable):
            raise TypeError(
                f"{type(self).__name__} expects vocabulary to be a list of tokens or the path of a "
                f"file of them, got {vocabulary!r}"
            )
        tokens = [self._token(entry) for entry in vocabulary]
        with self._one_depth():
            self.vocabulary.set(tokens, idf_weights)

    def _token(self, entry: Any) -> Any:
        """An entry of a vocabulary, or the line of a file, as Python's str or int."""
        token = entry.decode("utf-8") if isinstance(entry, bytes) else entry
        if not isinstance(token, str):
            raise TypeError(
                f"{type(self).__name__} expects a vocabulary of strings, got {entry!r} among them"
            )
        return str(token)

    @property
    def depth(self):
        return self.vocabulary.columns

    @property
    def output_kind(self) -> Any:
        return "f" if self.output_mode == "tf_idf" else "i"

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their numbers.

        Parameters
        ----------
        include_special_tokens : bool, default True
            Whether the list begins with those for mask and unknown, so that an entry's place is its
            number.
        """
        return self.vocabulary.all(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those for mask and unknown included."""
        return len(self.get_vocabulary())

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, and the vocabulary as it is now.

        So this is how to keep one: the result is plain JSON, and `from_config` needs nothing else.
        """
        config = super().get_config()
        idf = self.vocabulary.idf
        config["vocabulary"] = None if self.vocabulary.tokens is None else self.get_vocabulary()
        config["idf_weights"] = None if idf is None else idf[: self.vocabulary_size()].tolist()
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build an object from what `get_config` returned.

        Raises
        ------
        ValueError
            Where the vocabulary is a path: a configuration opens no file.
        """
        if isinstance(config.get("vocabulary"), str):
            raise ValueError(
                f"a configuration of {cls.__name__} holds the tokens, not the path of a file; got "
                f"vocabulary={config['vocabulary']!r}"
            )
        return super().from_config(config, custom_objects)


class Table(Lookup, by_position=True):
    """y = the number of x in a vocabulary, or the other way round: what both tables share."""

    max_tokens: Any = None
    num_oov_indices: Unknown = 1
    mask_token: Any = None
    oov_token: Any = None
    vocabulary: Any = argument(default=None)
    idf_weights: Any = None
    invert: bool = False
    output_mode: Annotated[str, Convert(mode)] = "int"
    pad_to_max_tokens: bool = False
    sparse: bool = False

    fixed = ("num_oov_indices", "mask_token", "oov_token", "invert")

    def __post_init__(self):
        who, ints = type(self).__name__, self.output_mode == "int"
        if self.invert and not ints:
            raise ValueError(
                f"{who} expects output_mode='int' with invert, got {self.output_mode!r}"
            )
        if self.sparse and ints:
            raise ValueError(f"{who} expects another output_mode than 'int' with sparse=True")
        vocabulary = self.vocabulary
        self.vocabulary = Vocabulary(
            who,
            self.output_mode,
            self.max_tokens,
            self.mask_token,
            self.oov_token,
            self.num_oov_indices,
            self.pad_to_max_tokens,
            self._spread,
            self.invert,
        )
        self._begin(vocabulary, self.idf_weights)

    def rows_of(self, x):
        """The numbers, or rows of counts, for tokens; with `invert` the tokens of numbers."""
        if self.invert:
            return self._tokens_of(x)
        x = self._array(x)
        numbers = self.vocabulary.look_up(self._flat(x))
        if self.output_mode == "int":
            return numbers.reshape(x.shape)
        ends = row_ends(x.shape, self.output_mode)
        return self.vocabulary.encode(numbers, ends, self.dtype or floatx())

    def _tokens_of(self, numbers: Array) -> Array:
        if numbers.dtype.kind not in "iu":
            raise TypeError(
                f"{type(self).__name__} with invert expects integers, got an array of "
                f"{numbers.dtype}"
            )
        self.vocabulary.known()
        tokens = np.array([*self.get_vocabulary(), self.vocabulary.oov_token])
        n = len(tokens) - 1
        return tokens[np.where((numbers >= 0) & (numbers < n), numbers, n)]

    def _documents(self, batch):
        x = self._array(as_array(batch))
        if not x.size:
            return []
        if self.output_mode != "tf_idf":  # then it does not matter what is in which
            return [self._counted(x)]
        return x.reshape(len(x), -1).tolist() if x.ndim else [[x.item()]]

    def _flat(self, x: Array) -> Any:
        """The tokens as they are looked up."""
        return x.ravel().tolist()

    def _counted(self, x: Array) -> Any:
        """The tokens, or how often each is there."""
        return x.ravel().tolist()

    def _array(self, x: Any) -> Array:
        raise TypeError(f"{type(self).__name__} has no _array(self, x): write one")

    def _spread(self, tokens: list[Any]) -> Array:
        """Integers that tell unknown tokens apart."""
        return hashed(np.array(tokens, dtype=object), self.salt)


class StringLookup(Table):
    """y = the number of x in a vocabulary of strings; with `invert`, y = the string of number x.

        x: (...) of str    y: (...) of int, or (N, V) where x: (N, T) and rows are counted

    The numbers begin with 0 for the mask, where there is one and `output_mode` is "int", then 1 (or
    0) for all strings that are not in the vocabulary. Keras' layer of that name.

    Parameters
    ----------
    max_tokens : int, optional
        At most so many numbers, that of mask and unknown included.
    num_oov_indices : int, default 1
        How many numbers stand for unknown strings; which one, a hash says: Fingerprint64 of
        FarmHash, or with a salt SipHash-2-4. With 0 such a string is an error.
    mask_token : str or int, optional
        What is padding: number 0, and not counted.
    oov_token : str, default "[UNK]"
        What the inverse calls unknown numbers.
    vocabulary : array-like of str, or path, optional
        Instead of `adapt`: the tokens in order, or a text file of them, one in each line.
    idf_weights : array-like of float, optional
        Of the vocabulary, where `output_mode` is "tf_idf".
    invert : bool, default False
        Numbers to strings.
    output_mode : {"int", "one_hot", "multi_hot", "count", "tf_idf"}
        "one_hot" is a row for each string, the others a row for each row: which strings are in
        it, how often, and how often times their idf, log(1 + rows / (1 + rows that hold it)).
    pad_to_max_tokens : bool, default False
        Whether rows have `max_tokens` entries in any case.
    sparse : bool, default False
        Whether rows are a SciPy CSR array. `Dense` multiplies it as it is.
    encoding : str, default "utf-8"
        Of strings that are given as bytes.
    salt : int or pair of int, optional
        The key of SipHash; one integer stands for both.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an argument is out of its range, or nothing was adapted to.
    TypeError
        Where the input holds no strings.

    Examples
    --------
    >>> from backprop.layers import StringLookup
    >>> lookup = StringLookup()
    >>> lookup.adapt([["a", "c", "d"], ["d", "z", "b"]])
    >>> lookup.get_vocabulary()
    ['[UNK]', 'd', 'z', 'c', 'b', 'a']
    >>> lookup([["c", "q"]])
    array([[3, 0]])
    >>> StringLookup(vocabulary=lookup.get_vocabulary(), invert=True)([3, 0])
    array(['c', '[UNK]'], dtype='<U5')
    """

    mask_token: str | int | None = None
    oov_token: str | int = "[UNK]"
    encoding: str = argument(default="utf-8", after="sparse")
    salt: Salt | None = argument(default=None, after="encoding")

    @property
    def output_kind(self) -> Any:
        return "U" if self.invert else super().output_kind

    def _array(self, x):
        return strings(x, "StringLookup", self.encoding)


class IntegerLookup(Table):
    """y = the number of x in a vocabulary of integers; with `invert`, y = the integer of number x.

        x: (...) of int    y: (...) of int, or (N, V) where x: (N, T) and rows are counted

    For integers that are names rather than amounts. The numbers begin with 0 for the mask, where
    there is one and `output_mode` is "int", then those for integers that are not in the vocabulary.
    Keras' layer of that name.

    Parameters
    ----------
    max_tokens, vocabulary, idf_weights, output_mode, sparse, pad_to_max_tokens
        As in `StringLookup`; the vocabulary has integers.
    num_oov_indices : int, default 1
        How many numbers stand for unknown integers; which one, `oov_method` says. With 0 such an
        integer is an error.
    mask_token : int, optional
        What is padding: number 0, and not counted.
    oov_token : int, default -1
        What the inverse calls unknown numbers.
    vocabulary_dtype : {"int64"}
    invert : bool, default False
        Numbers to integers of the vocabulary.
    oov_method : {"floormod", "farmhash"}
        The remainder of an integer, or the hash of its decimal digits, as in `StringLookup`.
    salt : int or pair of int, optional
        For "farmhash": the key of SipHash.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        As `StringLookup`.
    TypeError
        Where the input holds no integers.

    Examples
    --------
    >>> from backprop.layers import IntegerLookup
    >>> lookup = IntegerLookup(vocabulary=[12, 1138, 42])
    >>> lookup([[12, 42], [7, 1138]])
    array([[1, 3],
           [0, 2]])
    """

    mask_token: int | None = None
    oov_token: int = -1
    vocabulary_dtype: Annotated[str, checks.choice("int64")] = argument(
        default="int64", after="vocabulary"
    )
    sparse: bool = argument(default=False, after="output_mode")
    oov_method: Annotated[str, checks.choice("floormod", "farmhash")] = argument(
        default="floormod", after="pad_to_max_tokens"
    )
    salt: Salt | None = argument(default=None, after="oov_method")

    string_input = False

    def __post_init__(self):
        if self.salt is not None and self.oov_method != "farmhash":
            raise ValueError(
                "IntegerLookup has a salt for oov_method='farmhash' only, got "
                f"oov_method={self.oov_method!r}"
            )

    def _token(self, entry):
        if isinstance(entry, str) and entry.strip().lstrip("+-").isdecimal():
            entry = int(entry)
        if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
            raise TypeError(
                f"IntegerLookup expects a vocabulary of integers, got {entry!r} among them"
            )
        return int(entry)

    def _array(self, x):
        x = as_entries(np.asarray(x))
        if x.dtype.kind == "f" and (x == np.rint(x)).all():
            return x.astype(np.int64)
        if x.dtype.kind not in "iu":
            raise TypeError(f"IntegerLookup expects integers, got an array of {x.dtype}")
        return x

    def _flat(self, x):
        return x.ravel()

    def _counted(self, x):
        known, counts = np.unique(x, return_counts=True)
        return dict(zip(known.tolist(), counts.tolist(), strict=True))

    def _spread(self, tokens):
        numbers = np.array(tokens, np.int64)
        return numbers if self.oov_method == "floormod" else hashed(numbers, self.salt)
