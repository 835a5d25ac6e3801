"""What tests of pictures share."""

import pytest

matplotlib = pytest.importorskip("matplotlib", reason="pictures need backprop[plot]")
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    from matplotlib import pyplot as plt

    yield
    plt.close("all")
