"""Bodies that are wrong, or meant to harm: each has its status, and an error that names the
place."""

import gzip
import json
import socket
import threading
import time
import zlib

import pytest
from servers import COLUMNS, CSV, JSON, house_model, running, serving_model

import backprop as bp
from backprop import serving
from backprop.layers import Dense, Lambda
from backprop.serving import columns

ROW = dict(zip(COLUMNS, [100.0, 1950, "hill", "1.2.2024", 3.0], strict=True))
HEAD = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    path = house_model(tmp_path_factory.mktemp("served"))
    limits = serving.Limits(bytes=200_000, rows=100)
    with serving_model(path, limits=limits, hosts=["127.0.0.1"]) as client:
        yield client
        assert client.answer([ROW])  # it is as well as before


@pytest.fixture(scope="module")
def pair():
    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    with serving_model(model) as client:
        yield client
        assert client.answer({"inputs": [[1, 2]]})


# ---------------------------------------------------------------------------- what no JSON is


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[1] 2", "no JSON"),
        (b'"\xff"', "UTF-8: byte 1"),
        (b"[NaN]", "NaN is no JSON: null"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 20_000, "nested too deeply"),
        (b"[" + b"9" * 5_000 + b"]", "a number that is too long"),
        (b'{"rows": [], "rows": [{}]}', 'has "rows" twice'),
        (b"\x1f\x8b" + bytes(20), "UTF-8"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_body_that_is_no_json_is_400(houses, body, match):
    assert match in houses.error(400, body)["message"]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (5, "the body should be"),
        (None, "the body should be"),
        ({}, "the body should be"),
        ({"row": [ROW]}, "did you mean 'rows'"),
        ({"rows": [ROW], "more": 1}, 'has "more" beside'),
        ({"rows": {}}, "a list of rows"),
        ({"rows": []}, "a list of rows"),
        ({"rows": [5]}, r"rows[0] should be an object by columns"),
        ({"rows": [ROW, [1, 2]]}, r"rows[1] should be an object by columns"),
    ],
)
def test_a_body_of_another_form_is_422(houses, data, match):
    assert match in houses.error(422, data)["message"]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("area", "wide", "numbers"),
        ("area", "wide" * 10_000, "numbers"),
        ("area", True, "a number"),
        ("area", [1], "a number"),
        ("area", {"a": 1}, "a number"),
        ("area", 10**400, "a number"),
        ("area", -(10**4000), "a number"),
        ("area", "1e999", "finite numbers"),
        ("area", 1e300, "a number that float32 can hold"),
        ("area", "\ud800\x1b[31m", "numbers"),
        (COLUMNS[2], 5, "a text, such as 'hill', 'old town', 'Ünï 猫'"),
        ("sold", "2024-13-45", "dates"),
        ("sold", 20240101, "a text: dates, day before month"),
        ("share", "3", "numbers with"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_cell_that_does_not_fit_is_named(houses, column, value, expected):
    error = houses.error(422, {"rows": [ROW, ROW | {column: value}]})

    assert (error["column"], error["row"]) == (column, 1)
    assert error["expected"].startswith(expected)
    assert repr(column) in error["message"] and "rows[1]" in error["message"]
    assert error["message"].isprintable() and len(error["message"]) <= 400


def test_a_column_that_is_missing_is_named(houses):
    rest = {name: value for name, value in ROW.items() if name != "built"}

    by_json = houses.error(422, [ROW, rest])
    by_csv = houses.error(422, "area,bilt\n1,2\n", CSV)

    assert (by_json["column"], by_json["row"]) == ("built", 1)
    assert by_csv["column"] == "built" and "has no columns" in by_csv["message"]


@pytest.mark.parametrize(
    ("body", "status", "match"),
    [
        ("", 400, "empty"),
        (HEAD, 400, "no row of data"),
        (f"{HEAD}\n1,2\n", 400, "line 2 has 2 cells"),
        (f'{HEAD}\n1,"2\n', 400, "never closed"),
        ("area\0", 400, "NUL"),
        (b"\xff\xfea\x00", 400, "UTF-8: byte 0"),
        (b"PK\x03\x04" + bytes(30), 400, "NUL"),
        (f"{HEAD}\nwide,1950,hill,1.2.2024,3 %\n", 422, "line 2 has the text 'wide'"),
        (f"{HEAD}\n\n1,1950,hill,1.2.2024,3 %\n1,x,hill,1.2.2024,3 %\n", 422, "line 4 has"),
    ],
)
def test_csv_that_cannot_be_read_says_where(houses, body, status, match):
    error = houses.error(status, body, CSV)

    assert match in error["message"]
    if status == 422:
        assert error["column"] in ("area", "built") and "row" in error


@pytest.mark.parametrize(
    ("inputs", "where", "expected"),
    [
        ([[1, 2], [1]], "[1]", "a list of 2 entries"),
        ([[1, [2]]], "[0][1]", "a number"),
        ([[1, None]], "[0][1]", "a number"),
        ([[1, "2"]], "[0][1]", "a number"),
        ([[1, True]], "[0][1]", "a number"),
        ([[1, 1e39]], "[0][1]", "a number that float32 can hold"),
        ([[1, 10**300]], "[0][1]", "a number that float32 can hold"),
        ([1, 2], "[0]", "a list of 2 entries"),
        ([[[1, 2]]], "[0]", "a list of 2 entries"),
    ],
)
def test_an_array_that_does_not_fit_is_named_with_the_place(pair, inputs, where, expected):
    error = pair.error(422, {"inputs": inputs})

    assert error["column"] == "x" and error["row"] == int(where[1])
    assert error["expected"].startswith(expected)
    assert f"at {where}, " in error["message"]


def test_csv_of_another_width_or_with_texts_is_422(pair):
    assert "3 columns" in pair.error(422, "a,b,c\n1,2,3\n", CSV)["message"]
    assert pair.error(422, "a,b\n1,2\n1,x\n1,3\n", CSV)["column"] == "b"


# ---------------------------------------------------------------------------- types and sizes


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        JSON | {"Content-Encoding": "gzip"},
        JSON | {"Content-Encoding": "deflate"},
        JSON | {"Content-Encoding": "identity, br"},
    ],
    ids=str,
)
def test_another_content_type_or_a_packed_body_is_415(houses, headers):
    bomb = gzip.compress(bytes(50_000_000)) if "Content-Encoding" in headers else b"[]"

    houses.error(415, bomb, headers)


