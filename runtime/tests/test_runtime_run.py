"""Model.run, the raw way that servers use."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import (
    RunControl,
    RuntimeExecutionError,
    RuntimeInputError,
    RuntimeInputTypeError,
    RuntimeStoppedError,
)
from seqc_runtime.runs import Runner


def test_run_gives_the_outputs_wanted_in_the_order_wanted(two_outputs: bytes) -> None:
    model = seqc_runtime.load(two_outputs, device="cpu")
    x = np.array([[1, 2], [3, 4]], np.float32)
    negative, total = model.predict(x)
    for wanted, expected in (
        (None, [negative, total]),
        (["total"], [total]),
        (("total", "negative"), [total, negative]),
    ):
        results = model.run({"x": x}, wanted)
        assert len(results) == len(expected)
        for result, right in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, right)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["nope"], "the model's outputs are 'negative', 'total'; there is no 'nope'"),
        ([], "the model's outputs are 'negative', 'total'; none was asked for"),
        ([3], "there is no 3"),
        ([["total"]], "there is no ['total']"),
        (3, "outputs needs a list of names or None; got 3"),
        ("total", "outputs needs a list of names or None; got 'total'"),
    ],
)
def test_outputs_the_model_does_not_have_are_named(two_outputs: bytes, wanted: Any, message: str) -> None:
    model = seqc_runtime.load(two_outputs, device="cpu")
    with pytest.raises(RuntimeInputError, match=re.escape(message)):
        model.run({"x": np.ones((1, 2), np.float32)}, wanted)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input 'a' needs an array of float32[batch, 2]; got nothing"),
        ({"a": np.ones((1, 2), np.float32), "b": None}, "input 'b' needs an array of float32[batch, 2]; got nothing"),
        (
            {"a": np.ones((1, 2), np.float32), "b": [[1, 2]]},
            "input 'b' needs an array of float32[batch, 2]; got a list",
        ),
        ({name: np.ones((1, 2), np.float32) for name in "abc"}, "the model has no input 'c'; its inputs are 'a', 'b'"),
        ({name: np.ones((1, 2)) for name in "ab"}, "input 'a' needs float32[batch, 2]; got float64"),
        # onnxruntime would read these bytes as if they were in its own order.
        ({name: np.ones((1, 2), ">f4") for name in "ab"}, "input 'a' needs float32[batch, 2]; got >f4"),
        ([1, 2], "feeds needs a dict of arrays by input name; got list"),
    ],
)
def test_run_casts_nothing_and_says_what_it_needs(two_inputs: bytes, feeds: Any, message: str) -> None:
    with pytest.raises(RuntimeInputError, match=re.escape(message)):
        seqc_runtime.load(two_inputs, device="cpu").run(feeds)


def test_another_dtype_is_also_a_type_error(gemm: bytes) -> None:
    with pytest.raises(RuntimeInputTypeError):
        seqc_runtime.load(gemm, device="cpu").run({"x": np.ones((1, 4))})


def test_what_onnxruntime_refuses_is_an_execution_error(gemm: bytes) -> None:
    with pytest.raises(RuntimeExecutionError, match=re.escape("on x: float32[1, 5]:")):
        seqc_runtime.load(gemm, device="cpu").run({"x": np.ones((1, 5), np.float32)})


@pytest.mark.slow
def test_an_empty_batch_given_to_run_never_reaches_an_lstm(
    lstm: bytes, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "lstm.onnx").write_bytes(lstm)
    ended = run_python(
        "import numpy, seqc_runtime\n"
        "model = seqc_runtime.load('lstm.onnx', device='cpu')\n"
        "y, = model.run({'x': numpy.empty((0, 5, 2), 'f4')}, ['y'])\n"
        "print(y.shape, y.dtype)\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "(0, 3) float32\n"), ended.stderr


@pytest.fixture
def long(make: Callable[..., bytes]) -> bytes:
    """Counts to n, one step at a time."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["v", "one"], ["v_out"]),
            helper.make_node("Identity", ["going"], ["going_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("going_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.INT64, []),
        ],
    )
    return make(
        [helper.make_node("Loop", ["n", "", "zero"], ["y"], body=body)],
        [helper.make_tensor_value_info("n", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [])],
        {"one": np.array(1), "zero": np.array(0)},
    )


@pytest.mark.slow
def test_a_run_can_be_ended_from_another_thread(long: bytes) -> None:
    model = seqc_runtime.load(long, device="cpu", threads=1)
    assert model.run({"n": np.array(5)}) == [5]
    control = RunControl()
    assert not control.stopped
    timer = threading.Timer(0.3, control.stop)
    timer.start()
    started = time.monotonic()
    with pytest.raises(RuntimeStoppedError, match="was stopped"):
        model.run({"n": np.array(10**12)}, control=control)
    assert time.monotonic() - started < 20
    assert control.stopped
    with pytest.raises(RuntimeStoppedError):
        model.run({"n": np.array(5)}, control=control)
    assert model.run({"n": np.array(5)}) == [5]


def test_a_failure_under_a_control_that_was_not_stopped_is_a_failure(gemm: bytes) -> None:
    with pytest.raises(RuntimeExecutionError) as caught:
        seqc_runtime.load(gemm, device="cpu").run({"x": np.ones((1, 5), np.float32)}, control=RunControl())
    assert not isinstance(caught.value, RuntimeStoppedError)


def test_a_release_without_the_inner_session_is_called_the_public_way(gemm: bytes) -> None:
    session = seqc_runtime.load(gemm, device="cpu")._holder.get().session
    assert Runner(session).call == session._sess.run

    class Public:
        run = staticmethod(session.run)

    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(Runner(Public()).call(["y"], {"x": x}, None)[0], session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("control", [True, "stop", object()])
def test_a_control_is_a_run_control(gemm: bytes, control: Any) -> None:
    with pytest.raises(RuntimeInputError, match="control needs a RunControl or None; got"):
        seqc_runtime.load(gemm, device="cpu").run({"x": np.ones((1, 4), np.float32)}, control=control)


def test_a_closed_model_does_not_run(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    model.close()
    with pytest.raises(RuntimeExecutionError, match="the model is closed"):
        model.run({"x": np.ones((1, 4), np.float32)})
