"""The interpreter of graphs, seen from outside."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ShapeError
from seqc.graph.dims import symbol
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Type, Value, apply, input_value
from seqc.ops.elementwise import Elementwise


def test_an_error_while_running_names_the_layer() -> None:
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(3, 4, name="words")])
    with pytest.raises(ShapeError, match=r"'words'.*\[0, 3\)"):
        model.predict(np.array([[0, 7]]), verbose=0)


def test_infinities_come_without_warnings() -> None:
    x = input_value("x", "float32", (symbol("batch"),))
    interpreter = Interpreter(Graph((x,), (ops.log(x), ops.exp(x)), ("log", "exp")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log, exp = interpreter.run([np.array([0, 1e9], "float32")])
    assert np.isneginf(log[0])
    assert np.isposinf(exp[1])


def test_matrix_products_keep_to_one_thread_while_a_plan_runs() -> None:
    from threadpoolctl import threadpool_info

    seen: list[int] = []

    class Look(Elementwise):
        def infer(self, x: Type) -> Type:
            return x

        def eval(self, x: Array) -> Array:
            seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
            return x

    x = input_value("x", "float32", (symbol("batch"),))
    before = threadpool_info()
    Interpreter(Graph((x,), (apply(Look(), x),), ("y",))).run([np.ones(2, "float32")])
    assert seen
    assert set(seen) == {1}
    assert threadpool_info() == before


def test_an_input_that_is_missing_is_named() -> None:
    x, z = (input_value(name, "float32", (symbol("batch"),)) for name in "xz")
    with pytest.raises(ShapeError, match="'z'"):
        Interpreter(Graph((x,), (x + z,), ("y",)))
    with pytest.raises(ShapeError, match="missing"):
        Interpreter(Graph((x, z), (x + z,), ("y",))).run_named({"x": np.ones(2, "float32")})


class Marked(Elementwise):
    """The operand, of which is written down that it was computed, and by which mark."""

    def __init__(self, mark: str, computed: list[str]) -> None:
        object.__setattr__(self, "mark", mark)
        object.__setattr__(self, "computed", computed)

    def infer(self, x: Type) -> Type:
        return x

    def eval(self, x: Array) -> Array:
        self.computed.append(self.mark)  # type: ignore[attr-defined]
        return x


Mark = Callable[[str, Value], Value]


def nested(mark: Mark, x: Value, first: Value, second: Value) -> Value:
    inner = ops.where(second, mark("a", x), mark("b", x) * 2.0)
    return ops.where(first, inner + 1.0, mark("c", x) * 3.0)


def one_after_the_other(mark: Mark, x: Value, first: Value, second: Value) -> Value:
    y = ops.where(first, mark("a", x) * 2.0, x)
    return ops.where(second, mark("b", y) * 3.0, y)


def shared(mark: Mark, x: Value, first: Value, second: Value) -> Value:
    both = mark("a", x)
    return ops.where(first, both * 2.0, mark("b", both)) + ops.where(second, mark("c", x), both)


def of_single_numbers(mark: Mark, x: Value, first: Value, second: Value) -> Value:
    # How large the result is follows from both.
    return ops.where(first, ops.sum(mark("a", x)), ops.where(second, mark("b", x), 0.0))


def by_a_branch(mark: Mark, x: Value, first: Value, second: Value) -> Value:
    return ops.where(first, ops.where(ops.sum(mark("a", x)) > 0.0, mark("b", x), x), mark("c", x) + 1.0)


# What is said of x = [1, 2] and two conditions; by these, what comes out and what is computed on the way.
CHOICES: dict[Any, list[tuple[bool, bool, list[float], str]]] = {
    nested: [(True, True, [2, 3], "a"), (True, False, [3, 5], "b"), (False, True, [3, 6], "c")],
    one_after_the_other: [
        (True, True, [6, 12], "ab"),
        (True, False, [2, 4], "a"),
        (False, True, [3, 6], "b"),
        (False, False, [1, 2], ""),
    ],
    shared: [(True, True, [3, 6], "ac"), (False, False, [2, 4], "ab")],
    of_single_numbers: [(True, False, [3, 3], "ab"), (False, True, [1, 2], "ab"), (False, False, [0, 0], "ab")],
    by_a_branch: [(True, True, [1, 2], "ab"), (False, True, [2, 3], "c")],
}


@pytest.mark.parametrize("said", CHOICES, ids=lambda said: said.__name__)
def test_of_two_branches_the_one_that_is_taken_is_computed(said: Callable[..., Value]) -> None:
    computed: list[str] = []
    x = input_value("x", "float32", (2,))
    first, second = (input_value(name, "bool", ()) for name in ("first", "second"))
    y = said(lambda mark, value: apply(Marked(mark, computed), value), x, first, second)
    interpreter = Interpreter(Graph((x, first, second), (y,), ("y",)))
    for one, other, expected, marks in CHOICES[said]:
        computed.clear()
        (found,) = interpreter.run([np.array([1, 2], "float32"), np.array(one), np.array(other)])
        np.testing.assert_array_equal(found, np.array(expected, "float32"))
        assert "".join(sorted(computed)) == marks


def test_a_branch_that_is_not_taken_refuses_nothing() -> None:
    class Guarded(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.cond(ops.all(x < 3), lambda: ops.take(np.arange(3.0), x, 0), lambda: ops.cast(x, "float64"))

    np.testing.assert_array_equal(Guarded()(np.array([2, 7])), [2, 7])
