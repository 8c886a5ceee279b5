"""A profile of training steps as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.backends.numpy.profile import PARTS, Timing
from seqc.cli._output import Screen

# What takes a smaller share of the time is added up in the last line of the table.
SMALLEST_SHARE = 0.005


def show_profile(show: Screen, timings: Sequence[Timing], steps: int, layers: Sequence[str]) -> None:
    """Shows the time by layer and by operation.

    Args:
        timings: what the steps took together. steps: how many they were. layers: scopes of the model's layers, in its
        order; whatever else takes time comes after them.
    """
    total = sum(t.seconds for t in timings)
    show.line(
        f"\nTime by layer, in the model's order, of {total / steps * 1e3:.3g} ms that all operations of a step take "
        "together:"
    )
    parts = [p for p in PARTS if any(t.part == p for t in timings)]
    header = ("layer", *(f"{p}, ms" for p in parts), "ms per step", "share")
    show.table(header, _layer_rows(timings, parts, steps, total, layers), right=range(1, len(header)))
    show.line("\nTime by operation, the longest first:")
    show.table(
        ("layer", "part", "op", "calls", "ms per step", "share"), _op_rows(timings, steps, total), right=(3, 4, 5)
    )


def profile_result(timings: Sequence[Timing], steps: int) -> dict[str, Any]:
    """Returns the profile for JSON, the longest first."""
    total = sum(t.seconds for t in timings)
    return {
        "profile": [
            {
                "layer": t.scope,
                "part": t.part,
                "op": t.op,
                "calls_per_step": t.calls / steps,
                "seconds_per_step": t.seconds / steps,
                "share": t.seconds / total,
            }
            for t in _longest_first(timings)
        ]
    }


def layer_scopes(layers: Sequence[Any], inside: str = "") -> list[str]:
    """Returns the scopes of layers in their order, those of nested models below them."""
    found = []
    for layer in layers:
        found += [inside + layer.name, *layer_scopes(getattr(layer, "layers", ()), f"{inside}{layer.name}/")]
    return found


def _layer_rows(
    timings: Sequence[Timing], parts: Sequence[str], steps: int, total: float, layers: Sequence[str]
) -> list[tuple[str, ...]]:
    place = {scope: i for i, scope in enumerate(layers)}

    def order(scope: str) -> int:
        """The place of the innermost layer that a scope lies in; the optimizer, which has none, comes last."""
        while scope and scope not in place:
            scope = scope.rpartition("/")[0]
        return place.get(scope, len(place))

    rows = []
    for layer in sorted(dict.fromkeys(t.scope for t in timings), key=lambda scope: (not scope, order(scope))):
        own = [t for t in timings if t.scope == layer]
        by_part = [sum(t.seconds for t in own if t.part == part) for part in parts]
        seconds = sum(t.seconds for t in own)
        rows.append((_layer(layer), *(_ms(s, steps) for s in (*by_part, seconds)), f"{seconds / total:.1%}"))
    return rows


def _op_rows(timings: Sequence[Timing], steps: int, total: float) -> list[tuple[str, ...]]:
    shown = [t for t in _longest_first(timings) if t.seconds >= SMALLEST_SHARE * total]
    rest = [t for t in timings if t.seconds < SMALLEST_SHARE * total]
    rows: list[tuple[str, ...]] = [
        (_layer(t.scope), t.part, t.op, f"{t.calls / steps:g}", _ms(t.seconds, steps), f"{t.seconds / total:.1%}")
        for t in shown
    ]
    if rest:
        seconds, calls = sum(t.seconds for t in rest), sum(t.calls for t in rest)
        name = f"({len(rest)} more)"
        rows.append((name, "", "", f"{calls / steps:g}", _ms(seconds, steps), f"{seconds / total:.1%}"))
    return rows


def _longest_first(timings: Sequence[Timing]) -> list[Timing]:
    return sorted(timings, key=lambda t: -t.seconds)


def _layer(scope: str) -> str:
    return scope or "(no layer)"


def _ms(seconds: float, steps: int) -> str:
    return f"{seconds / steps * 1e3:.3f}"
