"""ResNet, version 2: residual blocks that are normalized in front of their convolutions."""

from __future__ import annotations

from functools import partial

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Architecture, Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.applications.resnet import first_pool, normalized, stem
from seqc.utils.absent import absent

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]

SOURCE = "K. He, X. Zhang, S. Ren and J. Sun, Identity Mappings in Deep Residual Networks, arXiv:1603.05027."


def _block(x: Tensor, filters: int, stride: int, projected: bool, name: str) -> Tensor:
    before = normalized(x, f"{name}_preact", f"{name}_preact_relu")
    shortcut = x
    if projected:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    elif stride > 1:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = normalized(x, f"{name}_1", f"{name}_1_relu")
    x = layers.ZeroPadding2D(((1, 1), (1, 1)), name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = normalized(x, f"{name}_2", f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _network(x: Tensor, wanted: Wanted, blocks: tuple[int, ...]) -> Tensor:
    x = first_pool(stem(x))
    for i, count in enumerate(blocks):
        for j in range(count):
            # The last block of a stage halves the resolution, but for that of the last stage.
            stride = 2 if i < len(blocks) - 1 and j == count - 1 else 1
            x = _block(x, 64 << i, stride, not j, f"conv{i + 2}_block{j + 1}")
    return normalized(x, "post", "post_relu")


def _version(label: str, blocks: tuple[int, ...], *hashes: str) -> Architecture:
    files = kernels("resnet", label.lower(), *hashes)
    return architecture(label, __name__, partial(_network, blocks=blocks), files, source=SOURCE)


ResNet50V2 = _version(
    "ResNet50V2", (3, 4, 6, 3), "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"
)
ResNet101V2 = _version(
    "ResNet101V2", (3, 4, 23, 3), "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"
)
ResNet152V2 = _version(
    "ResNet152V2", (3, 8, 36, 3), "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"
)

__getattr__ = absent(__name__, __all__)
