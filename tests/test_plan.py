"""The NumPy plan, seen from outside."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.backends.numpy import Plan
from seqc.dims import symbol
from seqc.errors import ShapeError
from seqc.ir import Graph, input_value


def test_an_error_while_running_names_the_layer() -> None:
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(3, 4, name="words")])
    with pytest.raises(ShapeError, match=r"'words'.*\[0, 3\)"):
        model.predict(np.array([[0, 7]]), verbose=0)


def test_infinities_come_without_warnings() -> None:
    x = input_value("x", "float32", (symbol("batch"),))
    plan = Plan(Graph((x,), (ops.log(x), ops.exp(x)), ("log", "exp")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log, exp = plan.run([np.array([0, 1e9], "float32")])
    assert np.isneginf(log[0])
    assert np.isposinf(exp[1])


def test_an_input_that_is_missing_is_named() -> None:
    x, z = (input_value(name, "float32", (symbol("batch"),)) for name in "xz")
    with pytest.raises(ShapeError, match="'z'"):
        Plan(Graph((x,), (x + z,), ("y",)))
    with pytest.raises(ShapeError, match="missing"):
        Plan(Graph((x, z), (x + z,), ("y",))).run_named({"x": np.ones(2, "float32")})
