"""On NumPy each recurrent operation runs once in a step, whoever reads it, and leaves its gradients its inside."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from seqc import ops
from seqc.backends.numpy.lowering import lower_for_numpy
from seqc.graph.autodiff import gradients
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, input_value
from seqc.ops._recurrent import Recurrent
from seqc.ops.rnn import GRU, LSTM, SimpleRNN, recurrent

UNITS, FEATURES = 3, 2


def inputs(op: Recurrent) -> list[Value]:
    columns = op.gates * UNITS
    shapes = [(4, 5, FEATURES), (FEATURES, columns), (UNITS, columns), op.bias_shape(UNITS)]
    return [input_value(f"x{i}", "float64", shape) for i, shape in enumerate(shapes)]


def kinds(graph: Graph) -> Counter[str]:
    found = Counter(type(v.op).__name__ for v in graph.walk())
    return Counter({name: n for name, n in found.items() if "Residuals" in name or name[:4] in ("LSTM", "GRU", "Simp")})


@pytest.mark.parametrize("kind", [LSTM, GRU, SimpleRNN])
def test_one_run_serves_outputs_and_gradients(kind: type[Recurrent], rng: np.random.Generator) -> None:
    xs = inputs(kind())
    x, kernel, recurrent_kernel, bias = xs
    outputs, *_ = recurrent(kind, x, kernel, recurrent_kernel, bias)
    again, last, *_ = recurrent(kind, x, kernel, recurrent_kernel, bias)
    first, second = gradients(ops.sum(outputs * outputs), xs), gradients(ops.sum(again) + ops.sum(last), xs)
    graph = Graph(tuple(xs), (outputs, *first, *second), tuple(map(str, range(9))))
    lowered = lower_for_numpy(graph, {})
    assert kinds(lowered) == {"WithResiduals": 1, "GradOfResiduals": 2}
    arrays = [rng.normal(size=[int(str(d)) for d in x.type.shape]) for x in xs]
    for got, expected in zip(Interpreter(lowered).run(arrays), Interpreter(graph).run(arrays), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


def test_without_a_gradient_nothing_is_left() -> None:
    xs = inputs(LSTM())
    x, kernel, recurrent_kernel, bias = xs
    other = input_value("y", "float64", (4, 5, FEATURES))
    outputs, *_ = recurrent(LSTM, x, kernel, recurrent_kernel, bias)
    second, *_ = recurrent(LSTM, other, kernel, recurrent_kernel, bias)
    read = Graph((*xs, other), (outputs, second), ("a", "b"))
    assert kinds(lower_for_numpy(read, {})) == {"LSTM": 2}
    learning = Graph((*xs, other[0]), (second, *gradients(ops.sum(outputs), xs[1:2])), ("b", "d"))
    assert kinds(lower_for_numpy(learning, {})) == {"LSTM": 1, "WithResiduals": 1, "GradOfResiduals": 1}
