"""Where the windows of a depthwise convolution lie: which places and taps meet, as long rows of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from seqc.backends.numpy.kernels import Call, Scratch
from seqc.graph.ir import Array
from seqc.ops._windows import Window


@dataclass(frozen=True)
class Case:
    """A depthwise convolution over two axes, of which the first may have been put in."""

    window: Window
    spatial: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    out: tuple[int, ...]
    multiplier: int


def find_case(op: Any, x: Array, w: Array) -> Case | None:
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
    return Case(whole, spatial, pads, out, w.shape[-1] // channels)


def as_image(x: Array) -> Array:
    return x[:, None] if x.ndim == 3 else x


def kernel_image(w: Array) -> Array:
    """Returns a kernel as (height, width, filters)."""
    return w[None, :, 0] if w.ndim == 3 else w[:, :, 0]


def repeat_kernel(w: Array, times: int, scratch: Scratch) -> tuple[Array, list[Call]]:
    """Returns memory (height, width, times * filters) for a kernel repeated along rows, and what writes it."""
    kernel = kernel_image(w)
    repeated = scratch((*kernel.shape[:2], times, kernel.shape[2]), w.dtype)
    return repeated.reshape(*kernel.shape[:2], -1), [partial(np.copyto, repeated, kernel[:, :, None])]


class Phase(NamedTuple):
    """The columns that are a whole number of steps apart, with the taps of the window that meet them.

    `seen` is a view (batch, height, *window, width * channels) of what the taps meet.
    """

    seen: Array
    taps: slice


def phases_of(case: Case, x: Array, scratch: Scratch) -> tuple[list[Phase], list[Call]]:
    """Returns the phases of an input, and what has to run first to sort its columns."""
    window, (oh, ow) = case.window, case.out
    sorted_, jobs = _sort_columns(case, as_image(x), scratch)
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
        phases.append(Phase(as_strided(at, shape, moves, writeable=False), taps))
    return phases, jobs


def _sort_columns(case: Case, x: Array, scratch: Scratch) -> tuple[Array, list[Call]]:
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


class Residue(NamedTuple):
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


def residues_of(case: Case, axis: int) -> list[Residue]:
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
        found.append(Residue(start, places, tap, step // common, len(taps), first, spacing // common))
    return found


def with_margins(g: Array, residues: tuple[list[Residue], list[Residue]], scratch: Scratch) -> tuple[Array, list[Call]]:
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
