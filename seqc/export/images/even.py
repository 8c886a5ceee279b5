"""Windows whose padding is the same on both sides, for programs that have no other, or compute it wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.export.images.conv import OnnxConvTranspose
from seqc.export.images.pool import OnnxAveragePool
from seqc.graph.ir import Emitter, Type, Value

_END = np.iinfo(np.int64).max


class EvenConvTranspose(OnnxConvTranspose):
    """A transposed convolution that is cut evenly; what is to go on one side alone is sliced off after it."""

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str = "") -> str | tuple[str, ...]:
        attributes = self.attributes(y)
        pads = attributes.pop("pads", [])
        rank = len(pads) // 2
        both = [min(pads[i], pads[rank + i]) for i in range(rank)]
        if any(both):
            attributes["pads"] = both * 2
        made = e.node("ConvTranspose", x, w, b, **attributes)
        starts = [a - p for a, p in zip(pads[:rank], both, strict=True)]
        ends = [p - a or _END for a, p in zip(pads[rank:], both, strict=True)]
        cut = [i for i in range(rank) if starts[i] or ends[i] != _END]
        if not cut:
            return made
        sides = (np.array([at[i] for i in cut], np.int64) for at in (starts, ends))
        return e.node("Slice", made, *map(e.constant, sides), e.constant(np.array(cut, np.int64) + 2))


class EvenAveragePool(OnnxAveragePool):
    """A mean over windows for which uneven padding is written out, and taken out of the mean again.

    onnxruntime's kernel for CUDA read beside the image where the padding differs, in releases before July 2026.
    """

    def window_of(self, e: Emitter, image: Type, x: str) -> tuple[dict[str, Any], str]:
        attributes, written = super().window_of(e, image, x)
        pads = attributes.get("pads", [])
        rank = len(pads) // 2
        if written or pads[:rank] == pads[rank:]:
            return attributes, written
        del attributes["pads"]
        return attributes, e.constant(np.array([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64))
