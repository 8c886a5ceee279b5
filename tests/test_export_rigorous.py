"""What rounding can come to at most: no order of adding in single precision may go beyond it, and some come near it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.golden_models import ALL, Golden
from seqc import Input, Sequential, layers
from seqc.export import compile_with_names, record
from seqc.export.activations.forms import HardSigmoid, PRelu
from seqc.export.model import inference_graph
from seqc.export.report import OutputCheck
from seqc.export.rigorous import _RULES, Analysis, Bound, Near, Precision
from seqc.export.target import onnx_target
from seqc.export.verify import compare
from seqc.graph.ir import Op
from seqc.ops.arithmetic import Add, Clip, Div, Max, Min, Mul, Sub
from seqc.ops.elementwise import Cast
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.nonlinear import LeakyRelu, Relu
from seqc.ops.normalization import BatchNormalization
from seqc.ops.padding import Pad
from seqc.ops.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum

F = np.float32
Adder = Callable[[list[np.float32]], list[np.float32]]
# Orders in which the terms of a sum are added up, one after the other.
ORDERS: dict[str, Adder] = {
    "given": list,
    "small first": lambda terms: sorted(terms, key=abs),
    "large first": lambda terms: sorted(terms, key=abs, reverse=True),
    "up": sorted,
    "down": lambda terms: sorted(terms, reverse=True),
}


def added(terms: Sequence[Any], order: Adder) -> Any:
    """Adds single numbers in an order; of fractions there is only one sum."""
    if isinstance(terms[0], Fraction):
        return sum(terms, Fraction(0))
    total = F(0)
    for term in order(list(terms)):
        total = F(total + term)
    return total


def dense(x: Sequence[Any], kernel: Any, bias: Any, order: Adder) -> list[Any]:
    return [
        added([*(a * w for a, w in zip(x, kernel[:, j], strict=True)), bias[j]], order) for j in range(kernel.shape[1])
    ]


def convolved(x: Any, kernel: Any, bias: Any, order: Adder) -> Any:
    """A valid convolution of an image (height, width, channels), each number by itself."""
    high, wide, channels, filters = kernel.shape
    out = np.empty((x.shape[0] - high + 1, x.shape[1] - wide + 1, filters), object)
    for i, j, f in np.ndindex(out.shape):
        taps = product(range(high), range(wide), range(channels))
        out[i, j, f] = added([*(x[i + a, j + b, c] * kernel[a, b, c, f] for a, b, c in taps), bias[f]], order)
    return out


def computed(model: Sequential, x: Any, number: Callable[[Any], Any], order: Adder) -> list[Any]:
    """What the small network of this file gives, in numbers of one kind."""
    kind = np.vectorize(number, otypes=[object])
    k, b, w1, b1, w2, b2 = (kind(w.numpy()) for w in model.weights)
    y = np.maximum(convolved(kind(x), k, b, order), number(0))
    pooled = [
        y[i : i + 2, j : j + 2, f].max() for i in range(0, 4, 2) for j in range(0, 4, 2) for f in range(y.shape[2])
    ]
    hidden = [max(v, number(0)) for v in dense(pooled, w1, b1, order)]
    return dense(hidden, w2, b2, order)


def network() -> Sequential:
    keras.utils.set_random_seed(4)
    model = Sequential(
        [Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
         layers.Dense(8, "relu"), layers.Dense(3)]
    )  # fmt: skip
    rng = np.random.default_rng(4)
    for w in model.weights:
        w.assign((rng.normal(size=w.shape) * 10.0 ** rng.uniform(-2, 1, w.shape)).astype(F))
    return model


def bounds_of(model: Sequential, x: np.ndarray) -> list[Bound | None]:
    graph = inference_graph(model)
    return Analysis(graph, compile_with_names(graph, onnx_target(18)).graph).bounds([x])


def test_no_order_of_adding_goes_beyond_the_bound() -> None:
    model = network()
    x = np.random.default_rng(5).normal(size=(6, 6, 2)).astype(F)
    (bound,) = bounds_of(model, x[None])
    assert bound is not None
    truth = computed(model, x, lambda v: Fraction(float(v)), list)
    worst = max(
        float(abs(Fraction(float(y)) - t))
        for order in ORDERS.values()
        for y, t in zip(computed(model, x, F, order), truth, strict=True)
    )
    assert 0 < worst <= bound.most <= 200 * worst


def test_the_bound_of_a_sum_is_nearly_reached() -> None:
    # 1 + 2^-24 is 1 in single precision, so that each small term is lost where the large one comes first.
    n = 4000
    kernel = np.full((n, 1), 2.0**-24, F)
    kernel[0] = 1
    model = Sequential([Input((n,)), layers.Dense(1, use_bias=False)])
    model.layers[0].kernel.assign(kernel)
    (bound,) = bounds_of(model, np.ones((1, n), F))
    lost = abs(float(added(list(kernel[:, 0]), ORDERS["large first"])) - float(kernel.astype(np.float64).sum()))
    assert bound is not None
    assert 0.95 * bound.most < lost <= bound.most


def drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 2, shape)).astype(F)


def operation(op: Op, *shapes: tuple[int, ...], exact: Sequence[int] = ()) -> Any:
    return pytest.param(op, shapes, exact, id=repr(op))


STATISTICS = [(6,)] * 4


@pytest.mark.parametrize(
    ("op", "shapes", "exact"),
    [
        operation(Add(), (3, 4), (4,)), operation(Sub(), (3, 4), (3, 4)), operation(Mul(), (3, 4), (3, 1)),
        operation(Div(), (3, 4), (4,)), operation(Max(), (3, 4), (4,)), operation(Min(), (3, 4), (4,)),
        operation(Relu(), (40,)), operation(Clip(0.0, 6.0), (40,)), operation(Clip(-0.1, 0.3), (40,)),
        operation(LeakyRelu(0.3), (40,)), operation(LeakyRelu(-3.0), (40,)),
        operation(PRelu(), (9, 4), (4,), exact=[1]),
        operation(HardSigmoid(0.2, 0.5), (40,)), operation(MatMul(), (3, 50), (50, 4)),
        operation(MatMul(), (3, 50), (50, 4), exact=[1]), operation(Gemm(), (3, 50), (50, 4), (4,)),
        operation(ReduceSum((1,), False), (3, 60)), operation(ReduceMean((0, 1), True), (6, 7, 3)),
        operation(ReduceMax((1,), False), (3, 6)), operation(ReduceMin((1,), True), (3, 6)),
        operation(Pad(((1, 0), (0, 2)), -3.0), (3, 4)),
        operation(BatchNormalization(1, 1e-3), (5, 6), *STATISTICS, exact=[1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_a_rule_holds_whatever_comes_in(op: Op, shapes: Sequence[tuple[int, ...]], exact: Sequence[int]) -> None:
    rng = np.random.default_rng(7)
    for _ in range(12):
        arrays = [drawn(rng, *shape) for shape in shapes]
        if isinstance(op, BatchNormalization):
            arrays[4] = np.abs(arrays[4])
        near = []
        for i, array in enumerate(arrays):
            e = np.zeros(array.shape) if i in exact else np.abs(array) * 10.0 ** rng.uniform(-7, -1, array.shape)
            near.append(Near(array.astype(np.float64), e))
        x = op.eval(*(n.x for n in near))
        with np.errstate(all="ignore"):
            most = np.abs(_RULES[type(op)](op, x, Precision.of("float32"), near))
        for _ in range(10):
            signs = [rng.choice((-1.0, 1.0), n.e.shape) for n in near]
            moved = [(n.x + s * n.e).astype(F) for n, s in zip(near, signs, strict=True)]
            # What single numbers are is off by no more than e.
            kept = [np.where(np.abs(m - n.x) <= n.e, m, n.x.astype(F)) for m, n in zip(moved, near, strict=True)]
            assert np.all(np.abs(op.eval(*kept).astype(np.float64) - x) <= most)


def test_a_divisor_that_may_be_zero_has_no_bound() -> None:
    ends = [Near(np.ones(2), np.zeros(2)), Near(np.array([1.0, 1.0]), np.array([0.5, 1.0]))]
    most = _RULES[Div](Div(), np.ones(2), Precision.of("float32"), ends)
    assert np.isfinite(most[0])
    assert np.isinf(most[1])


# A few, and one of three of all others.
SOME = {"mlp", "volumes", "transposed2d", "pools"}


@pytest.mark.parametrize(
    "golden",
    [
        g if g.name in SOME else pytest.param(g, marks=pytest.mark.slow)
        for i, g in enumerate(ALL)
        if g.name in SOME or i % 3 == 0
    ],
    ids=lambda g: g.name,
)
def test_files_stay_within_it(golden: Golden) -> None:
    pytest.importorskip("onnxruntime")
    graph = inference_graph(golden.model())
    emission = compile_with_names(graph, onnx_target(18))
    report = compare(graph, emission.content, emission)
    assert report.passed
    (check,) = report.outputs
    assert check.into or check.most is None or check.error <= check.most


def model_ending(*stack: Any) -> Sequential:
    keras.utils.set_random_seed(1)
    return Sequential([Input((4,)), *stack])


X = np.random.default_rng(0).normal(size=(3, 4)).astype(F)


def test_it_ends_at_what_nobody_bounds() -> None:
    (bound,) = bounds_of(model_ending(layers.Dense(5, "relu"), layers.Dense(3, "softmax")), X)
    assert bound is not None
    assert bound.into == "Softmax"
    (own,) = bounds_of(model_ending(layers.Dense(5, "relu"), layers.Dense(3)), X)
    assert own is not None
    assert (own.into, own.most) == ("", bound.most)
    assert bounds_of(model_ending(layers.Dense(5, "tanh"), layers.Dense(3)), X) == [None]
    assert bounds_of(model_ending(layers.Reshape((2, 2)), layers.LSTM(3)), X) == [None]


def test_nothing_is_said_that_is_of_no_use() -> None:
    wide = model_ending(*[layers.Dense(200, use_bias=False) for _ in range(6)], layers.Dense(2))
    assert bounds_of(wide, X) == [None]


def test_rounded_weights_of_folded_layers_are_in_it() -> None:
    model = model_ending(layers.Dense(3), layers.BatchNormalization())
    rng = np.random.default_rng(2)
    for w in model.weights:
        w.assign(rng.uniform(0.5, 2, w.shape).astype(F))
    (bound,) = bounds_of(model, X)
    graph = inference_graph(model)
    after = compile_with_names(graph, onnx_target(18)).graph
    assert "BatchNormalization" not in {v.op.name for v in after.walk()}
    (alone,) = Analysis(after, after).bounds([X])
    assert bound is not None
    assert alone is not None
    assert alone.most < bound.most < 2 * alone.most


def test_a_check_is_judged_by_the_smaller_of_both() -> None:
    check = OutputCheck("y", error=2e-6, budget=3e-6, scale=1.0, compared=4)
    assert (check.passed, check.bound) == (True, "statistical")
    tight = OutputCheck("y", error=2e-6, budget=3e-6, scale=1.0, compared=4, most=1e-6)
    assert (tight.passed, tight.bound, tight.allowed) == (False, "rigorous", 1e-6)
    loose = OutputCheck("y", error=2e-6, budget=3e-6, scale=1.0, compared=4, most=1e-5)
    assert (loose.passed, loose.bound, loose.allowed) == (True, "statistical", 3e-6)
    operand = OutputCheck("y", error=2e-6, budget=3e-6, scale=1.0, compared=4, most=1e-6, into="Softmax")
    assert (operand.passed, operand.allowed) == (True, 3e-6)
    assert OutputCheck("y", budget=3e-6, most=0.0).bound == "exact"


def test_receipt_and_record_say_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, path = model_ending(layers.Dense(5, "relu"), layers.Dense(3, "softmax")), tmp_path / "m.onnx"
    for functions in (False, True):
        receipt = model.export(path, record=True, functions=functions)
        (check,) = receipt.report.outputs
        assert check.into == "Softmax"
        assert f"what goes into the Softmax is {check.most:.2g} off on these inputs, in any order" in str(receipt)
    assert receipt.to_dict()["verification"]["outputs"][0]["most"] == check.most
    (held,) = record.read_record(record.record_path(path)).outputs
    assert (held.most, held.into, held.budget) == (check.most, "Softmax", check.budget)
    few = model_ending(layers.Dense(3)).export(path).report.outputs[0]
    assert few.most is not None
    assert few.error <= few.allowed
    moved = model_ending(layers.Reshape((2, 2)), layers.Permute((2, 1))).export(path)
    assert moved.report.outputs[0].bound == "exact"
    assert model_ending(layers.Dense(3)).export(path, precision="float16").report.outputs[0].most is None


def test_whole_numbers_that_float32_does_not_hold_are_off() -> None:
    x = np.array([2**24 + 1, 3])
    most = _RULES[Cast](Cast("float64"), x.astype(np.float64), Precision.of("float32"), [Near(x, np.zeros(2))])
    assert np.all(most >= np.abs(x - x.astype(F).astype(np.float64)))
    assert most[0] == pytest.approx(1, rel=0.01)
