"""Images turned, bent and sampled, under the names of `keras.ops.image`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.ops._pictures import as_computed, known_space, with_pictures
from seqc.ops.arithmetic import absolute, floor
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, where
from seqc.ops.gather import take
from seqc.ops.image_filters import blurred
from seqc.ops.reduce import sum
from seqc.ops.sampling import FILL_MODES, ORDERS, grid, project, sample
from seqc.ops.shape import expand_dims, ones_like, reshape, squeeze
from seqc.ops.slicing import concatenate, unstack
from seqc.ops.transcendental import exp


def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Value:
    """Returns images seen through maps: what is at (x, y) was at (x', y').

    x' = (a0 x + a1 y + a2) / k and y' = (b0 x + b1 y + b2) / k, where k = c0 x + c1 y + 1.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        transform: a0, a1, a2, b0, b1, b2, c0, c1; eight numbers, or (batch, 8), or (1, 8) for all images.
        interpolation: "bilinear" or "nearest".
        fill_mode: what there is beyond an image: "constant" for `fill_value`, "nearest" for the border, "wrap" for the
        image again, "reflect" and "mirror" for the image mirrored at its edge and at its last elements.
        data_format: whether channels come last or first.

    Raises:
        ShapeError: there are not eight numbers. ConfigError: there is no such mode.
    """
    maps = cast(transform, "float32")
    if maps.type.rank not in (1, 2) or maps.type.shape[-1] != 8:
        raise ShapeError(f"Invalid transform: expected 8 numbers, or 8 for each image; got {maps.type}.")
    numbers = unstack(reshape(maps, (-1, 8, 1, 1)), axis=1)
    _check(interpolation, fill_mode)

    def seen(x: Value) -> Value:
        return project(x, _for_all(x, numbers), interpolation, fill_mode, float(fill_value))

    return with_pictures(images, lambda x: as_computed(x, seen, moves=interpolation == "nearest"), data_format)


def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Value:
    """Returns images seen from elsewhere, so that four points come to lie at four others.

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        start_points, end_points: (4, 2) or (batch, 4, 2), columns and rows of the points before and after.
        interpolation: "bilinear" or "nearest". fill_value: what there is beyond an image.
        data_format: whether channels come last or first.

    Raises:
        ShapeError: there are not four points. ConfigError: there is no such interpolation.
    """
    start, end = (cast(points, "float32") for points in (start_points, end_points))
    if any(points.type.shape[-2:] != (4, 2) or points.type.rank not in (2, 3) for points in (start, end)):
        raise ShapeError(
            f"Invalid start_points or end_points: expected (4, 2) for a single image or (N, 4, 2) for a batch. "
            f"Received: {start.type}, {end.type}"
        )
    _check(interpolation, "constant")
    start, end = (expand_dims(points, 0) if points.type.rank == 2 else points for points in (start, end))
    numbers = homography(end, start)

    def seen(x: Value) -> Value:
        return project(x, _for_all(x, numbers), interpolation, "constant", float(fill_value))

    return with_pictures(images, lambda x: as_computed(x, seen, moves=interpolation == "nearest"), data_format)


def homography(start: Value, end: Value) -> list[Value]:
    """Returns the map that takes four points to four others as the numbers of `project`, each (batch, 1, 1).

    Four points are the three axes and their sum in coordinates of their own; the map goes by these (Heckbert, 1989).

    Args:
        start, end: (batch, 4, 2).
    """
    to, back = _basis(end), _crossed(_basis(start))
    matrix = sum(expand_dims(to, 3) * expand_dims(back, 2), 1)
    parts = unstack(reshape(matrix, (-1, 9, 1, 1)), axis=1)
    return [part / parts[8] for part in parts[:8]]


def _basis(points: Value) -> Value:
    """Returns three vectors (batch, 3, 3) with sums of whose multiples the four points are at 1 along one or all."""
    places = concatenate([points, ones_like(points[:, :, :1])], -1)
    across = _crossed(places[:, :3])
    shares = sum(across * places[:, 3:], -1, keepdims=True) / sum(across * places[:, :3], -1, keepdims=True)
    return places[:, :3] * shares


def _crossed(rows: Value) -> Value:
    """Returns of three vectors (batch, 3, 3) the cross products of the other two: the inverse, but for its size."""
    one, other = (take(rows, order, 1) for order in ([1, 2, 0], [2, 0, 1]))
    return take(one, [1, 2, 0], 2) * take(other, [2, 0, 1], 2) - take(one, [2, 0, 1], 2) * take(other, [1, 2, 0], 2)


def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Value:
    """Returns what a tensor has at places between its elements.

    Args:
        inputs: a tensor of any rank.
        coordinates: (rank of inputs, ...), places along each axis counted in elements from the first.
        order: 0 for the nearest element, 1 for a mean of those around a place.
        fill_mode, fill_value: see `affine_transform`.

    Returns: the shape of the coordinates without the first axis. It has a gradient for both, where order is 1.

    Raises:
        ShapeError: the coordinates do not fit the inputs. ConfigError: there is no such order or mode.
    """
    x, at = as_value(inputs), as_value(coordinates)
    if at.type.rank < 2 or at.type.shape[0] != x.type.rank:
        raise ShapeError(
            f"First dim of `coordinates` must be the same as the rank of `inputs`, and there must be another. Received "
            f"inputs of {x.type} and coordinates of {at.type}"
        )
    if order not in (0, 1):
        raise ConfigError(f"Invalid value for argument `order`. Expected one of [0, 1]. Received: order={order}")
    _check("bilinear", fill_mode)
    places = [expand_dims(one, 0) for one in unstack(at if at.type.is_float else cast(at, "float32"), axis=0)]

    def seen(y: Value) -> Value:
        table = expand_dims(expand_dims(y, 0), -1)
        return squeeze(squeeze(sample(table, places, order, fill_mode, float(fill_value)), -1), 0)

    return as_computed(x, seen, moves=order == 0)


def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Value:
    """Returns images whose elements moved at random, neighbours nearly alike (Simard et al., 2003).

    Args:
        images: (height, width, channels), or (batch, height, width, channels).
        alpha: how far they move, in elements. sigma: over how many elements the ways are blurred.
        interpolation, fill_mode, fill_value: see `affine_transform`.
        seed: see `seqc.random.uniform`. data_format: whether channels come last or first.
    """
    from seqc.random import normal  # it draws with functions of seqc.ops

    _check(interpolation, fill_mode)
    spread = cast(sigma, "float32")

    def moved(x: Value) -> Value:
        height, width = known_space("elastic_transform", x)
        ways = [normal((*_batch_of(x), height, width, 1), seed=other) for other in (seed, _beside(seed))]
        return displaced(x, ways, alpha, spread, int(6 * float(spread)) | 1, interpolation, fill_mode, fill_value)

    return with_pictures(images, lambda x: as_computed(x, moved, moves=interpolation == "nearest"), data_format)


def displaced(
    images: Value,
    ways: Sequence[Value],
    alpha: Any,
    sigma: Value,
    size: int,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
) -> Value:
    """Returns images whose elements moved.

    Args:
        images: (batch, height, width, channels). ways: two tensors (batch, height, width, 1), for the columns and rows,
        of standard normal numbers, which are blurred.
        alpha: how far. sigma: a scalar, the standard deviation of the window that blurs; it ends after three of them.
        size: of the largest window. interpolation, fill_mode, fill_value: see `affine_transform`.
    """
    middle = (size - 1) // 2
    places = arange(size, dtype="float32") - float(middle)
    inside = absolute(places) <= floor(floor(sigma * 6.0) / 2.0)
    heights = where(inside, exp(-0.5 * (where(inside, places, 0.0) / sigma) ** 2), 0.0)
    window = heights / sum(heights)
    x, y = grid(images)
    across, down = (squeeze(blurred(way * sigma, window, window), -1) * alpha for way in ways)
    return sample(images, [y + down, x + across], ORDERS[interpolation], fill_mode, float(fill_value))


def _for_all(images: Value, numbers: Sequence[Value]) -> Sequence[Value]:
    """Returns the numbers of a map, (batch, 1, 1) each, for each image: that of one map for all of them."""
    if all(n.type.shape[0] != 1 for n in numbers) or images.type.shape[0] == 1:
        return numbers
    return [n * ones_like(images[:, :, :1, 0][:, :1], n.dtype) for n in numbers]


def _batch_of(images: Value) -> tuple[Any, ...]:
    from seqc.ops.shape import shape

    return tuple(shape(images)[:1])


def _beside(seed: Any) -> Any:
    return seed + 1 if isinstance(seed, int | np.integer) else seed


def _check(interpolation: str, fill_mode: str) -> None:
    if interpolation not in ORDERS:
        raise ConfigError(
            f"Invalid value for argument `interpolation`. Expected of one {set(ORDERS)}. Received: "
            f"interpolation={interpolation}"
        )
    if fill_mode not in FILL_MODES:
        raise ConfigError(
            f"Invalid value for argument `fill_mode`. Expected of one {set(FILL_MODES)}. Received: "
            f"fill_mode={fill_mode}"
        )
