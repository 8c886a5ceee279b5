"""Convolution: patches as one strided copy, and what a window sent spread back to its places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._common import padded
from seqc.backends.numpy.kernels.depthwise import (
    bind_depthwise_conv,
    bind_depthwise_input_grad,
    bind_depthwise_kernel_grad,
)
from seqc.backends.numpy.patches import Patches
from seqc.graph.ir import Array
from seqc.ops._windows import Window
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad, ConvTranspose
from seqc.sure import present


@kernel(Patches)
def patches(op: Patches, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Copies what each window sees, in as long runs as there are."""
    out, (x,) = present(outs[0]), xs
    shown, calls = padded(op.window, x, 0, scratch)
    seen = op.window.patches(shown)
    rank = len(op.size)
    if op.taps_first:
        order = (*range(rank + 1, 2 * rank + 2), *range(rank + 1))
        seen = seen.transpose(order)
        rows, ones = (out[:-1], out[-1]) if op.ones else (out, None)
    else:
        rows, ones = (out[..., :-1], out[..., -1]) if op.ones else (out, None)
    copy = partial(np.copyto, rows.reshape(seen.shape), seen)
    return in_turn(*calls, copy) if ones is None else in_turn(*calls, copy, partial(ones.fill, 1))


# Convolutions of one group reach the kernels as products with patches.
kernel(Conv)(bind_depthwise_conv)
kernel(ConvKernelGrad)(bind_depthwise_kernel_grad)


@kernel(ConvInputGrad)
def input_gradient(
    op: ConvInputGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Sends the gradient of each place back to what the window saw there."""
    g, w, _ = xs
    return _send_back(op, g, w, outs[0], scratch) or bind_depthwise_input_grad(op, outs, xs, scratch)


@kernel(ConvTranspose)
def transposed(op: ConvTranspose, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The same, with a bias."""
    x, w, *bias = xs
    sent = _send_back(op, x, w, outs[0], scratch)
    if sent is None or not bias:
        return sent
    return in_turn(sent, partial(np.add, outs[0], bias[0], outs[0]))


def _send_back(
    op: ConvInputGrad | ConvTranspose, g: Array, w: Array, out: Array | None, scratch: Scratch
) -> Call | None:
    """A product for each place in the window, which is then added where it came from.

    One product for all of them is faster in itself, but adding up its results runs over single channels.
    """
    if op.groups != 1 or out is None or not g.flags.c_contiguous:
        return None
    sent = scratch((*g.shape[:-1], out.shape[-1]), g.dtype)
    rows, products = g.reshape(-1, g.shape[-1]), sent.reshape(-1, out.shape[-1])
    calls: list[Call] = [partial(out.fill, 0)]
    for offset, source, target in tap_pairs(op.window(w.shape), out.shape[1:-1], g.shape[1:-1]):
        at = out[(slice(None), *target)]
        calls.append(partial(np.matmul, rows, w[offset].T, products))
        calls.append(partial(np.add, at, sent[(slice(None), *source)], at))
    return in_turn(*calls)


def tap_pairs(
    window: Window, spatial: tuple[int, ...], places: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Returns for each offset in the window the places whose element there is not padding, and those elements."""
    pads = window.pads(spatial)
    found = []
    for offset in np.ndindex(*window.size):
        source, target = [], []
        for axis, o in enumerate(offset):
            stride = window.strides[axis]
            start = o * window.dilations[axis] - pads[axis][0]
            low = max(0, -(start // stride))  # the first place whose element lies inside
            high = min(places[axis], (spatial[axis] - 1 - start) // stride + 1)
            if high <= low:
                break
            source.append(slice(low, high))
            target.append(slice(start + low * stride, start + (high - 1) * stride + 1, stride))
        else:
            found.append((offset, tuple(source), tuple(target)))
    return found
