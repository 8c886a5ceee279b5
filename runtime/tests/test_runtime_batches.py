from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RuntimeExecutionError, RuntimeInputError


@pytest.mark.slow
def test_an_empty_batch_never_reaches_an_lstm(
    lstm: bytes, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "lstm.onnx").write_bytes(lstm)
    ended = run_python(
        "import numpy, seqc_runtime\n"
        "model = seqc_runtime.load('lstm.onnx', device='cpu')\n"
        "assert model.predict(numpy.ones((2, 5, 2))).shape == (2, 3)\n"
        "y = model.predict(numpy.empty((0, 5, 2)))\n"
        "print(y.shape, y.dtype)\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "(0, 3) float32\n"), ended.stderr


@pytest.mark.slow
def test_an_empty_time_axis_never_reaches_an_lstm(
    lstm: bytes, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "lstm.onnx").write_bytes(lstm)
    ended = run_python(
        "import numpy, seqc_runtime\n"
        "model = seqc_runtime.load('lstm.onnx', device='cpu')\n"
        "try:\n    model.predict(numpy.empty((2, 0, 2)))\n"
        "except seqc_runtime.RuntimeInputError as error:\n    print(error)\n"
    )
    assert ended.returncode == 0, ended.stderr
    assert "input 'x' [2, 0, 2] holds no elements, but output 'y' float32[batch, 3] would hold 6" in ended.stdout


def test_an_empty_batch_gives_every_output_its_shape_and_dtype(
    two_outputs: bytes, identity: Callable[..., bytes]
) -> None:
    negative, total = seqc_runtime.load(two_outputs, device="cpu").predict(np.empty((0, 2)), batch_size=4)
    assert (negative.shape, total.shape) == ((0, 2), (0,))
    for kind, dtype in ((TensorProto.INT64, np.int64), (TensorProto.STRING, object)):
        data = np.empty(0, "U1" if dtype is object else dtype)
        assert seqc_runtime.load(identity(kind), device="cpu").predict(data).dtype == dtype


def test_an_empty_batch_still_has_its_shape_checked(gemm: bytes) -> None:
    with pytest.raises(RuntimeInputError, match=re.escape("got [0, 5]")):
        seqc_runtime.load(gemm, device="cpu").predict(np.empty((0, 5)))


def test_other_symbolic_axes_of_an_empty_batch_follow_the_input(relu: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(relu(["batch", "time", 2], ["batch", "time", 2]), device="cpu")
    assert model.predict(np.empty((0, 7, 2))).shape == (0, 7, 2)


def test_a_batch_axis_that_inputs_and_outputs_name_differently_is_still_the_batch(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("Expand", ["x", "shape"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        {"shape": np.array([1, 2], np.int64)},
    )
    model = seqc_runtime.load(data, device="cpu")
    assert model.inputs[0].shape == ("?", 2)
    assert model.predict(np.empty((0, 2))).shape == (0, 2)
    np.testing.assert_array_equal(model.predict(np.ones((5, 2)), batch_size=2), np.ones((5, 2)))


@pytest.fixture
def positions(make: Callable[..., bytes]) -> bytes:
    """Where x is not zero: one row per place, so a number of rows only a run shows."""
    return make(
        [helper.make_node("NonZero", ["x"], ["t"]), helper.make_node("Transpose", ["t"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["count", 2])],
    )


@pytest.fixture
def cut(make: Callable[..., bytes]) -> bytes:
    """The first columns of x, as many as its largest value says: a row length only a run shows."""
    return make(
        [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["i"], to=TensorProto.INT64),
            helper.make_node("Unsqueeze", ["i", "zero"], ["end"]),
            helper.make_node("Slice", ["x", "zero", "end", "one"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "width"])],
        {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)},
    )


def test_what_onnxruntime_can_run_gets_empty_inputs(positions: bytes) -> None:
    assert seqc_runtime.load(positions, device="cpu").predict(np.empty((0, 2))).shape == (0, 2)


def test_an_axis_that_does_not_follow_from_the_inputs_is_named(make: Callable[..., bytes]) -> None:
    data = make(
        [
            helper.make_node("RNN", ["x", "w", "r"], ["", "h"], hidden_size=1),
            helper.make_node("NonZero", ["h"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["time", "batch", 1])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [3, "count"])],
        {"w": np.ones((1, 1, 1), np.float32), "r": np.ones((1, 1, 1), np.float32)},
    )
    message = "the size of axis 1 ('count') of output 'y' int64[3, count] does not follow from the inputs"
    with pytest.raises(RuntimeInputError, match=re.escape(message)):
        seqc_runtime.load(data, device="cpu").predict(np.empty((2, 0, 1)))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 8, np.int64(4)])
def test_chunks_give_the_same_rows_as_one_run(gemm: bytes, batch_size: Any) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    x = np.random.default_rng(3).normal(size=(7, 4)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x, batch_size), model.predict(x), rtol=1e-6, atol=1e-6)


