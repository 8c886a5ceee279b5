"""Layers of images for random models: what changes them in training, their sizes, and their tones."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from seqc import Layer, layers

Shape = tuple[int, ...]
Draw = Callable[[Shape, st.DrawFn], Layer]
_FACTORS = st.sampled_from([0.1, 0.4])
_SIZES = st.integers(1, 4)
_UNIT = (0.0, 1.0)

# What changes images of any size and number of channels at random in training, and gives them back otherwise.
AUGMENTATIONS: dict[str, Draw] = {
    "brightness": lambda _, draw: layers.RandomBrightness(draw(_FACTORS)),
    "contrast": lambda _, draw: layers.RandomContrast(draw(_FACTORS)),
    "cut_mix": lambda _, draw: layers.CutMix(draw(_FACTORS)),
    "elastic": lambda _, draw: layers.RandomElasticTransform(draw(_FACTORS), value_range=_UNIT),
    "equalization": lambda _, draw: layers.Equalization(_UNIT, draw(st.sampled_from([8, 256]))),
    "erasing": lambda _, draw: layers.RandomErasing(),
    "flip": lambda _, draw: layers.RandomFlip(draw(st.sampled_from(["horizontal", "vertical"]))),
    "invert": lambda _, draw: layers.RandomInvert(),
    "mix_up": lambda _, draw: layers.MixUp(draw(_FACTORS)),
    "perspective": lambda _, draw: layers.RandomPerspective(draw(_FACTORS)),
    "posterization": lambda _, draw: layers.RandomPosterization(draw(st.integers(1, 8)), _UNIT),
    "rotation": lambda _, draw: layers.RandomRotation(draw(_FACTORS)),
    "sharpness": lambda _, draw: layers.RandomSharpness(draw(_FACTORS), _UNIT),
    "shear": lambda _, draw: layers.RandomShear(draw(_FACTORS), draw(_FACTORS)),
    "translation": lambda _, draw: layers.RandomTranslation(draw(_FACTORS), draw(_FACTORS)),
    "zoom": lambda _, draw: layers.RandomZoom(draw(_FACTORS)),
}
# The same of images with the three channels of a color.
COLORS: dict[str, Draw] = {
    "aug_mix": lambda _, draw: layers.AugMix(_UNIT, draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(_FACTORS)),
    "degeneration": lambda _, draw: layers.RandomColorDegeneration(draw(_FACTORS), _UNIT),
    "grayscale": lambda _, draw: layers.RandomGrayscale(draw(st.sampled_from([0.5, 1.0]))),
    "hue": lambda _, draw: layers.RandomHue(draw(_FACTORS), _UNIT),
    "jitter": lambda _, draw: layers.RandomColorJitter(
        _UNIT, draw(_FACTORS), draw(_FACTORS), draw(_FACTORS), draw(_FACTORS)
    ),
    "rand_augment": lambda _, draw: layers.RandAugment(_UNIT, draw(st.integers(1, 2)), draw(_FACTORS)),
    "saturation": lambda _, draw: layers.RandomSaturation(draw(_FACTORS), _UNIT),
}


def _blur(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.RandomGaussianBlur(draw(_FACTORS), tuple(draw(st.sampled_from([1, 3])) for _ in range(2)))


def _center_crop(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.CenterCrop(draw(st.integers(1, shape[0] + 1)), draw(st.integers(1, shape[1] + 1)))


def _random_crop(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.RandomCrop(draw(st.integers(1, shape[0] + 1)), draw(st.integers(1, shape[1] + 1)))


def _resizing(_: Shape, draw: st.DrawFn) -> Layer:
    kind = draw(st.sampled_from(["bilinear", "nearest", "bicubic", "lanczos3"]))
    return layers.Resizing(draw(_SIZES), draw(_SIZES), kind)


# What needs the size of images, or gives them another one.
SIZED: dict[str, Draw] = {
    "blur": _blur,
    "center_crop": _center_crop,
    "random_crop": _random_crop,
    "resizing": _resizing,
}


def _limited(_: Shape, draw: st.DrawFn) -> Layer:
    tiles = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    return layers.ContrastLimitedAdaptiveHistogramEqualization(_UNIT, draw(st.sampled_from([0.0, 4.0])), tiles)


# What changes tones outside training, too, by steps: rounding of what comes in would be a step of what comes out.
TONES: dict[str, Draw] = {
    "auto_contrast": lambda _, draw: layers.AutoContrast(_UNIT),
    "limited_equalization": _limited,
    "solarization": lambda _, draw: layers.Solarization(0.3, draw(_FACTORS), _UNIT),
}


def draw_augmentation(shape: Shape, draw: st.DrawFn) -> Layer:
    """Draws what changes images at random in training, and nothing else."""
    choices = AUGMENTATIONS | (COLORS if shape[-1] == 3 else {})
    return choices[draw(st.sampled_from(sorted(choices)))](shape, draw)
