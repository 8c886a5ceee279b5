"""Branches, loops and derivatives in graphs: the numbers of NumPy, gradients, ONNX, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.graph_runs import step_file
from kit.small_graphs import BATCH, TIME
from seqc import layers, ops
from seqc.errors import ConfigError, SeqcError, ShapeError, TraceError
from seqc.graph import ir
from seqc.graph.autodiff import gradients
from seqc.graph.eager import is_known
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value


def run(inputs: Sequence[Value], outputs: Sequence[Value], arrays: Sequence[Array]) -> list[Array]:
    return Interpreter(Graph(tuple(inputs), tuple(outputs), tuple(f"y{i}" for i in range(len(outputs))))).run(arrays)


def onnx(inputs: Sequence[Value], outputs: Sequence[Value], arrays: Sequence[Array]) -> list[Array]:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from seqc.backends.onnxruntime import Session

    graph = Graph(tuple(inputs), tuple(outputs), tuple(f"y{i}" for i in range(len(outputs))))
    results = Session(step_file(graph), threads=1).run(dict(zip(graph.input_names, arrays, strict=True)))
    return [results[n] for n in graph.output_names]


def carry(x: Value) -> tuple[Any, Any]:
    return ops.scan(lambda c, row: (c * 0.5 + row, ops.tanh(c * row)), ops.zeros_like(x[0]), x, reverse=True)


def carried(a: Array) -> tuple[Array, Array]:
    c, given = np.zeros_like(a[0]), []
    for row in a[::-1]:
        given.append(np.tanh(c * row))
        c = c * np.float32(0.5) + row
    return c, np.stack(given[::-1])


# What is said of a tensor (time, 3), and what NumPy makes of it.
LOOPS: dict[str, tuple[Callable[[Value], Any], Callable[[Array], Any]]] = {
    "map": (lambda x: ops.map(lambda row: ops.sum(row) * row, x), lambda a: a.sum(-1, keepdims=True) * a),
    "scan, what is carried": (lambda x: carry(x)[0], lambda a: carried(a)[0]),
    "scan, what is given": (lambda x: carry(x)[1], lambda a: carried(a)[1]),
    "fori_loop": (
        lambda x: ops.fori_loop(0, ops.shape(x)[0], lambda i, c: c + ops.take(x, i, 0) * ops.cast(i, x.dtype), x[0]),
        lambda a: a[0] + (a * np.arange(len(a), dtype=a.dtype)[:, None]).sum(0),
    ),
    "a loop that reads what is around it": (
        lambda x: ops.map(lambda row: row * ops.mean(x, axis=0) + 1, x), lambda a: a * a.mean(0) + 1),
}  # fmt: skip


@pytest.mark.parametrize("size", [4, 100, TIME], ids=["short", "long", "free"])
@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_gives_the_same_however_it_is_said(name: str, size: Any) -> None:
    function, expected = LOOPS[name]
    x = ir.input_value("x", "float32", (size, 3))
    y = function(x)
    kinds = {v.op.name for v in ir.walk([y])}
    assert ("Loop" in kinds) == (size != 4)
    for time in (2, 5) if size is TIME else (size,):
        array = np.random.default_rng(time).normal(size=(time, 3)).astype("float32")
        for got in (*run([x], [y], [array]), *onnx([x], [y], [array]), np.asarray(function(ir.constant(array)))):
            np.testing.assert_allclose(got, expected(array), rtol=2e-5, atol=2e-5)


def differences(function: Callable[[Any], Any], x: Array, step: float = 1e-6) -> Array:
    """Returns central differences of the sum of what a function gives."""
    found = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            ends.append(float(np.sum(np.asarray(function(moved)))))
        found[i] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_has_the_gradient_of_its_steps(name: str) -> None:
    array = np.random.default_rng(3).normal(size=(4, 3))
    x = ir.input_value("x", "float64", (4, 3))
    (gradient,) = gradients(ops.sum(LOOPS[name][0](x)), [x])
    (got,) = run([x], [gradient], [array])
    np.testing.assert_allclose(got, differences(lambda a: LOOPS[name][0](ir.constant(a)), array), rtol=1e-6, atol=1e-7)
    moved = ops.jvp(LOOPS[name][0], [array], [np.ones_like(array)])[1]
    np.testing.assert_allclose(np.sum(np.asarray(moved)), got.sum(), rtol=1e-9)


X = ir.input_value("x", "float64", ())


class TestCond:
    def test_only_the_branch_that_is_taken_has_a_gradient(self) -> None:
        # The logarithm of a negative number, and what a gradient through it would be, show nowhere.
        y = ops.cond(X > 0, lambda: ops.log(X) * 2, lambda: ops.square(X))
        (gradient,) = gradients(y, [X])
        for value, expected, slope in ((3.0, 2 * np.log(3), 2 / 3), (0.0, 0.0, 0.0), (-2.0, 4.0, -4.0)):
            got = run([X], [y, gradient], [np.array(value, np.float64)])
            np.testing.assert_allclose(got, [expected, slope], rtol=1e-12)

    def test_branches_in_branches(self) -> None:
        y = ops.switch(
            ops.cast(X, "int32"),
            [lambda: ops.sqrt(X - 0.25), lambda: ops.cond(X > 1.5, lambda: 1 / (X - 1), lambda: X), lambda: X * X],
        )
        (gradient,) = gradients(y, [X])
        for value, expected in ((0.5, (0.5, 1.0)), (1.0, (1.0, 1.0)), (1.75, (4 / 3, -16 / 9)), (7.0, (49.0, 14.0))):
            np.testing.assert_allclose(
                run([X], [y, gradient], [np.array(value, np.float64)]), np.array(expected), rtol=1e-12
            )

    def test_onnx_computes_both_and_chooses(self) -> None:
        x = ir.input_value("x", "float32", (BATCH, 3))
        y = ops.cond(ops.sum(x) > 0, lambda: {"a": x * 2, "b": 1}, lambda: {"a": ops.abs(x), "b": ops.sum(x)})
        for sign in (1, -1):
            array = sign * np.array([[1, 2, 3], [-1, 1, 1]], np.float32)
            expected: list[Any] = [array * 2, 1] if sign > 0 else [np.abs(array), array.sum()]
            for got in (run([x], [y["a"], y["b"]], [array]), onnx([x], [y["a"], y["b"]], [array])):
                for one, two in zip(got, expected, strict=True):
                    np.testing.assert_allclose(one, two, rtol=1e-6)

    def test_what_a_branch_assigns_counts_where_it_is_taken(self) -> None:
        class Counts(layers.Layer):
            def build(self, input_shape: Any) -> None:
                self.positive = self.add_weight((), "zeros", trainable=False, name="positive")
                self.scale = self.add_weight((), "ones", name="scale")

            def call(self, x: Any) -> Any:
                def up() -> Value:
                    self.positive.assign(self.positive + 1)
                    result: Value = x * self.scale
                    return result

                return ops.cond(ops.mean(x) > 0, up, lambda: x * self.scale * 3)

        seqc.utils.set_random_seed(0)
        model = seqc.Sequential([layers.Input((2,)), Counts()])
        model.compile("sgd", "mse")
        x = np.array([[1, 1], [1, 2], [-1, -1], [-3, 1], [2, 2]], np.float32)
        model.fit(x, x, batch_size=1, epochs=1, shuffle=False, verbose=0)
        assert float(model.layers[0].positive.numpy()) == 3
        expected = 1.0
        for row in x:  # gradient of the mean of (f * s * x - x)^2 by s
            factor = 1 if row.mean() > 0 else 3
            expected -= 0.01 * float(np.mean(2 * (factor * expected * row - row) * factor * row))
        np.testing.assert_allclose(float(model.layers[0].scale.numpy()), expected, rtol=1e-5)

    def test_functional_models_have_branches_between_layers(self, tmp_path: Path) -> None:
        x = seqc.Input((3,))
        hidden = layers.Dense(3)(x)
        y = ops.cond(ops.max(x) > 10, lambda: hidden * 0, lambda: layers.Dense(3)(hidden))
        model = seqc.Model(x, y)
        array = np.ones((2, 3), "float32")
        first, second = (layer for layer in model.layers if isinstance(layer, layers.Dense))
        expected = array @ first.kernel.numpy() @ second.kernel.numpy()
        np.testing.assert_allclose(model.predict(array, verbose=0), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(model.predict(array * 11, verbose=0), 0)
        clone = seqc.models.clone_model(model)
        clone.set_weights(model.get_weights())
        np.testing.assert_allclose(clone.predict(array, verbose=0), expected, rtol=1e-5, atol=1e-6)
        model.export(tmp_path / "model.onnx", verbose=False)


def test_a_loop_that_ends_when_its_numbers_say_so_needs_a_limit() -> None:
    def halve(limit: int | None) -> Value:
        result: Value = ops.while_loop(lambda x: x > 1, lambda x: x / 2, X, maximum_iterations=limit)
        return result

    with pytest.raises(TraceError, match=r"not known before the model runs\. Give maximum_iterations, of at most 256"):
        halve(None)
    y = halve(5)
    (gradient,) = gradients(y, [X])
    for value, expected in ((20.0, (20 / 32, 1 / 32)), (0.5, (0.5, 1.0)), (1000.0, (1000 / 32, 1 / 32))):
        np.testing.assert_allclose(run([X], [y, gradient], [np.array(value, np.float64)]), np.array(expected))


def test_whether_numbers_are_known_is_known_however_long_they_were_computed() -> None:
    x, deep = ops.ones(3), X
    for _ in range(500):
        x, deep = ops.tanh(x), ops.tanh(deep * 0.5)
    calls: list[str] = []
    for value, known in ((x, True), (deep, False), (seqc.Input((3,)) + x, False)):
        calls.clear()
        sys.setprofile(lambda _, event, __: calls.append(event))
        try:
            found = is_known(value)
        finally:
            sys.setprofile(None)
        assert found is known
        assert len(calls) < 20


class TestOwnGradients:
    def test_they_take_the_place_of_the_operations_own(self) -> None:
        @ops.custom_gradient
        def clipped(x: Any, factor: Any) -> Any:
            y = ops.round(x) * factor
            return y, lambda g: (g * 2 * factor, ops.sum(g * ops.round(x)))

        x, f = ir.input_value("x", "float64", (3,)), ir.input_value("f", "float64", ())
        loss = ops.sum(clipped(x, f) * np.arange(3.0))
        got = run([x, f], [loss, *gradients(loss, [x, f])], [np.array([0.4, 1.6, -2.2]), np.array(3, np.float64)])
        wanted: list[Any] = [-6.0, np.arange(3) * 6.0, -2.0]
        for one, two in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, two)
        x32 = ir.input_value("x", "float32", (BATCH,))
        (exported,) = onnx([x32], [clipped(x32, 2.0)], [np.array([0.4, 1.6], np.float32)])
        np.testing.assert_array_equal(exported, [0, 4])

    def test_functional_models_learn_by_them(self) -> None:
        """The gradient's function reads the tensors of each step, and not the symbols that it was first called on."""

        @ops.custom_gradient
        def straight(x: Any) -> Any:
            return ops.sign(x), lambda g: g * ops.cast(ops.abs(x) < 1, x.dtype)

        x = seqc.Input((2,))
        model = seqc.Model(x, straight(layers.Dense(2, kernel_initializer="identity", use_bias=False)(x)))
        model.compile(seqc.optimizers.SGD(1.0), "mse")
        array = np.array([[0.5, -3.0]], np.float32)
        model.fit(array, np.zeros((1, 2), "float32"), verbose=0)
        # d loss / d y = (1, -1); nothing passes where the second is beyond one.
        np.testing.assert_allclose(
            model.layers[1].kernel.numpy(), np.asarray(np.eye(2) - np.array([[0.5, 0], [-3.0, 0]], np.float32))
        )

    def test_clones_of_models_have_them_too(self) -> None:
        doubled = ops.custom_gradient(lambda x: ((x * 2, x * 3), lambda a, b: (a + b) * 0))
        x = seqc.Input((2,))
        model = seqc.Model(x, ops.concatenate(doubled(layers.Dense(2)(x)), axis=-1))
        clone = seqc.models.clone_model(model)
        clone.set_weights(model.get_weights())
        array = np.array([[0.5, -3.0]], np.float32)
        np.testing.assert_array_equal(clone.predict(array, verbose=0), model.predict(array, verbose=0))
        before = clone.get_weights()
        clone.compile("sgd", "mse")
        clone.fit(array, np.zeros((1, 4), "float32"), verbose=0)
        for one, two in zip(clone.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, two)

    def test_several_results(self) -> None:
        @ops.custom_gradient
        def both(x: Any) -> Any:
            return (x * 2, x * 3), lambda a, b: a * 10 + b * 100

        one, two = both(X)
        (gradient,) = gradients(one + two * 2, [X])
        np.testing.assert_allclose(run([X], [one, two, gradient], [np.array(2, np.float64)]), [4, 6, 210])


