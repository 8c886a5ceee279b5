"""Layers that turn, move and stretch images in training, each image in its own way."""

from __future__ import annotations

import math
from typing import Any

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, RangeLike, checked_choice, checked_factor
from seqc.ops.sampling import ORDERS, project
from seqc.utils.bounding_boxes import around

# Keras knows "mirror" only in `ops.image`.
FILL_MODES_OF_LAYERS = ("reflect", "wrap", "constant", "nearest")
_FLIPS = {"horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (2, 1)}


@known("layers")
class RandomFlip(RandomImageLayer):
    """In training, mirrors every second image, chosen at random.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical", which mirrors both ways at once.
        seed: makes this layer's choices independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.mode = checked_choice(mode, "mode", tuple(_FLIPS))

    def changed(self, images: Value) -> Value:
        return ops.where(self.drawn(images) <= 0.5, ops.flip(images, _FLIPS[self.mode]), images)

    def mask_changed(self, masks: Value) -> Value:
        return self.changed(masks)

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        (height, width), axes = map(float, self.space(images)), _FLIPS[self.mode]
        chosen = ops.squeeze(self.drawn(images) <= 0.5, -1)

        def flipped(x: Value, y: Value) -> tuple[Value, Value]:
            return width - x if 2 in axes else x, height - y if 1 in axes else y

        return self.boxes_moved(boxes, images, lambda at: ops.where(chosen, around(at, flipped), at))


def checked_fill(given: Any) -> float:
    """Returns what there is beyond an image.

    Raises:
        ConfigError: it is no number.
    """
    if not is_number(given):
        raise ConfigError(f"The `fill_value` argument should be a number. Received: fill_value={given}")
    return float(given)


class _Affine(RandomImageLayer):
    """Sees each image through an affine map of its own."""

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = checked_choice(fill_mode, "fill_mode", FILL_MODES_OF_LAYERS)
        self.interpolation = checked_choice(interpolation, "interpolation", tuple(ORDERS))
        self.fill_value = checked_fill(fill_value)

    def changed(self, images: Value) -> Value:
        return self.seen(images, self.interpolation)

    def mask_changed(self, masks: Value) -> Value:
        return self.seen(masks, "nearest")

    def seen(self, images: Value, interpolation: str) -> Value:
        """Returns images through their maps."""
        return project(images, self._numbers(images), interpolation, self.fill_mode, self.fill_value)

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        a, b, right, d, e, down = self._numbers(images)
        whole = a * e - b * d

        def moved(x: Value, y: Value) -> tuple[Value, Value]:
            x, y = x - right, y - down
            return (e * x - b * y) / whole, (a * y - d * x) / whole

        return self.boxes_moved(boxes, images, lambda at: around(at, moved))

    def _numbers(self, images: Value) -> tuple[Any, ...]:
        """Returns the numbers of `project`."""
        height, width = self.lengths(images)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        a, b, c, d, e, f = (n if isinstance(n, int) else ops.squeeze(n, -1) for n in self.map(images))
        right = c * width + middle_x - middle_x * a - middle_y * b
        down = f * height + middle_y - middle_x * d - middle_y * e
        return a, b, right, d, e, down

    def map(self, images: Value) -> tuple[Value | int, ...]:
        """Returns the six numbers of a map, each for all images or (batch, 1, 1, 1).

        The element at column x and row y, counted from the middle, is what the image has at column
        a * x + b * y + c * width and row d * x + e * y + f * height.
        """
        raise NotImplementedError(f"{type(self).__name__}.map")


@known("layers")
class RandomTranslation(_Affine):
    """In training, moves each image down and to the right by a random part of its size.

    Args:
        height_factor, width_factor: the largest part, or the least and the largest; from -1 to 1, below 0 for up and
        to the left.
        fill_mode: what is beyond an image: "reflect" (the image mirrored at its edge), "wrap" (the image again),
        "nearest" (its border) or "constant". fill_value: the constant.
        interpolation: "bilinear" or "nearest". seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        height_factor: float | RangeLike,
        width_factor: float | RangeLike,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self._down = checked_factor(height_factor, "height_factor", -1, 1, each=True)
        self._right = checked_factor(width_factor, "width_factor", -1, 1, each=True)

    def map(self, images: Value) -> tuple[Value | int, ...]:
        down, right = self.drawn(images, *self._down, 0), self.drawn(images, *self._right, 1)
        return 1, 0, -right, 0, 1, -down


@known("layers")
class RandomZoom(_Affine):
    """In training, shows each image larger or smaller.

    Args:
        height_factor: by how much the height that is shown differs from that of the image, the most, or the least and
        the most: above -1 to 1, below 0 for larger images. width_factor: the same of the width; None for the number
        that was drawn for the height.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomTranslation`.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        height_factor: float | RangeLike,
        width_factor: float | RangeLike | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._tall = checked_factor(height_factor, "height_factor", -1, 1, open_low=True, each=True)
        self._wide = (
            None if width_factor is None else checked_factor(width_factor, "width_factor", -1, 1, None, True, True)
        )

    def map(self, images: Value) -> tuple[Value | int, ...]:
        tall = 1.0 + self.drawn(images, *self._tall, 0)
        wide = tall if self._wide is None else 1.0 + self.drawn(images, *self._wide, 1)
        return wide, 0, 0, 0, tall, 0


@known("layers")
class RandomRotation(_Affine):
    """In training, turns each image about its middle.

    Args:
        factor: the largest angle as a part of a full turn, or the least and the largest; from -1 to 1, above 0 for
        counter-clockwise.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomTranslation`.

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        factor: float | RangeLike,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("value_range", None)  # files of Keras 3.0 to 3.3 have one, of which nothing depends
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = checked_factor(factor, "factor", -1, 1)

    def map(self, images: Value) -> tuple[Value | int, ...]:
        angle = self.drawn(images, *self.factor) * (2 * math.pi)
        cos, sin = ops.cos(angle), ops.sin(angle)
        return cos, -sin, 0, sin, cos, 0
