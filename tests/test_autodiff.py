"""The driver of reverse-mode differentiation: accumulation, un-broadcasting, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqc import ops
from seqc.backends.numpy.executor import Executor
from seqc.errors import DTypeError, NoGradientError, ShapeError
from seqc.graph import dims, ir
from seqc.graph.autodiff import gradients, pull_back
from seqc.graph.interpreter import Interpreter
from seqc.ops.elementwise import Elementwise
from seqc.ops.rnn import LSTM

Array = NDArray[np.float64]


def inputs(*shapes: tuple[int, ...]) -> list[ir.Value]:
    return [ir.input_value(f"x{i}", "float64", s) for i, s in enumerate(shapes)]


def run(xs: Sequence[ir.Value], outputs: Sequence[ir.Value], arrays: Sequence[Array]) -> list[Array]:
    graph = ir.Graph(tuple(xs), tuple(outputs), tuple(f"y{i}" for i in range(len(outputs))))
    return Interpreter(graph).run(arrays)


def assert_gradients(function: Callable[..., ir.Value], *arrays: Array) -> None:
    """Gradients of a scalar function agree with central differences in every element of every operand."""
    xs = inputs(*(a.shape for a in arrays))
    loss = function(*xs)
    computed = run(xs, gradients(loss, xs), arrays)
    for i, (array, gradient) in enumerate(zip(arrays, computed, strict=True)):
        expected = np.empty_like(array)
        for at in np.ndindex(array.shape):
            moved = [[a.copy() for a in arrays] for _ in range(2)]
            moved[0][i][at] += 1e-6
            moved[1][i][at] -= 1e-6
            high, low = (float(run(xs, [loss], m)[0]) for m in moved)
            expected[at] = (high - low) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@st.composite
def broadcastable(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast: axes of the result, some of them 1 or left out in either operand."""
    result = draw(st.lists(st.integers(1, 3), max_size=4))
    shapes = []
    for _ in range(2):
        kept = [d if draw(st.booleans()) else 1 for d in result]
        shapes.append(tuple(kept[draw(st.integers(0, len(kept))) :]))
    return shapes[0], shapes[1]