def test_a_packed_body_that_says_nothing_of_it_is_not_unpacked(houses):
    for bomb in (gzip.compress(bytes(50_000_000)), zlib.compress(bytes(50_000_000))):
        houses.error(400, bomb, CSV)
        houses.error(400, bomb, JSON)


def test_bytes_and_rows_beyond_the_limits_are_413(houses):
    assert "200,000 bytes" in houses.error(413, b" " * 200_001)["message"]
    assert "100 rows" in houses.error(413, [ROW] * 101)["message"]
    line = "\n1,1950,hill,1.2.2024,3 %"
    assert "100 rows" in houses.error(413, HEAD + 101 * line, CSV)["message"]
    assert len(houses.answer(HEAD + 100 * line, CSV)["predictions"]) == 100
    assert len(houses.answer([ROW] * 100)["predictions"]) == 100


def test_a_million_rows_are_refused_before_they_are_predicted(pair):
    began = time.process_time()

    pair.error(413, "a,b\n" + 1_000_000 * "1,2\n", CSV)
    pair.error(413, json.dumps({"inputs": [[]] * 1_000_000}))

    assert time.process_time() - began < 20


MANY = 250_000


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("{" + ",".join(f'"{i}":0' for i in range(MANY)) + ',"0":0}', JSON, 400),
        ("{" + ",".join(f'"{i}":0' for i in range(MANY)) + "}", JSON, 422),
        ('[{"' + '":0,"'.join(map(str, range(MANY))) + '":0}]', JSON, 422),
        (",".join(f"c{i}" for i in range(MANY)) + "\n" + "," * (MANY - 1), CSV, 400),
        (",".join(f"c{i}" for i in range(MANY)) + "\n" + "1," * (MANY - 1), CSV, 422),
        (f"{'aera' * 30_000},b\n1,2\n", CSV, 422),
        (f"{HEAD}\n{'1 ' * 60_000},1,hill,,\n", CSV, 422),
        (f"{HEAD}\n{'9' * 100_000},{'1.' * 50_000},hill,{'1-' * 50_000},\n", CSV, 422),
    ],
    ids=lambda value: str(value)[:12],
)
def test_no_body_takes_time_out_of_proportion(body, headers, status, tmp_path):
    with serving_model(house_model(tmp_path)) as client:
        began = time.process_time()
        client.error(status, body, headers)

        assert time.process_time() - began < 20


def test_rows_are_fewer_where_each_is_many_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "MOST_NUMBERS", 200)
    with serving_model(house_model(tmp_path)) as client:
        most = 200 // serving.load(tmp_path / "houses.npz")[0].input_shape[-1]
        assert client.answer([ROW] * most)
        assert f"{most} rows" in client.error(413, [ROW] * (most + 1))["message"]


