"""What the server, and a model, say about themselves."""

from __future__ import annotations

from typing import Any

import seqc_runtime
from seqc_runtime.server.datatypes import datatype
from seqc_runtime.server.servable import Servable
from seqc_runtime.tensors import TensorInfo

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]


def server_metadata() -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "seqc-runtime", "version": seqc_runtime.__version__, "extensions": EXTENSIONS}


def model_metadata(servable: Servable, versions: list[int]) -> dict[str, Any]:
    """The answer to GET /v2/models/NAME."""
    return {
        "name": servable.name,
        "versions": [str(version) for version in versions],
        "platform": "onnx_onnxv1",
        "inputs": [_tensor(info) for info in servable.inputs],
        "outputs": [_tensor(info) for info in servable.outputs],
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in info.shape]
    return {"name": info.name, "datatype": datatype(info), "shape": shape}
