"""The ONNX nodes of convolution gradients, and of windows, over axes whose size is not known before the run, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Emitter, Type
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops._windows import Window


def emit_input_gradient(e: Emitter, window: Window, groups: int, dtype: str, g: str, w: str, like: str) -> str:
    """Writes the gradient of a channels-first convolution with respect to its input, shaped like `like`.

    The whole transposed convolution is computed, then cut where the padding was, then filled with zeros where the
    stride left elements over.
    """
    full = e.node("ConvTranspose", g, w, kernel_shape=list(window.size), group=groups, **_steps(window))
    begin, _ = emit_pads(e, window, like)
    rank = len(window.size)
    sizes = emit_sizes(e, like, start=2)
    axes = _sizes(e, *range(2, rank + 2))
    kept = e.node("Slice", full, begin, e.node("Add", begin, sizes), axes)
    missing = e.node("Sub", e.node("Shape", like), e.node("Shape", kept))
    pads = e.node("Concat", _sizes(e, *(0 for _ in range(rank + 2))), missing, axis=0)
    # The cut keeps the batch and the channels, which is all that the other numbers of `missing` say.
    return e.node("Pad", kept, pads, e.constant(np.zeros((), dtype)))


def emit_kernel_gradient(
    e: Emitter, window: Window, groups: int, x: Type, g: Type, names: tuple[str, str], shape: tuple[int, ...]
) -> str:
    """Writes the gradient of a channels-first convolution with respect to its kernel, as `shape` (..., depth, filters).

    What each element of the window sees of x is one row of patches per channel; one product per sample with the
    gradient of the output, summed over the batch. Measured in onnxruntime on one thread, this takes 0.4 to 0.7 times as
    long as one product over the transposed patches of the whole batch, and 0.5 to 1.0 times as long as a convolution
    that takes the batch for channels.
    """
    taps = _taps(e, window, x, g, *names)
    depth, width = (n // groups for n in dims.known((x.shape[1], g.shape[1])))
    rows = len(taps) * depth
    if groups == 1:
        patches = e.node("Reshape", e.node("Concat", *taps, axis=1), _sizes(e, 0, rows, -1))
        upstream = e.node("Reshape", names[1], _sizes(e, 0, width, -1))
    else:
        split = [e.node("Reshape", tap, _sizes(e, 0, groups, depth, -1)) for tap in taps]
        patches = e.node("Concat", *split, axis=2)
        upstream = e.node("Reshape", names[1], _sizes(e, 0, groups, width, -1))
    last = 2 if groups == 1 else 3
    turned = e.node("Transpose", upstream, perm=[*range(last - 1), last, last - 1])
    summed = e.node("ReduceSum", e.node("MatMul", patches, turned), _sizes(e, 0), keepdims=0)
    if groups > 1:
        apart = e.node("Reshape", summed, _sizes(e, groups, len(taps), depth, width))
        summed = e.node("Transpose", apart, perm=[1, 2, 0, 3])
    return e.node("Reshape", summed, _sizes(e, *shape))


def _taps(e: Emitter, window: Window, x: Type, g: Type, x_name: str, g_name: str) -> list[str]:
    """Writes what each element of the window sees: x, padded, cut and stepped to the size of g."""
    rank = len(window.size)
    pads = window.static_pads(x.shape[2:])
    written = emit_unknown_pads(e, window, x.shape[2:], x_name)
    if pads is not None and any(a or b for a, b in pads):
        written = _sizes(e, 0, 0, *(a for a, _ in pads), 0, 0, *(b for _, b in pads))
    x_name = emit_padded(e, window, x, x_name, written, 0.0)
    steps, axes = _sizes(e, *window.strides), _sizes(e, *range(2, rank + 2))
    out = [d for d in g.shape[2:] if isinstance(d, int)]
    reach = _reach(e, window, g_name) if len(out) < rank else ""
    taps = []
    for offset in np.ndindex(*window.size):
        starts = [o * d for o, d in zip(offset, window.dilations, strict=True)]
        if reach:
            ends = e.node("Add", reach, _sizes(e, *starts))
        else:
            ends = _sizes(e, *(a + (n - 1) * s + 1 for a, n, s in zip(starts, out, window.strides, strict=True)))
        taps.append(e.node("Slice", x_name, _sizes(e, *starts), ends, axes, steps))
    return taps


def _reach(e: Emitter, window: Window, g: str) -> str:
    """Writes how far the windows reach that start at the first element: (size of g - 1) * stride + 1."""
    before_last = e.node("Sub", emit_sizes(e, g, start=2), _sizes(e, 1))
    return e.node("Add", e.node("Mul", before_last, _sizes(e, *window.strides)), _sizes(e, 1))


def _sizes(e: Emitter, *numbers: int) -> str:
    return e.constant(np.array(numbers, np.int64))


def emit_unknown_pads(e: Emitter, window: Window, spatial: tuple[Dim, ...], x: str) -> str:
    """Writes the pads of a channels-first tensor as Pad takes them, or "" where attributes of the operator say them.

    They are written where they depend on sizes known only when the model runs. The operator's own `auto_pad` is
    deprecated, and consumers work it out differently where strides are wider than windows.
    """
    if window.static_pads(spatial) is not None:
        return ""
    none = _sizes(e, 0, 0)
    begin, end = emit_pads(e, window, x)
    return e.node("Concat", none, begin, none, end, axis=0)


def emit_padded(e: Emitter, window: Window, image: Type, x: str, pads: str, fill: float) -> str:
    """Writes the tensor `x`, an image channels first, with its padding, unless `pads` is ""."""
    if not pads:
        return x
    padded, sizes = e.node("Pad", x, pads, e.constant(np.array(fill, image.dtype))), padded_sizes(window, image)
    return padded if sizes is None else e.typed(padded, image.with_shape((*image.shape[:2], *sizes)))


def padded_sizes(window: Window, image: Type) -> list[Dim] | None:
    """Returns the sizes of spatial axes with the padding of "same"; None where they are no polynomial."""
    axes = list(enumerate(image.shape[2:]))
    if window.padding != "same" or any(window.extent(i) < window.strides[i] for i, _ in axes):
        return None
    return [(dims.ceil_div(n, window.strides[i]) - 1) * window.strides[i] + window.extent(i) for i, n in axes]


def emit_pads(e: Emitter, window: Window, x: str) -> tuple[str, str]:
    """Writes the padding before and after each spatial axis of a channels-first tensor."""
    if window.padding != "same":
        pairs = window.padding if isinstance(window.padding, tuple) else ((0, 0),) * len(window.size)
        return _sizes(e, *(a for a, _ in pairs)), _sizes(e, *(b for _, b in pairs))
    # The last window starts (size - 1) % stride elements before the last one.
    rank = len(window.size)
    left = e.node("Mod", e.node("Sub", emit_sizes(e, x, start=2), _sizes(e, 1)), _sizes(e, *window.strides))
    reach = [window.extent(i) - 1 for i in range(rank)]
    total = e.node("Sub", _sizes(e, *reach), left)
    if any(step - 1 > most for step, most in zip(window.strides, reach, strict=True)):
        total = e.node("Max", total, _sizes(e, 0))
    begin = e.node("Div", total, _sizes(e, 2))
    return begin, e.node("Sub", total, begin)


def emit_unpadded(e: Emitter, window: Window, padded: str, x: str) -> str:
    """Writes the part of `padded`, made from the channels-first tensor `x`, that is not padding."""
    rank = len(window.size)
    begin, _ = emit_pads(e, window, x)
    ends = e.node("Add", begin, emit_sizes(e, x, start=2))
    return e.node("Slice", padded, begin, ends, _sizes(e, *range(2, rank + 2)))


def window_attributes(window: Window, spatial: tuple[Dim, ...]) -> dict[str, Any]:
    """Returns strides, dilations and pads as ONNX names them; pads only where they are the same for all sizes."""
    attributes: dict[str, Any] = {"strides": list(window.strides)}
    if any(d != 1 for d in window.dilations):
        attributes["dilations"] = list(window.dilations)
    pads = window.static_pads(spatial)
    if pads is not None and any(a or b for a, b in pads):
        attributes["pads"] = [a for a, _ in pads] + [b for _, b in pads]
    return attributes


def _steps(window: Window) -> dict[str, Any]:
    return {"strides": list(window.strides), "dilations": list(window.dilations)}
