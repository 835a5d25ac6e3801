"""What a step frees serves the next one."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
import backprop as bp

layers = [bp.layers.Dense(256, "relu"), bp.layers.Dense(784)]
model = bp.Sequential([bp.Input((784,)), *layers])
model.compile("sgd", loss="mse")
x = np.ones((ROWS, 784), np.float32)
for _ in range(3):
    model.train_on_batch(x, x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    model.train_on_batch(x, x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system's malloc decides")
@pytest.mark.parametrize("rows", [256, 8000])
def test_a_step_waits_for_no_page_that_it_has_had_before(rows):
    code = SCRIPT.replace("ROWS", str(rows))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert float(run.stdout) < 50  # 350 and more where freed memory goes back to the system
