"""Which instructions of the CPU each library may use, and which it does use.

Many CPUs have no AVX-512. What a library would do on one of them shows on one that has it, where
each is held to AVX2 by a setting of its own, in the environment of its process. Not all obey all
of it, so nothing here is believed: `Worker.arithmetic` asks each library what it uses, and times a
product of matrices in it. On a CPU whose AVX-512 is twice as wide, who was not held is twice as
fast as the others.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CHOICES = ("avx2",)
SIDE = 1024  # of the matrices that are multiplied


def hold(isa: str) -> None:
    """Call it before any library is imported: the processes that are started from here on use no
    later instructions than these."""
    os.environ |= SETTINGS[isa]() | numba_features() | numpy_features()


def avx2() -> dict[str, str]:
    """JAX multiplies with a library of its own that has no such setting (YNNPACK), or by Eigen and
    oneDNN, which has one: so it is these. MKL takes AVX2 on every CPU but Intel's by itself.
    PyTorch compiles for what its own loops are held to. ONNX Runtime has no setting at all."""
    flags = "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type="
    return {
        "OPENBLAS_CORETYPE": "Haswell",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
    }


SETTINGS: dict[str, Callable[[], dict[str, str]]] = {"avx2": avx2}
TOO_NEW = ("avx512", "avx10", "amx")


def numba_features() -> dict[str, str]:
    """A name alone does not hold Numba: it takes the features of the CPU that it runs on."""
    if importlib.util.find_spec("llvmlite") is None:
        return {}
    from llvmlite import binding

    features = binding.get_host_cpu_features().items()
    kept = ((name, has and not name.startswith(TOO_NEW)) for name, has in sorted(features))
    text = ",".join(f"{'+' if has else '-'}{name}" for name, has in kept)
    return {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": text}


def numpy_features() -> dict[str, str]:
    """Of the sets that NumPy has loops for, those that this CPU has and that are too new."""
    found = [name for name in numpy_loops() if name == "X86_V4" or name.startswith("AVX512")]
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(found)} if found else {}


def numpy_loops() -> list[str]:
    """The sets of instructions, beyond those that it always needs, that NumPy's own loops use."""
    from numpy._core import _multiarray_umath as core

    features: dict[str, bool] = core.__cpu_features__  # type: ignore[attr-defined]
    dispatched: list[str] = core.__cpu_dispatch__  # type: ignore[attr-defined]
    return [name for name in dispatched if features[name]]


# ---------------------------------------------------------------------------- what a library uses


def of_numpy() -> list[str]:
    from shared.machine import blas

    return [blas(), f"loops with {', '.join(numpy_loops()) or 'the least it needs'}"]


def of_backprop() -> list[str]:
    """What NumPy says, and which kernels run."""
    import backprop

    found = of_numpy()
    if backprop.config.kernels() == "numpy":
        return [*found, "kernels in NumPy"]
    import numba

    return [*found, f"kernels by Numba {numba.__version__} for {numba_target()}"]


def numba_target() -> str:
    """The CPU that Numba compiles for, and the registers that a loop of it uses."""
    import numba

    @numba.njit(error_model="numpy")
    def doubled(x):
        for i in range(x.size):
            x[i] = x[i] + x[i]

    doubled(np.ones(4, np.float32))
    text = next(iter(doubled.inspect_asm().values()))
    bits = next(bits for name, bits in REGISTERS.items() if name in text)
    return f"{numba.config.CPU_NAME or 'this CPU'} ({bits} bits)"


REGISTERS = {"zmm": 512, "ymm": 256, "xmm": 128, "": 64}


def of_torch() -> list[str]:
    import torch

    held = os.environ.get("ONEDNN_MAX_CPU_ISA", "what the CPU has")
    return [f"loops with {torch.backends.cpu.get_cpu_capability()}", f"oneDNN with {held}"]


def of_jax() -> list[str]:
    return [f"XLA with {os.environ.get('XLA_FLAGS', 'what the CPU has')}"]


def of_tensorflow() -> list[str]:
    return [f"oneDNN with {os.environ.get('ONEDNN_MAX_CPU_ISA', 'what the CPU has')}"]


def of_onnxruntime() -> list[str]:
    return ["MLAS with what the CPU has, for which there is no setting"]


def onnxruntime_product(a: np.ndarray) -> Callable[[], Any]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n in "xy")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", [x], [y], [numpy_helper.from_array(a, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": a})


def torch_product(a: np.ndarray) -> Callable[[], Any]:
    import torch

    x = torch.from_numpy(a)
    return lambda: x @ x


def jax_product(a: np.ndarray) -> Callable[[], Any]:
    import jax

    x, product = jax.numpy.asarray(a), jax.jit(lambda x: x @ x)
    return lambda: product(x).block_until_ready()


def tensorflow_product(a: np.ndarray) -> Callable[[], Any]:
    import tensorflow as tf  # type: ignore[import-not-found]

    x = tf.constant(a)
    return lambda: (x @ x).numpy()


def numpy_product(a: np.ndarray) -> Callable[[], Any]:
    return lambda: a @ a


# by whom a library's arithmetic is done: what it says of itself, and a product in it
ARITHMETIC: dict[str, tuple[Callable[[], list[str]], Callable[[np.ndarray], Callable[[], Any]]]] = {
    "numpy": (of_numpy, numpy_product),
    "backprop": (of_backprop, numpy_product),
    "torch": (of_torch, torch_product),
    "jax": (of_jax, jax_product),
    "tensorflow": (of_tensorflow, tensorflow_product),
    "onnxruntime": (of_onnxruntime, onnxruntime_product),
}


def arithmetic(name: str) -> str:
    """What a library says of itself, and the speed of its products."""
    says, product = ARITHMETIC[name]
    multiply = product(np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32))
    multiply()
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    speed = 2e-9 * SIDE**3 / min(seconds)
    return "; ".join([*says(), f"products at {speed:.0f} GFLOP/s"])
