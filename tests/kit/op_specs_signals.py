"""Rows of the table of operations on signals: Fourier transforms, frames, and special functions."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.random import Generator

from kit.op_rows import Array, OpSpec, normal, real, row, spread
from seqc.graph import dims
from seqc.ops.dft import DFT, RealDFT, RealDFTGrad
from seqc.ops.frames import Frames
from seqc.ops.windows import Bessel


def _quiet(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    """Numbers whose sums over a long axis are of order one."""
    return normal(rng, size, before) / 32


def signal_rows() -> Iterator[OpSpec]:
    # A length that onnxruntime transforms by its DFT, and short ones, even and odd, that it multiplies with a matrix.
    for n in (1, 6, 7, 1024):
        yield row(RealDFT(), real("batch", n, draw=_quiet), note=f"{n}")
        yield row(RealDFTGrad(n), real("batch", 2 * (n // 2 + 1), draw=_quiet), note=f"{n}")
    yield row(RealDFT(), real("batch", "time", 4), note="of-frames")
    yield row(RealDFTGrad(4), real("batch", "time", 6), note="of-frames")
    for inverse in (False, True):
        for n in (5, 1024):
            yield row(DFT(inverse), real("batch", 2 * n, draw=_quiet), note=f"{n}-{inverse}")
    yield row(Frames(3, 1), real("batch", 7))
    yield row(Frames(2, 3), real("batch", 2, 8), note="gaps")
    yield row(Frames(4, 2), real("batch", "width"), note="free")
    yield row(Frames(48, 16), real("batch", 2, 101), note="blocks")
    yield row(Frames(32, 32), real("batch", dims.symbol("width") * 7), note="free-blocks")
    yield row(Frames(2, 1), real(dims.symbol("batch") + 2), note="along-batch")
    for order in (0, 1):
        yield row(Bessel(order), real("batch", 5, draw=spread), note=f"{order}")
        yield row(
            Bessel(order), real("batch", 5, draw=lambda *drawn: 6 * spread(*drawn)), note=f"far-{order}", tolerance=1e-4
        )
