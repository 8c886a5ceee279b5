"""Xception: residual blocks of separable convolutions."""

from __future__ import annotations

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.utils.absent import absent

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

_MIDDLE = range(5, 13)


def _convolution(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    x = layers.Conv2D(filters, 3, strides=strides, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_act")(x)


def _separable(x: Tensor, filters: int, name: str) -> Tensor:
    x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def _projected(x: Tensor, filters: int) -> Tensor:
    x = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def _halving(x: Tensor, filters: tuple[int, int], block: int) -> Tensor:
    """Returns a residual block at half the resolution."""
    shortcut, name = _projected(x, filters[1]), f"block{block}_sepconv"
    if block > 2:
        x = layers.Activation("relu", name=f"{name}1_act")(x)
    x = _separable(x, filters[0], f"{name}1")
    x = layers.Activation("relu", name=f"{name}2_act")(x)
    x = _separable(x, filters[1], f"{name}2")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return layers.add([x, shortcut])


def _network(x: Tensor, wanted: Wanted) -> Tensor:
    x = _convolution(x, 32, 2, "block1_conv1")
    x = _convolution(x, 64, 1, "block1_conv2")
    for block, filters in ((2, 128), (3, 256), (4, 728)):
        x = _halving(x, (filters, filters), block)
    for block in _MIDDLE:
        shortcut = x
        for i in (1, 2, 3):
            x = layers.Activation("relu", name=f"block{block}_sepconv{i}_act")(x)
            x = _separable(x, 728, f"block{block}_sepconv{i}")
        x = layers.add([x, shortcut])
    x = _halving(x, (728, 1024), 13)
    for i, filters in ((1, 1536), (2, 2048)):
        x = _separable(x, filters, f"block14_sepconv{i}")
        x = layers.Activation("relu", name=f"block14_sepconv{i}_act")(x)
    return x


Xception = architecture(
    "Xception",
    __name__,
    _network,
    kernels("xception", "xception", "0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"),
    size=299,
    least=71,
    named_pools=False,
    source="F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357.",
)

__getattr__ = absent(__name__, __all__)
