"""The fast kernels of recurrent operations compute what `eval` says, on any shape, mask and memory layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqc.backends.numpy.kernel_choice  # noqa: F401  (every family of kernels has registered with it)
from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import find_kernel, recurrent, recurrent_grad
from seqc.backends.numpy.residuals import GradOfResiduals, WithResiduals
from seqc.graph.ir import Array, Op
from seqc.ops._gates import GATES
from seqc.ops._recurrent import Recurrent
from seqc.ops.rnn import GRU, LSTM, SimpleRNN

assert recurrent
assert recurrent_grad
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def scratch(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory with something in it."""
    return np.full(shape, 1, dtype) if np.dtype(dtype) == bool else np.full(shape, np.nan, dtype)


def loosely(array: Array, rng: np.random.Generator) -> Array:
    """The same numbers in memory that is not contiguous."""
    if array.ndim < 2 or rng.random() < 0.5:
        return array
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)[..., 1::2]
    wide[...] = array
    return wide if rng.random() < 0.5 else np.asfortranarray(array)


def check(op: Op, xs: Sequence[Array], wanted: Sequence[bool]) -> None:
    with np.errstate(all="ignore"):
        expected = op.eval(*xs)
    for x in xs:
        x.flags.writeable = False
    outs = [scratch(y.shape, y.dtype) if want else None for y, want in zip(expected, wanted, strict=True)]
    bind = find_kernel(type(op))
    assert bind is not None
    call = bind(op, outs, xs, scratch)
    assert call is not None
    with np.errstate(all="ignore"):
        for _ in range(2):  # what one call leaves must not disturb the next
            call()
            for out, y in zip(outs, expected, strict=True):
                if out is not None:
                    limit = TOLERANCE[y.dtype.name]
                    np.testing.assert_allclose(out, y, rtol=limit, atol=limit * max(1, np.abs(y).max(initial=0)))


@st.composite
def operations(draw: st.DrawFn) -> Recurrent:
    kind = draw(st.sampled_from([LSTM, GRU, SimpleRNN]))
    usual = draw(st.booleans())
    names = st.just("tanh") if usual else st.sampled_from(sorted(GATES))
    attributes: dict[str, Any] = {name: draw(st.booleans()) for name in ("reverse", "has_state", "has_mask")}
    attributes["zero_output"] = attributes["has_mask"] and draw(st.booleans())
    if kind is not SimpleRNN:
        inner = st.just("sigmoid") if usual else st.sampled_from(sorted(GATES))
        attributes["recurrent_activation"] = draw(inner)
    if kind is GRU:
        attributes["reset_after"] = draw(st.booleans())
    result: Recurrent = kind(activation=draw(names), **attributes)
    return result


def operands(op: Recurrent, sizes: Sequence[int], dtype: str, rng: np.random.Generator) -> list[Array]:
    batch, time, features, units = sizes
    shapes = [(batch, time, features), (features, op.gates * units), (units, op.gates * units), op.bias_shape(units)]
    shapes += [(batch, units)] * (op.states * op.has_state)
    arrays = [(0.5 * rng.normal(size=s)).astype(dtype) for s in shapes]
    return [*arrays, rng.random((batch, time)) < 0.6] if op.has_mask else arrays


SIZE = st.integers(1, 7)


@settings(deadline=None, max_examples=200)
@given(
    op=operations(),
    sizes=st.tuples(SIZE, SIZE, SIZE, SIZE),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1 << 30),
)
def test_forward_kernels_compute_what_eval_does(op: Recurrent, sizes: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs = [loosely(a, rng) for a in operands(op, sizes, dtype, rng)]
    for one, count in ((op, 1 + op.states), (WithResiduals(op), 3 + op.states)):
        check(one, xs, [True] * count if seed % 2 else list(rng.random(count) < 0.5))


@settings(deadline=None, max_examples=200)
@given(
    op=operations(),
    sizes=st.tuples(SIZE, SIZE, SIZE, SIZE),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1 << 30),
)
def test_gradient_kernels_compute_what_eval_does(op: Recurrent, sizes: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs = operands(op, sizes, dtype, rng)
    with np.errstate(all="ignore"):
        results = op.run(*xs)
    shown = 1 + op.states
    given_ones = tuple(bool(b) for b in rng.random(shown) < 0.7)
    upstream = [rng.normal(size=y.shape).astype(dtype) for y, b in zip(results, given_ones, strict=False) if b]
    gradient = GradOfResiduals(op.gradient(given_ones))
    masks = xs[-1:] if op.has_mask else []
    grads = [loosely(a, rng) for a in (*xs[1:3], *masks, *results[shown:], *upstream)]
    count = 4 + op.states * op.has_state
    check(gradient, grads, [True] * count if seed % 2 else list(rng.random(count) < 0.5))


@pytest.mark.parametrize("op", [LSTM(), GRU(), GRU(reset_after=False), SimpleRNN(), LSTM(has_mask=True)], ids=repr)
def test_steps_worked_out_together_in_several_portions(
    op: Recurrent, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(machine, "FACTOR_BYTES", 2000)
    xs = operands(op, (3, 11, 4, 5), "float64", rng)
    results = op.run(*xs)
    upstream = [rng.normal(size=y.shape) for y in results[: 1 + op.states]]
    masks = xs[-1:] if op.has_mask else []
    gradient = GradOfResiduals(op.gradient((True,) * (1 + op.states)))
    check(gradient, [*xs[1:3], *masks, *results[1 + op.states :], *upstream], [True] * 4)


def test_gates_that_are_far_from_zero_do_not_overflow() -> None:
    op = LSTM()
    xs = [np.full(s, 40.0, "float32") for s in ((2, 3, 2), (2, 12), (3, 12), (12,))]
    for factor in (1, -1):
        check(WithResiduals(op), [factor * xs[0], *xs[1:]], [True] * 5)


def test_sequences_without_samples_are_left_to_eval() -> None:
    op = GRU()
    xs = [np.zeros(s) for s in ((0, 3, 2), (2, 9), (3, 9), (2, 9))]
    outs = [np.zeros(y.shape) for y in op.eval(*xs)]
    assert recurrent.bind_recurrent(op, outs, xs, scratch) is None
