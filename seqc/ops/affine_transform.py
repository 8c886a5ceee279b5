"""Images turned, moved and stretched: each element of the result looks its value up somewhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.ir import Array, Op, Sizes, Type, Value, apply
from seqc.ops._common import check_float

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear")


@dataclass(frozen=True, repr=False)
class AffineTransform(Op):
    """Images (batch, height, width, channels), each seen through an affine map of its own.

    The element at column x and row y, counted from the middle, is what the image has at column
    a * x + b * y + c * width and row d * x + e * y + f * height. The second operand (batch, 6) holds a to f.

    Attributes:
        interpolation: "nearest", or "bilinear" between the four elements around a place.
        fill_mode: what there is beyond an image: "constant" for `fill_value`, "nearest" for the border, "reflect" for
        the image mirrored at its edge, "wrap" for the image again.
    """

    interpolation: str
    fill_mode: str
    fill_value: float = 0.0

    def infer(self, images: Type, maps: Type) -> Type:
        check_float(self, images)
        if images.rank != 4 or maps.rank != 2 or maps.shape[1] != 6:
            raise ShapeError(f"AffineTransform needs images and six numbers for each; got {images}, {maps}.")
        return images

    def eval(self, images: Array, maps: Array) -> Any:
        result, fill = np.zeros_like(images), images.dtype.type(self.fill_value)
        number = np.arange(len(images))[:, None, None]
        for rows, columns, weight, inside in self.corners(images.shape, maps):
            found = images[number, rows, columns]
            if self.fill_mode == "constant":
                found = np.where(inside[..., None], found, fill)
            result += found * weight[..., None].astype(images.dtype)
        return result

    def corners(self, shape: Sizes, maps: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Yields the elements that a result is made of: their rows and columns, weights, and whether they exist.

        All four are arrays (batch, height, width).
        """
        height, width = shape[1:3]
        a, b, c, d, e, f = maps.T.reshape(6, -1, 1, 1)
        x, y = np.arange(width, dtype=maps.dtype), np.arange(height, dtype=maps.dtype)[:, None]
        middle_x, middle_y = maps.dtype.type((width - 1) / 2), maps.dtype.type((height - 1) / 2)
        at_x = a * x + b * y + (c * width + middle_x - middle_x * a - middle_y * b)
        at_y = d * x + e * y + (f * height + middle_y - middle_x * d - middle_y * e)
        for row, column in itertools.product(self._along(at_y), self._along(at_x)):
            (i, weight_i), (j, weight_j) = row, column
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            yield _inside(i, height, self.fill_mode), _inside(j, width, self.fill_mode), weight_i * weight_j, inside

    def _along(self, places: Array) -> list[tuple[Array, Array]]:
        """Returns the elements of one axis next to places, with weights that add up to one."""
        if self.interpolation == "nearest":  # halves go away from zero
            return [(np.trunc(places + np.copysign(0.5, places)).astype(np.int64), np.ones_like(places))]
        lower = np.floor(places)
        after, first = places - lower, lower.astype(np.int64)
        return [(first, 1 - after), (first + 1, after)]

    def vjp(self, g: Value, y: Value, images: Value, maps: Value) -> Sequence[Value | None]:
        return apply(AffineTransformGrad(self), g, maps), None

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * (8 if self.interpolation == "bilinear" else 1)


@dataclass(frozen=True, repr=False)
class AffineTransformGrad(Op):
    """Gradient of AffineTransform: what arrives at each element goes where it was looked up."""

    transform: AffineTransform

    def infer(self, g: Type, maps: Type) -> Type:
        return g

    def eval(self, g: Array, maps: Array) -> Any:
        result, number = np.zeros_like(g), np.arange(len(g))[:, None, None]
        for rows, columns, weight, inside in self.transform.corners(g.shape, maps):
            share = weight if self.transform.fill_mode != "constant" else np.where(inside, weight, 0)
            np.add.at(result, (number, rows, columns), g * share[..., None].astype(g.dtype))
        return result

    def vjp(self, g: Value, y: Value, upstream: Value, maps: Value) -> Sequence[Value | None]:
        return apply(replace(self.transform, fill_value=0.0), g, maps), None

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.transform.work(inputs, outputs)


def _inside(numbers: Array, size: int, fill_mode: str) -> Array:
    """Returns which elements of an axis stand for those with the given numbers, some of which lie beyond it."""
    if fill_mode == "wrap":
        numbers = numbers % size
    if fill_mode == "reflect":
        numbers = numbers % (2 * size)
        numbers = np.minimum(numbers, 2 * size - 1 - numbers)
    return np.clip(numbers, 0, size - 1)


def affine_transform(images: Value, maps: Value, interpolation: str, fill_mode: str, fill_value: float) -> Value:
    """Returns images (batch, height, width, channels) seen through maps (batch, 6); see `AffineTransform`."""
    return apply(AffineTransform(interpolation, fill_mode, float(fill_value)), images, maps)
