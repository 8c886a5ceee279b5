"""The table that `model.summary()` prints."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.layers.base import Layer

if TYPE_CHECKING:
    from seqc.sequential import Sequential

MINIMUM_WIDTH = 64


def summary_text(model: Sequential, width: int | None, expand_nested: bool, show_trainable: bool) -> str:
    """Returns the summary of a model, built or not."""
    from rich.console import Console
    from rich.table import Table

    table = Table(width=max(width, MINIMUM_WIDTH) if width else MINIMUM_WIDTH + (10 if show_trainable else 0))
    table.add_column("Layer (type)", no_wrap=True, overflow="ellipsis", ratio=5)
    table.add_column("Output Shape", no_wrap=True, overflow="ellipsis", ratio=4)
    table.add_column("Param #", justify="right", no_wrap=True, ratio=3)
    if show_trainable:
        table.add_column("Trainable", justify="center", no_wrap=True)
    for layer, depth in _rows(model, expand_nested):
        indent = "  " * depth + ("└ " if depth else "")
        row = [f"{indent}{layer.name} ({type(layer).__name__})", _shape(model, layer), _parameters(layer)]
        table.add_row(*row, *(["Y" if layer.trainable else "N"] if show_trainable else []))
    buffer = io.StringIO()
    console = Console(file=buffer, width=table.width, highlight=False, markup=False)
    console.print(f'Model: "{model.name}"')
    console.print(table)
    for line in _totals(model):
        console.print(line)
    return buffer.getvalue().rstrip("\n")


def _rows(model: Sequential, expand: bool, depth: int = 0) -> Iterator[tuple[Layer, int]]:
    for layer in model.layers:
        yield layer, depth
        if expand and hasattr(layer, "layers"):
            yield from _rows(layer, expand, depth + 1)  # type: ignore[arg-type]


def _shape(model: Sequential, layer: Layer) -> str:
    shapes = layer.output_shape_seen
    return "?" if shapes is None else str(shapes)


def _parameters(layer: Layer) -> str:
    return f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"


def _totals(model: Sequential) -> list[str]:
    if not model.built:
        return [" Total params: 0 (0.00 B)", " Trainable params: 0 (0.00 B)", " Non-trainable params: 0 (0.00 B)"]
    kinds: list[tuple[str, list[Any]]] = [
        ("Total", model.weights),
        ("Trainable", model.trainable_weights),
        ("Non-trainable", model.non_trainable_weights),
    ]
    lines = [f" {name} params: {_count(v):,} ({_size(v)})" for name, v in kinds]
    if model.compiled and model.optimizer.variables:
        slots = model.optimizer.variables
        lines.append(f" Optimizer params: {_count(slots):,} ({_size(slots)})")
        total = [*model.weights, *slots]
        lines[0] = f" Total params: {_count(total):,} ({_size(total)})"
    return lines


def _count(variables: list[Any]) -> int:
    return sum(int(np.prod(v.shape)) for v in variables)


def _size(variables: list[Any]) -> str:
    size = float(sum(v.array.nbytes for v in variables))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
    return ""
