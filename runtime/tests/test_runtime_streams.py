"""predict_iter: samples that need not fit in memory."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RuntimeExecutionError, RuntimeInputError, RuntimeInputTypeError
from seqc_runtime import progress as progress_module

X = np.random.default_rng(7).normal(size=(23, 4)).astype(np.float32)


class Stored:
    """Has a shape and is read by slices, as a dataset of h5py or zarr; is never read whole."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read: list[Any] = []

    def __getitem__(self, rows: Any) -> np.ndarray:
        self.read.append(rows)
        result: np.ndarray = self.array[rows]
        return result

    def __array__(self, *arguments: Any, **named: Any) -> None:
        raise AssertionError("read whole")


@pytest.mark.parametrize("size", [1, 2, 7, 22, 23, 24, np.int64(5)])
def test_chunks_joined_are_what_predict_gives(gemm: bytes, size: Any) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    parts = list(model.predict_iter(X, size))
    assert {len(part) for part in parts[:-1]} <= {size}
    np.testing.assert_allclose(np.concatenate(parts), model.predict(X), rtol=1e-6, atol=1e-6)


def test_what_is_stored_is_read_a_chunk_at_a_time_when_asked_for(gemm: bytes) -> None:
    model, stored = seqc_runtime.load(gemm, device="cpu"), Stored(X)
    parts = model.predict_iter(stored, 10)
    assert stored.read == []
    next(parts)
    assert stored.read == [slice(0, 10)]
    assert [len(part) for part in parts] == [10, 3]
    assert stored.read == [slice(0, 10), slice(10, 20), slice(20, 23)]


@pytest.mark.slow
def test_a_memmap_larger_than_the_memory_given_is_done_in_bounded_memory(
    gemm: bytes, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "m.onnx").write_bytes(gemm)
    ended = run_python(
        "import numpy as np, seqc_runtime, resource\n"
        "x = np.memmap('x', np.float64, 'w+', shape=(1 << 23, 4))\n"  # 256 MiB, 128 of them as float32
        "model = seqc_runtime.load('m.onnx', device='cpu', threads=1)\n"
        "model.predict(x[:1000])\n"
        "used = int(open('/proc/self/statm').read().split()[5])\n"
        "resource.setrlimit(resource.RLIMIT_DATA, ((used << 12) + (64 << 20),) * 2)\n"
        "print(sum(len(y) for y in model.predict_iter(x, 65536)))\n"
    )
    assert ended.stdout == f"{1 << 23}\n", ended.stderr


def test_several_inputs_and_outputs_come_as_lists_and_dicts(two_inputs: bytes, two_outputs: bytes) -> None:
    a, b = X[:, :2], X[:, 2:]
    for x in ([a, Stored(b)], {"b": Stored(b), "a": a}):
        parts = list(seqc_runtime.load(two_inputs, device="cpu").predict_iter(x, 4))
        np.testing.assert_array_equal(np.concatenate(parts), a - b)
    negative, total = zip(*seqc_runtime.load(two_outputs, device="cpu").predict_iter(a, 4), strict=True)
    np.testing.assert_array_equal(np.concatenate(negative), -a)
    np.testing.assert_allclose(np.concatenate(total), a.sum(1), rtol=1e-6)


def test_an_iterable_of_batches_is_run_as_it_comes_and_cut_where_too_large(gemm: bytes, two_inputs: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    endless = itertools.cycle([X[:3], X[:8]])
    parts = list(itertools.islice(model.predict_iter(endless, 5), 4))
    assert [len(part) for part in parts] == [3, 5, 3, 3]
    pair = seqc_runtime.load(two_inputs, device="cpu")
    batches = ({"a": X[i : i + 2, :2], "b": X[i : i + 2, 2:]} for i in range(0, 22, 2))
    np.testing.assert_array_equal(np.concatenate(list(pair.predict_iter(batches))), (X[:, :2] - X[:, 2:])[:22])


def test_inputs_without_the_batch_axis_go_whole_into_each_chunk(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
    )
    w = np.ones((4, 2), np.float32)
    parts = list(seqc_runtime.load(data, device="cpu").predict_iter([X, Stored(w)], 10))
    np.testing.assert_allclose(np.concatenate(parts), X @ w, rtol=1e-6)


def test_no_samples_are_one_empty_chunk(gemm: bytes, lstm: bytes) -> None:
    (y,) = seqc_runtime.load(gemm, device="cpu").predict_iter(X[:0], 5)
    assert y.shape == (0, 3)
    (y,) = seqc_runtime.load(lstm, device="cpu").predict_iter(np.empty((0, 5, 2)), 5)
    assert y.shape == (0, 3)
    assert list(seqc_runtime.load(gemm, device="cpu").predict_iter(iter(()), 5)) == []


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (3, "predict_iter needs an array"),
        ("path.npy", "predict_iter needs an array"),
        (np.float32(3), "input 'x' needs float32[batch, 4]; got a single value"),
        ([X, X], "the model has 1 input ('x'); got a list of 2"),
        ({"z": X}, "the dict has no 'x' and unknown 'z'"),
    ],
)
def test_what_cannot_be_cut_is_refused_at_once(gemm: bytes, x: Any, message: str) -> None:
    with pytest.raises(RuntimeInputError, match=re.escape(message)):
        seqc_runtime.load(gemm, device="cpu").predict_iter(x, 5)


