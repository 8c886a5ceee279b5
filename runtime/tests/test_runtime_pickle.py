"""Models that travel to other processes, and models that are run before anybody waits."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RunControl, RuntimeExecutionError, RuntimeInputError, RuntimeModelError, RuntimeStoppedError

X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_model_answers_the_same(gemm: bytes, tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(gemm)
    for given in (path, gemm):
        model = seqc_runtime.load(given, device="cpu", threads=1, spinning=False)
        again = pickle.loads(pickle.dumps(model, protocol))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert (again.device, again.threads, again._asked) == (model.device, model.threads, model._asked)


def test_a_pickle_of_a_path_is_small_and_of_bytes_carries_them(gemm: bytes, tmp_path: Path) -> None:
    padded = gemm + b"\x32" + bytes([0x80, 0x80, 0x40]) + b"a" * (1 << 20)  # doc_string of a megabyte
    (tmp_path / "m.onnx").write_bytes(padded)
    assert len(pickle.dumps(seqc_runtime.load(tmp_path / "m.onnx", device="cpu"))) < 1000
    assert len(pickle.dumps(seqc_runtime.load(padded, device="cpu"))) > 1 << 20


def test_another_file_at_the_path_is_not_the_pickled_model(gemm: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(gemm)
    data = pickle.dumps(seqc_runtime.load(path, device="cpu"))
    path.write_bytes(gemm + b"\x1a\x01z")
    with pytest.raises(RuntimeModelError, match="is not the file that was pickled"):
        pickle.loads(data)
    path.write_bytes(gemm)  # the same bytes, another time
    assert pickle.loads(data).predict(X).shape == (2, 3)
    path.unlink()
    with pytest.raises(seqc_runtime.RuntimeModelNotFoundError):
        pickle.loads(data)


def test_a_file_that_changed_since_it_was_loaded_is_not_pickled(gemm: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(gemm)
    model = seqc_runtime.load(path, device="cpu")
    path.write_bytes(gemm + b"\x1a\x01z")
    with pytest.raises(RuntimeModelError, match="was changed or removed"):
        pickle.dumps(model)


def test_a_closed_model_is_not_pickled(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    model.close()
    with pytest.raises(RuntimeExecutionError, match="the model is closed"):
        pickle.dumps(model)


def test_a_deep_copy_outlives_the_model(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    expected, twin = model.predict(X), copy.deepcopy(model)
    model.close()
    np.testing.assert_array_equal(twin.predict(X), expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_of_a_process_pool_take_a_model(gemm: bytes, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    model = seqc_runtime.load(gemm, device="cpu", threads=1)
    expected = model.predict(X)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        for y in pool.map(model.predict, [X] * 4, timeout=120):
            np.testing.assert_array_equal(y, expected)


def test_warm_up_runs_the_declared_shape_once(two_inputs: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    model = seqc_runtime.load(two_inputs, device="cpu")
    seen = []
    run = model.run

    def watched(feeds: dict[str, np.ndarray], **more: Any) -> Any:
        seen.append(feeds)
        return run(feeds, **more)

    monkeypatch.setattr(model, "run", watched)
    model.warm_up(rows=5)
    assert [{name: array.shape for name, array in feeds.items()} for feeds in seen] == [{"a": (5, 2), "b": (5, 2)}]


def test_warm_up_finds_sizes_that_suit_the_model(make: Callable[..., bytes]) -> None:
    """A window of 7 needs at least that many steps."""
    data = make(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, "time"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1, "steps"])],
        {"w": np.ones((1, 1, 7), np.float32)},
    )
    seqc_runtime.load(data, device="cpu", warm_up=True).warm_up(3)


def test_warm_up_says_what_could_not_be_run(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", 2])],
        {"shape": np.array([-1, 2], np.int64)},
    )
    model = seqc_runtime.load(data, device="cpu")
    model.warm_up(2)
    with pytest.raises(
        RuntimeExecutionError, match=re.escape("could not be warmed up with made-up inputs of 1 rows: ")
    ):
        model.warm_up()
    with pytest.raises(RuntimeExecutionError, match="could not be warmed up"):
        seqc_runtime.load(data, device="cpu", warm_up=True)


def test_warm_up_of_text_and_of_an_lstm(identity: Callable[..., bytes], lstm: bytes) -> None:
    seqc_runtime.load(identity(TensorProto.STRING), device="cpu", warm_up=True)
    seqc_runtime.load(lstm, device="cpu", warm_up=True)


def test_a_warm_up_can_be_stopped(gemm: bytes) -> None:
    control = RunControl()
    control.stop()
    with pytest.raises(RuntimeStoppedError):
        seqc_runtime.load(gemm, device="cpu").warm_up(control=control)


@pytest.mark.parametrize("rows", [0, -1, True, 1.5, "2"])
def test_rows_of_a_warm_up_are_a_positive_integer(gemm: bytes, rows: Any) -> None:
    with pytest.raises(RuntimeInputError, match="rows needs a positive integer"):
        seqc_runtime.load(gemm, device="cpu").warm_up(rows)


@pytest.mark.slow
def test_a_model_let_in_as_untrusted_is_not_pickled(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu", threads=1, untrusted=True)
    with pytest.raises(seqc_runtime.RuntimeArgumentError, match="was let in as untrusted"):
        pickle.dumps(model)


def test_weights_in_another_file_are_part_of_what_must_not_change(tmp_path: Path) -> None:
    import onnx

    weight = np.arange(4, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    data = pickle.dumps(seqc_runtime.load(tmp_path / "m.onnx", device="cpu"))
    np.testing.assert_array_equal(pickle.loads(data).predict(X), X * weight)
    (tmp_path / "w.bin").write_bytes((weight + 1).tobytes())
    with pytest.raises(RuntimeModelError, match="is not the file that was pickled"):
        pickle.loads(data)
