"""English spelling and sound: 12,000 words of 3 to 8 letters, and how each is pronounced.

Source: The CMU Pronouncing Dictionary, Carnegie Mellon University,
https://github.com/cmusphinx/cmudict, under a BSD licence of two clauses, whose text lies beside the
file. The words are those of letters a to z with one pronunciation, in the order of the alphabet,
every 6.6th of them; `docs/text.md` has the script that chose them. Many are names.

The phonemes are those of the dictionary, written as in ARPAbet: 24 consonants and 15 vowels. A
vowel's stress (0 none, 1 primary, 2 secondary) is left out unless it is asked for.
"""

from __future__ import annotations

import numpy as np

from backprop import checks
from backprop.datasets.shipped import unpacked

Array = np.ndarray

SHA256 = "5e2cc5d7afd52e80c9ea861057c270ecb719549a3bb92fe4a217209b22ce1444"
LETTERS = ("", *"abcdefghijklmnopqrstuvwxyz")
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"


def phonemes(stress: bool = False) -> tuple[str, ...]:
    """The phonemes in the order of their numbers in `load_data`; number 0 is padding.

    Parameters
    ----------
    stress : bool, default False
        Whether a vowel is three phonemes, one for each stress.

    Examples
    --------
    >>> from backprop.datasets import cmudict
    >>> len(cmudict.phonemes()), len(cmudict.phonemes(stress=True))
    (40, 70)
    >>> cmudict.phonemes(stress=True)[:5]
    ('', 'AA0', 'AA1', 'AA2', 'AE0')
    """
    vowels = VOWELS.split()
    if stress:
        vowels = [v + s for v in vowels for s in "012"]
    return ("", *vowels, *CONSONANTS.split())


def load_data(
    test_every: int = 10, stress: bool = False
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Words as numbers, split by row number into those to train with and those to test with.

    Parameters
    ----------
    test_every : int, default 10
        At least 2. Of each `test_every` words in the order of the alphabet the last is a test word.
    stress : bool, default False
        Whether a vowel is another phoneme with another stress: 69 phonemes in place of 39.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Letters as uint8 of shape (n, 8), 1 for a to 26 for z, and phonemes as uint8 of shape
        (n, 9), numbered as in `phonemes(stress)`; 0 fills both up at the end.

    Raises
    ------
    ValueError
        If `test_every` is no integer of at least 2.
    OSError
        If the file inside the package is missing or is not what was shipped.

    Notes
    -----
    Test words have relatives among the others, as a dictionary's words do: the split measures how
    well a model reads a word that it has not met, not one of an unknown kind.

    Examples
    --------
    >>> from backprop.datasets import cmudict
    >>> (x_train, y_train), (x_test, y_test) = cmudict.load_data()
    >>> x_train.shape, y_train.shape, x_test.shape, x_train.dtype.name
    ((10800, 8), (10800, 9), (1200, 8), 'uint8')
    >>> cmudict.spelling(x_test[300]), cmudict.pronunciation(y_test[300])
    ('dubroc', 'D AH B R AH K')
    """
    checks.integer(test_every, "load_data()", "test_every", least=2)
    words = read()
    letter = {name: i for i, name in enumerate(LETTERS)}
    phoneme = {name: i for i, name in enumerate(phonemes(stress))}
    x = padded([[letter[a] for a in word] for word, _ in words])
    y = padded([[phoneme[p if stress else p.rstrip("012")] for p in said] for _, said in words])
    test = np.arange(len(words)) % test_every == test_every - 1
    return (x[~test], y[~test]), (x[test], y[test])


def spelling(x: Array) -> str:
    """The word whose letters have the numbers `x`.

    Parameters
    ----------
    x : array-like of int, (letters,)
        Zeros are skipped.

    Examples
    --------
    >>> from backprop.datasets import cmudict
    >>> cmudict.spelling([3, 1, 20, 0])
    'cat'
    """
    return "".join(LETTERS[i] for i in x)


def pronunciation(y: Array, stress: bool = False) -> str:
    """The phonemes that have the numbers `y`, with spaces between them.

    Parameters
    ----------
    y : array-like of int, (phonemes,)
        Zeros are skipped.
    stress : bool, default False
        As `load_data` was told.

    Examples
    --------
    >>> from backprop.datasets import cmudict
    >>> cmudict.pronunciation([24, 2, 33, 0])
    'K AE T'
    """
    names = phonemes(stress)
    return " ".join(names[i] for i in y if i)


def read() -> list[tuple[str, list[str]]]:
    """Each word of the file with its phonemes, stress included.

    Examples
    --------
    >>> from backprop.datasets import cmudict
    >>> cmudict.read()[11_000]
    ('trimmed', ['T', 'R', 'IH1', 'M', 'D'])
    """
    lines = unpacked("cmudict.dict.gz", SHA256).decode("ascii").splitlines()
    return [(word, said) for word, *said in map(str.split, lines)]


def padded(sequences: list[list[int]]) -> Array:
    """The sequences as rows of one array of bytes, filled up with 0."""
    y = np.zeros((len(sequences), max(map(len, sequences))), np.uint8)
    for row, sequence in zip(y, sequences, strict=True):
        row[: len(sequence)] = sequence
    return y
