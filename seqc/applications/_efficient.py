"""What both versions of EfficientNet share: how they begin their weights, squeeze and excite, and end."""

from __future__ import annotations

import math
from typing import Any

from seqc import initializers, layers
from seqc.applications._wanted import Tensor, Wanted

# How many samples lose the last block in training; blocks before it lose less.
LAST_LOSS = 0.2


def kernel_start() -> Any:
    """Returns how kernels of convolutions begin."""
    return initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def convolution(x: Tensor, filters: int, kernel: int, name: str, **options: Any) -> Tensor:
    """Returns a convolution that keeps the size of the image, unless options say otherwise."""
    options = {"padding": "same", "use_bias": False, **options}
    return layers.Conv2D(filters, kernel, kernel_initializer=kernel_start(), name=name, **options)(x)


def activated(x: Tensor, normalization: str, activation: str, momentum: float = 0.99) -> Tensor:
    """Returns x normalized and activated, by layers of these names."""
    x = layers.BatchNormalization(axis=3, momentum=momentum, name=normalization)(x)
    return layers.Activation("swish", name=activation)(x)


def excited(x: Tensor, squeezed: int, name: str) -> Tensor:
    """Returns channels weighted by what all places say of them, through so many numbers."""
    filters = x.shape[3]
    weight = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    weight = layers.Reshape((1, 1, filters), name=f"{name}se_reshape")(weight)
    weight = convolution(weight, squeezed, 1, f"{name}se_reduce", use_bias=True, activation="swish")
    weight = convolution(weight, filters, 1, f"{name}se_expand", use_bias=True, activation="sigmoid")
    return layers.multiply([x, weight], name=f"{name}se_excite")


def residual(x: Tensor, shortcut: Tensor, loss: float, name: str) -> Tensor:
    """Returns x plus the shortcut; in training, that part of the samples loses x."""
    if loss > 0:
        x = layers.Dropout(loss, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
    return layers.add([x, shortcut], name=f"{name}add")


def top(x: Tensor, wanted: Wanted, dropout: float, **dense: Any) -> Tensor:
    """Returns the classes."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="top_dropout")(x)
    start = initializers.VarianceScaling(1.0 / 3.0, "fan_out", "uniform")
    return wanted.classify(x, kernel_initializer=start, **dense)


def repeated(count: int, depth: float) -> int:
    """Returns how often a block of a stage comes in a network of a depth."""
    return math.ceil(depth * count)