def send(client, lines, pause=0.0):
    """What is answered to bytes that come in pieces."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        for line in lines:
            connection.sendall(line)
            time.sleep(pause)
        connection.settimeout(20)
        return connection.recv(1 << 16)


def test_a_length_that_lies_and_chunks_without_end_are_413(houses):
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"

    huge = send(houses, [head + b"Content-Length: 99999999999999999999999\r\n\r\n"])
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    chunked = send(houses, [head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 7])

    assert huge.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert chunked.startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_408_and_one_that_breaks_off_is_no_fault():
    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

    with serving_model(model, limits=serving.Limits(seconds=0.4)) as client:
        began = time.monotonic()
        said = send(client, [head + b"Content-Length: 100\r\n\r\n", b"{", b'"'], pause=0.1)
        took = time.monotonic() - began
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert client.answer({"inputs": [[1, 2]]})

    assert said.startswith(b"HTTP/1.1 408") and took < 5


# ---------------------------------------------------------------------------- time and crowds


class Waits:
    """A function for a layer that takes its time, and says that it has begun."""

    def __init__(self):
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        self.begun.release()
        assert self.go.wait(20)
        return x


def in_thread(function, *arguments):
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments)))
    thread.start()
    return thread, found


def test_a_prediction_that_takes_too_long_is_504_and_ends_at_its_next_batch():
    waits = Waits()
    model = bp.Sequential([bp.Input((2,)), Lambda(waits, output_shape=(2,))])
    app = serving.app(model, limits=serving.Limits(seconds=0.5, at_once=1))

    with running(app) as client:
        error = client.error(504, {"inputs": [[1.0, 2.0]] * 20_000})
        behind = client.error(503, {"inputs": [[1.0, 2.0]]})  # its thread is busy still
        waits.go.set()
        assert client.answer({"inputs": [[1.0, 2.0]]})["outputs"] == [[1.0, 2.0]]

    assert "0.5 s" in error["message"] and "no time" in behind["message"]
    assert waits.calls == 2  # of the first request's five batches one, and that of the last


def test_more_requests_than_are_taken_on_are_503_at_once():
    waits = Waits()
    model = bp.Sequential([bp.Input((2,)), Lambda(waits, output_shape=(2,))])
    app = serving.app(model, limits=serving.Limits(at_once=1, waiting=2))

    with running(app) as client:
        busy = [in_thread(client.answer, {"inputs": [[i, i]]}) for i in range(2)]
        try:
            assert waits.begun.acquire(timeout=20)
            # one that is refused with 415 where there is room takes no place in the line
            while (found := client.predict("{}", {"Content-Type": "text/plain"}))[0] == 415:
                time.sleep(0.01)
            assert client("GET", "/health")[0] == 200
        finally:
            waits.go.set()
            for thread, _ in busy:
                thread.join()

    status, headers, said = found
    assert status == 503 and headers["Retry-After"] == "1"
    assert "as much to do" in said["error"]["message"]
    assert [answers[0]["outputs"] for _, answers in busy] == [[[0, 0]], [[1, 1]]]


def test_a_fault_of_ours_is_500_and_the_next_request_is_answered():
    model = bp.Sequential([bp.Input((2,)), Dense(1)])
    app = serving.app(model)

    with running(app) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "predict", lambda *a, **k: 1 / 0)
        assert client.error(500, {"inputs": [[1, 2]]}) == {
            "status": 500,
            "message": "the server failed, and its log says where",
        }
        patch.undo()
        assert client.answer({"inputs": [[1, 2]]})


# ---------------------------------------------------------------------------- who may ask


def test_a_server_of_another_name_is_not_this_one(houses):
    assert houses("GET", "/health", headers={"Host": "127.0.0.1:99"})[0] == 200
    for host in ("attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", ""):
        status, _, said = houses("GET", "/health", headers={"Host": host})
        assert status == 421 and "is not called" in said["error"]["message"]


def test_pages_of_others_may_not_ask(houses):
    status, headers, _ = houses(
        "OPTIONS",
        "/predict",
        headers={"Origin": "http://a.example", "Access-Control-Request-Method": "POST"},
    )

    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/etc/passwd", "/docs", "//", "/Predict"]
)
def test_there_is_nothing_else(houses, path):
    assert houses("GET", path)[0] == 404
    assert houses("DELETE", "/predict")[0] == 405
