"""NumPy as a target of the passes: it runs every operation by itself, channels-last."""

from __future__ import annotations

from seqc.graph.target import DTYPES, Target


def _supports(op_type: str, *attributes: str, dtype: str | None = None) -> bool:
    return False  # what NumPy has is no operators by name


NUMPY = Target(0, "channels_last", DTYPES, _supports)
