"""Jobs are started from a process that goes on with other tests."""

import pytest

import backprop as bp


def pytest_collection_modifyitems(items):
    for item in items:  # where JAX is loaded by other tests, it warns of every process
        if "distributed" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called"))


@pytest.fixture(autouse=True)
def the_dtype_is_put_back():
    yield
    bp.config.set_floatx("float32")  # what was before may be what a fixture of the module has set
