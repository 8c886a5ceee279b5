"""What VGG16 and VGG19 share: stages of convolutions, each with a pool behind it."""

from __future__ import annotations

from functools import partial

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Architecture, Tensor, Wanted, architecture

_SOURCE = "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks, arXiv:1409.1556."
_FILTERS = (64, 128, 256, 512, 512)


def _network(x: Tensor, wanted: Wanted, convolutions: tuple[int, ...]) -> Tensor:
    for i, (filters, count) in enumerate(zip(_FILTERS, convolutions, strict=True), 1):
        for j in range(1, count + 1):
            x = layers.Conv2D(filters, 3, activation="relu", padding="same", name=f"block{i}_conv{j}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{i}_pool")(x)
    return x


def _top(x: Tensor, wanted: Wanted) -> Tensor:
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4096, activation="relu", name="fc1")(x)
    x = layers.Dense(4096, activation="relu", name="fc2")(x)
    return wanted.classify(x)


def vgg(label: str, module: str, convolutions: tuple[int, ...], *hashes: str) -> Architecture:
    """Returns what makes models with so many convolutions per stage."""
    name = label.lower()
    return architecture(
        label,
        module,
        partial(_network, convolutions=convolutions),
        kernels(name, name, *hashes),
        top=_top,
        named_pools=False,
        source=_SOURCE,
    )
