"""The browser of all tests of pages: one window for a worker, as good as new for each test."""

import pytest
from browser import REQUIRED, Browser, missing


@pytest.fixture(scope="session")
def window():
    if (reason := missing()) and not REQUIRED:
        pytest.skip(reason)
    assert not reason, reason
    found = Browser()
    yield found
    found.quit()


@pytest.fixture
def browser(window):
    yield window
    window.reset()
