"""ResNet: residual blocks of three convolutions, normalized behind each."""

from __future__ import annotations

from functools import partial

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Architecture, Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import caffe as preprocess_input
from seqc.applications.imagenet_utils import decode_predictions
from seqc.utils.absent import absent

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

SOURCE = "K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition, arXiv:1512.03385."


def normalized(x: Tensor, name: str, activation: str | None = None) -> Tensor:
    """Returns x normalized over the batch, and activated: layers `name`_bn and `name`_relu."""
    x = layers.BatchNormalization(axis=3, epsilon=1.001e-5, name=f"{name}_bn")(x)
    return x if activation is None else layers.Activation("relu", name=activation)(x)


def stem(x: Tensor) -> Tensor:
    """Returns x after the first convolution."""
    x = layers.ZeroPadding2D(((3, 3), (3, 3)), name="conv1_pad")(x)
    return layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)


def first_pool(x: Tensor) -> Tensor:
    """Returns x at half the resolution."""
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name="pool1_pad")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _block(x: Tensor, filters: int, stride: int, projected: bool, name: str) -> Tensor:
    shortcut = x
    if projected:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = normalized(shortcut, f"{name}_0")
    x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = normalized(x, f"{name}_1", f"{name}_1_relu")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = normalized(x, f"{name}_2", f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = normalized(x, f"{name}_3")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def _network(x: Tensor, wanted: Wanted, blocks: tuple[int, ...]) -> Tensor:
    x = first_pool(normalized(stem(x), "conv1", "conv1_relu"))
    for i, count in enumerate(blocks):
        for j in range(count):
            stride = 2 if i and not j else 1
            x = _block(x, 64 << i, stride, not j, f"conv{i + 2}_block{j + 1}")
    return x


def _version(label: str, blocks: tuple[int, ...], *hashes: str) -> Architecture:
    files = kernels("resnet", label.lower(), *hashes)
    return architecture(label, __name__, partial(_network, blocks=blocks), files, source=SOURCE)


ResNet50 = _version("ResNet50", (3, 4, 6, 3), "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626")
ResNet101 = _version("ResNet101", (3, 4, 23, 3), "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21")
ResNet152 = _version("ResNet152", (3, 8, 36, 3), "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c")

__getattr__ = absent(__name__, __all__)
