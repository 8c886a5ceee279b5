"""Rows of `op_specs`: what passes write for ONNX in place of arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from kit.op_rows import OpSpec, row, spread, still
from seqc.export.activations.forms import Gelu, HardSigmoid, HardSwish, PRelu
from seqc.export.normalization.forms import GroupNormalization, RMSNormalization


def form_rows() -> Iterator[OpSpec]:
    for written in (HardSigmoid(0.3, 0.6), HardSwish(), Gelu()):
        yield row(written, still("batch", 9, draw=spread))
    yield row(PRelu(), still("batch", 3, 9, draw=spread), still(3, 1))
    vector = still(6)
    for axis, groups, x in (
        (1, 3, still("batch", 6, 2, "width")),
        (1, 6, still("batch", 6, 4)),
        (1, 2, still("batch", 6)),
        (3, 2, still("batch", "height", "width", 6)),
        (2, 6, still("batch", "time", 6)),
    ):
        yield row(GroupNormalization(axis, groups, 0.25), x, vector, vector, note=f"axis{axis}-{groups}")
    yield row(RMSNormalization(0.25), still("batch", "time", 6), vector)