@given(broadcastable())
def test_gradients_have_the_shapes_of_broadcast_operands(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    assert_gradients(lambda a, b: ops.sum(ops.sin(a * b) + b), *(rng.normal(size=s) for s in shapes))


@given(broadcastable())
def test_the_gradient_of_a_sum_counts_the_repetitions(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    xs = inputs(*shapes)
    arrays = [np.ones(s) for s in shapes]
    total = np.broadcast(*arrays).size
    for gradient, array in zip(run(xs, gradients(ops.sum(xs[0] + xs[1]), xs), arrays), arrays, strict=True):
        np.testing.assert_array_equal(gradient, np.full(array.shape, total / array.size))


def test_gradients_that_meet_at_one_value_are_added() -> None:
    rng = np.random.default_rng(1)
    assert_gradients(lambda x: ops.sum(ops.exp(x) * x + x / (1 + x * x) - x), rng.normal(size=(2, 3)))


@pytest.mark.slow
def test_a_value_used_by_thousands_of_others_is_differentiated_once() -> None:
    (x,) = inputs((2,))
    y = x
    for _ in range(3000):  # 2^3000 paths, and deeper than Python's recursion limit
        y = (y + y) * 0.5
    (gradient,) = run([x], gradients(ops.sum(y), [x]), [np.ones(2)])
    np.testing.assert_array_equal(gradient, np.ones(2))


def test_values_the_loss_does_not_depend_on_get_zeros() -> None:
    a, b = inputs((2, 3), (4,))
    ga, gb = run([a, b], gradients(ops.sum(a * a), [a, b]), [np.ones((2, 3)), np.ones(4)])
    np.testing.assert_array_equal(ga, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(gb, np.zeros(4))


def test_zeros_follow_the_size_of_the_batch() -> None:
    x, other = ir.input_value("x", "float64", (2,)), ir.input_value("other", "float64", (dims.symbol("batch"), 2))
    (gradient,) = run([x, other], gradients(ops.sum(x), [other]), [np.ones(2), np.ones((5, 2))])
    np.testing.assert_array_equal(gradient, np.zeros((5, 2)))


def test_gradients_with_respect_to_inner_values() -> None:
    (x,) = inputs((3,))
    inner = ops.exp(x)
    (gradient,) = run([x], gradients(ops.sum(inner * inner), [inner]), [np.array([0.0, 1.0, 2.0])])
    np.testing.assert_allclose(gradient, 2 * np.exp([0.0, 1.0, 2.0]))


def test_the_loss_itself_has_gradient_one() -> None:
    (x,) = inputs((3,))
    loss = ops.sum(x)
    assert run([x], gradients(loss, [loss]), [np.ones(3)])[0] == 1


def test_nothing_flows_through_stop_gradient_and_comparisons() -> None:
    (x,) = inputs((3,))
    array = np.array([-1.0, 0.5, 2.0])
    for loss in (ops.stop_gradient(x) * x, ops.where(x > 0, x, 0.0), ops.floor(x) * x):
        (gradient,) = run([x], gradients(ops.sum(loss), [x]), [array])
        assert np.all(np.isfinite(gradient))
    (gradient,) = run([x], gradients(ops.sum(ops.stop_gradient(x) * x), [x]), [array])
    np.testing.assert_array_equal(gradient, array)


def test_gradients_can_be_differentiated_again() -> None:
    def curvature(x: ir.Value) -> ir.Value:
        (slope,) = gradients(ops.sum(ops.tanh(x) * x), [x])
        return ops.sum(slope * slope)

    assert_gradients(curvature, np.random.default_rng(2).normal(size=(4,)))


def test_gradients_of_nodes_carry_the_scope_of_what_they_belong_to() -> None:
    (x,) = inputs((3,))
    with ir.scope("dense"):
        y = ops.exp(x)
    (gradient,) = gradients(ops.sum(y), [x])
    assert gradient.scope == "dense"


def _lstm_loss(op: LSTM, x: ir.Value, *operands: ir.Value) -> ir.Value:
    outputs, h, c = ir.apply_many(op, x, *operands)[:3]
    return ops.sum(ops.sin(outputs)) + ops.sum(h * h) - ops.sum(ops.cos(c))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("zero_output", [False, True])
@pytest.mark.parametrize("time", [1, 4])
def test_lstm_with_mask_and_initial_state(reverse: bool, zero_output: bool, time: int) -> None:
    rng = np.random.default_rng(3)
    batch, features, units = 2, 2, 2
    mask = rng.random((batch, time)) < 0.6
    op = LSTM(reverse=reverse, has_state=True, has_mask=True, zero_output=zero_output)
    shapes = [(batch, time, features), (features, 4 * units), (units, 4 * units), (4 * units,), (batch, units)]
    arrays = [rng.normal(size=s) for s in (*shapes, (batch, units))]
    assert_gradients(lambda *xs: _lstm_loss(op, *xs, ir.constant(mask)), *arrays)


def test_one_result_of_several_is_enough() -> None:
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=s) for s in ((2, 3, 2), (2, 4), (1, 4), (4,))]
    for index in range(3):
        assert_gradients(lambda *xs, i=index: ops.sum(ops.sin(ir.apply_many(LSTM(), *xs)[i])), *arrays)


def test_a_result_with_its_own_cotangent() -> None:
    (x,) = inputs((3,))
    (cotangent,) = inputs((3,))
    (gradient,) = pull_back([ops.exp(x)], [cotangent], [x])
    np.testing.assert_allclose(
        run([x, cotangent], [gradient], [np.zeros(3), np.array([1.0, 2.0, 3.0])])[0], [1.0, 2.0, 3.0]
    )


@pytest.mark.parametrize(
    ("function", "slopes"),
    [
        (lambda x: ops.maximum(x, 0.0), [0, 0.5, 1]),
        (lambda x: ops.minimum(x, 0.0), [1, 0.5, 0]),
        (ops.relu, [0, 0, 1]),
        (ops.absolute, [-1, 0, 1]),
        (lambda x: ops.clip(x, 0, 1), [0, 1, 1]),
        (lambda x: ops.leaky_relu(x, 0.25), [0.25, 0.25, 1]),
        (lambda x: ops.power(x, 0.0), [0, 0, 0]),
        (lambda x: ops.power(x, 1.0), [1, 1, 1]),
        (lambda x: ops.power(x, 3.0), [3, 0, 3]),
        (lambda x: ops.max(ops.stack([x, ops.zeros_like(x)]), axis=0), [0, 0.5, 1]),
        (lambda x: ops.normalize(ops.expand_dims(x, 1), axis=1)[:, 0], [0, 1e7, 0]),
    ],
)
def test_slopes_at_kinks(function: Callable[[Any], ir.Value], slopes: list[float]) -> None:
    (x,) = inputs((3,))
    (gradient,) = run([x], gradients(ops.sum(function(x)), [x]), [np.array([-1.0, 0.0, 1.0])])
    np.testing.assert_allclose(gradient, slopes, atol=1e-9)


def test_equal_maxima_of_a_window_send_the_gradient_to_the_first() -> None:
    (x,) = inputs((1, 2, 2, 1))
    (gradient,) = run([x], gradients(ops.sum(ops.max_pool(x, 2)), [x]), [np.ones((1, 2, 2, 1))])
    np.testing.assert_array_equal(gradient.ravel(), [1, 0, 0, 0])


def test_a_loss_that_is_no_scalar_is_refused() -> None:
    (x,) = inputs((3,))
    with pytest.raises(ShapeError, match=re.escape("Gradients start from a scalar; got float64[3]. Reduce it first")):
        gradients(x * x, [x])


def test_a_loss_of_integers_is_refused() -> None:
    x = ir.input_value("x", "int32", (3,))
    with pytest.raises(DTypeError, match=re.escape("Gradients start from a floating-point number; got int32[]")):
        gradients(ops.sum(x), [])


def test_integers_have_no_gradient() -> None:
    x = ir.input_value("ids", "int32", (3,))
    with pytest.raises(DTypeError, match="Only floating-point values have a gradient; got <Input"):
        gradients(ops.sum(ops.cast(x, "float64")), [x])


@dataclass(frozen=True, repr=False)
class Closed(Elementwise):
    def infer(self, x: ir.Type) -> ir.Type:
        return x


def test_an_operation_without_a_gradient_says_so_only_where_one_is_needed() -> None:
    x, y = inputs((), ())
    closed = ir.apply(Closed(), x)
    with pytest.raises(NoGradientError, match="Closed has no gradient"):
        gradients(closed * y, [x])
    assert gradients(closed * y, [y, closed])


@dataclass(frozen=True, repr=False)
class Careless(Closed):
    dtype: str = "float64"

    def vjp(self, g: ir.Value, y: ir.Value, x: ir.Value) -> Sequence[ir.Value | None]:
        return (ops.cast(ops.expand_dims(g, 1) * np.ones((1, 2)), self.dtype),)


@pytest.mark.parametrize(("op", "shape"), [(Careless(), (3,)), (Careless("float32"), (3, 2))])
def test_a_gradient_of_another_type_is_refused(op: ir.Op, shape: tuple[int, ...]) -> None:
    (x,) = inputs(shape)
    with pytest.raises(NoGradientError, match="the vjp of Careless is wrong"):
        gradients(ops.sum(ir.apply(op, x)), [x])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("kind", ["int32", "uint8"])
def test_rows_at_fixed_numbers(axis: int, kind: str) -> None:
    def rows(x: ir.Value) -> ir.Value:
        at = [np.array(i, kind) for i in (0, 1, 1, *([] if kind == "uint8" else [-1, -3]))]
        return ops.sum(ops.sin(sum((ops.take(x, i, axis) for i in at[1:]), ops.take(x, at[0], axis))))

    def slope(x: ir.Value) -> ir.Value:
        return ops.sum(gradients(rows(x), [x])[0] ** 2.0)

    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    assert_gradients(rows, x)
    assert_gradients(slope, x)


def test_the_gradient_of_a_row_beyond_the_table_is_an_error() -> None:
    (x,) = inputs((3, 2))
    with pytest.raises(ShapeError, match="must lie in"):
        run([x], gradients(ops.sum(ops.take(x, 3, 0) ** 2.0), [x]), [np.ones((3, 2))])


def test_the_gradient_of_a_loop_over_rows_takes_no_more_memory_than_that_of_slices() -> None:
    def memory(row: Callable[[ir.Value, int], ir.Value]) -> int:
        x = ir.input_value("x", "float32", (dims.symbol("batch"), 40, 8))
        state = ops.tanh(row(x, 0))
        for i in range(1, 40):
            state = ops.tanh(row(x, i) + state)
        (gradient,) = gradients(ops.sum(state), [x])
        executor = Executor(ir.Graph((x,), (gradient,), ("g",)), (), ())
        executor.run([np.ones((64, 40, 8), "float32")])
        (program,) = executor.kept()
        return program.memory.size

    assert memory(lambda x, i: ops.take(x, i, axis=1)) <= 1.2 * memory(lambda x, i: x[:, i])


def _slices(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> list[tuple[slice, ...]]:
    """Returns slices with overlaps, gaps, steps and bounds from the end, of one axis or of several."""
    found = []
    for _ in range(count):
        parts = [slice(None)] * len(shape)
        for axis in rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False):
            start, stop = (int(rng.integers(-shape[axis], shape[axis])) for _ in range(2))
            parts[axis] = slice(start, (stop, None)[rng.integers(2)], (1, 1, 1, 2, -1)[rng.integers(5)])
        found.append(tuple(parts))
    return [one for one in found if np.empty(shape)[one].size]


@pytest.mark.parametrize("seed", range(12))
def test_the_gradients_of_slices_of_one_tensor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(4, 6, 5))
    (x,) = inputs(array.shape)
    taken = _slices(rng, array.shape, 20)
    taken += [np.s_[:, t : t + 1 + seed % 3] for t in range(6) if t != seed]
    taken += [np.s_[1:3, i : i + 2, j : j + 2] for i in range(0, 6, 2) for j in range(0, 4, 2)]
    expected = np.zeros_like(array)
    loss: ir.Value = ops.sum(x) * 0.0
    for i, one in enumerate(taken):
        loss = loss + ops.sum(ops.square(x[one])) * float(i + 1)
        expected[one] += 2 * (i + 1) * array[one]
    gradient = gradients(loss, [x])[0]
    curvature = gradients(ops.sum(ops.square(gradient)), [x])[0]
    graph = ir.Graph((x,), (gradient, curvature), ("g", "c"))
    factors = np.divide(expected, array)
    for found in (Interpreter(graph).run([array]), Executor(graph, (), ()).run([array])):
        np.testing.assert_allclose(found[0], expected, rtol=1e-12)
        np.testing.assert_allclose(found[1], 2 * factors**2 * array, rtol=1e-12)


@pytest.mark.parametrize(
    ("taken", "made"),
    [
        ([np.s_[:, t] for t in range(7)], ["Concat"]),
        ([np.s_[:, -1 - t] for t in range(7)], ["Concat"]),
        ([np.s_[:, t] for t in (1, 5)], ["Concat"]),
        ([np.s_[:, t : t + 2] for t in range(6)], ["Concat", "Concat"]),
        ([np.s_[:, t, s : s + 2] for t in range(7) for s in (0, 2)], ["Concat"] * 8),
        ([np.s_[:, ::2], np.s_[:, 1::2]], ["SliceGrad", "SliceGrad"]),
        ([np.s_[:, 2]], ["SliceGrad"]),
    ],
)
def test_gradients_of_slices_lie_side_by_side_where_they_can(taken: list[Any], made: list[str]) -> None:
    x = ir.input_value("x", "float32", (dims.symbol("batch"), 7, 4))
    loss = sum((ops.sum(ops.square(x[one])) for one in taken), ops.sum(x) * 0.0)
    found = [v.op.name for v in ir.walk(gradients(loss, [x])) if v.op.name in ("Concat", "SliceGrad")]
    assert found == made
