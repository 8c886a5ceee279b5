"""What a row of the table in `function_rows` is: like one of an operation, with NumPy's numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.op_rows import Operand, OpSpec
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value


@dataclass(frozen=True)
class Composed(ir.Op):
    """A function in the place of an operation, for checks of operations."""

    function: Callable[..., Value] = field(repr=False)

    def eval(self, *arrays: Array) -> Any:
        values = [ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
        return Interpreter(Graph(tuple(values), (self.function(*values),), ("y",))).run(list(arrays))[0]


@dataclass(frozen=True)
class FunctionSpec(OpSpec):
    """A row: `expected` gives the numbers by NumPy, `function` is in `op`."""

    op: Composed
    expected: Callable[..., Any] = field(kw_only=True, repr=False)

    def results_of(self, values: Sequence[Value]) -> tuple[Value, ...]:
        return (self.op.function(*values),)


def made(
    id: str, function: Callable[..., Any], expected: Callable[..., Any], *inputs: Operand, **options: Any
) -> FunctionSpec:
    return FunctionSpec(id, Composed(function), inputs, expected=expected, **options)
