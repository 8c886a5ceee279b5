"""From the file of a version to a Servable: admitted, loaded, tried, warmed up."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import seqc_runtime
from seqc_runtime.errors import RuntimeExecutionError
from seqc_runtime.server.config import ModelConfig
from seqc_runtime.server.servable import Batching, Servable
from seqc_runtime.server.stats import Stats


@dataclass(frozen=True)
class Loader:
    """Opens versions.

    stats: where their requests are counted. device, threads, spinning, untrusted: as `seqc_runtime.load` has them.
    max_batch, max_delay, exact: of batching, for models whose own configuration says nothing.
    """

    stats: Stats
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    spinning: bool | None = None
    untrusted: bool = False
    max_batch: int | None = None
    max_delay: float = 0.0
    exact: bool = False

    def __call__(self, name: str, version: int, path: Path, config: ModelConfig) -> Servable:
        """Load a version. Raises SeqcRuntimeError."""
        model = seqc_runtime.load(path, self.device, self.threads, self.untrusted, spinning=self.spinning)
        try:
            with contextlib.suppress(RuntimeExecutionError):  # no made-up input suits every model
                model.warm_up()
            return Servable(name, version, model, batching=Batching(), counters=self.stats.model(name, version))
        except BaseException:
            model.close()
            raise
