"""What layers share that take images alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops, tree
from seqc.argument_kinds import is_number, is_whole
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Type, Value, as_value
from seqc.layers._common import data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.layers.regularization import noise_like, random_uniform

Range = tuple[float, float]


class ImageLayer(Layer):
    """A layer whose `changed` takes floats (batch, height, width, channels); `call` takes all that Keras calls images.

    These are batches or one image, channels-last or channels-first, of any kind of numbers.
    """

    input_rank = (3, 4)
    takes_several = True  # so that `call` says what it does not do with them

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.built = True

    def call(self, x: Any, training: bool = False) -> Value:
        if tree.is_branch(x):
            raise ArgumentTypeError(
                f"Layer '{self.name}' takes images alone; got {'a dictionary' if isinstance(x, dict) else 'a list'} of "
                f"{len(x)}. Pass the images: labels, masks and bounding boxes do not follow what becomes of them."
            )
        value = as_value(x)
        single, first = value.type.rank == 3, self.data_format == "channels_first"
        if single:
            value = ops.expand_dims(value, 0)
        if first:
            value = ops.transpose(value, last_from_first(4))
        y = self.result(value, training)
        if first:
            y = ops.transpose(y, first_from_last(4))
        return ops.squeeze(y, 0) if single else y

    def result(self, images: Value, training: bool) -> Value:
        """Returns what becomes of images (batch, height, width, channels) of any kind of numbers."""
        return self.changed(images if images.dtype == self.compute_dtype else ops.cast(images, self.compute_dtype))

    def changed(self, images: Value) -> Value:
        """Returns what becomes of images (batch, height, width, channels) of the layer's dtype."""
        raise NotImplementedError(f"{type(self).__name__}.changed")

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

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, 2)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"data_format": self.data_format}


class RandomImageLayer(ImageLayer):
    """A layer that changes images in training only, each in its own way, and never what a model computes that is used.

    Attributes:
        seed: makes the layer's numbers independent of the global seed.
    """

    seed: int | None

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed = None if seed is None else int(seed)

    def result(self, images: Value, training: bool) -> Value:
        return super().result(images, training) if training else ops.cast(images, self.compute_dtype)

    def drawn(self, images: Value, low: float = 0.0, high: float = 1.0, stream: int = 0) -> Value:
        """Returns a number (batch, 1, 1, 1) for each image, evenly distributed in [low, high).

        `stream` tells apart the numbers of one layer.
        """
        unit = random_uniform(noise_like(images, (None, 1, 1, 1)), self.seed, self.name, stream)
        return unit if (low, high) == (0.0, 1.0) else unit * float(high - low) + float(low)


def checked_factor(
    given: Any, name: str, low: float, high: float, least: float | None = None, open_low: bool = False
) -> Range:
    """Returns the range that a factor stands for: a pair in order, or from minus a number to it, as far as allowed.

    Args:
        given: a number, or a list of two. name: of the argument. low, high: between which they must lie.
        least: what a single number's range starts with; by default minus the number, but not below `low`.
        open_low: whether `low` itself is too low.

    Raises:
        ConfigError: it is neither, or out of range.
    """
    both = tuple(given) if isinstance(given, tuple | list) else (given,)
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
