"""The check that every kernel must pass: it writes what `eval` returns, however often it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import seqc.backends.numpy.kernel_choice  # noqa: F401  (every family of kernels has registered with it)
from seqc.backends.numpy.kernels import find_kernel
from seqc.graph.ir import Op

Array = NDArray[Any]
DTYPES = st.sampled_from(["float32", "float64"])


class Scratch:
    """Memory for a kernel, which holds garbage before every call."""

    def __init__(self) -> None:
        self.given: list[Array] = []

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self.given.append(np.empty(shape, dtype))
        return self.given[-1]

    def spoil(self) -> None:
        for array in self.given:
            spoil(array)


def spoil(array: Array) -> None:
    """Fills an array with numbers that nobody expects."""
    array.fill(np.nan if array.dtype.kind == "f" else 1 if array.dtype.kind == "b" else 77)


def listed(results: Any) -> tuple[Array, ...]:
    return tuple(np.asarray(r) for r in (results if isinstance(results, tuple) else (results,)))


def check_kernel(
    op: Op, arrays: Sequence[Array], *others: Sequence[Array], tolerance: float = 0.0, **more: Any
) -> None:
    """Checks the kernel that is registered for an op as `check_bound` does."""
    bind = find_kernel(type(op))
    assert bind is not None, f"{op} has no kernel"
    check_bound(bind, op, arrays, *others, tolerance=tolerance, **more)


def check_bound(
    bind: Callable[..., Any],
    op: Op,
    arrays: Sequence[Array],
    *others: Sequence[Array],
    tolerance: float = 0.0,
    **more: Any,
) -> None:
    """Binds a kernel to arrays and compares what it writes with `eval`.

    It runs on these numbers and on others of the same shapes; `tolerance` is relative to the largest number of a
    result, in units of the dtype's precision.
    """
    outs = [np.empty(y.shape, y.dtype) for y in listed(op.eval(*arrays))]
    scratch = Scratch()
    run = bind(op, outs, arrays, scratch, **more)
    assert run is not None, f"{op} does not take {[(a.dtype, a.shape, a.strides) for a in arrays]}"
    for numbers in (arrays, arrays, *others):
        for place, array in zip(arrays, numbers, strict=True):
            if place is not array:
                place[...] = array
        scratch.spoil()
        for out in outs:
            spoil(out)
        before = [a.copy() for a in arrays]
        run()
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{op} wrote to an operand")
        for out, y in zip(outs, listed(op.eval(*arrays)), strict=True):
            check_close(op, out, y, tolerance)


def check_close(op: Op, got: Array, wanted: Array, tolerance: float) -> None:
    assert got.dtype == wanted.dtype
    if not tolerance or wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted, err_msg=repr(op))
        return
    finite = wanted[np.isfinite(wanted)]
    limit = tolerance * np.finfo(wanted.dtype).eps * max(1.0, np.abs(finite).max(initial=0.0))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=limit, err_msg=repr(op))


def refused(op: Op, arrays: Sequence[Array]) -> bool:
    """Whether the kernel leaves the case to `eval`."""
    bind = find_kernel(type(op))
    assert bind is not None
    return bind(op, [np.empty(y.shape, y.dtype) for y in listed(op.eval(*arrays))], arrays, Scratch()) is None


def strided(array: Array) -> Array:
    """The same numbers, not side by side."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype) if array.ndim else array
    if array.ndim:
        wide[..., ::2] = array
        return wide[..., ::2]
    return wide
