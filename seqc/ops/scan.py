"""A small graph run once per step of a sequence, for recurrences that are no operation of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from seqc.errors import NoGradientError, ShapeError
from seqc.graph.ir import Array, Emitter, Graph, Input, Op, Type, Value


@dataclass(frozen=True, repr=False)
class Scan(Op):
    """Carries states through the steps of sequences.

    Operands: `states` states, `sequences` sequences (time, ...), then what every step reads. The body takes the states,
    one step of each sequence, and the rest; it gives the new states and an output like the first of them.

    Results: the last states, and the outputs (time, ...) in the order of processing.

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
        return *states, states[0].with_shape((steps[0].shape[0], *states[0].shape))

    @cached_property
    def _order(self) -> list[Value]:
        return self.body.walk()

    def eval(self, *arrays: Array) -> Any:
        states, rest = list(arrays[: self.states]), arrays[self.states + self.sequences :]
        sequences = arrays[self.states : self.states + self.sequences]
        time = len(sequences[0])
        outputs = np.empty((time, *states[0].shape), states[0].dtype)
        for i, t in enumerate(reversed(range(time)) if self.reverse else range(time)):
            *states, outputs[i] = self._step([*states, *(s[t] for s in sequences), *rest])
        return *states, outputs

    def _step(self, arrays: list[Array]) -> list[Array]:
        known: dict[Value, Any] = dict(zip(self.body.inputs, arrays, strict=True))
        for value in self._order:
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
            "Scan", *names[:carried], outputs=self.states + 1, body=body, num_scan_inputs=self.sequences, **attributes
        )
