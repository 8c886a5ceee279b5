"""Convolution where every channel has its own window.

A matrix product has nothing to work on here. `np.einsum` multiplies and adds in one pass, twice as fast as two calls
after each other, if its inner loop is long: over whole rows of (width, channels), with the window repeated along the
width. Steps along the width are made such rows by sorting columns into phases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from seqc.backends.numpy.kernels import Call, Scratch, in_turn
from seqc.backends.numpy.kernels._common import Repeated, filled
from seqc.graph.ir import Array
from seqc.ops._windows import Window
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad


def bind_depthwise_conv(op: Conv, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Binds Conv with as many groups as channels over one or two axes; None for others."""
    (out,), (x, w, *bias) = outs, xs
    case = _case(op, x, w)
    if case is None or out is None or not out.flags.c_contiguous:
        return None
    rows = _as_image(out).reshape(len(out), case.out[0], -1)
    wide, jobs = _repeat_kernel(w, case.out[1], scratch)
    phases, before = _phases(case, x, scratch)
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
    case = _case(op, x, like)
    if case is None or out is None or not g.flags.c_contiguous:
        return None
    phases, jobs = _phases(case, x, scratch)
    rows = _as_image(g).reshape(len(g), case.out[0], -1)
    wide = scratch((*case.window.size, rows.shape[-1]), out.dtype)
    for phase in phases:
        sums = wide[:, phase.taps]
        # One call for each tap: with the taps inside, einsum takes half as long again.
        for i, j in np.ndindex(*sums.shape[:2]):
            jobs.append(partial(np.einsum, "nhx,nhx->x", phase.seen[:, :, i, j], rows, out=sums[i, j]))
    columns = wide.reshape(*case.window.size, case.out[1], -1)
    ones = filled(case.out[1], 1, out.dtype)
    jobs.append(partial(np.matmul, ones, columns, out=_kernel_image(out)))
    return in_turn(*jobs)


