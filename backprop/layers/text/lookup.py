"""Categories to numbers and back: a table of strings, a table of integers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert, argument
from backprop.checks import NotNegative
from backprop.config import Configurable
from backprop.layers.text.vocabulary import Vocabulary, lines_of, mode

Array = np.ndarray


class Lookup(Configurable, kw_only=True):
    """y = the number of x in a vocabulary: what all that have one share.

        x: (...) of tokens    y: (...) of int, or rows of counts

    It is no layer: what it takes are no numbers, and nothing here has a derivative. It stands
    before a model, not in it.
    """

    advice_to_containers = "strings become numbers before a model: model.fit(lookup(texts), y)"

    vocabulary: Any = None

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
        self.vocabulary.learn(
            document for batch in batches(data, steps) for document in self._documents(batch)
        )

    def _documents(self, batch: Any) -> Iterable[list[Any]]:
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
        self.vocabulary.set([self._token(entry) for entry in vocabulary], idf_weights)

    def _token(self, entry: Any) -> Any:
        """An entry of a vocabulary, or the line of a file, as Python's str or int."""
        token = entry.decode("utf-8") if isinstance(entry, bytes) else entry
        if not isinstance(token, str):
            raise TypeError(
                f"{type(self).__name__} expects a vocabulary of strings, got {entry!r} among them"
            )
        return str(token)

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


def batches(data: Any, steps: int | None) -> Iterator[Any]:
    """The batches of what `adapt` was given."""
    if isinstance(data, str | bytes) or not hasattr(data, "__iter__"):
        raise TypeError(f"adapt() expects many texts, as a list or an array, got {data!r}")
    if isinstance(data, list | tuple) or hasattr(data, "__array__"):
        data = [data]
    for i, batch in enumerate(data):
        if i == steps:
            break
        yield batch


class Table(Lookup, kw_only=True, by_position=True):
    """y = the number of x in a vocabulary, or the other way round: what both tables share."""

    max_tokens: Any = None
    num_oov_indices: NotNegative = 1
    mask_token: Any = None
    oov_token: Any = None
    vocabulary: Any = argument(default=None)
    idf_weights: Any = None
    invert: bool = False
    output_mode: Annotated[str, Convert(mode)] = "int"
    pad_to_max_tokens: bool = False
    sparse: bool = False
    name: str | None = None

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
        )
        self._begin(vocabulary, self.idf_weights)

    def __call__(self, x: Any) -> Any:
        """The numbers, or rows of counts, for tokens; with `invert` the tokens of numbers.

        Parameters
        ----------
        x : array-like of tokens
            Of any shape for "int"; else its last axis holds the tokens of a row.

        Returns
        -------
        ndarray or csr_array
        """
        if self.invert:
            return self._tokens_of(np.asarray(x))
        x = self._array(x)
        numbers = self.vocabulary.look_up(x.ravel().tolist())
        if self.output_mode == "int":
            return numbers.reshape(x.shape)
        if self.output_mode == "one_hot":
            shape, length = x.shape[:-1] if x.ndim > 1 and x.shape[-1] == 1 else x.shape, 1
        else:
            shape, length = x.shape[:-1], x.shape[-1] if x.ndim else 1
        ends = np.arange(0, x.size + 1, length) if x.size else np.zeros(1, int)
        y = self.vocabulary.encode(numbers, ends, self.sparse)
        if not self.sparse:
            return y.reshape(*shape, y.shape[-1])
        if len(shape) > 1:
            raise ValueError(
                f"{type(self).__name__} with sparse=True expects rows of tokens, got an array of "
                f"shape {x.shape}"
            )
        return y

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
        x = self._array(batch)
        return x.reshape(len(x), -1).tolist() if x.ndim else [[x.item()]]

    def _array(self, x: Any) -> Array:
        raise TypeError(f"{type(self).__name__} has no _array(self, x): write one")


class StringLookup(Table):
    """y = the number of x in a vocabulary of strings; with `invert`, y = the string of number x.

        x: (...) of str    y: (...) of int, or (N, V) where x: (N, T) and rows are counted

    The numbers begin with 0 for the mask, where there is one and `output_mode` is "int", then 1 (or
    0) for all strings that are not in the vocabulary. Keras' layer of that name.

    Parameters
    ----------
    max_tokens : int, optional
        At most so many numbers, that of mask and unknown included.
    num_oov_indices : {1, 0}, default 1
        How many numbers stand for unknown strings. With 0 such a string is an error. More, which
        Keras tells apart by a hash, are not offered.
    mask_token : str, optional
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
    name : str, optional
    salt : None
        Of Keras' hash, which is not offered.

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

    oov_token: str = "[UNK]"
    encoding: str = argument(default="utf-8", after="sparse")
    salt: Any = argument(default=None, after="name")

    def __post_init__(self):
        if self.salt is not None or self.num_oov_indices not in (0, 1):
            raise ValueError(
                "StringLookup expects num_oov_indices of 0 or 1 and no salt: telling unknown "
                "strings apart by a hash is not offered; got "
                f"{self.num_oov_indices!r} and {self.salt!r}"
            )

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
    max_tokens, vocabulary, idf_weights, output_mode, sparse, pad_to_max_tokens, name
        As in `StringLookup`; the vocabulary has integers.
    num_oov_indices : int, default 1
        How many numbers stand for unknown integers; which one, the remainder says. With 0 such an
        integer is an error.
    mask_token : int, optional
        What is padding: number 0, and not counted.
    oov_token : int, default -1
        What the inverse calls unknown numbers.
    vocabulary_dtype : {"int64"}
    invert : bool, default False
        Numbers to integers of the vocabulary.
    oov_method : {"floormod"}
        Keras' hash is not offered.
    salt : None
        Of that hash.

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

    oov_token: int = -1
    vocabulary_dtype: Annotated[str, checks.choice("int64")] = argument(
        default="int64", after="vocabulary"
    )
    sparse: bool = argument(default=False, after="output_mode")
    oov_method: str = argument(default="floormod", after="pad_to_max_tokens")
    salt: Any = argument(default=None, after="oov_method")

    def __post_init__(self):
        if self.salt is not None or self.oov_method != "floormod":
            raise ValueError(
                "IntegerLookup expects oov_method='floormod' and no salt: telling unknown integers "
                f"apart by a hash is not offered; got {self.oov_method!r} and {self.salt!r}"
            )

    def _token(self, entry):
        if isinstance(entry, str):
            entry = int(entry)
        if isinstance(entry, bool) or not isinstance(entry, int | np.integer):
            raise TypeError(
                f"IntegerLookup expects a vocabulary of integers, got {entry!r} among them"
            )
        return int(entry)

    def _array(self, x):
        x = np.asarray(x)
        if x.dtype.kind not in "iu":
            raise TypeError(f"IntegerLookup expects integers, got an array of {x.dtype}")
        return x


def strings(x: Any, who: str, encoding: str) -> Array:
    """An array of objects, each a str."""
    x = np.array(x, dtype=object)  # a copy: bytes are replaced in it
    flat = x.reshape(-1)
    for i, text in enumerate(flat):
        if isinstance(text, bytes):
            flat[i] = text.decode(encoding)
        elif not isinstance(text, str):
            raise TypeError(
                f"{who} expects strings in rows of one length, and got {type(text).__name__} "
                f"{text!r} among them"
            )
    return x
