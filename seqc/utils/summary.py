"""The table that `model.summary()` prints, as Keras prints it."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqc.errors import ConfigError
from seqc.layers.base import Layer
from seqc.text import label
from seqc.tracing import Variable

if TYPE_CHECKING:
    from seqc.model import Model

WIDTH, WIDTH_OF_TRAINABLE = 88, 12
# Narrower than this nothing can be read, and a terminal's own line breaks do less harm.
LEAST = 40
# Where the columns end, as a part of the width.
POSITIONS = (0.45, 0.80, 1.0)


def summary_text(
    model: Model,
    width: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> str:
    """Returns the summary of a model, built or not.

    Args: see `Sequential.summary`.

    Raises:
        ConfigError: the width is too small, or `layer_range` names no layers.
    """
    from rich.console import Console
    from rich.table import Table

    ends = tuple(positions or POSITIONS)
    if show_trainable:
        ends = (*(end * 0.9 for end in ends), 1.0)
    if width is None:
        width = max(min(WIDTH + WIDTH_OF_TRAINABLE * show_trainable, shutil.get_terminal_size().columns - 4), LEAST)
    heads = [("Layer (type)", "left"), ("Output Shape", "left"), ("Param #", "right"), ("Trainable", "center")]
    table = Table(width=width, show_lines=True)
    start = 0
    for (head, justify), end in zip(heads, ends, strict=False):
        size = int(end * width) - start
        if size < 4:
            raise ConfigError("Insufficient console width to print summary.")
        table.add_column(head, justify=justify, width=size)  # type: ignore[arg-type]
        start += size
    for layer, depth in _rows(_chosen(model.layers, layer_range), expand_nested):
        table.add_row(*_cells(layer, depth), *([_trains(layer)] if show_trainable else []))
    console = Console(file=io.StringIO(), width=max(width, 80), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(f'Model: "{label(model.name)}"')
        console.print(table)
        for line in _totals(model):
            console.print(line)
    return captured.get().rstrip("\n")


def _chosen(layers: list[Layer], names: Sequence[str] | None) -> list[Layer]:
    """Returns the layers between two that are named, by themselves or by a pattern, both included."""
    if names is None:
        return layers
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"layer_range must be the names of the first and the last layer. Received: {names}")
    found = [[i for i, layer in enumerate(layers) if re.match(name, layer.name)] for name in names]
    if not all(found):
        raise ConfigError(f"Passed layer_names do not match the layer names in the model. Received: {names}")
    first, last = found if min(found[0]) <= max(found[1]) else reversed(found)
    return layers[min(first) : max(last) + 1]


def _rows(layers: list[Layer], expand: bool, depth: int = 0) -> Iterator[tuple[Layer, int]]:
    for layer in layers:
        yield layer, depth
        if expand and hasattr(layer, "layers"):
            yield from _rows(layer.layers, expand, depth + 1)


def _cells(layer: Layer, depth: int) -> tuple[str, str, str]:
    prefix = "   " * depth + "└ " if depth else ""
    shape = layer.output_shape_seen
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return f"{prefix}{label(layer.name)} ({type(layer).__name__})", "?" if shape is None else str(shape), count


def _trains(layer: Layer) -> str:
    return "-" if not layer.weights else "Y" if layer.trainable else "N"


def _totals(model: Model) -> list[str]:
    trained, fixed = model.trainable_weights, model.non_trainable_weights
    slots = model.optimizer.variables if model.compiled and model.optimizer.built else []
    kinds = {"Total": [*trained, *fixed, *slots], "Trainable": trained, "Non-trainable": fixed}
    kinds |= {"Optimizer": slots} if slots else {}
    return [f" {kind} params: {_count(found):,} ({_size(found)})" for kind, found in kinds.items()]


def _count(variables: list[Variable]) -> int:
    return sum(int(np.prod(v.shape)) for v in variables)


def _size(variables: list[Variable]) -> str:
    size = float(sum(v.array.nbytes for v in variables))
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{size:.2f} {unit}"
