"""The ONNX nodes that read sizes of axes."""

from __future__ import annotations

import numpy as np

from seqc.graph.ir import Emitter

_END = np.iinfo(np.int64).max


def emit_sizes(e: Emitter, x: str, start: int | None = None, end: int | None = None) -> str:
    """Writes the sizes of the axes of a tensor, from `start` on and before `end`, as far as these are given."""
    limits = {name: at for name, at in (("start", start), ("end", end)) if at is not None}
    if not limits or e.target.supports("Shape", *limits):
        return e.node("Shape", x, **limits)
    first, last = (np.array([at], np.int64) for at in (start or 0, _END if end is None else end))
    return e.node("Slice", e.node("Shape", x), e.constant(first), e.constant(last))
