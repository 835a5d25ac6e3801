"""`backprop check` on a layer by its name, and on everything that ships."""

import json
import sys

import pytest

from backprop import cli


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, with a layer that is wrong."""
    (tmp_path / "checked_by_command.py").write_text(
        "from backprop.layers import Dense\n"
        "class Wrong(Dense):\n"
        "    def _set_gradients(self, x, dz):\n"
        "        super()._set_gradients(x, dz)\n"
        "        self.dbias = -self.dbias\n"
        "class Restless(Dense):\n"
        "    def forward(self, x, ctx=None):\n"
        "        import numpy as np\n"
        "        y, cache = super().forward(x)\n"
        "        return y + np.random.default_rng().standard_normal(y.shape), cache\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "checked_by_command"
    sys.modules.pop("checked_by_command", None)


def test_everything_that_ships_is_certified_by_one_command(capsys):
    assert cli.main(["check", "--all"]) == 0

    out = capsys.readouterr().out
    assert "checks of all layers and losses" in out and " fail" not in out


@pytest.mark.parametrize(
    "layer, status",
    [("backprop.layers:Dense", 0), ("{}:Wrong", 1), ("{}:Restless", 3)],
)
def test_the_exit_status_is_the_verdict(module, capsys, layer, status):
    subject = layer.format(module)

    assert cli.main(["check", subject, "--input", "5,8", "--config", "units=3"]) == status


def test_a_report_can_be_json_and_wrong_entries_listed(module, capsys):
    given = ["check", f"{module}:Wrong", "--input", "5,8", "--config", "units=3"]

    assert cli.main([*given, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "fail"
    assert cli.main([*given, "--locate"]) == 1
    out = capsys.readouterr().out
    assert "looks like: wrong/bias: the sign is wrong" in out
    assert "3 wrong entries of wrong/bias" in out


@pytest.mark.parametrize("given", [["--all", "x:Y"], ["--all", "--full"], []])
def test_what_does_not_go_together_is_refused(given, capsys):
    assert cli.main(["check", *given]) == 2
    assert "check" in capsys.readouterr().err or given
