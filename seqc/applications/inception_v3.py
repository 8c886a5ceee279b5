"""Inception, version 3: blocks of branches of convolutions, joined by their channels."""

from __future__ import annotations

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.utils.absent import absent

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

# A convolution: filters, height and width of the kernel; "/2" halves the resolution, "v" leaves the border out.
Step = tuple[int, int, int] | tuple[int, int, int, str]


def _convolution(x: Tensor, filters: int, height: int, width: int, kind: str = "") -> Tensor:
    x = layers.Conv2D(
        filters,
        (height, width),
        strides=2 if kind == "/2" else 1,
        padding="valid" if kind else "same",
        use_bias=False,
    )(x)
    x = layers.BatchNormalization(axis=3, scale=False)(x)
    return layers.Activation("relu")(x)


def _branch(x: Tensor, *steps: Step) -> Tensor:
    for step in steps:
        x = _convolution(x, *step)
    return x


def _smoothed(x: Tensor, filters: int) -> Tensor:
    """Returns the branch of means over neighbors."""
    return _convolution(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1, 1)


def _joined(branches: list[Tensor], name: str | None) -> Tensor:
    return layers.concatenate(branches, axis=3, name=name)


def _small(x: Tensor, pooled: int, name: str) -> Tensor:
    branches = [
        _branch(x, (64, 1, 1)),
        _branch(x, (48, 1, 1), (64, 5, 5)),
        _branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        _smoothed(x, pooled),
    ]
    return _joined(branches, name)


def _crossed(x: Tensor, inner: int, name: str) -> Tensor:
    """Returns a block of kernels of seven by one and one by seven, with so many filters inside."""
    branches = [
        _branch(x, (192, 1, 1)),
        _branch(x, (inner, 1, 1), (inner, 1, 7), (192, 7, 1)),
        _branch(x, (inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7)),
        _smoothed(x, 192),
    ]
    return _joined(branches, name)


def _wide(x: Tensor, index: int) -> Tensor:
    first = _branch(x, (320, 1, 1))
    second = _branch(x, (384, 1, 1))
    second = _joined([_branch(second, (384, 1, 3)), _branch(second, (384, 3, 1))], f"mixed9_{index}")
    third = _branch(x, (448, 1, 1), (384, 3, 3))
    third = _joined([_branch(third, (384, 1, 3)), _branch(third, (384, 3, 1))], None)
    return _joined([first, second, third, _smoothed(x, 192)], f"mixed{9 + index}")


def _network(x: Tensor, wanted: Wanted) -> Tensor:
    x = _branch(x, (32, 3, 3, "/2"), (32, 3, 3, "v"), (64, 3, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _branch(x, (80, 1, 1, "v"), (192, 3, 3, "v"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for i, pooled in enumerate((32, 64, 64)):
        x = _small(x, pooled, f"mixed{i}")
    branches = [
        _branch(x, (384, 3, 3, "/2")),
        _branch(x, (64, 1, 1), (96, 3, 3), (96, 3, 3, "/2")),
        layers.MaxPooling2D(3, strides=2)(x),
    ]
    x = _joined(branches, "mixed3")
    for i, inner in enumerate((128, 160, 160, 192), 4):
        x = _crossed(x, inner, f"mixed{i}")
    branches = [
        _branch(x, (192, 1, 1), (320, 3, 3, "/2")),
        _branch(x, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, "/2")),
        layers.MaxPooling2D(3, strides=2)(x),
    ]
    x = _joined(branches, "mixed8")
    return _wide(_wide(x, 0), 1)


InceptionV3 = architecture(
    "InceptionV3",
    __name__,
    _network,
    kernels("inception_v3", "inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    size=299,
    least=75,
    named_pools=False,
    name="inception_v3",
    source="C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567.",
)

__getattr__ = absent(__name__, __all__)
