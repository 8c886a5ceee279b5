"""What the server, and a model, say about themselves."""

from __future__ import annotations

import json
from typing import Any

import seqc_runtime
from seqc_runtime.server.datatypes import datatype
from seqc_runtime.server.servable import Servable
from seqc_runtime.tensors import TensorInfo

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
# Where a file says what its classes are called, first come first served.
_LABEL_KEYS = ("seqc.classes", "classes", "class_names", "labels")


def server_metadata() -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "seqc-runtime", "version": seqc_runtime.__version__, "extensions": EXTENSIONS}


def model_metadata(servable: Servable, versions: list[int]) -> dict[str, Any]:
    """The answer to GET /v2/models/NAME. `labels` is there when the file says what its classes are called."""
    content = {
        "name": servable.name,
        "versions": [str(version) for version in versions],
        "platform": "onnx_onnxv1",
        "inputs": [_tensor(info) for info in servable.inputs],
        "outputs": [_tensor(info) for info in servable.outputs],
    }
    labels = class_labels(servable)
    return content | {"labels": labels} if labels else content


def _tensor(info: TensorInfo) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in info.shape]
    return {"name": info.name, "datatype": datatype(info), "shape": shape}


def class_labels(servable: Servable) -> dict[str, list[str]]:
    """Names of classes for each output whose last axis has as many places.

    They are in the file's metadata_props, as a list in JSON or as text with commas, under one of "seqc.classes",
    "classes", "class_names" and "labels".
    """
    texts = servable.model.metadata
    labels = next((_read_labels(texts[key]) for key in _LABEL_KEYS if key in texts), [])
    return {
        info.name: labels
        for info in servable.outputs
        if labels and info.dtype.startswith("float") and len(info.shape) > 1 and info.shape[-1] == len(labels)
    }


def _read_labels(text: str) -> list[str]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return [label.strip() for label in text.split(",")]
    return [str(label) for label in read] if isinstance(read, list) else []