V = ir.input_value("v", "float32", (BATCH, 3))
TIMED = ir.input_value("t", "float32", (TIME, 3))
REFUSED: list[tuple[Callable[[], Any], type[SeqcError], str]] = [
    (lambda: ops.cond(V > 0, lambda: V, lambda: V), ShapeError, "cond needs a condition without axes; got bool["),
    (lambda: ops.cond(X > 0, lambda: V, lambda: V[:, :1]), ShapeError, "must return tensors of one shape; got"),
    (lambda: ops.cond(X > 0, lambda: [V], lambda: V), ConfigError, "Both functions of cond must return the same"),
    (lambda: ops.switch(V, [lambda: 1]), ShapeError, "switch needs an integer without axes"),
    (lambda: ops.switch(0, []), ConfigError, "switch needs at least one branch"),
    (lambda: ops.scan(lambda c, x: c, V, V), ConfigError, "A step of scan returns the next value and what it gives"),
    (lambda: ops.scan(lambda c, x: (c, x), 0), ShapeError, "needs one number of steps; got neither xs nor a length"),
    (lambda: ops.scan(lambda c, x: (c, x), 0, TIMED, 3), ShapeError, "needs one number of steps; got lengths ['3', "),
    (lambda: ops.scan(lambda c, x: (c, x), 0, TIMED, unroll=0), ConfigError, "`unroll` must be an positive integer"),
    (lambda: ops.scan(lambda c, x: (c[:1], None), np.ones(3), TIMED[:4]), ShapeError, "of a value float64[3], which"),
    (lambda: ops.map(lambda x: layers.Dense(1)(x[None]), TIMED), TraceError, "A loop between layers cannot call"),
    (lambda: ops.associative_scan(ops.add, TIMED), ShapeError, "needs tensors of one known size along axis 0"),
    (lambda: ops.vectorize(ops.abs)(V), ShapeError, "vectorize goes over axes of known sizes"),
    (lambda: ops.jvp(ops.sin, [np.ones(2)], [np.ones(3)]), ShapeError, "jvp needs a tangent float64[2] for the primal"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_wrong_arguments_are_refused_with_a_reason(
    call: Callable[[], Any], error: type[SeqcError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.slow
def test_a_layer_with_a_long_loop_trains_and_exports(tmp_path: Path) -> None:
    class Smoothed(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.rate = self.add_weight((), seqc.initializers.Constant(0.5), name="rate")

        def call(self, x: Any) -> Any:
            steps = ops.transpose(x)
            last, means = ops.scan(lambda c, now: (c + (now - c) * self.rate, c), ops.zeros_like(steps[0]), steps)
            return ops.transpose(means) + ops.expand_dims(last, 1)

    model = seqc.Sequential([layers.Input((70,)), Smoothed()])
    x = np.random.default_rng(0).normal(size=(8, 70)).astype("float32")
    model.compile("sgd", "mse")
    before = model.evaluate(x, x, verbose=0)
    model.fit(x, x, epochs=3, verbose=0)
    assert model.evaluate(x, x, verbose=0) < before
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model.export(tmp_path / "model.onnx", verbose=False)


def test_random_numbers_and_assignments_are_refused_in_what_is_said_once() -> None:
    class Noisy(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.map(lambda row: layers.Dropout(0.5)(row, training=True), x)

    with pytest.raises(TraceError, match="can neither assign to variables nor draw random numbers"):
        seqc.Sequential([layers.Input((3,)), Noisy()]).predict(np.ones((2, 3), "float32"), verbose=0)


NOTHING = np.zeros((0, 3), "float32")


def test_loops_of_no_steps_give_nothing_and_where_they_start() -> None:
    summed = np.asarray(ops.vectorized_map(ops.sum, NOTHING))
    assert (summed.shape, summed.dtype) == ((0,), np.dtype("float32"))
    mapped = ops.map(lambda x: {"a": ops.cast(x * 2, "int32"), "b": [x[:2]]}, NOTHING)
    assert (mapped["a"].shape, mapped["a"].dtype, mapped["b"][0].shape) == ((0, 3), "int32", (0, 2))
    last, rows = ops.scan(lambda c, x: (c + ops.sum(x), x * c), np.float32(3), NOTHING)
    assert (float(last), rows.shape) == (3, (0, 3))
    last, none = ops.scan(lambda c, x: (c + 1, None), 1.0, length=0)
    assert (float(last), none) == (1, None)