def test_no_chunk_is_larger_than_batch_size(gemm: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    seen = []
    run = model._run

    def watched(session: Any, feeds: dict[str, np.ndarray]) -> Any:
        seen.append(len(feeds["x"]))
        return run(session, feeds)

    monkeypatch.setattr(model, "_run", watched)
    model.predict(np.ones((7, 4)), batch_size=3)
    assert seen == [3, 3, 1]


def test_chunks_of_several_inputs_and_outputs_stay_aligned(two_inputs: bytes, two_outputs: bytes) -> None:
    a, b = np.arange(10.0).reshape(5, 2), np.arange(10.0)[::-1].reshape(5, 2)
    np.testing.assert_array_equal(seqc_runtime.load(two_inputs, device="cpu").predict([a, b], batch_size=2), a - b)
    negative, total = seqc_runtime.load(two_outputs, device="cpu").predict(a, batch_size=2)
    np.testing.assert_array_equal(negative, -a)
    np.testing.assert_array_equal(total, a.sum(1))


def test_inputs_without_the_batch_axis_go_whole_into_each_chunk(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    x, w = np.arange(10.0).reshape(5, 2), np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(seqc_runtime.load(data, device="cpu").predict([x, w], batch_size=2), x @ w)


def test_a_fixed_batch_cannot_be_cut(relu: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(relu([4, 2], [4, 2]), device="cpu")
    assert model.predict(np.ones((4, 2))).shape == (4, 2)
    message = "batch_size needs a symbolic axis 0, the batch; input 'x' has float32[4, 2]"
    with pytest.raises(RuntimeInputError, match=re.escape(message)):
        model.predict(np.ones((4, 2)), batch_size=2)


def test_outputs_that_are_not_rows_cannot_be_joined(positions: bytes) -> None:
    model = seqc_runtime.load(positions, device="cpu")
    assert model.predict(np.ones((3, 2))).shape == (6, 2)
    with pytest.raises(RuntimeExecutionError, match=re.escape("output 'y' has shape [2, 2] for 1 input rows")):
        model.predict(np.ones((3, 2)), batch_size=1)


def test_outputs_whose_rows_change_shape_cannot_be_joined(cut: bytes) -> None:
    x = np.array([[1, 3, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]])
    with pytest.raises(RuntimeExecutionError, match=re.escape("changes shape between chunks, [3] to [1] per row")):
        seqc_runtime.load(cut, device="cpu").predict(x, batch_size=2)


def test_unnamed_batch_axes_must_agree_before_they_are_cut(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    )
    with pytest.raises(RuntimeInputError, match="input 'b' has 1 rows, but input 'a' has 4"):
        seqc_runtime.load(data, device="cpu").predict([np.ones((4, 2)), np.ones((1, 2))], batch_size=2)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, "2"])
def test_batch_size_must_be_a_positive_integer(gemm: bytes, batch_size: Any) -> None:
    with pytest.raises(RuntimeInputError, match="batch_size needs a positive integer; got"):
        seqc_runtime.load(gemm, device="cpu").predict(np.empty((0, 4)), batch_size=batch_size)


def softmax(axis: int, *shape: int | str) -> bytes:
    """A file whose results depend on all that lies along `axis`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], axis=axis)], "made", ends[:1], ends[1:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(model.SerializeToString())


def test_a_file_with_a_fixed_batch_takes_whole_ones() -> None:
    model = seqc_runtime.load(softmax(0, 4, 3), device="cpu")
    rows = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    powers = np.exp(rows.reshape(2, 4, 3))
    expected = (powers / powers.sum(1, keepdims=True)).reshape(8, 3)
    np.testing.assert_allclose(model.predict(rows, batch_size=4), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(rows[:4], batch_size=4), expected[:4], rtol=1e-5)
    with pytest.raises(RuntimeInputError, match="4 rows at a time, and 6 are no multiple of that: add 2 more"):
        model.predict(rows[:6], batch_size=4)
    with pytest.raises(RuntimeInputError, match=re.escape("got [8, 3]: the file fixes the first axis; where it is")):
        model.predict(rows)


def test_time_that_a_file_fixes_is_not_cut_either() -> None:
    model = seqc_runtime.load(softmax(0, 5, "batch", 3), device="cpu")
    with pytest.raises(RuntimeInputError, match=r"batch_size cuts along axis 0, and the batch of input 'x' .* another"):
        model.predict(np.ones((10, 2, 3), np.float32), batch_size=5)


def test_time_is_not_cut_where_the_batch_is_another_axis() -> None:
    model = seqc_runtime.load(softmax(0, "time", "batch", 3), device="cpu")
    x = np.random.default_rng(0).standard_normal((7, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x).sum(0), 1.0, rtol=1e-5)
    with pytest.raises(RuntimeInputError, match=r"batch_size cuts along axis 0, and the batch of input 'x' .* another"):
        model.predict(x, batch_size=2)
