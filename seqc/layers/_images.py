"""What layers share that take images alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqc import ops, tree
from seqc.argument_kinds import is_number, is_whole
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Type, Value, as_value, constant
from seqc.layers._common import data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.layers.regularization import noise_like, random_uniform
from seqc.sure import present
from seqc.utils.bounding_boxes import clip_to_image_size, convert_format

Range = tuple[float, float]
# As it may be given: a tuple or a list of two numbers.
RangeLike = Sequence[float]
BYTES = (0.0, 255.0)
# Where a part of an axis starts, and how long it is.
Part = tuple[Any, int]
_TOGETHER = {"images", "labels", "segmentation_masks", "bounding_boxes"}


class ImageLayer(Layer):
    """A layer whose `changed` takes floats (batch, height, width, channels); `call` takes all that Keras calls images.

    These are batches or one image, channels-last or channels-first, of any kind of numbers; or a dictionary with
    `images` and what goes with them: `labels`, `segmentation_masks` and `bounding_boxes`, a dictionary of `boxes` and
    `labels`. What else is in there stays as it is.
    """

    input_rank = (3, 4)
    takes_several = True
    # Whether what goes with the images changes outside training, too.
    always = True

    def __init__(self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.bounding_box_format = None if bounding_box_format is None else str(bounding_box_format)
        self.built = True

    def call(self, x: Any, training: bool = True) -> Any:
        if isinstance(x, Mapping):
            return self.together(x, training)
        if tree.is_nested(x):
            raise ArgumentTypeError(
                f"Layer '{self.name}' takes images, or a dictionary with 'images'; got a list of {len(x)}."
            )
        return self._batched(as_value(x), lambda images: self.result(images, training))

    def together(self, given: Mapping[str, Any], training: bool) -> dict[str, Any]:
        """Returns what becomes of images and what goes with them."""
        if not isinstance(given.get("images"), Value):
            raise ArgumentTypeError(
                f"Layer '{self.name}' takes images, or a dictionary with 'images' and any of "
                f"{sorted(_TOGETHER - {'images'})}; got one with {sorted(map(str, given))}."
            )
        images, found = given["images"], dict(given)
        self._check_input(images.type)
        found["images"] = self._batched(images, lambda batch: self.result(batch, training))
        if not (training or self.always):
            return found
        single = images.type.rank == 3
        like = self._laid_out(ops.expand_dims(images, 0) if single else images)
        if "segmentation_masks" in found:
            found["segmentation_masks"] = self._batched(
                found["segmentation_masks"], lambda masks: self.masks_with(masks, like)
            )
        for name, change in (("labels", self.labels_changed), ("bounding_boxes", self._boxes)):
            if name in found:
                batch = (
                    tree.map_structure(lambda leaf: ops.expand_dims(leaf, 0), found[name]) if single else found[name]
                )
                changed = change(batch, like)
                found[name] = tree.map_structure(lambda leaf: ops.squeeze(leaf, 0), changed) if single else changed
        return found

    def _batched(self, value: Value, change: Callable[[Value], Value]) -> Value:
        """Returns what a function of images (batch, height, width, channels) makes of images as they came."""
        single, first = value.type.rank == 3, self.data_format == "channels_first"
        y = change(self._laid_out(ops.expand_dims(value, 0) if single else value))
        if first:
            y = ops.transpose(y, first_from_last(4))
        return ops.squeeze(y, 0) if single else y

    def _laid_out(self, images: Value) -> Value:
        return ops.transpose(images, last_from_first(4)) if self.data_format == "channels_first" else images

    def masks_with(self, masks: Value, images: Value) -> Value:
        """Returns what becomes of masks (batch, height, width, channels) of any kind beside images."""
        return ops.cast(self.mask_changed(masks), masks.dtype)

    def _boxes(self, boxes: Any, images: Value) -> dict[str, Value]:
        if not isinstance(boxes, Mapping) or {*boxes} != {"boxes", "labels"}:
            raise ArgumentTypeError(
                f"Layer '{self.name}' takes `bounding_boxes` as a dictionary of 'boxes' and 'labels'; got {boxes}."
            )
        if self.bounding_box_format is None:
            raise ConfigError(
                f"Layer '{self.name}' was given 'bounding_boxes' and needs to know their format: pass "
                f"`bounding_box_format='xyxy'`, for instance, to {type(self).__name__}."
            )
        return self.boxes_changed({"boxes": boxes["boxes"], "labels": boxes["labels"]}, images)

    def result(self, images: Value, training: bool) -> Value:
        """Returns what becomes of images (batch, height, width, channels) of any kind of numbers."""
        return self.changed(images if images.dtype == self.compute_dtype else ops.cast(images, self.compute_dtype))

    def changed(self, images: Value) -> Value:
        """Returns what becomes of images (batch, height, width, channels) of the layer's dtype."""
        raise NotImplementedError(f"{type(self).__name__}.changed")

    def labels_changed(self, labels: Value, images: Value) -> Value:
        """Returns what becomes of labels (batch, ...) of images (batch, height, width, channels)."""
        return labels

    def mask_changed(self, masks: Value) -> Value:
        """Returns what becomes of masks (batch, height, width, channels) of any kind beside the images."""
        return masks

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        """Returns what becomes of boxes (batch, number, 4) in the layer's format, and of their labels."""
        return boxes

    def boxes_moved(
        self,
        boxes: dict[str, Value],
        images: Value,
        move: Callable[[Value], Value],
        size: tuple[int, int] | None = None,
    ) -> dict[str, Value]:
        """Returns boxes that a function of boxes (batch, number, 4) in "xyxy" has moved, limited to the result.

        Args:
            images: that they belong to. size: height and width of what becomes of them; by default those they have.
        """
        old, form = self.space(images), str(self.bounding_box_format)
        height, width = size or old
        moved = boxes | {"boxes": move(convert_format(boxes["boxes"], form, "xyxy", *old, dtype=self.compute_dtype))}
        inside = clip_to_image_size(moved, height, width)
        return inside | {"boxes": convert_format(inside["boxes"], "xyxy", form, height, width, self.compute_dtype)}

    def boxes_cut(
        self, boxes: dict[str, Value], images: Value, rows: Part, columns: Part, size: tuple[int, int]
    ) -> dict[str, Value]:
        """Returns boxes as they lie in a part of their images that is brought to a size.

        Args:
            rows, columns: where the part starts, and how long it is. size: height and width.
        """
        (top, high), (left, wide), (height, width) = rows, columns, size
        down, across = height / high, width / wide

        def move(at: Value) -> Value:
            return ops.concatenate(
                [(at[..., i : i + 1] - start) * by for i, (start, by) in enumerate(((left, across), (top, down)) * 2)],
                -1,
            )

        return self.boxes_moved(boxes, images, move, size)

    def space(self, images: Value) -> tuple[int, int]:
        """Returns height and width of images (batch, height, width, channels).

        Raises:
            ShapeError: they are not known.
        """
        found = images.type.shape[1:3]
        if not dims.is_known(found):
            raise ShapeError(
                f"{type(self).__name__} needs images of a known height and width here; got {images.type}. Say them in "
                "the model's Input."
            )
        height, width = dims.known(found)
        return height, width

    def lengths(self, images: Value) -> tuple[Any, Any]:
        """Returns height and width of images (batch, height, width, channels) as floats, known or not."""
        dtype = self.compute_dtype if self.compute_dtype in FLOATS else "float32"
        height, width = (
            float(size) if isinstance(size, int) else ops.cast(size, dtype) for size in ops.shape(images)[1:3]
        )
        return height, width

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, 2)

    def get_config(self) -> dict[str, Any]:
        boxes = {} if self.bounding_box_format is None else {"bounding_box_format": self.bounding_box_format}
        return super().get_config() | {"data_format": self.data_format} | boxes


