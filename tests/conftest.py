"""What every test shares: one BLAS thread, fixed seeds, the folder of recorded cases, and the rule for GPU tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from kit.effort import effort

if TYPE_CHECKING:
    import numpy as np

# Read by the BLAS libraries when NumPy is first imported, which is why this file imports NumPy late.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# A shell has its background jobs ignore Ctrl-C, and what they start inherits that: tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every program that a test has built is proved to read and write its memory rightly, and starts from spoiled memory.
os.environ.setdefault("SEQC_VERIFY", "1")

# The same examples in every run: more of them would find nothing more the next time. `SEQC_THOROUGH=1` draws the rest.
hypothesis.settings.register_profile("seqc", deadline=None, derandomize=True, max_examples=effort(40, 100))
hypothesis.settings.load_profile("seqc")


# Half a million objects of pytest's own are made while tests are collected, and all of them stay. Looking for garbage
# among them takes longer than many tests; so that begins after the last is made, and never looks at them again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tables marked `one_in(n)`, each n-th row is run always, the others with the slow tests."""
    rows: Counter[tuple[Path, str]] = Counter()
    for item in items:
        thinned = item.get_closest_marker("one_in")
        if thinned is None or item.get_closest_marker("slow") is not None:
            continue
        table = item.path, item.name.partition("[")[0]
        if rows[table] % thinned.args[0]:
            item.add_marker(pytest.mark.slow)
        rows[table] += 1


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository, with recorded Keras cases and data; skips the test without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder 'shared' beside the repository")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator that gives every test the same numbers on every run."""
    import numpy as np

    return np.random.default_rng(20260101)


def pytest_collectstart(collector: pytest.Collector) -> None:
    if isinstance(collector, pytest.Module):
        _seed()  # a table of cases may hold layers, whose seeds are drawn as they are made


@pytest.fixture(autouse=True)
def _fixed_global_seeds() -> None:
    _seed()


def _seed() -> None:
    """What a test draws is the same whenever it runs: alone, with others, here and elsewhere.

    Without it seqc's generator starts from the system's entropy, and a bound on a mean that holds in 98 of 100 draws
    fails in one run of fifty.
    """
    from seqc.seeds import set_random_seed

    set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_block_is_left_open() -> Iterator[None]:
    """What holds inside a block holds there alone, however it is left: the tests after this one don't see it."""
    from seqc.contexts import open_blocks

    yield
    assert open_blocks() == []
    assert sys.exc_info() == (None, None, None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and (reason := _why_no_gpu()):
        pytest.skip(reason)


@cache
def _why_no_gpu() -> str:
    """Why tests marked gpu cannot run here; empty when onnxruntime runs a model on CUDA."""
    try:
        import onnxruntime
    except ImportError:
        return "needs onnxruntime-gpu, and onnxruntime is not installed"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "needs onnxruntime-gpu: the installed onnxruntime has no CUDAExecutionProvider"
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(_identity_model(), options, providers=["CUDAExecutionProvider"])
    except Exception as error:
        return f"needs a usable CUDA device: {error}"
    if "CUDAExecutionProvider" not in session.get_providers():
        return "needs a usable CUDA device: onnxruntime fell back to the CPU"
    return ""


def _identity_model() -> bytes:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", ends[:1], ends[1:])
    opset = helper.make_opsetid("", 18)
    model: bytes = helper.make_model(graph, ir_version=8, opset_imports=[opset]).SerializeToString()
    return model
