"""One version of one model, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqc_runtime.inputs import Array
from seqc_runtime.model import Model
from seqc_runtime.server.signature import Signature
from seqc_runtime.tensors import TensorInfo


class Servable:
    """A loaded version. `max_batch` is how many rows may run together, 1 unless samples are known to be independent."""

    def __init__(self, name: str, version: int, model: Model, max_batch: int = 1) -> None:
        self.name = name
        self.version = version
        self.model = model
        self.max_batch = max_batch
        self.inputs: tuple[TensorInfo, ...] = model.inputs
        self.outputs: tuple[TensorInfo, ...] = model.outputs
        self.input_by_name: Mapping[str, TensorInfo] = {info.name: info for info in model.inputs}
        self.output_by_name: Mapping[str, TensorInfo] = {info.name: info for info in model.outputs}
        self.signature = Signature(model.inputs, model.outputs)

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """The outputs `wanted` of inputs that have the declared dtypes and shapes."""
        result: Any = self.model.predict(dict(feeds))
        results = result if isinstance(result, list) else [result]
        found = dict(zip(self.output_by_name, results, strict=True))
        return [found[name] for name in wanted]
