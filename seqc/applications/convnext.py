"""ConvNeXt: residual blocks of a large depthwise convolution and two dense layers."""

from __future__ import annotations

from typing import Any

from seqc import layers
from seqc.applications._published import FOLDER, pair
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted, describe
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import unchanged as preprocess_input
from seqc.functional import Functional
from seqc.sequential import Sequential
from seqc.utils.absent import absent

__all__ = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "decode_predictions",
    "preprocess_input",
]

_SOURCE = "Z. Liu et al., A ConvNet for the 2020s, arXiv:2201.03545."
_MEANS = [0.485 * 255, 0.456 * 255, 0.406 * 255]
_VARIANCES = [(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2]
_SCALE = 1e-6


def _normalized(name: str | None = None) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def _halving(i: int, filters: int, name: str) -> Sequential:
    """Returns what is in front of a stage: it leaves a quarter of the resolution to the first, half to the others."""
    if i == 0:
        convolution = layers.Conv2D(filters, 4, strides=4, name=f"{name}_stem_conv")
        return Sequential([convolution, _normalized(f"{name}_stem_layernorm")], name=f"{name}_stem")
    convolution = layers.Conv2D(filters, 2, strides=2, name=f"{name}_downsampling_conv_{i - 1}")
    before = _normalized(f"{name}_downsampling_layernorm_{i - 1}")
    return Sequential([before, convolution], name=f"{name}_downsampling_block_{i - 1}")


def _block(x: Tensor, filters: int, name: str) -> Tensor:
    y = layers.Conv2D(filters, 7, padding="same", groups=filters, name=f"{name}_depthwise_conv")(x)
    y = _normalized(f"{name}_layernorm")(y)
    y = layers.Dense(4 * filters, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(filters, name=f"{name}_pointwise_conv_2")(y)
    y = layers.LayerScale(_SCALE, filters, name=f"{name}_layer_scale")(y)
    return x + layers.Activation("linear", name=f"{name}_identity")(y)


def _top(x: Tensor, wanted: Wanted, name: str) -> Tensor:
    x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
    x = _normalized(f"{name}_head_layernorm")(x)
    return layers.Dense(wanted.classes, activation=wanted.classifier_activation, name=f"{name}_head_dense")(x)


def _version(size: str, depths: tuple[int, ...], filters: tuple[int, ...], *hashes: str) -> Any:
    label, own = f"ConvNeXt{size}", f"convnext_{size.lower()}"
    files = pair(f"{FOLDER}convnext/", own, *hashes)

    def build(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: Any = "imagenet",
        input_tensor: Tensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = PUBLISHED_CLASSES,
        classifier_activation: Any = "softmax",
        name: str = own,
    ) -> Functional:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        x = wanted.begin(224, 32)
        wanted.find_weights(label, files)
        if include_preprocessing and wanted.input_shape[2] == 3:
            x = layers.Normalization(mean=_MEANS, variance=_VARIANCES, name=f"{name}_prestem_normalization")(x)
        # As in Keras, these layers are all made before any block, which numbers those without a name.
        halvings = [_halving(i, count, name) for i, count in enumerate(filters)]
        for i, (depth, count) in enumerate(zip(depths, filters, strict=True)):
            x = halvings[i](x)
            for j in range(depth):
                x = _block(x, count, f"{name}_stage_{i}_block_{j}")
        y = _top(x, wanted, name) if include_top else _normalized()(wanted.pool(x, False))
        return wanted.model(y, name)

    return describe(build, label, __name__, 224, 32, _SOURCE)


ConvNeXtTiny = _version(
    "Tiny",
    (3, 3, 9, 3),
    (96, 192, 384, 768),
    "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
)
ConvNeXtSmall = _version(
    "Small",
    (3, 3, 27, 3),
    (96, 192, 384, 768),
    "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
)
ConvNeXtBase = _version(
    "Base",
    (3, 3, 27, 3),
    (128, 256, 512, 1024),
    "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
)
ConvNeXtLarge = _version(
    "Large",
    (3, 3, 27, 3),
    (192, 384, 768, 1536),
    "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
)
ConvNeXtXLarge = _version(
    "XLarge",
    (3, 3, 27, 3),
    (256, 512, 1024, 2048),
    "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
)

__getattr__ = absent(__name__, __all__)
