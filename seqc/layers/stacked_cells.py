"""Stacks of cells, which are cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import tree
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._cell_states import known_shapes, listed_sizes, output_size, start_of
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer


@known("layers")
class StackedRNNCells(Layer):
    """Cells that run one on top of the other in every step, as one cell.

    Args:
        cells: the cells; each takes the output of the one before it.

    Shapes: x (batch, features) and a list with the states of each cell to the output of the last cell and new states.
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        if not isinstance(cells, list | tuple):
            raise ArgumentTypeError(f"StackedRNNCells needs a list of cells. Received: {cells!r}")
        for cell in cells:
            check_cell(cell)
        if not cells:
            raise ConfigError("StackedRNNCells needs at least one cell.")
        super().__init__(**kwargs)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """Features of each state."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """Features of the output of a step."""
        return output_size(self.cells[-1])

    def build(self, input_shape: KerasShape) -> None:
        shape = tuple(input_shape)
        for cell in self.cells:
            if not cell.built:
                cell.build_for(shape)
            shape = (shape[0], output_size(cell))

    @property
    def state_form(self) -> list[Any]:
        """What the states of each cell lie in: a list where the cell itself says what it starts with."""
        return [listed_sizes(c) if hasattr(c, "get_initial_state") else c.state_size for c in self.cells]

    @property
    def known_shapes(self) -> list[tuple[int, ...] | None]:
        """The shapes of all states without the batch, None for those that only the cell's author knows."""
        return [shape for cell in self.cells for shape in known_shapes(cell)]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Returns what each cell starts with.

        Args:
            batch_size: a number, or what `ops.shape` gives.
        """
        starts = zip(self.cells, self.state_form, strict=True)
        return [s if isinstance(form, list | tuple) else s[0] for c, form in starts for s in [start_of(c, batch_size)]]

    def call(self, inputs: Any, states: Any, training: bool = False, **kwargs: Any) -> tuple[Value, list[Any]]:
        """Applies the cells to one step: (output, new states)."""
        x, after = inputs, []
        for cell, before in zip(self.cells, states, strict=True):
            listed = tree.is_nested(before)
            x, new = cell(x, list(before) if listed else [before], training=training, **kwargs)
            alone = not listed and tree.is_nested(new) and len(new) == 1
            after.append(new[0] if alone else new)
        return x, after


def check_cell(cell: Any) -> None:
    """Checks that something is a cell.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(cell, Layer):
        hint = " It is a class: write it with parentheses." if isinstance(cell, type) else ""
        raise ConfigError(
            f"A cell is a `seqc.layers.Layer` with `state_size` and `call(inputs, states)`; got {cell!r}.{hint}"
        )
    sizes = getattr(cell, "state_size", None)
    if sizes is None:
        raise ConfigError(f"state_size must be specified as property on the RNN cell; {cell!r} has none.")
    if not all(hasattr(size, "__index__") and size > 0 for size in tree.flatten(sizes)):
        raise ConfigError(
            "state_size must be an integer, or a list/tuple of integers (one for each state tensor); "
            f"{type(cell).__name__} has {sizes!r}."
        )
