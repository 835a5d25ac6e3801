"""Constructors that are declared: order, kinds, defaults, conversion, and what a class may do
itself."""

import dataclasses
import inspect
import json
import subprocess
import sys
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest

from backprop.arguments import Convert, argument
from backprop.checks import Fraction, Positive, choice
from backprop.config import Configurable
from backprop.layer import INFERENCE, Layer
from backprop.layers import Dense


class Base(Configurable, kw_only=True):
    seed: int | None = None
    label: str = "base"


class Own(Base):
    size: Positive
    rate: Fraction = 0.5


def names(cls):
    return list(inspect.signature(cls).parameters)


# ------------------------------------------------------------------ order and kinds


def test_own_arguments_come_first_and_those_of_a_base_class_by_keyword():
    assert names(Own) == ["size", "rate", "seed", "label"]
    assert str(inspect.signature(Own)) == (
        "(size: int, rate: float = 0.5, *, seed: int | None = None, label: str = 'base')"
    )
    with pytest.raises(TypeError, match="takes 2 arguments by position, size, rate, and got 3"):
        Own(1, 0.5, 3)


def test_a_group_is_by_position_behind_what_the_class_has():
    class Group(Configurable, kw_only=True, by_position=True):
        start: str = "zeros"

    class Member(Group):
        units: int

    assert Member(3, "ones").start == "ones"


def test_an_argument_that_is_declared_again_keeps_its_place():
    class Named(Own):
        seed: int | None = 7

    assert names(Named) == names(Own)
    assert Named(1).seed == 7


def test_an_argument_moves_to_where_it_is_written():
    class Moved(Own):
        label: str = argument(default="moved")
        size: Positive = argument()

    assert names(Moved) == ["label", "size", "rate", "seed"]
    assert Moved("a", 2).label == "a"


def test_an_argument_may_stand_behind_an_inherited_one():
    class Between(Own):
        bias: bool = argument(default=True, after="size")

    assert names(Between) == ["size", "bias", "rate", "seed", "label"]


def test_several_behind_the_same_one_stand_as_they_are_written():
    class Between(Own):
        bias: bool = argument(default=True, after="size")
        slope: float = argument(default=1.0, after="size")

    assert names(Between) == ["size", "bias", "slope", "rate", "seed", "label"]


def test_a_value_without_a_type_is_another_default_of_what_the_argument_was():
    class Always(Own):
        rate = 1.0
        label = "always"

    assert names(Always) == names(Own)
    assert (Always(2).rate, Always(2).label, Own(2).label) == (1.0, "always", "base")
    assert repr(Always(2, rate=1.0)) == "Always(2)"
    with pytest.raises(ValueError, match="Always expects rate to be a number from 0 to 1, got 2"):
        Always(2, rate=2)


def test_another_default_is_set_where_a_property_stands_for_the_argument():
    class Called(Layer):
        name = "called"

    assert (Called().name, Called(name="other").name) == ("called", "other")


def test_behind_the_sentinel_everything_is_by_keyword():
    class Closed(Own):
        first: int = 0
        _: KW_ONLY
        last: int = 1

    kinds = {p.name: p.kind.name for p in inspect.signature(Closed).parameters.values()}

    assert kinds["first"] == "POSITIONAL_OR_KEYWORD"
    assert {kinds[n] for n in ("last", "size", "rate", "seed")} == {"KEYWORD_ONLY"}


def test_an_argument_that_a_class_decides_is_none_of_its_arguments():
    class Fixed(Own):
        decides = ("rate",)
        rate = 0.25

    assert names(Fixed) == ["size", "seed", "label"]
    assert Fixed(2).rate == 0.25


# ------------------------------------------------------------------ what is no argument


class Plain(Layer):
    units: int = 1
    kernel: np.ndarray
    integer_input: bool = True  # an attribute of every layer
    limit: ClassVar[int] = 3
    _hidden: int = 0

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


def test_what_is_no_argument():
    assert names(Plain)[:2] == ["units", "activity_regularizer"]
    assert Plain(4).integer_input


def test_an_argument_may_have_the_name_of_a_method_and_not_that_of_a_property():
    class Stepping(Plain):
        step: int = 2

    class Weighing(Plain):
        weights: Any = None

    assert Stepping(step=3).step == 3
    with pytest.raises(AttributeError, match="every layer has weights of its own"):
        Weighing(weights=[1])


