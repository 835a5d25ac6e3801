"""`backprop serve` as a process: it says where it listens, answers, and ends cleanly."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from servers import COLUMNS, house_model

from backprop import cli

ROOT = Path(__file__).parents[2]
ROW = dict(zip(COLUMNS, [100.0, None, "hill", "1.2.2024", 3.0], strict=True))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return house_model(tmp_path_factory.mktemp("served"))


def started(*arguments):
    """A server on a free port, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backprop", "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    said = process.stdout.readline()
    found = re.search(r"serving .* on (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)", said)
    if found is None:
        process.kill()
        raise AssertionError((said, *process.communicate()))
    return process, found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_answers_and_ends_at_a_signal(model, number):
    process, address = started(model, "--max-rows", "5")
    body = json.dumps({"rows": [ROW] * 5}).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(f"{address}/predict", body, headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            answer = json.load(response)
        too_many = urllib.request.Request(
            f"{address}/predict", body.replace(b"}]", b"}, {}]"), headers
        )
        with pytest.raises(urllib.error.HTTPError, match="413") as refused:
            urllib.request.urlopen(too_many, timeout=20)
        refused.value.close()
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert len(answer["predictions"]) == 5
    assert (process.returncode, out, err) == (0, "stopped\n", "")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["nowhere.npz"], "no file 'nowhere.npz'"),
        (["MODEL", "--port", "70000"], "--port expects a number from 0 to 65535"),
        (["MODEL", "--port", "TAKEN"], "cannot listen on 127.0.0.1:"),
        (["MODEL", "--host", "no such host"], "cannot listen on no such host:"),
        (["MODEL", "--max-rows", "0"], "rows"),
        (["MODEL", "--max-seconds", "nan"], "seconds"),
        (["MODEL", "--key", "nowhere"], "--key expects"),
        (["MODEL", "--prot", "1"], "did you mean '--port'"),
    ],
)
def test_what_cannot_be_served_is_one_line(model, arguments, match, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        names = {"MODEL": str(model), "TAKEN": str(other.getsockname()[1])}
        try:
            status = cli.main(["serve", *(names.get(a, a) for a in arguments)])
        except SystemExit as stop:
            status = stop.code
    out, err = capsys.readouterr()

    assert (status, out) == (2, "")
    assert match in err and err.count("\n") == 1


def test_a_model_must_be_signed_with_the_key(tmp_path, capsys):
    from backprop.saving import SigningKey

    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef" * 4)
    other = tmp_path / "other"
    other.write_bytes(b"fedcba9876543210" * 4)
    path = house_model(tmp_path, key=SigningKey.from_file(key))

    assert cli.main(["serve", str(path), "--key", str(other)]) == 2
    assert "sign" in capsys.readouterr().err
    process, _ = started(path, "--key", key)
    process.terminate()
    assert process.communicate(timeout=20) == ("stopped\n", "")


@pytest.mark.parametrize(
    ("absent", "match"),
    [("starlette.applications", "needs starlette: pip"), ("uvicorn", "needs uvicorn: pip")],
)
def test_a_package_that_is_missing_is_named(model, monkeypatch, capsys, absent, match):
    monkeypatch.setitem(sys.modules, absent, None)

    assert cli.main(["serve", str(model), "--port", "0"]) == 2
    out, err = capsys.readouterr()
    assert match in err and 'install "backprop[serve]"' in err and out == ""
