"""Any argument of any constructor, given anything: what is refused is refused in the library's own
words, and what is no value at all is refused everywhere."""

import copy

import numpy as np
import pytest
from configurables import fresh, public_classes
from own_words import others_words

from backprop.arguments import parameters_of
from backprop.config import called
from backprop.layers import Dense


class Nothing:
    """What no argument can be."""

    def __repr__(self):
        return "<nothing>"


WRONG = {
    "an object": Nothing(),
    "text": "no such",
    "empty text": "",
    "digits": "1",
    "a null": "a\0b",
    "bytes": b"x",
    "a negative": -1,
    "zero": 0,
    "a half": 0.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a number beyond floats": 10**400,
    "a number beyond arrays": 10**30,
    "a complex": 1 + 2j,
    "NumPy's number": np.float64(-3.5),
    "NumPy's complex": np.complex64(1j),
    "True": True,
    "None": None,
    "nothing in a list": [],
    "two": [1, 2],
    "words": ["a"],
    "a ragged list": [[1], [2, 3]],
    "zeros": (0, 0),
    "negatives": (-1, -1),
    "a ragged tuple": (1, (2,)),
    "nothing in a dict": {},
    "a dict": {"a": 1},
    "a set": {1},
    "a range": range(3),
    "an array": np.ones((2, 3)),
    "an array of objects": np.array([None, "a"], object),
    "an array of no axis": np.array(1j),
    "a date": np.datetime64("2020"),
    "a type": int,
    "a layer's class": Dense,
    "a function": lambda *args: None,
}
NAMES = list(WRONG)


def arguments():
    """The home, the class, what it is made with, and each of its arguments."""
    for cls, family in {cls: family for family, cls in public_classes()}.items():
        try:
            given = fresh(family, cls)._arguments
        except Exception:  # a base class that needs more
            given = {}
        for name, parameter in parameters_of(cls).items():
            yield cls, given, name, parameter.kind is parameter.VAR_POSITIONAL


def faults_of(cls, given, name, several, wrong):
    """What is wrong with how a constructor takes a value."""
    value = WRONG[wrong]
    place = f"{cls.__name__}({name}={wrong})"
    try:
        called(cls, copy.copy(given) | {name: (value,) if several else value})
    except (ValueError, TypeError, AttributeError, OSError) as error:
        if not several and name not in str(error):
            return [f"{place} names no argument: {error}"]
        if others_words(error):
            return [f"{place} says what others say: {error}"]
        return []
    except Exception as error:
        return [f"{place} is a {type(error).__name__}: {error}"]
    return [f"{place} is taken"] if isinstance(value, Nothing) else []


@pytest.mark.parametrize(
    "share", [pytest.param(25, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_a_wrong_argument_is_refused_in_our_own_words(share):
    faults, calls = [], 0
    for i, (cls, given, name, several) in enumerate(arguments()):
        for wrong in ["an object", *NAMES[1 + i % share :: share]]:
            faults += faults_of(cls, given, name, several, wrong)
            calls += 1

    assert calls > 90_000 / share
    assert faults == []