class RandomImageLayer(ImageLayer):
    """A layer that changes images in training only, each in its own way, and never what a model computes that is used.

    Attributes:
        seed: makes the layer's numbers independent of the global seed.
    """

    seed: int | None
    always = False
    # What tells apart the numbers of a layer that another one applies several times.
    first_stream = 0

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed = None if seed is None else int(seed)
        self._drawn: dict[int, Value] = {}

    def call(self, x: Any, training: bool = True) -> Any:
        self.draw_anew()
        return super().call(x, training)

    def draw_anew(self, first_stream: int = 0) -> None:
        """Forgets what was drawn, so that images are changed in another way, and labels and masks with them."""
        self.draw_into({}, first_stream)

    def draw_into(self, drawn: dict[int, Value], first_stream: int) -> None:
        """Takes the numbers that there are, by their streams, and keeps others there."""
        self._drawn, self.first_stream = drawn, first_stream

    def result(self, images: Value, training: bool) -> Value:
        return super().result(images, training) if training else ops.cast(images, self.compute_dtype)

    def drawn(self, images: Value, low: float = 0.0, high: float = 1.0, stream: int = 0) -> Value:
        """Returns a number (batch, 1, 1, 1) for each image, evenly distributed in [low, high).

        `stream` tells apart the numbers of one layer; of the same stream, they stay the same during a call.
        """
        return self.unit(noise_like(images, (None, 1, 1, 1)), low, high, stream)

    def drawn_once(self, count: int, low: float = 0.0, high: float = 1.0, stream: int = 0) -> Value:
        """Returns numbers (count,) for all images; see `drawn`."""
        return self.unit(
            constant(np.zeros(count, self.compute_dtype if self.compute_dtype in FLOATS else "float32")),
            low,
            high,
            stream,
        )

    def unit(self, like: Value, low: float, high: float, stream: int) -> Value:
        """Returns numbers evenly distributed in [low, high), one for each element of a value; see `drawn`."""
        if stream not in self._drawn:
            self._drawn[stream] = random_uniform(like, self.seed, self.name, self.first_stream + stream)
        numbers = self._drawn[stream]
        return numbers if (low, high) == (0.0, 1.0) else numbers * float(high - low) + float(low)

    def chosen(self, images: Value, factor: Range, stream: int) -> Value:
        """Tells of each image (batch, 1, 1, 1) whether it is changed, with a probability that is drawn itself.

        Takes the numbers of two streams.
        """
        return self.drawn(images, stream=stream) < self.drawn(images, *factor, stream + 1)


