"""Long sums of numbers that are nearly alike: what onnxruntime loses there is no fault, and mistakes still are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqc import Input, Sequential, initializers, layers, ops, utils
from seqc.errors import VerificationError
from seqc.export.sums import InOrder
from seqc.ops.linalg import MatMul
from seqc.ops.normalization import LayerNormalization
from seqc.ops.reduce import ReduceMean, ReduceSum

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

SIDE = 96


def alike(*tail: Any) -> Sequential:
    """A map that is 0.7 and 0.3 wherever the kernel does not reach."""
    utils.set_random_seed(0)
    model = Sequential([Input((SIDE // 3, SIDE // 3, 3)), layers.Conv2DTranspose(2, 1, strides=3), *tail])
    model.layers[0].bias.assign([0.7, 0.3])
    return model


def function(call: Callable[[Any], Any]) -> layers.Layer:
    return layers.Lambda(call)


LONG: dict[str, Callable[[], list[Any]]] = {
    "average": lambda: [layers.GlobalAveragePooling2D()],
    "average and more": lambda: [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")],
    "sum": lambda: [function(lambda x: ops.sum(x, (1, 2)))],
    "sum of rows": lambda: [function(lambda x: ops.sum(x, 1))],
    "variance": lambda: [function(lambda x: ops.var(x, (1, 2)))],
    "pool": lambda: [layers.AveragePooling2D(SIDE)],
    "layer": lambda: [layers.Reshape((-1,)), layers.LayerNormalization()],
    "root mean square": lambda: [layers.Reshape((-1,)), layers.RMSNormalization()],
    "groups": lambda: [layers.GroupNormalization(1)],
    "channels": lambda: [layers.GroupNormalization(-1)],
    "softmax": lambda: [layers.Reshape((-1,)), layers.Softmax()],
    "logarithm": lambda: [function(lambda x: ops.logsumexp(x, (1, 2)))],
    "running sum": lambda: [layers.Reshape((-1,)), function(lambda x: ops.cumsum(x, 1))],
    "dense": lambda: [layers.Flatten(), layers.Dense(3, kernel_initializer="ones")],
    "products": lambda: [function(lambda x: ops.einsum("bhwc,bhwd->bcd", x, x))],
    "convolution": lambda: [layers.Conv2D(2, SIDE // 2, kernel_initializer=initializers.Constant(0.1))],
}
SLOW = ("pool", "running sum", "dense", "products", "convolution")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in LONG])
def test_what_long_sums_lose_is_no_fault(name: str, tmp_path: Path) -> None:
    assert alike(*LONG[name]()).export(tmp_path / "m.onnx").report.passed


@pytest.mark.parametrize("name", ["average", "layer"])
def test_what_long_sums_lose_is_no_fault_at_an_older_opset(name: str, tmp_path: Path) -> None:
    assert alike(*LONG[name]()).export(tmp_path / "m.onnx", opset=13).report.passed


def other_side(self: Any, e: Any, y: Any, x: str, *, lower: Any) -> Any:
    return lower(replace(self, axes=({2: 3, 3: 2, 1: 2}[self.axes[0]],)), e, y, x)


def factor(self: Any, e: Any, y: Any, x: str, *, lower: Any) -> Any:
    return e.node("Mul", lower(self, e, y, x), e.constant(np.float32(1 - 1 / SIDE)))


def column_missing(self: Any, e: Any, y: Any, x: str, *, lower: Any) -> Any:
    limits = (e.constant(np.array([i])) for i in (0, SIDE - 1, self.axes[-1]))
    return lower(self, e, y, e.node("Slice", x, *limits))


def epsilon(self: Any, e: Any, y: Any, x: str, *weights: str, lower: Any) -> Any:
    return lower(replace(self, epsilon=0.01), e, y, x, *weights)


FAULTS: dict[str, tuple[Any, Callable[..., Any], Callable[[], list[Any]]]] = {
    "side": (ReduceMean, other_side, lambda: [function(lambda x: ops.mean(x, 1))]),
    "factor": (ReduceMean, factor, lambda: [function(lambda x: ops.mean(x, (1, 2)))]),
    "column": (ReduceSum, column_missing, LONG["sum"]),
    "epsilon": (LayerNormalization, epsilon, LONG["layer"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_mistakes_in_long_sums_are_faults(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, mistaken, tail = FAULTS[name]
    lower = kind.lower
    monkeypatch.setattr(kind, "lower", lambda self, *given: mistaken(self, *given, lower=lower))
    with pytest.raises(VerificationError, match="computes other numbers in onnxruntime"):
        alike(*tail()).export(tmp_path / "m.onnx")


@pytest.mark.parametrize("op", [ReduceSum((0, 2)), ReduceSum((-1,), True), ReduceMean((1,)), ReduceMean((0, 1, 2))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_in_order_are_sums(op: Any, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(3, 700, 5)).astype(dtype)
    found = InOrder(op).eval(x)
    truth = op.eval(x.astype(np.longdouble))
    assert (found.dtype, found.shape) == (x.dtype, truth.shape)
    np.testing.assert_allclose(found, truth, atol=700 * float(np.finfo(dtype).eps))


def test_sums_in_order_lose_what_is_rounded_in_one_direction() -> None:
    x = np.full((1, 2**16), 0.7, "float32")
    op = ReduceMean((1,))
    truth = op.eval(x.astype(np.float64))
    assert abs(op.eval(x) - truth) < 1e-6
    assert abs(InOrder(op).eval(x) - truth) > 1e-4
    # What cancels out in one register does not in several.
    x[:, ::2] = 0.3
    assert abs(InOrder(op).eval(x) - op.eval(x.astype(np.float64))) > 1e-5


@pytest.mark.parametrize("shapes", [((4, 6), (6, 3)), ((2, 4, 6), (6, 3)), ((2, 4, 6), (2, 6, 3)), ((6,), (6, 3))])
def test_products_in_order_are_products(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = (np.random.default_rng(0).normal(size=shape).astype("float32") for shape in shapes)
    np.testing.assert_allclose(InOrder(MatMul()).eval(a, b), np.matmul(a, b), atol=1e-5)
