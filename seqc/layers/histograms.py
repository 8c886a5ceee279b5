"""Layers that spread the tones of images over their whole range, by how often there is each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number, is_whole
from seqc.errors import ConfigError
from seqc.graph import dims
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import BYTES, ImageLayer, RangeLike, checked_range, in_range
from seqc.ops.sampling import counts, gather_rows


@known("layers")
class Equalization(ImageLayer):
    """In training, spreads the tones of images over the range of values, so that there is about as much of each.

    How often there is a tone is counted channel by channel, over all images of a batch.

    Args:
        value_range: the least and the largest value of a pixel. bins: how many tones are told apart.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    always = False

    def __init__(
        self, value_range: RangeLike = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = checked_range(value_range)
        if not is_whole(bins) or bins < 1:
            raise ConfigError(f"The `bins` argument should be a positive integer. Received: bins={bins}")
        self.bins = int(bins)

    def result(self, images: Value, training: bool) -> Value:
        return super().result(images, training) if training else images

    def changed(self, images: Value) -> Value:
        tones = in_range(images, self.value_range, BYTES)
        # One row of tones per channel.
        rows = ops.reshape(ops.transpose(tones, (3, 0, 1, 2)), (images.type.shape[-1], -1))
        last = float(self.bins - 1)
        numbers = ops.cast(ops.clip(rows * last / 255.0, 0.0, last), "int32")
        below = ops.cumsum(counts(numbers, self.bins), 1)
        # Of the first tone that there is, counted from the first one.
        first = ops.min(ops.where(below > 0, below, below[:, -1:]), 1, keepdims=True)
        rest = below[:, -1:] - first
        table = ops.clip(ops.round((below - first) * 255.0 / ops.where(rest > 0, rest, 1.0)), *BYTES)
        found = ops.cast(ops.clip(rows / 255.0 * last, 0.0, last), "int32")
        equal = ops.where(rest > 0, gather_rows(ops.cast(table, self.compute_dtype), found), rows)
        _, height, width, channels = ops.shape(images)
        restored = ops.transpose(ops.reshape(equal, (channels, -1, height, width)), (1, 2, 3, 0))
        return in_range(restored, BYTES, self.value_range)


@known("layers")
class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Spreads the tones of images over the range of values tile by tile, in training and otherwise (Zuiderveld, 1994).

    How often there is each of 256 tones is counted in each tile of each image, and limited; an element is what the four
    tiles around it make of its tone, by its distance from their middles.

    Args:
        value_range: the least and the largest value of a pixel.
        clip_limit: how often there may be a tone, in units of what there is of each in the mean; 0 for no limit.
        tile_grid_size: how many tiles there are, above each other and side by side.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input, also
    its kind of numbers.
    """

    def __init__(
        self,
        value_range: RangeLike = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = checked_range(value_range)
        if not is_number(clip_limit):
            raise ConfigError(f"The `clip_limit` argument should be a number. Received: clip_limit={clip_limit}")
        tiles = tuple(tile_grid_size) if isinstance(tile_grid_size, tuple | list) else ()
        if len(tiles) != 2 or not all(is_whole(n) and n > 0 for n in tiles):
            raise ConfigError(
                f"The `tile_grid_size` argument should be two positive integers. Received: {tile_grid_size}"
            )
        self.clip_limit, self.tile_grid_size = clip_limit, tiles

    def result(self, images: Value, training: bool) -> Value:
        return ops.cast(super().result(images, training), images.dtype)

    def changed(self, images: Value) -> Value:
        (height, width), (above, beside) = self.space(images), self.tile_grid_size
        high, wide = -(-height // above), -(-width // beside)
        (channels,) = dims.known(images.type.shape[-1:])
        tones = in_range(images, self.value_range, BYTES)
        borders = ((0, 0), (0, high * above - height), (0, wide * beside - width), (0, 0))
        whole = ops.pad(tones, borders, "symmetric") if any(after for _, after in borders) else tones
        numbers = ops.cast(ops.clip(whole, *BYTES), "int32")
        batch = ops.shape(images)[0]
        # To each element belongs a table: that of its tile and channel.
        tile = (np.arange(high * above) // high)[:, None] * beside + np.arange(wide * beside) // wide
        own = ((tile[..., None] * channels + np.arange(channels)) * 256).astype("int32")
        found = ops.reshape(counts(numbers + own[None], above * beside * channels * 256), (batch, -1, 256))
        tables = ops.reshape(self._tables(found, high * wide), (batch, above * beside * channels * 256))
        tables = ops.cast(tables, self.compute_dtype)
        mixed: Any = 0.0
        for row, down in _tiles(height, high, above):
            for column, across in _tiles(width, wide, beside):
                tile = row[:, None] * beside + column
                own = ((tile[..., None] * channels + np.arange(channels)) * 256).astype("int32")
                share = (down[:, None] * across)[..., None].astype(self.compute_dtype)
                mixed = mixed + gather_rows(tables, numbers[:, :height, :width] + own[None]) * share[None]
        return in_range(mixed, BYTES, self.value_range)

    def _tables(self, found: Value, size: int) -> Value:
        """Returns what becomes of each tone, by how often there is each in a tile of `size` elements (..., 256)."""
        if self.clip_limit > 0:
            limited = ops.clip(found, 0.0, float(self.clip_limit * size / 256.0))
            found = limited + ops.sum(found - limited, -1, keepdims=True) / 256.0
        below = ops.cumsum(found, -1)
        first = ops.min(below, -1, keepdims=True)
        rest = float(size) - first
        return ops.clip((below - first) * 255.0 / ops.where(ops.equal(rest, 0.0), 1.0, rest), *BYTES)


def _tiles(length: int, size: int, count: int) -> list[tuple[Any, Any]]:
    """Returns of each element of an axis the two tiles whose middles it lies between, and how much of each it is.

    Args:
        length: of the axis. size: of a tile. count: of tiles.
    """
    at = (np.arange(length) - size / 2) / size
    before = np.floor(at)
    after = at - before
    return [
        (np.clip(number, 0, count - 1).astype("int64"), share)
        for number, share in ((before, 1 - after), (before + 1, after))
    ]
