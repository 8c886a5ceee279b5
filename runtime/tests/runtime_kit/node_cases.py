"""The node cases of onnx.backend.test, through a bare onnxruntime session and through seqc_runtime.

python node_cases.py [NAME ...]        one line of JSON: how many of which outcome, and the names of the wrong ones
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import onnxruntime
from onnx.backend.test.case.node import collect_testcases

import seqc_runtime


def identical(a: Any, b: Any) -> bool:
    """Whether two answers are one, bit for bit."""
    if isinstance(a, np.ndarray):
        same = isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
        return same and (a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(identical, a, b))
    return type(a) is type(b) and a == b


def outcome(case: Any) -> str:
    """What becomes of a case: "not run by onnxruntime", "equal", "refused at load" or what is wrong."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    data = case.model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:
        return "not loaded by onnxruntime"
    try:
        model = seqc_runtime.load(data, device="cpu", threads=1)
    except seqc_runtime.RuntimeModelError as error:
        return "refused by its type" if "which NumPy cannot hold" in str(error) else f"refused: {error}"
    feeds = {info.name: value for info, value in zip(case.model.graph.input, case.data_sets[0][0], strict=False)}
    try:
        bare = session.run(None, feeds)
    except Exception:
        return "not run by onnxruntime"
    try:
        raw, predicted = model.run(feeds), model.predict(feeds)
    except seqc_runtime.SeqcRuntimeError as error:
        return f"refused: {error}"
    predicted = [predicted] if len(bare) == 1 else predicted
    # What is drawn at random differs from session to session.
    if not identical(bare, session.run(None, feeds)):
        return "random"
    return "equal" if identical(bare, raw) and identical(bare, predicted) else "different"


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    onnxruntime.set_default_logger_severity(4)
    found = defaultdict[str, list[str]](list)
    for case in collect_testcases(None):
        if case.model is not None and case.data_sets and (not names or case.name in names):
            found[outcome(case)].append(case.name)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
