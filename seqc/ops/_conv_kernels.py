"""Convolution with NumPy: patches and matrix products over channels-last arrays.

Patches repeat each element once per place in the window. They are made for a few samples at a time, so that they stay
in the processor's cache instead of travelling through memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from seqc.ir import Array
from seqc.ops._windows import Window

# About half of a core's second-level cache on common machines.
TILE_BYTES = 1 << 20


def correlate(x: Array, w: Array, window: Window, groups: int) -> Array:
    """Returns the convolution of a padded x with kernels (*window, channels / groups, filters)."""
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
    patches = window.patches(x)
    total = np.zeros(shape, g.dtype)
    filters = shape[-1] // groups
    for tile in _tiles(patches):
        for depth, width in _groups(total, groups):
            rows = patches[tile][..., depth].reshape(-1, total[..., 0].size)
            upstream = g[tile][..., width].reshape(-1, filters)
            total[..., width] += (rows.T @ upstream).reshape(*shape[:-1], filters)
    return total


def input_gradient(g: Array, w: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array:
    """Returns the gradient of a padded input of `shape`, from the gradient of the output."""
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
