"""`RNN`: any cell applied to every step of sequences; and stacks of cells, which are cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import ops, tree
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._cells import SteppedCell
from seqc.layers._common import KerasShape
from seqc.layers._running import Run, beside, count_states, listed_sizes, output_size, state_shapes
from seqc.layers._states import Memory, WithStates, checked_states, first_mask
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
            _check_cell(cell)
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

    def call(self, inputs: Any, states: Any = None, training: bool = False) -> tuple[Value, list[Any]]:
        """Applies the cells to one step: (output, new states)."""
        x, after = inputs, []
        for cell, before in zip(self.cells, states, strict=True):
            x, new = cell(x, before, training=training)
            after.append(new)
        return x, after


@known("layers")
class RNN(WithStates):
    """A cell applied to every step of a sequence.

    Args:
        cell: a cell such as LSTMCell(8), a list of cells that run one on top of the other, or a layer of your own with
        `state_size` and `call(inputs, states)` that returns (output, new states). Such a layer runs step by step in
        training, and must know how many steps there are.
        return_sequences: give all outputs, not only the last. return_state: also give the last states.
        go_backwards: from the last step to the first. stateful: start each batch with the last states of the batch
        before, until `reset_state()`; the batch size must be fixed, with Input(batch_shape=...). unroll: accepted; it
        changes nothing but that the number of steps must be known. zero_output_for_mask: outputs of masked steps are 0
        instead of the output before them.

    Call with initial_state=, a tensor or a list of them (batch, units), to start with other states than zeros.

    Shapes: (batch, time, ...) to (batch, units), or (batch, time, units) with return_sequences. A mask is
    (batch, time); a masked step keeps the states.
    """

    supports_masking = True
    over_time = True
    min_input_rank = 3
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {"time_major": (False,)}

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = self._make_cell(cell)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self._memory: Memory | None = None

    def _make_cell(self, given: Any) -> Any:
        cell = StackedRNNCells(given, dtype=self.dtype_policy) if isinstance(given, list | tuple) else given
        _check_cell(cell)
        return cell

    def build(self, input_shape: KerasShape) -> None:
        if not self.cell.built:
            self.cell.build_for((input_shape[0], *input_shape[2:]))
        if self.stateful and self._memory is None:
            if input_shape[0] is None:
                raise ShapeError(
                    "When using `stateful=True` in a RNN, the batch size must be static. Found dynamic batch size: "
                    f"sequence.shape={tuple(input_shape)}. Give Input(batch_shape=(batch, steps, features))."
                )
            self._memory = Memory(input_shape[0], state_shapes(self.cell), self.dtype, self.path)
        self.reset_state()

    # -- states ------------------------------------------------------------------------------------------------------

    @property
    def state_size(self) -> list[Any]:
        """Features of each state."""
        return listed_sizes(self.cell)

    @property
    def states(self) -> list[Any] | None:
        """The states that a stateful layer will start the next batch with; None without any."""
        if self._memory is None:
            return None
        filled: list[Any] = tree.pack_sequence_as(self.state_size, self._memory.variables)
        return filled

    def reset_state(self) -> None:
        """Lets a stateful layer start from zeros again."""
        if self._memory is not None:
            self._memory.reset()

    # -- calling -----------------------------------------------------------------------------------------------------

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Value | tuple[Any, ...]:
        x, mask = as_value(sequences), first_mask(mask)
        if self.unroll and x.shape[1] is None:
            raise ShapeError("Cannot unroll a RNN if the time dimension is undefined. Give Input(shape=(steps, ...)).")
        mask = None if mask is None else ops.cast(mask, "bool")
        shapes = state_shapes(self.cell)
        states = checked_states(initial_state, x, shapes, f"{type(self).__name__} '{self.name}'", self.compute_dtype)
        if self._memory is not None:
            self._memory.check(x)
            states = states or [variable.to_value() for variable in self._memory.variables]
        zeros = self.zero_output_for_mask and mask is not None
        run = Run(self.name, mask, self.go_backwards, zeros, training)
        outputs, last = run.cell(self.cell, x, states)
        if self._memory is not None:
            self._memory.keep(last)
        y = outputs if self.return_sequences else self._last_output(outputs, last, states, mask, zeros)
        return (y, *tree.pack_sequence_as(self.state_size, last)) if self.return_state else y

    def _last_output(
        self, outputs: Value, last: list[Value], states: list[Value] | None, mask: Value | None, zeros: bool
    ) -> Value:
        top = self.cell.cells[-1] if isinstance(self.cell, StackedRNNCells) else self.cell
        if zeros or not isinstance(top, SteppedCell):
            return outputs[:, -1]
        # The output of the cells known here is the first of their states, which costs no look at all outputs.
        y = last[-count_states(top)]
        if mask is None or states is None:
            return y
        # Where every step is masked there was no output, though there was a state.
        return ops.where(beside(ops.any(mask, 1), y), y, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        return first_mask(mask) if self.return_sequences else None


def _check_cell(cell: Any) -> None:
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
