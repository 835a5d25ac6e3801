"""Whatever comes in, what goes out is an answer or a refusal that says why."""

import json
import threading

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from servers import COLUMNS, house_model

import backprop as bp
from backprop import serving
from backprop.serving.answering import CSV, JSON, GivenUp, Served
from backprop.serving.refusals import LONGEST, Refusal

LIMITS = serving.Limits(rows=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["12,5 %", "1.2.2024", "hill", "NA", "1e999", "-", "(5)", "9" * 400, "\ud800"]
    )
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)
ROW = st.fixed_dictionaries({name: SCALARS for name in COLUMNS}) | st.lists(SCALARS, max_size=7)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    model, prepared = serving.load(house_model(tmp_path_factory.mktemp("served")))
    return Served(model, prepared, LIMITS)


@pytest.fixture(scope="module")
def arrays():
    words, size = bp.Input((None,), dtype="int32", name="words"), bp.Input((2,), name="size")
    read = bp.layers.GlobalAveragePooling1D()(bp.layers.Embedding(9, 4)(words))
    model = bp.Model([words, size], [bp.layers.Dense(2)(read), size * 2.0])
    return Served(model, None, LIMITS)


def answered(served, body, kind=JSON):
    """How many rows were answered; None where they were refused."""
    try:
        answer = served.answer(body, kind, JSON, GivenUp(60, threading.Event()))
    except Refusal as refusal:
        assert refusal.status in (400, 413, 415, 422)
        assert 0 < len(refusal.message) <= LONGEST
        json.dumps(refusal.to_json(), allow_nan=False)
        return None
    said = json.loads(answer.body)
    values = said["predictions"] if "predictions" in said else next(iter(said["outputs"].values()))
    return len(values)


@given(data=ANYTHING | st.builds(lambda rows: {"rows": rows}, st.lists(ROW, max_size=5)))
def test_any_json_is_answered_or_refused(table, data):
    rows = answered(table, json.dumps(data).encode())

    if rows is not None:
        assert rows == len(data["rows"] if isinstance(data, dict) else data)


@given(
    body=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
)
@example(b"[" * 5_000)
@example(b'{"rows": [' + b"1" * 5_000 + b"]}")
def test_any_bytes_are_refused(table, arrays, body):
    for served in (table, arrays):
        assert answered(served, body) is None
        answered(served, body, CSV)


CELLS = st.text(st.sampled_from('0123456789.,%-/ "\n;\tNAe猫'), max_size=8)


@given(rows=st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=6))
def test_any_csv_is_answered_or_refused(table, rows):
    text = "\n".join([",".join(COLUMNS), *(",".join(row) for row in rows)])

    answered(table, text.encode(), CSV)


@given(
    words=ANYTHING | st.lists(st.lists(st.integers(-1, 9), max_size=3), max_size=4),
    size=ANYTHING | st.lists(st.lists(st.floats(width=32), max_size=2), max_size=4),
)
def test_any_arrays_are_answered_or_refused(arrays, words, size):
    body = json.dumps({"inputs": {"words": words, "size": size}}).encode()

    rows = answered(arrays, body)

    if rows is not None:
        assert rows == len(words) == len(size)
        assert np.shape(size) == (rows, 2)
