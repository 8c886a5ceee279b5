"""What every adapter serves, as the environment's variables say: a session of onnxruntime with one thread."""

from __future__ import annotations

import os

import onnxruntime

PATH = os.environ["SERVED_MODEL"]
PORT = int(os.environ["SERVED_PORT"])
NAME = os.path.basename(os.path.dirname(os.path.dirname(PATH)))
# How many requests may run together; 0 for each alone.
BATCH = int(os.environ["SERVED_BATCH"])


def open_session() -> onnxruntime.InferenceSession:
    """Returns a new session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(PATH, options, providers=["CPUExecutionProvider"])
