"""`RNN`: any cell applied to every step of sequences."""

from __future__ import annotations

from typing import Any, ClassVar

from seqc import file_scope, ops, tree
from seqc.errors import ShapeError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import tracing
from seqc.known_classes import known
from seqc.layers._cell_states import count_states, is_own, known_shapes, listed_sizes, start_of
from seqc.layers._cells import SteppedCell
from seqc.layers._common import KerasShape
from seqc.layers._running import Run, beside, is_stack
from seqc.layers._states import Memory, WithStates, checked_states, first_mask
from seqc.layers.stacked_cells import StackedRNNCells, check_cell


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
        check_cell(cell)
        return cell

    def build(self, input_shape: KerasShape) -> None:
        if not self.cell.built:
            self.cell.build_for((input_shape[0], *input_shape[2:]))
        if not self.stateful or self._memory is not None:
            self.reset_state()
        else:
            if input_shape[0] is None:
                raise ShapeError(
                    "When using `stateful=True` in a RNN, the batch size must be static. Found dynamic batch size: "
                    f"sequence.shape={tuple(input_shape)}. Give Input(batch_shape=(batch, steps, features))."
                )
            for shape in known_shapes(self.cell):
                file_scope.reserve_free((input_shape[0], *(shape or ())), 8, f"a state of '{self.path}'")
            with tracing(None):
                start = tree.flatten(self.get_initial_state(batch_size=input_shape[0]))
            self._memory = Memory(input_shape[0], start, self.dtype, self.path)

    # -- states ------------------------------------------------------------------------------------------------------

    @property
    def state_size(self) -> list[Any]:
        """Features of each state."""
        return listed_sizes(self.cell)

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """Returns the states that the cell starts with: zeros, if it does not say.

        Args:
            batch_size: a number, or what `ops.shape` gives.
        """
        return start_of(self.cell, batch_size)

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
        if mask is not None and mask.type.rank == 3 and mask.type.shape[2] == 1:
            mask = ops.squeeze(mask, 2)
        shapes = known_shapes(self.cell)
        start = checked_states(
            initial_state, x, shapes, f"{type(self).__name__} '{self.name}'", self.cell.compute_dtype
        )
        if self._memory is not None:
            self._memory.check(x)
            start = start or [variable.to_value() for variable in self._memory.variables]
        if start is None and not is_own(self, "get_initial_state", "inner_loop"):
            start = self.get_initial_state(batch_size=ops.shape(x)[0])
        last_output, outputs, last = self.inner_loop(sequences=x, initial_state=start, mask=mask, training=training)
        states = [ops.cast(s, self.compute_dtype) for s in tree.flatten(last)]
        if self._memory is not None:
            self._memory.keep(states)
        y = ops.cast(outputs if self.return_sequences else last_output, self.compute_dtype)
        return (y, *tree.pack_sequence_as(self.state_size, states)) if self.return_state else y

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Value, Value, list[Any]]:
        """Runs the cell along sequences (batch, time, ...): (last output, outputs of all steps, last states).

        Args:
            initial_state: None for what the cell starts with. mask: booleans (batch, time), None for all.
        """
        x, zeros = as_value(sequences), self.zero_output_for_mask and mask is not None
        states = None if initial_state is None else [as_value(s) for s in tree.flatten(initial_state)]
        outputs, last = Run(self.name, mask, self.go_backwards, zeros, training).cell(self.cell, x, states)
        last_output = self._last_output(outputs, last, states is None, mask, zeros)
        return last_output, outputs, tree.pack_sequence_as(self.state_size, last)

    def _last_output(self, outputs: Value, last: list[Value], unsaid: bool, mask: Value | None, zeros: bool) -> Value:
        """Returns the output of the last step.

        Args:
            last: the states after it. unsaid: whether nobody said what states to start with. zeros: whether outputs of
            masked steps are zero.
        """
        top = self.cell.cells[-1] if is_stack(self.cell) else self.cell
        if zeros or not isinstance(top, SteppedCell) or not top.is_plain():
            return outputs[:, -1]
        # The output of the cells known here is the first of their states, which costs no look at all outputs.
        y = last[-count_states(top)]
        if mask is None or (unsaid and is_own(self.cell, "get_initial_state") and is_own(top, "get_initial_state")):
            return y
        # Where every step is masked there was no output, though there was a state.
        return ops.where(beside(ops.any(mask, 1), y), y, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Value | None:
        return first_mask(mask) if self.return_sequences else None
