"""TensorFlow.js: `model.json` with layers of Keras, whose weights lie in files beside it, cut into shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import SavingError
from seqc.graph.ir import Array
from seqc.saving.arrays import StoredArray
from seqc.saving.beside import open_beside
from seqc.saving.flat import FlatWeights
from seqc.saving.limits import MOST_NAMES
from seqc.saving.model_file import ModelFile, checked_model, facts_of, text_of

TENSORFLOW_JS = "a TensorFlow.js model of Keras layers"
_DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|b1", "uint8": "|u1", "float16": "<f2", "uint16": "<u2"}


def read_tensorflow_js(content: Mapping[str, Any], path: str) -> ModelFile:
    """Reads a model.

    Args:
        content: what its `model.json` says. path: of that file, beside which the shards lie.

    Raises:
        SavingError: it is a graph of TensorFlow, a shard is missing, or it is damaged.
    """
    topology = content["modelTopology"]
    if content.get("format") == "graph-model" or (isinstance(topology, Mapping) and "node" in topology):
        raise SavingError(
            f"'{path}' is a graph of TensorFlow's operations, which has no layers of Keras any more. Convert the model "
            "that it was made from: its `.h5` or `.keras` file."
        )
    outer = topology if isinstance(topology, Mapping) else {}
    inner = outer.get("model_config", outer)
    described = checked_model(inner, "The topology", path)
    arrays = [array for group in _groups(content, path) for array in group]
    writer = text_of(content.get("generatedBy")) or text_of(content.get("convertedBy"))
    return ModelFile(
        TENSORFLOW_JS,
        path,
        described=described,
        weights=FlatWeights(path, arrays) if content.get("weightsManifest") else None,
        training=outer.get("training_config") or content.get("trainingConfig"),
        is_old=True,
        **{**facts_of(outer), "written_by": writer},
    )


def _groups(content: Mapping[str, Any], path: str) -> list[list[StoredArray]]:
    manifest = content.get("weightsManifest") or []
    try:
        specs = [(list(group["paths"]), [_spec(w, path) for w in group["weights"]]) for group in manifest]
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise SavingError(f"The list of weights in '{path}' is damaged: {error!r}.") from error
    if sum(len(paths) + len(weights) for paths, weights in specs) > MOST_NAMES:
        raise SavingError(f"The list of weights in '{path}' has more than {MOST_NAMES} entries. Refused.")
    return [_arrays(Path(path), paths, weights) for paths, weights in specs]


def _spec(weight: Mapping[str, Any], path: str) -> tuple[str, tuple[int, ...], str, Mapping[str, Any]]:
    """Returns name, shape, dtype as it is stored, and how it was quantized."""
    name, shape = str(weight["name"]), tuple(int(size) for size in weight["shape"])
    quantized = weight.get("quantization") or {}
    dtype = quantized.get("dtype", weight["dtype"])
    if dtype not in _DTYPES or any(size < 0 for size in shape):
        raise SavingError(
            f"Weight '{name}' in '{path}' has the dtype {dtype} and the shape {shape}; seqc cannot read it."
        )
    return name, shape, dtype, quantized


def _arrays(path: Path, paths: list[Any], weights: list[Any]) -> list[StoredArray]:
    content = b"".join(_shard(path, name) for name in paths)
    found: list[StoredArray] = []
    start = 0
    for name, shape, dtype, quantized in weights:
        end = start + math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        if end > len(content):
            raise SavingError(f"The shards of '{path}' end before weight '{name}' of shape {shape}. One is cut off.")
        read = _reader(content[start:end], shape, dtype, quantized)
        found.append(StoredArray(name, shape, "float32" if quantized else dtype, read))
        start = end
    if start != len(content):
        raise SavingError(f"The shards of '{path}' have {len(content) - start} bytes that no weight claims.")
    return found


def _shard(path: Path, name: Any) -> bytes:
    with open_beside(path, name) as file:
        return file.read()


def _reader(content: bytes, shape: tuple[int, ...], dtype: str, quantized: Mapping[str, Any]) -> Callable[[], Array]:
    def read() -> Array:
        array = np.frombuffer(content, _DTYPES[dtype]).reshape(shape)
        if "scale" in quantized:
            scaled = array.astype(np.float64) * float(quantized["scale"]) + float(quantized.get("min", 0.0))
            return scaled.astype(np.float32)
        return array.astype(np.float32) if quantized else array.copy()

    return read
