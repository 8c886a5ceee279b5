"""Windows and convolution gradients in ONNX over axes whose size is not known before the run: nodes compute shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.dims import Dim
from seqc.ir import Emitter
from seqc.ops._windows import Window


def emit_input_gradient(e: Emitter, window: Window, groups: int, dtype: str, g: str, w: str, like: str) -> str:
    """Writes the gradient of a channels-first convolution with respect to its input, shaped like `like`.

    The whole transposed convolution is computed, then cut where the padding was, then filled with zeros where the
    stride left elements over.
    """
    full = e.node("ConvTranspose", g, w, kernel_shape=list(window.size), group=groups, **_steps(window))
    begin, _ = emit_pads(e, window, small=g, large=like)
    rank = len(window.size)
    sizes = _spatial(e, like)
    axes = e.constant(np.arange(2, rank + 2))
    kept = e.node("Slice", full, begin, e.node("Add", begin, sizes), axes)
    missing = e.node("Sub", e.node("Shape", like), e.node("Shape", kept))
    pads = e.node("Concat", e.constant(np.zeros(rank + 2, np.int64)), missing, axis=0)
    # The cut keeps the batch and the channels, which is all that the other numbers of `missing` say.
    return e.node("Pad", kept, pads, e.constant(np.zeros((), dtype)))


def emit_kernel_gradient(e: Emitter, window: Window, dtype: str, x: str, g: str) -> str:
    """Writes the gradient of a convolution with respect to its kernel: (channels, filters, *window).

    Operands are x (channels, batch, ...) and g (filters, batch, ...): a convolution that takes the batch for channels,
    with strides and dilations exchanged.
    """
    rank = len(window.size)
    if window.padding == "same":
        begin, end = emit_pads(e, window, small=g, large=x)
        none = e.constant(np.zeros(2, np.int64))
        x = e.node("Pad", x, e.node("Concat", none, begin, none, end, axis=0), e.constant(np.zeros((), dtype)))
    attributes: dict[str, Any] = {"strides": list(window.dilations), "dilations": list(window.strides)}
    if isinstance(window.padding, tuple):
        attributes["pads"] = [a for a, _ in window.padding] + [b for _, b in window.padding]
    grads = e.node("Conv", x, g, **attributes)
    # Elements that no window reached, less than a stride of them, would give further rows.
    starts, ends, axes = np.zeros(rank, np.int64), np.array(window.size, np.int64), np.arange(2, rank + 2)
    return e.node("Slice", grads, e.constant(starts), e.constant(ends), e.constant(axes))


def emit_crop(e: Emitter, window: Window, spatial: tuple[Dim, ...], x: str) -> str:
    """Writes a channels-first tensor without the elements at its ends that no window sees.

    onnxruntime takes negative padding from them when it works out SAME_UPPER for strides wider than the window.
    """
    axes = window.overstepped(spatial)
    if not axes:
        return x
    at = e.constant(np.array(axes, np.int64) + 2)
    steps = e.constant(np.array([window.strides[i] for i in axes], np.int64))
    extents = e.constant(np.array([window.extent(i) for i in axes], np.int64))
    before_last = e.node("Sub", e.node("Gather", e.node("Shape", x), at, axis=0), e.constant(np.array([1], np.int64)))
    ends = e.node("Add", e.node("Mul", e.node("Div", before_last, steps), steps), extents)
    return e.node("Slice", x, e.constant(np.zeros(len(axes), np.int64)), ends, at)


def emit_pads(e: Emitter, window: Window, small: str, large: str) -> tuple[str, str]:
    """Writes the padding before and after each spatial axis of `large`, for a convolution whose output is `small`."""
    if window.padding != "same":
        pairs = window.padding if isinstance(window.padding, tuple) else ((0, 0),) * len(window.size)
        before, after = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
        return e.constant(before), e.constant(after)
    extent = np.array([window.extent(i) for i in range(len(window.size))], np.int64)
    last = e.node("Sub", _spatial(e, small), e.constant(np.array([1], np.int64)))
    reach = e.node("Add", e.node("Mul", last, e.constant(np.array(window.strides, np.int64))), e.constant(extent))
    total = e.node("Max", e.node("Sub", reach, _spatial(e, large)), e.constant(np.array([0], np.int64)))
    begin = e.node("Div", total, e.constant(np.array([2], np.int64)))
    return begin, e.node("Sub", total, begin)


def _spatial(e: Emitter, x: str) -> str:
    return e.node("Shape", x, start=2)


def _steps(window: Window) -> dict[str, Any]:
    return {"strides": list(window.strides), "dilations": list(window.dilations)}
