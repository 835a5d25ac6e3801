"""What tests of kernels share."""

import pytest

from backprop.kernels.switch import SWITCH


@pytest.fixture
def chosen():
    """Whatever a test chooses, the choice of before comes back."""
    before = SWITCH.asked
    yield
    SWITCH.use(before)
