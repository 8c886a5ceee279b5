"""Pooling by a few passes over whole arrays, one for each place in the window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._common import padded, padded_shape
from seqc.graph.ir import Array
from seqc.ops._windows import Window
from seqc.ops.pool import AveragePool, AveragePoolGrad, MaxPool, MaxPoolGrad, real_elements


@kernel(MaxPool)
def bind_max_pool(op: MaxPool, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The largest of the views that one element of each window makes."""
    (out,), (x,) = outs, xs
    if out is None:
        return None
    seen, jobs = padded(op.window, x, -np.inf, scratch)
    return in_turn(*jobs, *_fold(np.maximum, _taps(op.window, seen, out), out))


@kernel(AveragePool)
def bind_average_pool(
    op: AveragePool, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """The sum of the views that one element of each window makes, times the share of one element."""
    (out,), (x,) = outs, xs
    if out is None:
        return None
    seen, jobs = padded(op.window, x, 0.0, scratch)
    return in_turn(*jobs, *_fold(np.add, _taps(op.window, seen, out), out), _share(op.window, x, out, out))


@kernel(AveragePoolGrad)
def bind_average_pool_grad(
    op: AveragePoolGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Adds g times the share of one element to each element of its window."""
    (out,), (g, x) = outs, xs
    if out is None:
        return None
    share = scratch(g.shape, g.dtype)
    sent = _Sent(op.window, out, g, scratch)
    jobs: list[Call] = [_share(op.window, x, g, share), *sent.before]
    if sent.apart:
        many = _windows(op.window, sent.target, g)
        one = np.expand_dims(share, tuple(range(g.ndim - 1, g.ndim - 1 + len(op.size))))
        jobs.append(partial(np.copyto, many, one))
    else:
        jobs += [partial(np.add, cut, share, out=cut) for cut in _taps(op.window, sent.target, g)]
    return in_turn(*jobs, *sent.after)


@kernel(MaxPoolGrad)
def bind_max_pool_grad(
    op: MaxPoolGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Like `eval`, but for windows that contain NaN, of which none is the largest element: the last one gets it all."""
    (out,), (x, y, g) = outs, xs
    if out is None:
        return None
    seen, jobs = padded(op.window, x, -np.inf, scratch)
    sent = _Sent(op.window, out, g, scratch)
    hit, left = (scratch(g.shape, np.bool_) for _ in range(2))
    # NumPy multiplies a float by a bool through a buffer; converted beforehand, both passes are plain loops.
    mask = scratch(g.shape, g.dtype)
    pairs = list(zip(_taps(op.window, seen, y), _taps(op.window, sent.target, g), strict=True))

    def send(which: Array, cut: Array) -> None:
        np.copyto(mask, which)
        if sent.apart:
            np.multiply(g, mask, out=cut)
        else:
            np.multiply(g, mask, out=mask)
            np.add(cut, mask, out=cut)

    def run() -> None:
        for job in jobs:
            job()
        for job in sent.before:
            job()
        left.fill(True)
        for tap, cut in pairs[:-1]:
            np.equal(tap, y, out=hit)
            np.logical_and(hit, left, out=hit)
            np.logical_xor(left, hit, out=left)
            send(hit, cut)
        send(left, pairs[-1][1])
        for job in sent.after:
            job()

    return run


class _Sent:
    """Where the gradients of a window's elements go.

    Attributes:
        apart: whether no element lies in two windows, so that each is written once instead of added up.
        target: the padded array to write to. before, after: what has to run first, and at the end.
    """

    def __init__(self, window: Window, out: Array, g: Array, scratch: Scratch) -> None:
        spatial = out.shape[1:-1]
        shape = padded_shape(window, out.shape)
        self.apart = all(step >= size for step, size in zip(window.strides, window.size, strict=True))
        self.target = target = out if shape == out.shape else scratch(shape, out.dtype)
        self.before = tuple(partial(part.fill, 0) for part in self._untouched(window, g.shape[1:-1]))
        self.after: tuple[Call, ...] = ()
        if target is not out:
            inside = target[window.inside(spatial)]
            self.after = (partial(np.copyto, out, inside),)

    def _untouched(self, window: Window, counts: Sequence[int]) -> list[Array]:
        """Returns the parts of the target that have to be zeroed first."""
        if not self.apart or window.strides != window.size:
            return [self.target]
        ends = [n * step for n, step in zip(counts, window.strides, strict=True)]
        rims = [self.target[(slice(None),) * axis + (slice(end, None),)] for axis, end in enumerate(ends, 1)]
        return [rim for rim in rims if rim.size]


def _taps(window: Window, seen: Array, out: Array) -> list[Array]:
    """Returns what each place in the window meets of a padded array, as views of the shape of `out`."""
    return [seen[cut] for _, cut in window.taps(out.shape[1:-1])]


def _fold(function: np.ufunc, taps: Sequence[Array], out: Array) -> list[Call]:
    """Combines all taps in their order."""
    if len(taps) == 1:
        return [partial(np.copyto, out, taps[0])]
    return [partial(function, *taps[:2], out=out), *(partial(function, out, tap, out=out) for tap in taps[2:])]


def _share(window: Window, x: Array, total: Array, out: Array) -> Call:
    """Divides by the number of real elements of each window."""
    counts = real_elements(window, x.shape[1:-1], total.shape[1:-1])
    parts = (1 / counts).astype(total.dtype)
    if (parts == parts.flat[0]).all():
        part = parts.flat[0]
        return partial(np.multiply, total, part, out=out)
    # One number per element of a sample: a long inner loop.
    each = np.ascontiguousarray(np.broadcast_to(parts, total.shape[1:]))
    return partial(np.multiply, total, each, out=out)


def _windows(window: Window, target: Array, out: Array) -> Array:
    """Returns the writable view (batch, *out, *size, channels) of a padded array, whose windows lie apart."""
    steps: tuple[Any, ...] = target.strides[1:-1]
    strides = (st * s for st, s in zip(steps, window.strides, strict=True))
    return np.lib.stride_tricks.as_strided(
        target,
        (*out.shape[:-1], *window.size, out.shape[-1]),
        (target.strides[0], *strides, *steps, target.strides[-1]),
    )
