"""How exact onnxruntime computes single operations near zero, in units of the last place of one.

An error that is a part of the result needs no note. An operation that is off by a place of one however small its
result must say so (`Op.places_of_one`), or right models with small numbers are refused at export. Run as a script for
the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.backends.onnxruntime import Session
from seqc.export.activations.forms import Gelu, HardSigmoid, HardSwish
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Op
from seqc.ops._gates import GATES
from seqc.ops.nonlinear import Elu, LeakyRelu, Relu, Sigmoid, Softplus, Softsign
from seqc.ops.normalization import LayerNormalization
from seqc.ops.reduce import LogSoftmax, Softmax
from seqc.ops.rnn import GRU, LSTM, SimpleRNN
from seqc.ops.transcendental import Atan, Cos, Cosh, Erf, Exp, Expm1, Log, Log1p, Sin, Sinh, Sqrt, Tan, Tanh
from seqc.passes.precision import promote_floats

EPS = float(np.finfo("float32").eps)
# An error of so many roundings of the result itself is no place of one.
RELATIVE = 4.0
MAGNITUDES = (1e-8, 1e-6, 1e-4, 1e-2, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

UNARY: tuple[Op, ...] = (
    Gelu(), HardSigmoid(0.2, 0.5), HardSigmoid(-0.5, 2.0), HardSwish(),
    Atan(), Cos(), Cosh(), Elu(), Elu(1.6732632), Erf(), Exp(), Expm1(), LeakyRelu(0.2), Relu(), Sigmoid(), Sin(),
    Sinh(), Softplus(), Softsign(), Tan(), Tanh(),
)  # fmt: skip
POSITIVE: tuple[Op, ...] = (Log(), Log1p(), Sqrt())


def places(op: Op, x: Array, *operands: Array) -> tuple[float, float]:
    """Returns by how many places of one the first result is off, beyond a few roundings of itself.

    One number is onnxruntime's, the other that of NumPy in single precision.
    """
    from seqc.export import compile_with_names
    from seqc.export.target import onnx_target

    value = ir.input_value("x", x.dtype.name, x.shape)
    made = ir.build(op, (value, *(ir.constant(a, f"w{i}") for i, a in enumerate(operands))), "")
    graph = Graph((value,), (ir.items(made)[0] if isinstance(made.result, tuple) else made,), ("y",))
    got = Session(compile_with_names(graph, onnx_target()).content, threads=1).run({"x": x})["y"]
    truth = np.asarray(Interpreter(promote_floats(graph)).run([x.astype(np.float64)])[0])
    return _beyond(got, truth), _beyond(np.asarray(Interpreter(graph).run([x])[0]), truth)


def _beyond(y: Array, truth: Array) -> float:
    fine = np.isfinite(y) & np.isfinite(truth)
    return max(0.0, float(np.max(np.abs(y[fine] - truth[fine]) / EPS - RELATIVE * np.abs(truth[fine]))))


def spread_out(positive: bool = False, width: int = 16) -> Array:
    """Returns numbers of every magnitude, around zero or above it."""
    x = np.random.default_rng(0).normal(size=(len(MAGNITUDES), 250, width)) * np.reshape(MAGNITUDES, (-1, 1, 1))
    drawn: Array = (np.abs(x) + 1e-9 if positive else x).reshape(-1, width).astype("float32")
    return drawn


def cell(kind: Any, activation: str, units: int = 4) -> tuple[Op, Array, list[Array]]:
    """Returns one step of a recurrent operation whose gates see the input itself, with the input and the weights."""
    op = kind(activation=activation)
    columns = op.gates * units
    kernel = np.tile(np.eye(units, dtype="float32"), (1, op.gates))
    bias = np.zeros(op.bias_shape(units), "float32")
    x = np.clip(spread_out(width=units), -8, 8)[:, None]
    return op, x, [kernel, np.zeros((units, columns), "float32"), bias]


def allowed(op: Op, x: Array, *operands: Array) -> float:
    """Returns the places of one that the errors put into a graph by hand come to, where they are largest."""
    from seqc.export.noise import disturbed

    value = ir.input_value("x", x.dtype.name, x.shape)
    made = ir.build(op, (value, *map(ir.constant, operands)), "")
    wide = [a.astype(np.float64) for a in (x, *operands)]
    moved, exact = disturbed(made, np.random.default_rng(0)).eval(*wide), op.eval(*wide)
    first, second = (np.asarray(y[0] if isinstance(y, tuple) else y) for y in (moved, exact))
    return _beyond(first, second)


def rows() -> list[tuple[str, Op, Array, list[Array]]]:
    """Returns what is measured: a name, an operation, its input, and its weights."""
    one, shape = spread_out(), (16,)
    Rows = list[tuple[str, Op, Array, list[Array]]]
    plain: Rows = [(repr(op), op, one, []) for op in (*UNARY, Softmax(1), LogSoftmax(1))]
    above: Rows = [(repr(op), op, spread_out(positive=True), []) for op in POSITIVE]
    norm = LayerNormalization(1, 1e-3)
    weights = [np.ones(shape, "float32"), np.zeros(shape, "float32")]
    cells = [(f"{kind.__name__}, {a}", *cell(kind, a)) for kind in (SimpleRNN, GRU, LSTM) for a in GATES]
    return [*plain, *above, (repr(norm), norm, one, weights), *cells]


def main() -> None:
    print(f"{'operation':<44} {'onnxruntime':>12} {'NumPy':>8} {'said':>8}   places of one")
    for name, op, x, operands in rows():
        theirs, ours = places(op, x, *operands)
        print(f"{name:<44} {theirs:12.2f} {ours:8.2f} {allowed(op, x, *operands):8.2f}")


if __name__ == "__main__":
    main()
