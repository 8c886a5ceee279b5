"""Layers that apply several other layers of images in training, chosen at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc import ops
from seqc.argument_kinds import is_number, is_whole
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._images import (
    ImageLayer,
    RandomImageLayer,
    RangeLike,
    checked_choice,
    checked_factor,
    checked_range,
)
from seqc.layers.augmentation import RandomRotation, RandomTranslation
from seqc.layers.colors import RandomBrightness, RandomContrast
from seqc.layers.histograms import Equalization
from seqc.layers.mixing import GAMMA_STREAMS, beta, log_gamma
from seqc.layers.sharpness import RandomSharpness
from seqc.layers.tones import AutoContrast, RandomColorDegeneration, RandomPosterization, Solarization
from seqc.layers.warping import RandomShear
from seqc.ops.sampling import ORDERS

# More than any layer here takes, so that layers of one seed have numbers of their own.
_STREAMS = 1000


class _Combining(RandomImageLayer):
    """Applies other layers."""

    combined: list[ImageLayer]

    def __init__(
        self,
        value_range: RangeLike,
        factor: float | RangeLike,
        interpolation: str,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.value_range, self.factor = checked_range(value_range), checked_factor(factor, "factor", 0, 1)
        self.interpolation = checked_choice(interpolation, "interpolation", tuple(ORDERS))

    def made(self, colors: bool) -> list[ImageLayer]:
        """Returns the layers, with or without those that change colors most."""
        factor, seed, values = self.factor, self.seed, self.value_range
        more: dict[str, Any] = {"dtype": self.compute_dtype, "bounding_box_format": self.bounding_box_format}
        ways = {"interpolation": self.interpolation, "seed": seed, **more}
        tones = {"value_range": values, "seed": seed, **more}
        found: list[ImageLayer] = [
            RandomShear(factor, factor, **ways),
            RandomTranslation(factor, factor, **ways),
            RandomRotation(factor, **ways),
            RandomPosterization(max(1, int(8 * factor[1])), **tones),
            Solarization(factor, factor, **tones),
            AutoContrast(values, **more),
            Equalization(values, **more),
        ]
        if not colors:
            return found
        kinds = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)
        return [*found, *(kind(factor, **tones) for kind in kinds)]

    def draw_anew(self, first_stream: int = 0) -> None:
        super().draw_anew(first_stream)
        # What each layer drew each time that it was applied.
        self._applied: dict[tuple[int, int], dict[int, Value]] = {}

    def applied(self, place: int, time: int = 0) -> ImageLayer:
        """Returns the layer at a place with numbers of its own for each time, the same for all that goes together."""
        layer = self.combined[place]
        if isinstance(layer, RandomImageLayer):
            number = 1 + time * len(self.combined) + place
            layer.draw_into(self._applied.setdefault((time, place), {}), self.first_stream + number * _STREAMS)
        return layer


@known("layers")
class RandAugment(_Combining):
    """In training, applies a few layers, one after the other, chosen at random for each batch (Cubuk et al., 2020).

    They shear, move, turn, posterize, solarize, stretch contrasts, equalize, and change brightness, color, contrast and
    sharpness.

    Args:
        value_range: the least and the largest value of a pixel. num_ops: how many layers.
        factor: how much they change, at most or at least and at most, from 0 to 1.
        interpolation: "bilinear" or "nearest". seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input.
    """

    def __init__(
        self,
        value_range: RangeLike = (0, 255),
        num_ops: int = 2,
        factor: float | RangeLike = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        if not is_whole(num_ops) or num_ops < 0:
            raise ConfigError(f"The `num_ops` argument should be an integer of 0 or more. Received: num_ops={num_ops}")
        self.num_ops = int(num_ops)
        self.combined = self.made(colors=True)

    def changed(self, images: Value) -> Value:
        return self._one_after_the_other(images, lambda layer, value: layer.changed(value))

    def mask_changed(self, masks: Value) -> Value:
        return self._one_after_the_other(masks, lambda layer, value: layer.mask_changed(value))

    def boxes_changed(self, boxes: dict[str, Value], images: Value) -> dict[str, Value]:
        for number in range(self.num_ops):
            for place in range(len(self.combined)):
                moved = self.applied(place).boxes_changed(boxes, images)
                chosen = self._is_chosen(number, place)
                boxes = {name: ops.where(chosen, moved[name], one) for name, one in boxes.items()}
        return boxes

    def _one_after_the_other(self, images: Value, change: Callable[[ImageLayer, Value], Value]) -> Value:
        for number in range(self.num_ops):
            start = images
            for place in range(len(self.combined)):
                images = ops.where(self._is_chosen(number, place), change(self.applied(place), start), images)
        return images

    def _is_chosen(self, number: int, place: int) -> Value:
        """Tells whether the layer at a place is the one that is applied as that number."""
        drawn = ops.floor(self.drawn_once(self.num_ops, stream=0) * float(len(self.combined)))
        return ops.equal(drawn[number], float(place))


@known("layers")
class AugMix(_Combining):
    """In training, mixes images with what chains of layers make of them, chosen at random (Hendrycks et al., 2020).

    Args:
        value_range: the least and the largest value of a pixel. num_chains: how many chains.
        chain_depth: how many layers there are in each; some of them change nothing.
        factor: how much they change, at most or at least and at most, from 0 to 1.
        alpha: of the distributions of how much there is of each chain and of the images themselves.
        all_ops: whether layers that change brightness, color, contrast and sharpness are among them.
        interpolation: "bilinear" or "nearest". seed: makes this layer's numbers independent of the global seed.
        data_format: "channels_last" or "channels_first".

    Shapes: (batch, height, width, channels), or one image (height, width, channels); the result like the input. Boxes
    stay what they are.
    """

    def __init__(
        self,
        value_range: RangeLike = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | RangeLike = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        for name, count in (("num_chains", num_chains), ("chain_depth", chain_depth)):
            if not is_whole(count) or count < 1:
                raise ConfigError(f"The `{name}` argument should be a positive integer. Received: {name}={count}")
        if not is_number(alpha) or alpha <= 0:
            raise ConfigError(f"The `alpha` argument should be a number above 0. Received: alpha={alpha}")
        self.num_chains, self.chain_depth = int(num_chains), int(chain_depth)
        self.alpha, self.all_ops = alpha, bool(all_ops)
        self.combined = self.made(self.all_ops)

    def changed(self, images: Value) -> Value:
        mixed = self._mixed(images, images, lambda layer, value: layer.changed(value))
        return ops.clip(mixed, *map(float, self.value_range))

    def masks_with(self, masks: Value, images: Value) -> Value:
        masks = masks if masks.type.is_float else ops.cast(masks, self.compute_dtype)
        return self._mixed(masks, images, lambda layer, value: layer.mask_changed(value))

    def _mixed(self, given: Value, images: Value, change: Callable[[ImageLayer, Value], Value]) -> Value:
        one = ops.zeros((self.num_chains,), self.compute_dtype)
        parts = ops.softmax(log_gamma(self, one, float(self.alpha), 1))
        kept = beta(self, one[:1], float(self.alpha), 1 + GAMMA_STREAMS)
        mixed = given * 0.0
        for chain in range(self.num_chains):
            value = given
            for depth in range(self.chain_depth):
                value = self._one_of_all(value, chain * self.chain_depth + depth, change)
            mixed = mixed + value * parts[chain]
        return kept * given + (1.0 - kept) * mixed

    def _one_of_all(self, value: Value, number: int, change: Callable[[ImageLayer, Value], Value]) -> Value:
        """Returns what one layer makes of images, or none."""
        count = self.num_chains * self.chain_depth
        drawn = ops.floor(self.drawn_once(count, stream=0) * float(len(self.combined) + 1))[number]
        result = value
        for place in range(len(self.combined)):
            changed = change(self.applied(place, number), value)
            result = ops.where(ops.equal(drawn, float(place)), changed, result)
        return result
