"""The NumPy backend: executors that run steps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqc.errors import ConfigError
from seqc.graph.ir import Graph
from seqc.passes.half_precision import compute_halves_in_single

if TYPE_CHECKING:
    from seqc.backends.numpy.executor import Executor
    from seqc.backends.numpy.kept import Kept
    from seqc.backends.numpy.naive import NaiveExecutor
    from seqc.backends.numpy.state import StateRef
    from seqc.backends.numpy.strings import StringExecutor

__all__ = ["make_executor"]


def make_executor(
    graph: Graph, reads: Sequence[StateRef], writes: Sequence[StateRef], kept: Kept | None = None
) -> Executor | NaiveExecutor | StringExecutor:
    """Returns what runs a step: tile by tile on all cores, or plainly where SEQC_EXECUTOR is "naive".

    Args:
        graph, reads, writes: see `Executor`.
        kept: what the steps of a model may keep together.

    Raises:
        ConfigError: SEQC_EXECUTOR is something else.
    """
    # Loaded for the first step, so that `import seqc` stays quick.
    from seqc.backends.numpy.executor import Executor
    from seqc.backends.numpy.naive import NaiveExecutor
    from seqc.backends.numpy.strings import StringExecutor, has_strings

    graph = compute_halves_in_single(graph)
    wanted = os.environ.get("SEQC_EXECUTOR", "tiled")
    if wanted not in ("tiled", "naive"):
        raise ConfigError(f"SEQC_EXECUTOR must be 'tiled' or 'naive'; got {wanted!r}.")
    if wanted == "naive":
        return NaiveExecutor(graph, reads, writes)
    return (StringExecutor if has_strings(graph) else Executor)(graph, reads, writes, kept)