def bind_depthwise_input_grad(
    op: ConvInputGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Binds ConvInputGrad with as many groups as channels over one or two axes; None for others."""
    (out,), (g, w, like) = outs, xs
    case = _case(op, like, w)
    if case is None or out is None or not out.flags.c_contiguous:
        return None
    tall, broad = (_residues(case, axis) for axis in range(2))
    seen, jobs = _with_margins(_as_image(g), (tall, broad), scratch)
    wide, repeat = _repeat_kernel(w, max(b.places for b in broad), scratch)
    jobs = [*jobs, *repeat]
    image = _as_image(out)
    for r, b in ((r, b) for r in tall for b in broad):
        target = image[:, r.start :: case.window.strides[0], b.start :: case.window.strides[1]]
        jobs += _send(case, seen, wide, (r, b), target, scratch)
    return in_turn(*jobs)


def _send(
    case: _Case, g: Array, kernel: Array, residues: tuple[_Residue, _Residue], out: Array, scratch: Scratch
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


@dataclass(frozen=True)
class _Case:
    """A depthwise convolution over two axes, of which the first may have been put in."""

    window: Window
    spatial: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    out: tuple[int, ...]
    multiplier: int


def _case(op: Any, x: Array, w: Array) -> _Case | None:
    rank, channels = x.ndim - 2, x.shape[-1]
    if rank > 2 or not 1 < op.groups == channels or not x.size:
        return None
    if x.dtype not in (np.float32, np.float64):
        return None
    window = op.window(w.shape)
    spatial = x.shape[1:-1]
    pads, out = window.pads(spatial), window.out_sizes(op.name, spatial)
    whole = window
    if rank == 1:
        whole = Window((1, *window.size), (1, *window.strides), (1, *window.dilations), window.padding)
        spatial, pads, out = (1, *spatial), ((0, 0), *pads), (1, *out)
    return _Case(whole, spatial, pads, out, w.shape[-1] // channels)


def _as_image(x: Array) -> Array:
    return x[:, None] if x.ndim == 3 else x


def _kernel_image(w: Array) -> Array:
    """Returns a kernel as (height, width, filters)."""
    return w[None, :, 0] if w.ndim == 3 else w[:, :, 0]


def _repeat_kernel(w: Array, times: int, scratch: Scratch) -> tuple[Array, list[Call]]:
    """Returns memory (height, width, times * filters) for a kernel repeated along rows, and what writes it."""
    kernel = _kernel_image(w)
    repeated = scratch((*kernel.shape[:2], times, kernel.shape[2]), w.dtype)
    return repeated.reshape(*kernel.shape[:2], -1), [partial(np.copyto, repeated, kernel[:, :, None])]


class _Phase(NamedTuple):
    """The columns that are a whole number of steps apart, with the taps of the window that meet them.

    `seen` is a view (batch, height, *window, width * channels) of what the taps meet.
    """

    seen: Array
    taps: slice


def _phases(case: _Case, x: Array, scratch: Scratch) -> tuple[list[_Phase], list[Call]]:
    """Returns the phases of an input, and what has to run first to sort its columns."""
    window, (oh, ow) = case.window, case.out
    sorted_, jobs = _sort_columns(case, _as_image(x), scratch)
    step, spacing = window.strides[1], window.dilations[1]
    common = math.gcd(step, spacing)
    n, _, _, _, channels = sorted_.shape
    batch, row, _, column, item = sorted_.strides
    phases = []
    for tap in range(min(step // common, window.size[1])):
        taps = slice(tap, None, step // common)
        count = len(range(window.size[1])[taps])
        at = sorted_[:, :, tap * spacing % step, tap * spacing // step :]
        shape = (n, oh, window.size[0], count, ow * channels)
        moves = (batch, row * window.strides[0], row * window.dilations[0], column * (spacing // common), item)
        phases.append(_Phase(as_strided(at, shape, moves, writeable=False), taps))
    return phases, jobs


def _sort_columns(case: _Case, x: Array, scratch: Scratch) -> tuple[Array, list[Call]]:
    """Returns a padded input as (batch, height, phase, width / step, filters), and what writes it."""
    n, h, w, channels = x.shape
    step, (top, bottom), (left, right) = case.window.strides[1], *case.pads
    padded = any((top, bottom, left, right))
    if step == 1 and not padded and case.multiplier == 1 and x.flags.c_contiguous:
        return x[:, :, None], []
    target = scratch((n, h + top + bottom, step, -(-(w + left + right) // step), channels, case.multiplier), x.dtype)
    jobs: list[Call] = [partial(target.fill, 0)] if padded or w % step else []
    for phase in range(step):
        first = (phase - left) % step
        columns = x[:, :, first::step, :, None]
        start = (first + left) // step
        place = target[:, top : top + h, phase, start : start + columns.shape[2]]
        jobs.append(partial(np.copyto, place, columns))
    return target.reshape(*target.shape[:4], -1), jobs


class _Residue(NamedTuple):
    """The places of one axis that are a whole number of steps apart, and the taps that reach them.

    start: the first place. places: how many. tap, tap_step, taps: which taps, and how many. first: which gradient
    the first tap takes for the first place. step: how much further back each next tap looks.
    """

    start: int
    places: int
    tap: int
    tap_step: int
    taps: int
    first: int
    step: int

    @property
    def lowest(self) -> int:
        return self.first - (self.taps - 1) * self.step

    @property
    def highest(self) -> int:
        return self.first + self.places - 1


def _residues(case: _Case, axis: int) -> list[_Residue]:
    window, before = case.window, case.pads[axis][0]
    step, spacing, size = window.strides[axis], window.dilations[axis], window.size[axis]
    common = math.gcd(step, spacing)
    found = []
    for start in range(min(step, case.spatial[axis])):
        residue = (start + before) % step
        taps = [i for i in range(size) if i * spacing % step == residue]
        places = len(range(start, case.spatial[axis], step))
        tap = taps[0] if taps else 0
        first = (start + before - tap * spacing) // step
        found.append(_Residue(start, places, tap, step // common, len(taps), first, spacing // common))
    return found


def _with_margins(
    g: Array, residues: tuple[list[_Residue], list[_Residue]], scratch: Scratch
) -> tuple[Array, list[Call]]:
    """Returns a gradient with the zeros around it that the taps may take, at whose start the residues then count."""
    margins = []
    for size, found in zip(g.shape[1:-1], residues, strict=True):
        reached = [r for r in found if r.taps]
        before = max(0, *(-r.lowest for r in reached)) if reached else 0
        after = max(0, *(r.highest - size + 1 for r in reached)) if reached else 0
        margins.append((before, after))
        found[:] = [r._replace(first=r.first + before) for r in found]
    (top, bottom), (left, right) = margins
    if not any((top, bottom, left, right)) and g.flags.c_contiguous:
        return g, []
    n, h, w, channels = g.shape
    target = scratch((n, h + top + bottom, w + left + right, channels), g.dtype)
    inside = target[:, top : top + h, left : left + w]
    return target, [partial(target.fill, 0), partial(np.copyto, inside, g)]
