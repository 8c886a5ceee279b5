"""Kernels of element-wise choices, softmax and random numbers against `eval`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.kernel_checks import DTYPES, Scratch, check_kernel, refused, strided
from seqc.backends.numpy.kernels import find_kernel
from seqc.backends.numpy.masks import KeepMask
from seqc.graph.ir import Op
from seqc.ops.arithmetic import Clip
from seqc.ops.elementwise import Cast, Where
from seqc.ops.nonlinear import Elu, LeakyRelu, Relu, ReluGrad, Sigmoid, Softplus
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.reduce import LogSoftmax, Softmax

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=6)
SEEDS = st.integers(0, 2**16)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-30, -1e-30, -1e-4, 88.0, -88.0, -120.0, 120.0, 1e30, -1e30]
UNARY: list[tuple[Op, float]] = [
    (Relu(), 0),
    (LeakyRelu(0.2), 0),
    (LeakyRelu(-0.5), 0),
    (LeakyRelu(1.5), 0),
    (Clip(-1.0, 0.5), 0),
    (Clip(-np.inf, 0.5), 0),
    (Clip(0.0, np.inf), 0),
    (Elu(1.0), 4),
    (Elu(0.3), 4),
    (Sigmoid(), 2),
    (Cast("float64"), 0),
    (Cast("bool"), 0),
]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.asarray(3 * rng.normal(size=shape), dtype)


@pytest.mark.parametrize(("op", "tolerance"), UNARY, ids=lambda v: repr(v))
@given(SHAPES, DTYPES, SEEDS, st.booleans())
def test_one_operand(op: Op, tolerance: float, shape: tuple[int, ...], dtype: str, seed: int, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    x = drawn(rng, shape, dtype)
    check_kernel(op, [strided(x) if gaps else x], [drawn(rng, shape, dtype)], tolerance=tolerance)


@pytest.mark.parametrize(("op", "tolerance"), [*UNARY, (Softplus(), 2)], ids=lambda v: repr(v))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_operand_at_its_limits(op: Op, tolerance: float) -> None:
    x = np.array(SPECIAL, "float32")
    with np.errstate(all="ignore"):
        check_kernel(op, [x[:-2]] if isinstance(op, Softplus | Sigmoid) else [x], tolerance=tolerance)


@pytest.mark.parametrize("op", [Elu(1.0), Softplus()], ids=repr)
def test_small_results_keep_their_precision(op: Op) -> None:
    x = -np.logspace(-10, 1.9, 500).astype("float32")
    out = np.empty_like(x)
    bind = find_kernel(type(op))
    assert bind is not None
    run = bind(op, [out], [x], Scratch())
    assert run is not None
    run()
    np.testing.assert_allclose(out, op.eval(x.astype("float64")), rtol=1e-6)


@given(SHAPES, SEEDS)
def test_softplus(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    check_kernel(Softplus(), [drawn(rng, shape, "float32")], tolerance=2)


def test_what_is_left_to_eval() -> None:
    assert refused(Softplus(), [np.ones(3)])
    assert refused(LeakyRelu(0.0), [np.ones(3)])
    assert refused(Clip(0.0, 3.0), [np.ones(3, "int32")])


@given(SHAPES, st.sampled_from(["float32", "float64", "int32"]), SEEDS)
def test_relu_of_integers_and_gradient(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, y = drawn(rng, shape, dtype), np.maximum(drawn(rng, shape, dtype), 0)
    check_kernel(Relu(), [g])
    check_kernel(ReluGrad(), [g, y], [drawn(rng, shape, dtype), y])


@given(
    hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4),
    st.sampled_from(["float32", "float64", "float16", "int32", "int64", "bool"]),
    SEEDS,
)
def test_where(shapes: Any, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    condition = rng.integers(0, 2, shapes.input_shapes[0]).astype(bool)
    a, b = (drawn(rng, s, dtype) for s in shapes.input_shapes[1:])
    check_kernel(Where(), [condition, a, b], [~condition, a, b])


@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=6), DTYPES, SEEDS, st.booleans(), st.data())
def test_softmax(shape: tuple[int, ...], dtype: str, seed: int, gaps: bool, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    x, other = drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    for op in (Softmax(axis), LogSoftmax(axis)):
        check_kernel(op, [strided(x) if gaps else x], [other], tolerance=8)


@given(hnp.array_shapes(min_dims=1, max_dims=3), DTYPES, SEEDS, st.integers(0, 2**40), st.integers(0, 3))
def test_random_numbers(shape: tuple[int, ...], dtype: str, seed: int, step: int, stream: int) -> None:
    like = np.broadcast_to(np.zeros((), dtype), shape)
    keys = [np.array(seed), np.array(step)]
    others = [like, np.array(seed + 1), np.array(step)]
    for op in (RandomUniform(stream), KeepMask(stream, 0.3), KeepMask(stream, 0.0)):
        check_kernel(op, [like, *keys], [like, *others[1:]])


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 4))
def test_part_of_the_positions(before: int, rows: int, seed: int) -> None:
    whole, part = np.zeros((before + rows, 3), "float32"), np.zeros((rows, 3), "float32")
    keys = np.array(seed), np.array(7)
    for op in (RandomUniform(2), KeepMask(2, 0.4)):
        wanted = op.eval(whole, *keys)[before:]
        np.testing.assert_array_equal(op.eval_from(3 * before, part, *keys), wanted)
        np.testing.assert_array_equal(_kernel_from(op, 3 * before, part, *keys), wanted)


def _kernel_from(op: Op, first: int, like: np.ndarray[Any, Any], *keys: np.ndarray[Any, Any]) -> Any:
    out = np.full_like(like, np.nan)
    bind: Any = find_kernel(type(op))
    bind(op, [out], [like, *keys], Scratch(), first=first)()
    return out


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 2.0**-24, 1e-9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mask_keeps_what_dropout_keeps(rate: float, dtype: str) -> None:
    like, keys = np.ones((50, 40), dtype), (np.array(5), np.array(6))
    wanted = Dropout(rate).eval(like, RandomUniform(3).eval(like, *keys))
    np.testing.assert_array_equal(KeepMask(3, rate).eval(like, *keys), wanted)


def test_a_rate_that_rounds_to_one_keeps_nothing() -> None:
    like, op = np.ones((50, 40), "float32"), KeepMask(0, 1 - 1e-9)
    assert not op.eval(like, np.array(1), np.array(2)).any()
    check_kernel(op, [like, np.array(1), np.array(2)])


@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=6), DTYPES, SEEDS, st.booleans(), st.booleans())
def test_dropout(shape: tuple[int, ...], dtype: str, seed: int, narrow: bool, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    x, other = drawn(rng, shape, dtype), drawn(rng, shape, dtype)
    uniform = rng.random((shape[0], *(1 for _ in shape[1:])) if narrow else shape).astype(dtype)
    check_kernel(Dropout(0.3), [strided(x) if gaps else x, uniform], [other, uniform])
