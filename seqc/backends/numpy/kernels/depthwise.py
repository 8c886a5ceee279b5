"""Convolution where every channel has its own window.

A matrix product has nothing to work on here. `np.einsum` multiplies and adds in one pass, twice as fast as two calls
after each other, if its inner loop is long: over whole rows of (width, channels), with the window repeated along the
width. Steps along the width are made such rows by sorting columns into phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from seqc.backends.numpy.kernels import Call, Scratch, in_turn
from seqc.backends.numpy.kernels._common import Repeated, filled
from seqc.backends.numpy.kernels._depthwise_windows import (
    Case,
    Residue,
    as_image,
    find_case,
    kernel_image,
    phases_of,
    repeat_kernel,
    residues_of,
    with_margins,
)
from seqc.graph.ir import Array
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad


def bind_depthwise_conv(op: Conv, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Binds Conv with as many groups as channels over one or two axes; None for others."""
    (out,), (x, w, *bias) = outs, xs
    case = find_case(op, x, w)
    if case is None or out is None or not out.flags.c_contiguous:
        return None
    rows = as_image(out).reshape(len(out), case.out[0], -1)
    wide, jobs = repeat_kernel(w, case.out[1], scratch)
    phases, before = phases_of(case, x, scratch)
    jobs = [*before, *jobs]
    for i, phase in enumerate(phases):
        kernel = wide[:, phase.taps]
        target = scratch(rows.shape, out.dtype) if i else rows
        jobs.append(partial(np.einsum, "nhijx,ijx->nhx", phase.seen, kernel, out=target))
        if i:
            jobs.append(partial(np.add, rows, target, out=rows))
    if bias:
        shift = Repeated(out, out.ndim - 1, scratch)
        every = shift.view(out)
        jobs += [partial(np.copyto, shift.vector, bias[0]), shift.expand, partial(np.add, every, shift.wide, out=every)]
    return in_turn(*jobs)


def bind_depthwise_kernel_grad(
    op: ConvKernelGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Binds ConvKernelGrad with as many groups as channels over one or two axes; None for others."""
    (out,), (x, g, like) = outs, xs
    case = find_case(op, x, like)
    if case is None or out is None or not g.flags.c_contiguous:
        return None
    phases, jobs = phases_of(case, x, scratch)
    rows = as_image(g).reshape(len(g), case.out[0], -1)
    wide = scratch((*case.window.size, rows.shape[-1]), out.dtype)
    for phase in phases:
        sums = wide[:, phase.taps]
        # One call for each tap: with the taps inside, einsum takes half as long again.
        for i, j in np.ndindex(*sums.shape[:2]):
            jobs.append(partial(np.einsum, "nhx,nhx->x", phase.seen[:, :, i, j], rows, out=sums[i, j]))
    columns = wide.reshape(*case.window.size, case.out[1], -1)
    ones = filled(case.out[1], 1, out.dtype)
    jobs.append(partial(np.matmul, ones, columns, out=kernel_image(out)))
    return in_turn(*jobs)


def bind_depthwise_input_grad(
    op: ConvInputGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Binds ConvInputGrad with as many groups as channels over one or two axes; None for others."""
    (out,), (g, w, like) = outs, xs
    case = find_case(op, like, w)
    if case is None or out is None or not out.flags.c_contiguous:
        return None
    tall, broad = (residues_of(case, axis) for axis in range(2))
    seen, jobs = with_margins(as_image(g), (tall, broad), scratch)
    wide, repeat = repeat_kernel(w, max(b.places for b in broad), scratch)
    jobs = [*jobs, *repeat]
    image = as_image(out)
    for r, b in ((r, b) for r in tall for b in broad):
        target = image[:, r.start :: case.window.strides[0], b.start :: case.window.strides[1]]
        jobs += _send(case, seen, wide, (r, b), target, scratch)
    return in_turn(*jobs)


def _send(
    case: Case, g: Array, kernel: Array, residues: tuple[Residue, Residue], out: Array, scratch: Scratch
) -> list[Call]:
    """Returns what writes the gradient of the places of two residues, from that of all results with its margins."""
    tall, broad = residues
    if not (tall.taps and broad.taps):
        return [partial(out.fill, 0)]
    n, channels = len(g), g.shape[-1]
    length = broad.places * channels
    at = g[:, tall.first :, broad.first :]
    moves = (*at.strides[:2], -tall.step * at.strides[1], -broad.step * at.strides[2], at.itemsize)
    seen = as_strided(at, (n, tall.places, tall.taps, broad.taps, length), moves, writeable=False)
    taps = kernel[tall.tap :: tall.tap_step, broad.tap :: broad.tap_step, :length]
    if case.multiplier == 1 and case.window.strides[1] == 1:
        rows = as_strided(out, (n, tall.places, length), (*out.strides[:2], out.itemsize))
        return [partial(np.einsum, "nhijx,ijx->nhx", seen, taps, out=rows)]
    rows = scratch((n, tall.places, length), out.dtype)
    parts = rows.reshape(*out.shape, case.multiplier)
    add_up = (
        partial(np.copyto, out, parts[..., 0])
        if case.multiplier == 1
        else (partial(np.einsum, "nhwcm->nhwc", parts, out=out))
    )
    return [partial(np.einsum, "nhijx,ijx->nhx", seen, taps, out=rows), add_up]