def rectangle(images: Value, *sides: tuple[Value, Value]) -> Value:
    """Returns which elements of images (batch, height, width, 1) lie in a rectangle.

    Args:
        sides: where it starts and how long it is, (batch, 1, 1, 1) each, for rows and for columns.
    """
    inside: Value | None = None
    for axis, (start, length) in enumerate(sides, 1):
        places = ops.arange(ops.shape(images)[axis], dtype=start.dtype)
        place = ops.reshape(places, [-1 if a == axis else 1 for a in range(4)])
        there = ops.logical_and(place >= start, place < start + length)
        inside = there if inside is None else ops.logical_and(inside, there)
    return present(inside)


def checked_factor(
    given: Any,
    name: str,
    low: float,
    high: float,
    least: float | None = None,
    open_low: bool = False,
    each: bool = False,
) -> Range:
    """Returns the range that a factor stands for: a pair in order, or from minus a number to it, as far as allowed.

    Args:
        given: a number, or a list of two. name: of the argument. low, high: between which they must lie.
        least: what a single number's range starts with; by default minus the number, but not below `low`.
        open_low: whether `low` itself is too low. each: whether both numbers of a list must lie in the range; as in
        Keras, most layers take a list that begins below its end and ends above its start.

    Raises:
        ConfigError: it is neither, or out of range.
    """
    both = tuple(given) if isinstance(given, tuple | list) else (given,)
    if len(both) == 2 and not each:
        fits = iter((all(map(is_number, both)) and both[0] <= high and both[1] >= low,))
    else:
        fits = (is_number(f) and low <= f <= high and not (open_low and f == low) for f in both)
    if len(both) > 2 or (len(both) != 2 and isinstance(given, tuple | list)) or not all(fits):
        raise ConfigError(
            f"The `{name}` argument should be a number (or a list of two numbers) in the range "
            f"{'(' if open_low else '['}{low}, {high}]. Received: {name}={given}"
        )
    if len(both) == 2:
        return min(both), max(both)
    return (max(-abs(given), low) if least is None else least), abs(given)


def checked_range(given: Any) -> Range:
    """Returns the smallest and the largest value that a pixel may have.

    Raises:
        ConfigError: these are not two numbers.
    """
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(map(is_number, given)):
        raise ConfigError(f"The `value_range` argument should be a list of two numbers. Received: value_range={given}")
    return min(given), max(given)


def checked_choice(given: Any, name: str, choices: Sequence[str]) -> str:
    """Returns the name of one of several ways.

    Raises:
        ConfigError: it is none of them.
    """
    if given not in choices:
        raise ConfigError(f"Unknown `{name}` {given}. Expected of one {tuple(choices)}.")
    return str(given)


def checked_size(height: Any, width: Any) -> tuple[int, int]:
    """Returns the size of an image.

    Raises:
        ConfigError: these are no positive integers.
    """
    for name, size in (("height", height), ("width", width)):
        if not is_whole(size) or size < 1:
            raise ConfigError(f"The `{name}` of an image is a positive integer. Received: {name}={size}")
    return int(height), int(width)


def in_range(images: Value, old: Range, new: Range) -> Value:
    """Returns values of the range `old` in the range `new`."""
    if tuple(old) == tuple(new):
        return images
    return (images - float(old[0])) / float(old[1] - old[0]) * float(new[1] - new[0]) + float(new[0])
