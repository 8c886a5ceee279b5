"""The rows of the operations that bring images to other sizes, and turn and move them."""

from __future__ import annotations

from collections.abc import Iterator

from kit.op_rows import OpSpec, real, row, still, whole
from seqc.export.images.resize import OnnxResample, OnnxResampleGrad, OnnxResize, OnnxResizeGrad
from seqc.ops.image_sizes import Resize, ResizeGrad
from seqc.ops.resize import Resample, ResampleGrad, Upsample
from seqc.ops.sampling import GatherRows, GatherRowsGrad


def image_rows() -> Iterator[OpSpec]:
    yield from _larger_rows()
    yield from _size_rows()
    for ids in (("batch", 3, 4), ("batch",)):
        for rest in ((), (2,), (2, 3)):
            numbers, table = whole(*ids, low=0, high=5), real("batch", 5, *rest)
            yield row(GatherRows(), table, numbers, note=f"{len(ids)}-{len(rest)}")
            yield row(GatherRowsGrad(), real(*ids, *rest), numbers, table, note=f"{len(ids)}-{len(rest)}")
    turned = still("batch", 5, 2), whole("batch", "time", low=0, high=5)
    yield row(GatherRows(), *turned, note="free")


def _larger_rows() -> Iterator[OpSpec]:
    image, free = ("batch", 3, 4, 2), ("batch", "height", "width", 2)
    yield row(Upsample((1, 2, 3, 1)), real(*image))
    yield row(Upsample((1, 1, 2, 1)), real(*free), note="free")
    yield row(Upsample((1, 3, 1)), real("batch", "time", 2), note="1d")
    yield row(Upsample((2, 1)), still("batch", 2), note="batch")
    for kind in ("bilinear", "bicubic", "lanczos3", "lanczos5"):
        yield row(Resample((2, 3), kind), real(*image), note=kind)
        yield row(ResampleGrad((2, 3), kind), real("batch", 6, 12, 2), note=kind)
    yield row(Resample((3, 1), "bilinear"), real("batch", 1, 5, 2), note="one-pixel")
    for kind in ("bilinear", "bicubic", "lanczos3"):
        yield row(Resample((2, 4), kind), real(*free), note=f"free-{kind}")
    for op, size in (
        (OnnxResample(Resample((2, 3), "bicubic")), (3, 4)),
        (OnnxResampleGrad(ResampleGrad((2, 2), "bilinear")), (4, 6)),
    ):
        yield row(op, still("batch", 2, *size), note="channels-first")


def _size_rows() -> Iterator[OpSpec]:
    image, free = ("batch", 3, 4, 2), ("batch", "height", "width", 2)
    for kind in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
        resize = Resize((5, 2), kind)
        yield row(resize, real(*image), note=kind)
        yield row(ResizeGrad(resize), real("batch", 5, 2, 2), real(*image), note=kind)
        first = "batch", 2, 5, 2
        yield row(OnnxResize(resize), still("batch", 2, 3, 4), note=f"channels-first-{kind}")
        yield row(OnnxResizeGrad(ResizeGrad(resize)), still(*first), still("batch", 2, 3, 4), note=f"first-{kind}")
    for kind in ("nearest", "bilinear", "bicubic", "lanczos3"):
        yield row(Resize((4, 3), kind), real(*free), note=f"free-{kind}")
    for kind in ("bilinear", "lanczos5"):
        small = Resize((4, 3), kind, antialias=True)
        yield row(small, real(*free), note=f"free-antialias-{kind}")
        yield row(ResizeGrad(small), real("batch", 4, 3, 2), real(*free), note=f"free-antialias-{kind}")
    yield row(Resize((2, 3), "bicubic", antialias=True), real(*image), note="antialias")
