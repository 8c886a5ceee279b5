"""Runs the model.onnx beside this file in Triton's Python backend, which needs onnxruntime and NumPy in its Python."""

import json
import os
from collections.abc import Collection, Sequence
from typing import Any

# onnxruntime sends usage data otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What Triton's Python backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self.odd = odd_names([*config["input"], *config["output"]])
        options = onnxruntime.SessionOptions()
        threads = config.get("parameters", {}).get("intra_op_thread_count")
        if threads:
            options.intra_op_num_threads = int(threads["string_value"])
        # Here, not in a folder that is told: Triton may keep its own copy of the repository.
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.onnx")
        providers: list[Any] = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            providers = [("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"], "use_tf32": 0})]
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return [self.respond(request) for request in requests]

    def respond(self, request: Any) -> Any:
        try:
            feeds = {tensor.name(): to_array(tensor, self.odd) for tensor in request.inputs()}
            names = list(request.requested_output_names())
            results = self.session.run(names, feeds)
            tensors = [to_tensor(name, result) for name, result in zip(names, results, strict=True)]
            return triton.InferenceResponse(output_tensors=tensors)
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))


# Python backends of Triton that were built for NumPy 1 take arrays of NumPy 2 for empty ones, and give empty ones,
# without a word. So numbers go through DLPack, which looks the same to all.


def odd_names(declared: Sequence[dict[str, Any]]) -> list[str]:
    """The tensors of texts and truths, which DLPack does not carry; an error where they might go wrong."""
    odd: list[str] = [one["name"] for one in declared if one["data_type"] in ("TYPE_STRING", "TYPE_BOOL")]
    if odd and np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        raise triton.TritonModelException(
            f'{odd[0]!r} is text or bool, which need pip install "numpy<2" for this Python'
        )
    return odd


def to_array(tensor: Any, odd: Collection[str]) -> Any:
    """An input for onnxruntime, whose texts are not bytes as Triton's are."""
    if tensor.name() not in odd:
        return np.from_dlpack(tensor)
    array = tensor.as_numpy()
    if array.dtype != object:
        return array
    return np.array([text.decode() for text in array.ravel()], object).reshape(array.shape)


def to_tensor(name: str, array: Any) -> Any:
    """An output for Triton."""
    return (triton.Tensor.from_dlpack if array.dtype.kind in "fiu" else triton.Tensor)(name, array)
