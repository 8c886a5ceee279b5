"""Layers that mix each image with another of its batch in training, and their labels alike."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import RandomImageLayer, RangeLike, checked_factor, rectangle
from seqc.layers.noise import normal_of

# How often numbers of a gamma distribution are drawn again; all are refused once in a hundred million times.
_ROUNDS = 6
# Streams that the numbers of one gamma distribution take.
GAMMA_STREAMS = 3 * _ROUNDS + 1


def log_gamma(layer: RandomImageLayer, like: Value, alpha: Any, stream: int) -> Value:
    """Returns logarithms of numbers of gamma distributions, drawn by the method of Marsaglia and Tsang (2000).

    Args:
        layer: whose numbers they are. like: a value of their shape. alpha: a number, or a value that broadcasts to it.
        stream: the first of `GAMMA_STREAMS`.
    """
    # Of a distribution with alpha + 1, and brought to alpha: small alphas would be refused too often.
    least = alpha + 1.0 - 1.0 / 3.0
    step = 1.0 / (9.0 * least) ** 0.5
    result = like * 0.0
    for first in reversed(range(stream, stream + 3 * _ROUNDS, 3)):
        radius, angle, chance = (layer.unit(like, 0, 1, first + i) for i in range(3))
        x = normal_of(radius, angle)
        cube = (1.0 + step * x) ** 3
        positive = cube > 0
        safe = ops.where(positive, cube, 1.0)
        log = ops.log(safe)
        taken = ops.log(1.0 - chance) < 0.5 * x * x + least * (1.0 - safe + log)
        taken = ops.logical_and(positive, taken)
        result = ops.where(taken, log, result)
    last = layer.unit(like, 0, 1, stream + 3 * _ROUNDS)
    found: Value = result + ops.log(least * ops.ones_like(result)) + ops.log(1.0 - last) / alpha
    return found


def beta(layer: RandomImageLayer, like: Value, alpha: Any, stream: int) -> Value:
    """Returns numbers of symmetric beta distributions; takes two times `GAMMA_STREAMS`. See `log_gamma`."""
    one, other = (log_gamma(layer, like, alpha, first) for first in (stream, stream + GAMMA_STREAMS))
    return ops.sigmoid(one - other)


class _Mixing(RandomImageLayer):
    """Mixes each image with another of its batch."""

    def others(self, tensor: Value, images: Value) -> Value:
        """Returns of each image (or its labels) that of the one it is mixed with; takes stream 0."""
        order = ops.argsort(ops.reshape(self.drawn(images, stream=0), (-1,)))
        return ops.take(tensor, order, 0)

    def share(self, images: Value) -> Value:
        """Returns how much of each image stays (batch, 1, 1, 1)."""
        raise NotImplementedError(f"{type(self).__name__}.share")

    def labels_changed(self, labels: Value, images: Value) -> Value:
        if labels.type.rank < 2:
            raise ShapeError(
                f"Layer '{self.name}' mixes labels of classes, (batch, classes); got {labels.type}. Use ops.one_hot."
            )
        labels = labels if labels.type.is_float else ops.cast(labels, self.compute_dtype)
        share = ops.cast(ops.reshape(self.share(images), (-1, *(1,) * (labels.type.rank - 1))), labels.dtype)
        return share * labels + (1.0 - share) * self.others(labels, images)


@known("layers")
class MixUp(_Mixing):
    """In training, each image becomes the mean of itself and another of the batch, labels too (Zhang et al., 2018).

    Args:
        alpha: of the symmetric beta distribution of how much there is of either: the smaller, the less they are mixed.
        data_format: "channels_last" or "channels_first".
        seed: makes this layer's numbers independent of the global seed.

    Shapes: (batch, height, width, channels), the result like the input; with it, labels (batch, classes) become parts
    of several classes, and images have the boxes of both.
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not is_number(alpha) or alpha <= 0:
            raise ConfigError(f"The `alpha` argument should be a number above 0. Received: alpha={alpha}")
        self.alpha = alpha

    def share(self, images: Value) -> Value:
        return beta(self, images[:, :1, :1, :1], self.alpha, 1)

    def changed(self, images: Value) -> Value:
        share = self.share(images)
        return share * images + (1.0 - share) * self.others(images, images)

    def masks_with(self, masks: Value, images: Value) -> Value:
        masks = masks if masks.type.is_float else ops.cast(masks, self.compute_dtype)
        share = self.share(images)
        return share * masks + (1.0 - share) * self.others(masks, images)

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        return {name: ops.concatenate([one, self.others(one, images)], 1) for name, one in boxes.items()}


@known("layers")
class CutMix(_Mixing):
    """In training, a rectangle of each image is replaced by that of another of the batch (Yun et al., 2019).

    Args:
        factor: the largest alpha, or the least and the largest, from 0 to 1, of the symmetric beta distribution of how
        much of an image stays; drawn for all images of a batch.
        seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), the result like the input; with it, labels (batch, classes) become parts
    of two classes. One image stays as it is.
    """

    def __init__(
        self, factor: float | RangeLike = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = checked_factor(factor, "factor", 0, 1)

    def changed(self, images: Value) -> Value:
        return ops.where(rectangle(images, *self._sides(images)), self.others(images, images), images)

    def mask_changed(self, masks: Value) -> Value:
        return self.changed(masks)

    def share(self, images: Value) -> Value:
        (_, high), (_, wide) = self._sides(images)
        height, width = self.lengths(images)
        stays: Value = 1.0 - high * wide / (height * width)
        return stays

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        raise ConfigError(
            f"{type(self).__name__} replaces parts of images, so that boxes are no longer around what they were "
            "around. Leave 'bounding_boxes' out."
        )

    def _sides(self, images: Value) -> list[tuple[Value, Value]]:
        """Returns where the rectangle starts and how long it is, for rows and columns; takes streams from 1 on."""
        alpha = self.drawn_once(1, *self.factor, 1) + 1e-6
        side = ops.sqrt(1.0 - beta(self, images[:, :1, :1, :1], alpha, 4))
        found = []
        for stream, length in zip((2, 3), self.lengths(images), strict=True):
            long = side * length
            found.append((self.drawn(images, stream=stream) * (length - long), long))
        return found
