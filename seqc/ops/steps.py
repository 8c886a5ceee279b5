"""A small graph run once per step of a sequence, for recurrences that are no operation of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from seqc.errors import NoGradientError, ShapeError
from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Emitter, Graph, Input, Op, Type, Value, apply_many, build, input_value


@dataclass(frozen=True, repr=False, eq=False)
class Scan(Op):
    """Carries states through the steps of sequences.

    Operands: `states` states, `sequences` sequences (time, ...), then what every step reads. The body takes the states,
    one step of each sequence, and the rest; it gives the new states and any outputs.

    Results: the last states, and of each output all steps (time, ...) in the order of processing.

    Attributes:
        body: what a step computes. reverse: whether the last step comes first.
    """

    body: Graph = field(repr=False)
    states: int
    sequences: int
    reverse: bool = False

    sequential = True

    def infer(self, *types: Type) -> tuple[Type, ...]:
        states, steps = types[: self.states], types[self.states : self.states + self.sequences]
        if len(types) != len(self.body.inputs) or any(t.rank < 1 for t in steps):
            raise ShapeError(f"{self!r} needs {len(self.body.inputs)} operands; got {', '.join(map(str, types))}.")
        each = (*states, *(t.with_shape(t.shape[1:]) for t in steps), *types[self.states + self.sequences :])
        for given, x in zip(each, self.body.inputs, strict=True):
            if (given.dtype, given.rank) != (x.type.dtype, x.type.rank):
                raise ShapeError(f"A step of {self!r} takes {x.type}; got {given}.")
        return *states, *(t.with_shape((steps[0].shape[0], *t.shape)) for t in self._outputs_of(each))

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        # Each sample goes its own way where all steps of it lie beside those of the others.
        last = self.states + self.sequences
        along_time = [x.type for x in y.inputs[self.states : last]] + list(cast(tuple[Type, ...], y.result))[
            self.states :
        ]
        others = [x.type for x in (*y.inputs[: self.states], *y.inputs[last:])]
        apart = {*map(batch_axis, along_time)} <= {None, 1} and {*map(batch_axis, others)} <= {None, 0}
        return "parallel" if apart else "whole"

    def _outputs_of(self, types: Sequence[Type]) -> list[Type]:
        """Returns the types of a step's outputs for what it takes; sizes may be better known than inside the body."""
        known = {x: input_value("", t.dtype, t.shape) for x, t in zip(self.body.inputs, types, strict=True)}
        for value in self.body.walk():
            if not isinstance(value.op, Input):
                known[value] = build(value.op, tuple(known[x] for x in value.inputs), value.scope)
        return [known[y].type for y in self.body.outputs[self.states :]]

    def eval(self, *arrays: Array) -> Any:
        states, rest = list(arrays[: self.states]), arrays[self.states + self.sequences :]
        sequences = arrays[self.states : self.states + self.sequences]
        time = len(sequences[0])
        types = self.infer(*(Type(a.dtype.name, a.shape) for a in arrays))
        outputs = [np.empty(dims.known(t.shape), t.dtype) for t in types[self.states :]]
        for i, t in enumerate(reversed(range(time)) if self.reverse else range(time)):
            results = self._step([*states, *(s[t] for s in sequences), *rest])
            states = results[: self.states]
            for output, result in zip(outputs, results[self.states :], strict=True):
                output[i] = result
        return *states, *outputs

    def _step(self, arrays: list[Array]) -> list[Array]:
        known: dict[Value, Any] = dict(zip(self.body.inputs, arrays, strict=True))
        for value in self.body.walk():
            if not isinstance(value.op, Input):
                known[value] = value.op.eval(*(known[x] for x in value.inputs))
        return [known[y] for y in self.body.outputs]

    def vjp(self, g: Any, y: Value, *xs: Value) -> Any:
        raise NoGradientError(
            f"{self.name} has no gradient: recurrent layers run step by step in training, which needs to know how many "
            "steps there are."
        )

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        carried = self.states + self.sequences
        types = [*(x.type for x in y.inputs[: self.states])]
        types += [t.with_shape(t.shape[1:]) for t in (x.type for x in y.inputs[self.states : carried])]
        body = e.body(self.body, types, names[carried:])
        attributes: dict[str, Any] = {"scan_input_directions": [1] * self.sequences} if self.reverse else {}
        return e.node_many(
            "Scan",
            *names[:carried],
            outputs=len(self.body.outputs),
            body=body,
            num_scan_inputs=self.sequences,
            **attributes,
        )


def scan(
    step: Callable[[Sequence[Value], Sequence[Value], Sequence[Value]], Sequence[Value]],
    states: Sequence[Value],
    sequences: Sequence[Value],
    around: Sequence[Value] = (),
    reverse: bool = False,
) -> tuple[Value, ...]:
    """Returns the last states and the outputs (time, ...) of a step that is run along sequences (time, ...).

    Args:
        step: from states, one step of each sequence, and what every step reads, to the new states and the outputs.
    """
    types = [*(s.type for s in states), *(s.type.with_shape(s.type.shape[1:]) for s in sequences)]
    types += [v.type for v in around]
    given = [input_value(f"given_{i}", t.dtype, t.shape) for i, t in enumerate(types)]
    count, carried = len(states), len(states) + len(sequences)
    results = tuple(step(given[:count], given[count:carried], given[carried:]))
    body = Graph(tuple(given), results, tuple(f"gives_{i}" for i in range(len(results))))
    return apply_many(Scan(body, count, len(sequences), reverse), *states, *sequences, *around)
