"""Running cells along sequences: as one operation, step by step, or as a step that is said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from seqc import file_scope, ops, tree
from seqc.errors import ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Value, apply_many, as_value, input_value, walk
from seqc.graph.scopes import noting
from seqc.graph.tracing import Trace, current_trace, require_trace, traced
from seqc.layers._cell_states import cast_states, count_states, is_own, listed_sizes, output_size, start_of
from seqc.layers._cells import Cell, SteppedCell, drawn_once
from seqc.layers._common import first_from_last, last_from_first
from seqc.layers._conv_cells import ConvLSTMCell
from seqc.layers.regularization import drop
from seqc.layers.stacked_cells import StackedRNNCells
from seqc.ops._gates import GATES
from seqc.ops._parts import Positional
from seqc.ops.loops import Loop, closed
from seqc.ops.rnn import recurrent
from seqc.ops.slicing import slice_axis
from seqc.ops.steps import Scan

# Activations that training knows in one operation, but of which onnxruntime's recurrent operators do not give numbers.
_ONLY_LEARNED = {"softplus"}
# From one step of the sequence and the states before it to the output and the new states.
Step = Callable[[Value, list[Value]], tuple[Value, list[Value]]]


@dataclass(frozen=True)
class Run:
    """How a cell runs along sequences.

    Attributes:
        name: of the layer. mask: booleans (batch, time) for the steps that count, None for all. reverse: from the last
        step to the first. zero_output: whether outputs of masked steps are zero, instead of the output before them.
        training: whether to drop.
    """

    name: str
    mask: Value | None = None
    reverse: bool = False
    zero_output: bool = False
    training: bool = False

    def cell(self, cell: Any, x: Value, states: list[Value] | None) -> tuple[Value, list[Value]]:
        """Returns the outputs of all steps (batch, time, units), in the order of processing, and the last states.

        Args:
            cell: a layer of one step. x: (batch, time, ...). states: to start with, None for zeros.
        """
        stacked, stepped = is_stack(cell), isinstance(cell, SteppedCell) and cell.is_plain()
        if states is None and not ((stacked or stepped) and is_own(cell, "get_initial_state")):
            states = start_of(cell, ops.shape(x)[0])
        states = None if states is None else cast_states(cell, states)
        if stacked:
            return self._stack(cell.cells, x, states)
        if not stepped:
            return self._any(cell, x, states or [])
        run: Any = self._convolved if isinstance(cell, ConvLSTMCell) else self._known
        with cell.computing():
            found: tuple[Value, list[Value]] = run(cell, cell.as_computed(x), states)
            return found

    def _stack(self, cells: Sequence[Any], x: Value, states: list[Value] | None) -> tuple[Value, list[Value]]:
        """Runs one cell after the other along the whole sequence, which is what they do step by step."""
        run, last = self, []
        if self.reverse:
            mask = None if self.mask is None else ops.flip(self.mask, 1)
            x, run = ops.flip(x, 1), replace(self, mask=mask, reverse=False)
        for cell in cells:
            count = count_states(cell)
            mine, states = (None, None) if states is None else (states[:count], states[count:])
            x, new = replace(run, name=cell.name).cell(cell, x, mine)
            last += new
        return x, last

    def _known(self, cell: Cell, x: Value, states: list[Value] | None) -> tuple[Value, list[Value]]:
        if self.training and cell.dropout:
            x = drop(x, cell.dropout, slice_axis(x, 1, 0, 1), cell.seed, self.name)
        names, recurrent_dropout = cell.fused_names(), self.training and cell.recurrent_dropout
        fused = names is not None and (is_learning() or not _ONLY_LEARNED & set(names.values()))
        if names is not None and fused and not recurrent_dropout:
            attributes = {**names, **cell.attributes(), "reverse": self.reverse, "zero_output": self.zero_output}
            weights = (cell.kernel.to_value(), cell.recurrent_kernel.to_value(), cell.bias_value())
            outputs, *last = recurrent(cell.operation, x, *weights, states, self.mask, **attributes)
            return outputs, last
        reason = f"With recurrent_dropout, or an activation other than {', '.join(GATES)}, {type(cell).__name__}"
        return self._in_steps(cell, cell.gates_of(x), states, reason, bool(recurrent_dropout))

    def _convolved(self, cell: ConvLSTMCell, x: Value, states: list[Value] | None) -> tuple[Value, list[Value]]:
        drops = self.training and 0 < cell.recurrent_dropout < 1
        z = cell.gates_of(x, self.training, is_learning() or drops)
        before = None if states is None else [cell.last(s) for s in states]
        outputs, last = self._in_steps(cell, z, before, f"In training {type(cell).__name__}", drops)
        return cell.given(outputs), [cell.given(s) for s in last]

    def _in_steps(
        self, cell: SteppedCell, z: Value, states: list[Value] | None, reason: str, drops: bool
    ) -> tuple[Value, list[Value]]:
        """Runs a cell step by step.

        Args:
            z: what the input adds to the gates of all steps. reason: why, for messages. drops: whether the states are.
        """
        learning = is_learning() or drops
        steps = self._count_steps(z, reason) if learning else 0
        first = z[:, 0]
        like = ops.zeros_like(slice_axis(first, first.type.rank - 1, 0, output_size(cell)))
        before = states or [like] * count_states(cell)
        kept = cell.recurrent_factors(before[0]) if drops else None

        def step(now: Value, states: list[Value]) -> tuple[Value, list[Value]]:
            new = cell.step(now, states, kept)
            return new[0], new

        if learning:
            return self._unrolled(step, z, steps, before, like)
        scanned = self._scanned if like.type.rank == 2 else self._scanned_first
        return scanned(step, z, before, like)

    def _any(self, cell: Any, x: Value, before: list[Value]) -> tuple[Value, list[Value]]:
        """Runs a cell that somebody wrote."""
        learning, batch = is_learning() or self.training, ops.shape(x)[0]
        steps = self._count_steps(x, f"In training {type(cell).__name__}") if learning else 0
        nothing = ops.zeros((batch, output_size(cell)), cell.compute_dtype)
        form = cell.state_form if isinstance(cell, StackedRNNCells) else listed_sizes(cell)

        def step(now: Value, states: list[Value]) -> tuple[Value, list[Value]]:
            out, new = cell(now, tree.pack_sequence_as(form, states), training=self.training)
            return as_value(out), [as_value(s) for s in tree.flatten(new)]

        with drawn_once():
            run = partial(self._unrolled, step, x, steps) if learning else partial(self._scanned, step, x)
            return run(before, nothing)

    def _count_steps(self, x: Value, reason: str) -> int:
        """Returns how many steps there are.

        Raises:
            ShapeError: nobody knows.
        """
        steps = x.shape[1]
        if steps is None:
            raise ShapeError(
                f"{reason} runs step by step and must know how many steps there are; got {x.type}. Give Input(shape="
                "(steps, features))."
            )
        file_scope.count_calls(steps, self.name)
        return steps

    def _unrolled(self, step: Step, x: Value, steps: int, states: list[Value], out: Value) -> tuple[Value, list[Value]]:
        """Says every step, so that a gradient may pass through them."""
        outputs = []
        for t in reversed(range(steps)) if self.reverse else range(steps):
            now, new = step(x[:, t], states)
            if self.mask is None:
                states, out = new, now
            else:
                valid = self.mask[:, t]
                out = ops.where(beside(valid, now), now, 0.0 if self.zero_output else out)
                states = kept_where(valid, new, states)
            outputs.append(out)
        return ops.stack(outputs, 1), states

    def _scanned(self, step: Step, x: Value, states: list[Value], nothing: Value) -> tuple[Value, list[Value]]:
        """Says a step once, where no gradient passes through it."""
        count, sequences = len(states), [ops.transpose(x, (1, 0, *range(2, x.type.rank)))]
        repeats = self.mask is not None and not self.zero_output
        # The output before is a state where masked steps repeat it.
        carried = [nothing] if repeats else []
        if self.mask is not None:
            sequences.append(ops.transpose(self.mask))

        def whole(before: list[Value], now: list[Value]) -> list[Value]:
            old = before[len(carried) :]
            out, new = step(now[0], old)
            if len(now) > 1:
                out = ops.where(beside(now[1], out), out, before[0] if repeats else 0.0)
                new = kept_where(now[1], new, old)
            return [*([out] if repeats else []), *new, out]

        *last, outputs = scan(whole, [*carried, *states], sequences, self.reverse)
        return ops.transpose(outputs, (1, 0, *range(2, outputs.type.rank))), last[-count:]

    def _scanned_first(self, step: Step, x: Value, states: list[Value], nothing: Value) -> tuple[Value, list[Value]]:
        """Says a step once that handles images, with their channels first: as ONNX's convolutions take them.

        What goes in and out of a Scan lies as it is said here; channels-last it would be moved at every step.
        """
        rank = nothing.type.rank
        turn, back = first_from_last(rank), last_from_first(rank)

        def turned(now: Value, states: list[Value]) -> tuple[Value, list[Value]]:
            out, new = step(ops.transpose(now, back), [ops.transpose(s, back) for s in states])
            return ops.transpose(out, turn), [ops.transpose(s, turn) for s in new]

        over_time = (0, 1, rank, *range(2, rank))
        first = [ops.transpose(s, turn) for s in states]
        outputs, last = self._scanned(turned, ops.transpose(x, over_time), first, ops.transpose(nothing, turn))
        return ops.transpose(outputs, (0, 1, *range(3, rank + 1), 2)), [ops.transpose(s, back) for s in last]


def beside(mask: Value, x: Value) -> Value:
    """Returns a mask (batch,) with axes of size one, so that it meets the samples of x."""
    return ops.expand_dims(mask, tuple(range(1, x.type.rank)))


def kept_where(valid: Value, new: list[Value], old: list[Value]) -> list[Value]:
    """Returns new states for the samples whose step counts, and the old ones for the others."""
    return [ops.where(beside(valid, a), a, b) for a, b in zip(new, old, strict=True)]


def is_stack(cell: Any) -> bool:
    """Tells whether a cell is a stack that runs its cells one after the other, as seqc's does."""
    return isinstance(cell, StackedRNNCells) and is_own(cell, "call")


def is_learning() -> bool:
    """Tells whether a gradient may be asked for of what is being traced."""
    trace = current_trace()
    return trace is not None and trace.learning


def scan(
    step: Callable[[list[Value], list[Value]], list[Value]],
    states: Sequence[Value],
    sequences: Sequence[Value],
    reverse: bool,
) -> tuple[Value, ...]:
    """Returns the last states and the outputs (time, ...) of a step that is run along sequences (time, ...).

    Args:
        step: from states and one step of each sequence to the new states and an output.
    """
    handed = [input_value(f"state_{i}", s.dtype, s.type.shape) for i, s in enumerate(states)]
    handed += [input_value(f"step_{i}", s.dtype, s.type.shape[1:]) for i, s in enumerate(sequences)]
    around, trace, number = require_trace("A recurrent layer"), Trace(), input_value("number", "int64", ())
    trace.autocast = around.autocast
    with noting() as made:
        # Each step draws random numbers of its own, and none that are drawn outside.
        trace.seed, trace.streams = around.seed, around.streams
        trace.step = around.step * _APART + number
        outputs = traced(trace, step, handed[: len(states)], handed[len(states) :])
    if any(v is number for v in walk(outputs)):
        handed, sequences = [*handed, number], [*sequences, ops.arange(ops.shape(sequences[0])[0], dtype="int64")]
    around.streams = trace.streams
    body, outside = closed([*handed, *trace.reads.values()], outputs, made)
    read = [around.read(variable) for variable in trace.reads]
    kind = Scan if all(map(_is_of_samples, body.walk())) else Loop
    return apply_many(kind(body, len(states), len(sequences), reverse), *states, *sequences, *read, *outside)


# More than there are steps in a sequence.
_APART = 1_000_003


def _is_of_samples(v: Value) -> bool:
    """Tells whether a value in a step may be computed for some samples of a batch alone."""
    if isinstance(v.op, Positional):
        return False
    rule = v.op.batch_rule(v) if any(batch_axis(x.type) is not None for x in v.inputs) else "parallel"
    return all(one == "parallel" for one in ([rule] if isinstance(rule, str) else rule))
