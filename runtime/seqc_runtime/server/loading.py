"""From the file of a version to a Servable: admitted, loaded, tried, warmed up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import seqc_runtime
from seqc_runtime.server.config import ModelConfig
from seqc_runtime.server.probe import MAX_BATCH, Wishes, probe
from seqc_runtime.server.servable import Servable
from seqc_runtime.server.stats import Stats

if TYPE_CHECKING:
    from seqc_runtime.gate import Limits

LOG = logging.getLogger("seqc_runtime.server")


@dataclass(frozen=True)
class Loader:
    """Opens versions.

    stats: where their requests are counted. device, threads, spinning, untrusted, packing: as `seqc_runtime.load` has
    them.
    named: the paths that whoever runs the server gave. What lies in folders may be brought by others: when it is not
    trusted, no link to a model is followed there.
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
    packing: bool = True
    named: frozenset[Path] = frozenset()

    def __call__(self, name: str, version: int, path: Path, config: ModelConfig) -> Servable:
        """Load a version. Raises SeqcRuntimeError."""
        model = seqc_runtime.load(
            path, self.device, self.threads, self._limits(path), spinning=self.spinning, packing=self.packing
        )
        try:
            batching, notes = probe(model, self._wishes(config))
            for note in (*notes, str(batching)):
                LOG.info("model %r version %d: %s", name, version, note)
            counters = self.stats.model(name, version)
            return Servable(name, version, model, batching=batching, counters=counters, notes=notes, config=config)
        except BaseException:
            model.close()
            raise

    def _limits(self, path: Path) -> bool | Limits:
        if not self.untrusted or path in self.named:
            return self.untrusted
        from seqc_runtime.gate import Limits  # processes and temporary files, which others do without

        return Limits(links=False)

    def _wishes(self, config: ModelConfig) -> Wishes:
        most = self.max_batch if config.max_batch is None else config.max_batch
        delay = self.max_delay if config.max_delay is None else config.max_delay
        return Wishes(MAX_BATCH if most is None else max(1, most), self.exact, delay)
