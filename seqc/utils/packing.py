"""Batches as steps of training take them: samples with labels and weights, or without."""

from __future__ import annotations

from typing import Any

from seqc.errors import ConfigError


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Returns what `train_step` is given: x alone, (x, y) or (x, y, sample_weight)."""
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Returns (x, y, sample_weight) of what `train_step` is given, None for what is not there.

    Raises:
        ConfigError: it has more parts than these.
    """
    if not isinstance(data, list | tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ConfigError(f"Data are x, (x, y) or (x, y, sample_weight); got {len(data)} parts.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight
