"""What is asked of the bridge to PyTorch where PyTorch is not installed."""

import subprocess
import sys

import pytest

MODEL = "bp.Sequential([bp.Input((2,)), bp.layers.Dense(1)])"


@pytest.mark.parametrize("call", ["from_torch(None, (3,))", f"to_torch({MODEL})"])
def test_the_error_says_what_to_install(call):
    script = (
        "import sys, backprop as bp; sys.modules['torch'] = None\n"
        f"from backprop.interop import {call.partition('(')[0]}\n"
        f"try: {call}\n"
        "except ImportError as e: assert 'pip install \"backprop[torch]\"' in str(e)\n"
        "else: sys.exit(1)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_is_imported_where_it_is_used_alone():
    script = (
        "import sys\n"
        "from backprop.interop.live import keras_models, table, torch_export, torch_import\n"
        "sys.exit('torch' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
