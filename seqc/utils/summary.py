"""The table that `model.summary()` prints, as Keras prints it."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.connections import Step, is_chain, shape_of, steps_of
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.graph.tracing import Variable
from seqc.layers.base import Layer
from seqc.text import label

if TYPE_CHECKING:
    from seqc.model import Model

WIDTH, WIDTH_WITH_CONNECTIONS, WIDTH_OF_TRAINABLE = 88, 108, 12
# Narrower than this nothing can be read, and a terminal's own line breaks do less harm.
LEAST = 40
# Where the columns end, as a part of the width.
POSITIONS = (0.45, 0.80, 1.0)
POSITIONS_WITH_CONNECTIONS = (0.30, 0.56, 0.74, 1.0)


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

    steps = _steps(model)
    branched = steps is not None and not is_chain(steps)
    rows = [Row.of_step(step, steps) for step in steps] if steps is not None else [Row.of(one) for one in model.layers]
    ends = tuple(positions or (POSITIONS_WITH_CONNECTIONS if branched else POSITIONS))
    if show_trainable:
        ends = (*(end * 0.9 for end in ends), 1.0)
    if width is None:
        most = WIDTH_WITH_CONNECTIONS if branched else WIDTH
        width = max(min(most + WIDTH_OF_TRAINABLE * show_trainable, shutil.get_terminal_size().columns - 4), LEAST)
    heads = [("Layer (type)", "left"), ("Output Shape", "left"), ("Param #", "right")]
    heads += [("Connected to", "left")] if branched else []
    heads += [("Trainable", "center")] if show_trainable else []
    table = Table(width=width, show_lines=True)
    start = 0
    for (head, justify), end in zip(heads, ends, strict=False):
        size = int(end * width) - start
        if size < 4:
            raise ConfigError("Insufficient console width to print summary.")
        table.add_column(head, justify=justify, width=size)  # type: ignore[arg-type]
        start += size
    for row, depth in _expanded(_chosen(rows, layer_range), expand_nested):
        more = [*([row.connections] if branched else []), *([_trains(row.layer)] if show_trainable else [])]
        table.add_row(*_cells(row, depth), *more)
    console = Console(file=io.StringIO(), width=max(width, 80), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(f'Model: "{label(model.name)}"')
        console.print(table)
        for line in _totals(model):
            console.print(line)
    return captured.get().rstrip("\n")


@dataclass(frozen=True)
class Row:
    """What the table says of a layer, or of an operation between layers, whose `layer` is None."""

    name: str
    kind: str
    shape: Any
    layer: Layer | None
    connections: str = "-"

    @staticmethod
    def of(layer: Layer) -> Row:
        return Row(layer.name, type(layer).__name__, layer.output_shape_seen, layer)

    @staticmethod
    def of_step(step: Step, steps: list[Step]) -> Row:
        sources = [source for call in step.calls for source in call]
        connections = ", ".join(f"{label(steps[s.step].name)}[{s.call}][{s.result}]" for s in sources)
        return Row(step.name, step.kind, shape_of(step.outputs), step.layer, connections or "-")


def _steps(model: Model) -> list[Step] | None:
    """Returns the layers and operations of a functional model, None of another one, which has only layers."""
    return steps_of(model) if isinstance(model, Functional) else None


def _chosen(rows: list[Row], names: Sequence[str] | None) -> list[Row]:
    """Returns the rows between two that are named, by themselves or by a pattern, both included."""
    if names is None:
        return rows
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"layer_range must be the names of the first and the last layer. Received: {names}")
    found = [[i for i, row in enumerate(rows) if re.match(name, row.name)] for name in names]
    if not all(found):
        raise ConfigError(f"Passed layer_names do not match the layer names in the model. Received: {names}")
    first, last = found if min(found[0]) <= max(found[1]) else reversed(found)
    return rows[min(first) : max(last) + 1]


def _expanded(rows: list[Row], expand: bool, depth: int = 0) -> Iterator[tuple[Row, int]]:
    for row in rows:
        yield row, depth
        inside = getattr(row.layer, "layers", ()) if expand else ()
        yield from _expanded([Row.of(layer) for layer in inside], expand, depth + 1)


def _cells(row: Row, depth: int) -> tuple[str, str, str]:
    prefix = "   " * depth + "└ " if depth else ""
    count = "0" if row.layer is None else f"{row.layer.count_params():,}" if row.layer.built else "0 (unbuilt)"
    return f"{prefix}{label(row.name)} ({row.kind})", "?" if row.shape is None else str(row.shape), count


def _trains(layer: Layer | None) -> str:
    return "-" if layer is None or not layer.weights else "Y" if layer.trainable else "N"


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
