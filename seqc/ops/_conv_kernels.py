"""Convolution with NumPy: patches and matrix products over channels-last arrays.

Patches repeat each element once per place in the window. They are made for a few samples at a time, so that they stay
in the processor's cache instead of travelling through memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from seqc.graph.ir import Array
from seqc.ops._windows import Window

# About half of a core's second-level cache on common machines.
TILE_BYTES = 1 << 20


def correlate(x: Array, w: Array, window: Window, groups: int) -> Array:
    """Returns the convolution of a padded x with kernels (*window, channels / groups, filters)."""
    if _is_depthwise(w, groups):
        return _correlate_each(x, w, window, groups)
    patches = window.patches(x)
    rank = w.ndim - 2
    out, filters = patches.shape[1 : rank + 1], w.shape[-1] // groups
    y = np.empty((len(x), *out, w.shape[-1]), x.dtype)
    if _is_pointwise(window, groups):
        np.matmul(x.reshape(-1, x.shape[-1]), w.reshape(-1, filters), out=y.reshape(-1, filters))
        return y
    for tile in _tiles(patches):
        for depth, width in _groups(w, groups):
            rows = patches[tile][..., depth].reshape(-1, w[..., 0].size)
            kernel = w[..., width].reshape(-1, filters)
            y[tile][..., width] = (rows @ kernel).reshape(-1, *out, filters)
    return y


def kernel_gradient(x: Array, g: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """Returns the gradient of a kernel of `shape`, from a padded input and the gradient of the output."""
    total = np.zeros(shape, g.dtype)
    if _is_depthwise(total, groups):
        return _kernel_gradient_each(x, g, total, window, groups)
    patches = window.patches(x)
    filters = shape[-1] // groups
    for tile in _tiles(patches):
        for depth, width in _groups(total, groups):
            rows = patches[tile][..., depth].reshape(-1, total[..., 0].size)
            upstream = g[tile][..., width].reshape(-1, filters)
            total[..., width] += (rows.T @ upstream).reshape(*shape[:-1], filters)
    return total


def input_gradient(g: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """Returns the gradient of a padded input of `shape`, from the gradient of the output."""
    if _is_depthwise(w, groups):
        return _input_gradient_each(g, w, shape, window, groups)
    filters, inner = w.shape[-1] // groups, w.shape[:-1]
    total = np.zeros(shape, g.dtype)
    sample = np.empty((0, *g.shape[1:-1], *window.size, shape[-1]), g.dtype)
    taps = list(window.taps(g.shape[1:-1]))
    for tile in _tiles(sample, len(g)):
        for depth, width in _groups(w, groups):
            sent = g[tile][..., width].reshape(-1, filters) @ w[..., width].reshape(-1, filters).T
            columns = sent.reshape(-1, *g.shape[1:-1], *inner)
            for offset, cut in taps:
                at: tuple[Any, ...] = (..., *offset, slice(None))
                total[tile][(*cut[:-1], depth)] += columns[at]
    return total


# Where each channel has kernels of its own, there is no product of matrices worth the name: one pass over all channels
# per element of the window instead. A channel with several kernels is repeated for each of them.


def _correlate_each(x: Array, w: Array, window: Window, groups: int) -> Array:
    out = window.patches(x).shape[1 : w.ndim - 1]
    wide = _repeated(x, w.shape[-1] // groups)
    y = np.zeros((len(x), *out, w.shape[-1]), x.dtype)
    for tile in _tiles(y):
        for offset, cut in window.taps(out):
            y[tile] += wide[tile][cut] * w[(*offset, 0)]
    return y


def _kernel_gradient_each(x: Array, g: Array, total: Array, window: Window, groups: int) -> Array:
    wide = _repeated(x, total.shape[-1] // groups)
    over = tuple(range(g.ndim - 1))
    for tile in _tiles(g):
        for offset, cut in window.taps(g.shape[1:-1]):
            total[(*offset, 0)] += (wide[tile][cut] * g[tile]).sum(over)
    return total


def _input_gradient_each(g: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    wide = np.zeros((*shape[:-1], w.shape[-1]), g.dtype)
    for tile in _tiles(wide):
        for offset, cut in window.taps(g.shape[1:-1]):
            wide[tile][cut] += g[tile] * w[(*offset, 0)]
    kernels = w.shape[-1] // groups
    return wide if kernels == 1 else wide.reshape(*shape, kernels).sum(-1)


def _repeated(x: Array, count: int) -> Array:
    return x if count == 1 else np.repeat(x, count, -1)


def _is_depthwise(w: Array, groups: int) -> bool:
    return groups > 1 and w.shape[-2] == 1


def _is_pointwise(window: Window, groups: int) -> bool:
    return groups == 1 and set(window.size) == {1} and set(window.strides) == {1}


def _tiles(patches: Array, batch: int | None = None) -> Iterator[slice]:
    """Yields runs of samples whose patches fit the cache."""
    each = int(np.prod(patches.shape[1:])) * patches.itemsize
    step = max(1, TILE_BYTES // max(each, 1))
    count = len(patches) if batch is None else batch
    return (slice(start, start + step) for start in range(0, count, step))


def _groups(w: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """Yields the channels and filters of each group."""
    depth, filters = w.shape[-2], w.shape[-1] // groups
    for i in range(groups):
        yield slice(i * depth, (i + 1) * depth), slice(i * filters, (i + 1) * filters)
