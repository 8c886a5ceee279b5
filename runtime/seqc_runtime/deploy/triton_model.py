"""Runs the model.onnx beside this file in Triton's Python backend, which needs onnxruntime and NumPy in its Python."""

import json
import os
from collections.abc import Sequence
from typing import Any

# onnxruntime sends usage data otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What Triton's Python backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
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
            feeds = {tensor.name(): decoded(tensor.as_numpy()) for tensor in request.inputs()}
            names = list(request.requested_output_names())
            results = self.session.run(names, feeds)
            tensors = [tensor(name, result) for name, result in zip(names, results, strict=True)]
            return triton.InferenceResponse(output_tensors=tensors)
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))


def tensor(name: str, array: Any) -> Any:
    """An output for Triton. Older Python backends were built for NumPy 1 and take arrays of NumPy 2 for empty ones."""
    return (triton.Tensor.from_dlpack if array.dtype.kind in "fiu" else triton.Tensor)(name, array)


def decoded(array: Any) -> Any:
    """Triton's texts are bytes, onnxruntime's are not."""
    if array.dtype != object:
        return array
    texts = array.reshape(-1).copy()
    for place, text in enumerate(texts):
        texts[place] = text.decode()
    return texts.reshape(array.shape)
