"""ONNX Runtime: PyTorch's network, exported and made its own."""

from __future__ import annotations

import contextlib
import io
import logging
import os

import onnxruntime
import torch

from shared.peers import Peer, Variants
from shared.peers.loop import Calls
from shared.peers.torch_layers import last_axes
from shared.peers.with_torch import Way, answering, laid_out
from shared.rows import Row, questions


def predictions(row: Row, peer: Peer) -> Variants:
    return {"session": lambda: answers(row)}


def exported(row: Row) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    x = laid_out(questions(row)[0], Way())
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(answering(row, Way()), (x,), dynamo=True, verbose=False)
    assert program is not None
    return program.model_proto.SerializeToString()


def answers(row: Row) -> Calls:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exported(row), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    given = [laid_out(x, Way()).numpy() for x in questions(row)]
    return Calls(lambda x: session.run(None, {name: x})[0], given, read=last_axes)
