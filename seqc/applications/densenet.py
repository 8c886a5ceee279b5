"""DenseNet: each block is joined to all blocks before it."""

from __future__ import annotations

from functools import partial

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Architecture, Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import torch as preprocess_input
from seqc.applications.resnet import normalized
from seqc.utils.absent import absent

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

SOURCE = "G. Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993."
# Channels that each block adds.
_GROWTH = 32


def _block(x: Tensor, name: str) -> Tensor:
    new = normalized(x, f"{name}_0", f"{name}_0_relu")
    new = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(new)
    new = normalized(new, f"{name}_1", f"{name}_1_relu")
    new = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(new)
    return layers.Concatenate(axis=3, name=f"{name}_concat")([x, new])


def _halved(x: Tensor, name: str) -> Tensor:
    """Returns half the channels at half the resolution."""
    x = normalized(x, name, f"{name}_relu")
    x = layers.Conv2D(x.shape[3] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _network(x: Tensor, wanted: Wanted, blocks: tuple[int, ...]) -> Tensor:
    x = layers.ZeroPadding2D(((3, 3), (3, 3)))(x)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = normalized(x, "conv1", "conv1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for i, count in enumerate(blocks, 2):
        for j in range(count):
            x = _block(x, f"conv{i}_block{j + 1}")
        if i < len(blocks) + 1:
            x = _halved(x, f"pool{i}")
    x = layers.BatchNormalization(axis=3, epsilon=1.001e-5, name="bn")(x)
    return layers.Activation("relu", name="relu")(x)


def _version(label: str, blocks: tuple[int, ...], *hashes: str) -> Architecture:
    files = kernels("densenet", label.lower(), *hashes)
    return architecture(label, __name__, partial(_network, blocks=blocks), files, source=SOURCE)


DenseNet121 = _version(
    "DenseNet121", (6, 12, 24, 16), "9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"
)
DenseNet169 = _version(
    "DenseNet169", (6, 12, 32, 32), "d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"
)
DenseNet201 = _version(
    "DenseNet201", (6, 12, 48, 32), "1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"
)

__getattr__ = absent(__name__, __all__)
