"""Where layers keep metrics of their own: this is looked at after every batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# A list of this many numbers, say, is not looked through for a metric among them.
_MANY = 1000
_PLAIN = frozenset({bool, bytes, float, int, str, type(None)})


def may_hold_metrics(value: Any) -> bool:
    """Tells whether an attribute holds a metric, or may do so later."""
    if isinstance(value, tuple):
        return any(map(may_hold_metrics, value))
    return isinstance(value, list | dict) or _is_metric(value)


def metrics_in(value: Any) -> Sequence[Any]:
    """Returns the metrics that an attribute holds: itself, or those in its list, tuple or dictionary."""
    if not isinstance(value, list | tuple | dict):
        return (value,) if _is_metric(value) else ()
    held = list(value.values()) if isinstance(value, dict) else value
    if len(held) > _MANY and type(held[0]) in _PLAIN:
        return ()
    return [metric for one in held for metric in metrics_in(one)]


def _is_metric(value: Any) -> bool:
    return getattr(type(value), "_kind", "") == "metrics"
