from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RuntimeExecutionError, RuntimeInputError, TensorInfo


def test_one_input_and_one_output_are_arrays(gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    y = seqc_runtime.load(gemm, device="cpu").predict(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, gemm_reference(x), rtol=1e-6, atol=1e-6)


def test_the_model_describes_itself(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu", threads=2)
    assert model.inputs == (TensorInfo("x", "float32", ("batch", 4)),)
    assert model.outputs == (TensorInfo("y", "float32", ("batch", 3)),)
    assert (model.device, model.threads) == ("cpu", 2)
    assert model.metadata == {"seqc.classes": "a,b,c", "producer_name": "seqc", "producer_version": "0.1.0"}
    assert repr(model) == "<Model (x: float32[batch, 4]) -> (y: float32[batch, 3]) on cpu>"


def test_changing_the_returned_metadata_changes_nothing(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    model.metadata.clear()
    assert model.metadata["producer_name"] == "seqc"


def test_several_inputs_come_as_list_tuple_or_dict(two_inputs: bytes) -> None:
    model = seqc_runtime.load(two_inputs, device="cpu")
    a, b = np.ones((2, 2), np.float32), np.full((2, 2), 3, np.float32)
    for x in ([a, b], (a, b), {"b": b, "a": a}):
        np.testing.assert_array_equal(model.predict(x), a - b)


def test_several_outputs_come_as_a_list_in_order(two_outputs: bytes) -> None:
    model = seqc_runtime.load(two_outputs, device="cpu")
    negative, total = model.predict(np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_array_equal(negative, [[-1, -2], [-3, -4]])
    np.testing.assert_array_equal(total, [3, 7])


@pytest.mark.parametrize("batch_size", [None, 2])
def test_outputs_come_by_name_where_that_is_asked_for(two_outputs: bytes, gemm: bytes, batch_size: int | None) -> None:
    for path in (two_outputs, gemm):
        model = seqc_runtime.load(path, device="cpu")
        x = np.random.default_rng(1).normal(size=(5, int(model.inputs[0].shape[-1]))).astype("float32")
        found = model.predict(x, batch_size=batch_size, named=True)
        assert list(found) == [info.name for info in model.outputs]
        listed = model.predict(x) if len(model.outputs) > 1 else [model.predict(x)]
        assert all(map(np.array_equal, found.values(), listed))
        chunks = list(model.predict_iter(x, batch_size=2, named=True))
        assert all(np.array_equal(np.concatenate([c[n] for c in chunks]), y) for n, y in found.items())


def test_a_path_works_as_str_and_as_path(
    gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(gemm)
    x = np.ones((2, 4), np.float32)
    for given in (path, str(path)):
        np.testing.assert_allclose(seqc_runtime.load(given).predict(x), gemm_reference(x), rtol=1e-6)


def test_bytes_work_as_bytearray_and_memoryview(gemm: bytes) -> None:
    x = np.ones((2, 4), np.float32)
    expected = seqc_runtime.load(gemm).predict(x)
    for given in (bytearray(gemm), memoryview(gemm)):
        np.testing.assert_array_equal(seqc_runtime.load(given).predict(x), expected)


def test_text_goes_in_and_out(identity: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(identity(TensorProto.STRING), device="cpu")
    assert model.inputs[0].dtype == "str"
    for x in (np.array(["a", "bc"]), np.array(["a", "bc"], object)):
        assert model.predict(x).tolist() == ["a", "bc"]


def test_threads_may_predict_at_the_same_time(gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray]) -> None:
    model = seqc_runtime.load(gemm, device="cpu", threads=1)
    batches = [np.full((3, 4), i, np.float32) for i in range(32)]
    with ThreadPoolExecutor(4) as pool:
        for x, y in zip(batches, pool.map(model.predict, batches), strict=True):
            np.testing.assert_allclose(y, gemm_reference(x), rtol=1e-5, atol=1e-5)


def test_a_closed_model_says_so(gemm: bytes) -> None:
    with seqc_runtime.load(gemm, device="cpu") as model:
        assert model.predict(np.ones((1, 4), np.float32)).shape == (1, 3)
    with pytest.raises(RuntimeExecutionError, match="the model is closed: load it again"):
        model.predict(np.ones((1, 4), np.float32))


def test_a_failing_run_names_the_inputs(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", 2])],
        {"shape": np.array([-1, 2], np.int64)},
    )
    model = seqc_runtime.load(data, device="cpu")
    assert model.predict(np.zeros(4, np.float32)).shape == (2, 2)
    with pytest.raises(RuntimeExecutionError, match=re.escape("on x: float32[3]:")):
        model.predict(np.zeros(3, np.float32))


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2", 100_000])
def test_threads_must_be_a_positive_integer(gemm: bytes, threads: Any) -> None:
    with pytest.raises(ValueError, match="threads needs a positive integer or None"):
        seqc_runtime.load(gemm, threads=threads)


def test_a_model_without_inputs_runs_and_cannot_be_cut(make: Callable[..., bytes]) -> None:
    data = make(
        [helper.make_node("Constant", [], ["y"], value_floats=[1.0, 2.0])],
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    model = seqc_runtime.load(data, device="cpu")
    assert model.predict({}).tolist() == [1, 2]
    with pytest.raises(RuntimeInputError, match="this model has none"):
        model.predict([], batch_size=1)