def test_inputs_of_different_lengths_are_refused_at_once(two_inputs: bytes) -> None:
    with pytest.raises(RuntimeInputError, match="input 'b' has 22 rows, but input 'a' has 23"):
        seqc_runtime.load(two_inputs, device="cpu").predict_iter([X[:, :2], X[1:, :2]])


@pytest.mark.parametrize("size", [0, -1, True, 1.5, None, "2"])
def test_batch_size_of_an_iteration_is_a_positive_integer(gemm: bytes, size: Any) -> None:
    with pytest.raises(RuntimeInputError, match="batch_size needs a positive integer"):
        seqc_runtime.load(gemm, device="cpu").predict_iter(X, size)


def test_rows_that_cannot_be_read_or_are_too_few_are_named(gemm: bytes) -> None:
    class Broken(Stored):
        def __getitem__(self, rows: Any) -> np.ndarray:
            if rows.start == 10:
                raise OSError("disk on fire")
            result: np.ndarray = self.array[rows]
            return result

    class Short(Stored):
        def __getitem__(self, rows: Any) -> np.ndarray:
            result: np.ndarray = self.array[rows][:3]
            return result

    model = seqc_runtime.load(gemm, device="cpu")
    with pytest.raises(RuntimeInputError, match="rows 10 to 15 of input 'x' cannot be read: disk on fire"):
        list(model.predict_iter(Broken(X), 5))
    with pytest.raises(RuntimeInputError, match=re.escape("rows 0 to 5 of input 'x' came as [3, 4], not as 5 rows")):
        list(model.predict_iter(Short(X), 5))


def test_what_does_not_fit_in_memory_is_done_in_chunks(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    endless = np.broadcast_to(np.float64(1), (1 << 48, 4))
    with pytest.raises(RuntimeInputError, match="does not fit in memory as float32: predict_iter takes it"):
        model.predict(endless)
    assert next(model.predict_iter(endless, 3)).shape == (3, 3)


def test_a_wrong_dtype_or_shape_is_as_in_predict(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    with pytest.raises(RuntimeInputTypeError):
        next(model.predict_iter(X.astype(complex)))
    with pytest.raises(RuntimeInputError, match=re.escape("got [23, 3]")):
        next(model.predict_iter(X[:, :3]))


def test_a_model_of_a_fixed_batch_cannot_be_cut(relu: Callable[..., bytes]) -> None:
    with pytest.raises(RuntimeInputError, match="batch_size needs a symbolic axis 0"):
        seqc_runtime.load(relu([4, 2], [4, 2]), device="cpu").predict_iter(X[:4, :2])


def test_outputs_with_other_rows_than_samples_are_refused(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("NonZero", ["x"], ["t"]), helper.make_node("Transpose", ["t"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["count", 2])],
    )
    with pytest.raises(RuntimeExecutionError, match="so chunks of it cannot be joined"):
        next(seqc_runtime.load(data, device="cpu").predict_iter(np.ones((4, 2)), 2))


def test_a_model_closed_meanwhile_says_so(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    parts = model.predict_iter(X, 5)
    next(parts)
    model.close()
    with pytest.raises(RuntimeExecutionError, match="the model is closed"):
        next(parts)


def test_there_is_no_bar_where_nobody_looks(gemm: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    list(seqc_runtime.load(gemm, device="cpu").predict_iter(X, 5))
    assert capsys.readouterr() == ("", "")


def test_a_bar_shows_how_far_it_is(gemm: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich", reason="the bar is rich's")
    list(seqc_runtime.load(gemm, device="cpu").predict_iter(X, 5, progress=True))
    out, err = capsys.readouterr()
    assert out == ""
    assert "23/23" in err


def test_without_rich_a_line_shows_how_far_it_is(
    gemm: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(progress_module, "_SECONDS", 0)
    model = seqc_runtime.load(gemm, device="cpu")
    list(model.predict_iter(X, 20, progress=True))
    assert capsys.readouterr().err == "\r20 of 23 (87%) samples\r23 of 23 (100%) samples\n"
    list(model.predict_iter(iter([X, X]), 23, progress=True))
    assert capsys.readouterr().err == "\r23 samples\r46 samples\n"


def test_progress_is_true_false_or_none(gemm: bytes) -> None:
    with pytest.raises(RuntimeInputError, match="progress needs True, False or None"):
        seqc_runtime.load(gemm, device="cpu").predict_iter(X, progress="yes")  # type: ignore[arg-type]
