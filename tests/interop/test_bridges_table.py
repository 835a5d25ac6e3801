"""The table of docs/bridges.md says what is true."""

from pathlib import Path

import numpy as np
import pytest
from layers_in_files import OTHER_NUMBERS, STRINGS, WITHIN, WRITTEN
from onnx_networks import alone, predicted

from backprop.interop import from_onnx, to_onnx
from backprop.interop.live.table import AS_CONSTANTS, ROWS, carried, row, table

PAGE = Path(__file__).parents[2] / "docs" / "bridges.md"


def test_the_page_has_the_table_as_it_is_now():
    assert table() in PAGE.read_text("utf-8"), "python -m backprop.interop.live.table prints it"


def test_layers_that_files_of_keras_hold_are_those_that_are_tried():
    tried = {*WRITTEN, *STRINGS, *WITHIN, *OTHER_NUMBERS} - {"Graph"}

    assert {name for name in ROWS if row(name)[1] == "yes"} == tried & set(ROWS)


@pytest.mark.parametrize("name", sorted(carried()))
def test_what_comes_back_from_onnx_is_what_the_table_says(name, tmp_path):
    pytest.importorskip("onnx")
    model, x = alone(name)
    to_onnx(model, tmp_path / "m.onnx")
    said = row(name)[3]

    if said == "no":
        with pytest.raises(ValueError, match=r"m\.onnx"):
            from_onnx(tmp_path / "m.onnx")
        return
    other = from_onnx(tmp_path / "m.onnx")
    for found, wanted in zip(predicted(other, x), predicted(model, x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert (other.count_params() < model.count_params()) is (name in AS_CONSTANTS)


@pytest.mark.parametrize("name", sorted(set(ROWS) - set(carried())))
def test_what_the_table_leaves_out_is_refused_with_its_reason(name):
    pytest.importorskip("onnx")
    if name.endswith("Cell") or name in {*STRINGS, "StackedRNNCells", "Pipeline"}:
        pytest.skip("it stands in no model alone, or takes no numbers")
    model, _ = alone(name)
    with pytest.raises(ValueError, match=rf"{name}.*{row(name)[2].removeprefix('no: ')[:30]}"):
        to_onnx(model)
