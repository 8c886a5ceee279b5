"""Inception-ResNet, version 2: residual blocks of branches of convolutions."""

from __future__ import annotations

from typing import NamedTuple

from seqc import layers
from seqc.applications._published import kernels
from seqc.applications._wanted import Tensor, Wanted, architecture
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.utils.absent import absent

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]

# A convolution: filters and kernel; "/2" behind it halves the resolution, "v" leaves the border out.
Step = tuple[int, int | tuple[int, int]] | tuple[int, int | tuple[int, int], str]


class Stage(NamedTuple):
    """Residual blocks of one kind: how many, how much of what each finds is added, and its branches."""

    name: str
    repeats: int
    scale: float
    branches: tuple[tuple[Step, ...], ...]


_STAGES = (
    Stage("block35", 10, 0.17, (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))),
    Stage("block17", 20, 0.1, (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))),
    Stage("block8", 10, 0.2, (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))),
)


def _convolution(
    x: Tensor, filters: int, kernel: int | tuple[int, int], kind: str = "", name: str | None = None
) -> Tensor:
    padding = "valid" if kind else "same"
    x = layers.Conv2D(filters, kernel, strides=2 if kind == "/2" else 1, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(axis=3, scale=False, name=name and f"{name}_bn")(x)
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def _branch(x: Tensor, *steps: Step) -> Tensor:
    for step in steps:
        x = _convolution(x, *step)
    return x


def _residual(x: Tensor, stage: Stage, index: int) -> Tensor:
    # The very last block adds all of what it finds, and activates nothing.
    last = stage is _STAGES[-1] and index == stage.repeats
    name = f"{stage.name}_{index}"
    found = [_branch(x, *steps) for steps in stage.branches]
    joined = layers.Concatenate(axis=3, name=f"{name}_mixed")(found)
    up = layers.Conv2D(x.shape[3], 1, padding="same", name=f"{name}_conv")(joined)
    x = layers.CustomScaleLayer(1.0 if last else stage.scale)([x, up])
    return x if last else layers.Activation("relu", name=f"{name}_ac")(x)


def _stage(x: Tensor, stage: Stage) -> Tensor:
    for i in range(1, stage.repeats + 1):
        x = _residual(x, stage, i)
    return x


def _network(x: Tensor, wanted: Wanted) -> Tensor:
    x = _branch(x, (32, 3, "/2"), (32, 3, "v"), (64, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _branch(x, (80, 1, "v"), (192, 3, "v"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    branches = [_branch(x, (96, 1)), _branch(x, (48, 1), (64, 5)), _branch(x, (64, 1), (96, 3), (96, 3))]
    smooth = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = layers.Concatenate(axis=3, name="mixed_5b")([*branches, _branch(smooth, (64, 1))])
    x = _stage(x, _STAGES[0])
    branches = [_branch(x, (384, 3, "/2")), _branch(x, (256, 1), (256, 3), (384, 3, "/2"))]
    x = layers.Concatenate(axis=3, name="mixed_6a")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    x = _stage(x, _STAGES[1])
    branches = [
        _branch(x, (256, 1), (384, 3, "/2")),
        _branch(x, (256, 1), (288, 3, "/2")),
        _branch(x, (256, 1), (288, 3), (320, 3, "/2")),
    ]
    x = layers.Concatenate(axis=3, name="mixed_7a")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    return _convolution(_stage(x, _STAGES[2]), 1536, 1, name="conv_7b")


InceptionResNetV2 = architecture(
    "InceptionResNetV2",
    __name__,
    _network,
    kernels(
        "inception_resnet_v2",
        "inception_resnet_v2",
        "e693bd0210a403b3192acc6073ad2e96",
        "d19885ff4a710c122648d3b5c3b684e4",
    ),
    size=299,
    least=75,
    named_pools=False,
    name="inception_resnet_v2",
    source="C. Szegedy et al., Inception-v4 and the Impact of Residual Connections on Learning, arXiv:1602.07261.",
)

__getattr__ = absent(__name__, __all__)
