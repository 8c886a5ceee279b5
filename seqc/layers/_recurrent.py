"""What the recurrent layers with cells of their own share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from seqc.graph.ir import Type
from seqc.layers._arguments import NO_PENALTY
from seqc.layers._cells import SteppedCell
from seqc.layers._common import KerasShape
from seqc.layers.rnn import RNN

# Arguments that are the layer's own; the others are those of the cell.
_OWN = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "zero_output_for_mask")


class RecurrentLayer(RNN):
    """A cell applied to every step of a sequence, which the layer makes itself.

    A subclass keeps its arguments; those of the cell are handed on to it.
    """

    cell_class: ClassVar[Callable[..., SteppedCell]]
    cell_name: ClassVar[str]
    input_rank = 3
    always_written = NO_PENALTY

    def __init__(self, **kwargs: Any) -> None:
        given, self._given = self._given, {}
        own = {name: given.pop(name) for name in ("activity_regularizer", *_OWN) if name in given}
        super().__init__(given, **own, **kwargs)

    def _make_cell(self, given: Any) -> SteppedCell:
        make, given = type(self).cell_class, {name: self._converted(name, value) for name, value in given.items()}
        return make(**given, dtype=self.dtype_policy, trainable=self.trainable, name=self.cell_name)

    def __getattr__(self, name: str) -> Any:
        # The cell holds the arguments that describe it.
        cell = self.__dict__.get("cell")
        if cell is not None and name in cell._arguments:
            return getattr(cell, name)
        return super().__getattr__(name)  # type: ignore[misc]  # the base hides it from type checkers

    def build(self, input_shape: KerasShape) -> None:
        super().build(input_shape)
        self._input_sizes = {2: self.cell.kernel.shape[0]}

    def input_hint(self, x: Type) -> str:
        if x.rank != 2:
            return ""
        return (
            " It runs over time: give a recurrent layer before it return_sequences=True, or put Reshape((steps, "
            "features)) before it."
        )