def test_a_name_that_only_type_checkers_know_is_no_obstacle():
    class Later(Configurable):
        item: "SomewhereElse" = None  # noqa: F821

    assert Later(3).item == 3


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"Own\(\) needs size"),
        ({"size": 0}, "Own expects size to be a positive integer, got 0"),
        ({"size": 1, "rate": 2}, "Own expects rate to be a number from 0 to 1, got 2"),
        ({"size": 1, "rat": 2}, "has no argument 'rat'; did you mean 'rate'"),
    ],
)
def test_a_wrong_call_says_what_was_expected(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Own(**arguments)


def test_an_argument_given_twice_is_an_error():
    with pytest.raises(TypeError, match="got size twice"):
        Own(1, size=2)


def test_none_is_kept_where_type_or_default_allow_it_and_converted_where_asked():
    class Optional(Configurable):
        a: Positive | None = 3
        b: Positive = None
        c: Annotated[str, choice("x", None)] = "x"
        d: Annotated[Any, Convert(lambda value, who, name: (name, value), none=True)] = None

    made = Optional(a=None, c=None)

    assert (made.a, made.b, made.c, made.d) == (None, None, None, ("d", None))


def test_each_object_has_a_default_list_of_its_own():
    class Listed(Configurable):
        items: list = []  # noqa: RUF012

    first, second = Listed(), Listed()
    first.items.append(1)

    assert second.items == []
    assert Listed().items == []


def test_configuration_and_repr_come_from_the_declaration():
    made = Own(3, label="mine")

    assert made.get_config() == {"size": 3, "rate": 0.5, "seed": None, "label": "mine"}
    assert repr(made) == "Own(3, label='mine')"
    assert repr(Own.from_config(json.loads(json.dumps(made.get_config())))) == repr(made)


def test_an_assignment_is_checked_as_the_constructor_checks():
    made = Dense(3)

    with pytest.raises(ValueError, match="units to be a positive integer"):
        made.units = -1
    assert made.units == 3


# ------------------------------------------------------------------ constructors and what follows


def test_what_follows_from_arguments_is_derived_base_classes_first_without_super():
    order = []

    class First(Configurable):
        a: int = 1

        def __post_init__(self):
            order.append("first")
            self.twice = 2 * self.a

    class Second(First):
        b: int = 2

        def __post_init__(self):
            order.append("second")
            self.sum = self.twice + self.b

    assert Second(3, 4).sum == 11
    assert order == ["first", "second"]


def test_a_written_constructor_hands_on_what_it_does_not_take():
    class Written(Own):
        def __init__(self, width, **kwargs):
            super().__init__(2 * width, **kwargs)
            self.width = width

    made = Written(3, rate=0.1)

    assert names(Written) == ["width", "size", "rate", "seed", "label"]
    assert (made.size, made.width, made.rate, made.seed) == (6, 3, 0.1, None)
    assert repr(made) == "Written(3, rate=0.1)"


def test_a_written_constructor_that_forgets_its_base_class_is_told():
    class Forgetful(Dense):
        def __init__(self, width):
            self.width = width

    with pytest.raises(TypeError, match=r"has to call super.*units"):
        Forgetful(3)


def test_a_constructor_has_the_name_of_its_class():
    class Half(Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units // 2, use_bias=False, **kwargs)

    with pytest.raises(TypeError, match=r"Dense.__init__.*use_bias"):
        Half(6, use_bias=True)


def test_declared_arguments_go_on_a_class_with_a_written_constructor():
    class Written(Configurable):
        def __init__(self, a, b=1):
            self.a, self.b = a, b

    class Further(Written):
        c: int = 2

        def __post_init__(self):
            self.all = (self.a, self.b, self.c)

    assert names(Further) == ["c", "a", "b"]
    assert Further(a=5, c=7).all == (5, 1, 7)


def test_a_dataclass_writes_its_constructor_itself():
    @dataclasses.dataclass
    class Data(Configurable):
        a: int
        b: list = dataclasses.field(default_factory=list)

    made = Data(1)

    assert made.b == []
    assert made.get_config()["a"] == 1


# ------------------------------------------------------------------ editors

CALLS = {
    "Dense(unitz=3)": 'No parameter named "unitz"',
    "Dense()": 'Argument missing for parameter "units"',
    "Dense('three')": 'cannot be assigned to parameter "units"',
    "LSTM(4, return_sequence=True)": 'No parameter named "return_sequence"',
    "Conv2D(8, 3, stride=2)": 'No parameter named "stride"',
    "Adam(lr=0.1)": 'No parameter named "lr"',
    "EarlyStopping(patence=3)": 'No parameter named "patence"',
    "Huber(detla=1.0)": 'No parameter named "detla"',
    "Dense(3, 'relu', kernel_regularizer='l2', name='first')": None,
    "LSTM(4, return_sequences=True, dropout=0.1)": None,
    "Conv2D(8, 3, padding='same')": None,
    "Adam(0.1, clipnorm=1.0)": None,
    "EarlyStopping(patience=3)": None,
    "Huber(0.5)": None,
    "Mean('loss')": None,
}


def test_a_type_checker_knows_the_arguments_of_every_constructor(tmp_path):
    pytest.importorskip("pyright", reason="pyright is the type checker that is asked")
    source = tmp_path / "snippet.py"
    lines = [
        "from backprop.callbacks import EarlyStopping",
        "from backprop.layers import LSTM, Conv2D, Dense",
        "from backprop.losses import Huber",
        "from backprop.metrics import Mean",
        "from backprop.optimizers import Adam",
        *CALLS,
    ]
    source.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]

    run = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    found = {
        lines[e["range"]["start"]["line"]]: e["message"]
        for e in json.loads(run.stdout)["generalDiagnostics"]
        if e["severity"] == "error"
    }

    assert found.keys() == {call for call, message in CALLS.items() if message}
    assert all(CALLS[call] in message for call, message in found.items())
