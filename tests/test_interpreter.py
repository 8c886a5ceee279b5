"""The interpreter of graphs, seen from outside."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ShapeError
from seqc.graph.dims import symbol
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Type, apply, input_value
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
