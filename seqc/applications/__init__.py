"""The networks of Keras for images: `seqc.applications.ResNet50(weights=None)`.

Each makes a functional model with the layers, names and weights of Keras's, so that files of weights fit. Importing
this package loads none of them; asking for one does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seqc.utils.absent import absent, late

# The networks, by the module that makes them.
_NETWORKS = {
    "convnext": ("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge"),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "efficientnet": tuple(f"EfficientNetB{i}" for i in range(8)),
    "efficientnet_v2": tuple(f"EfficientNetV2{one}" for one in ("B0", "B1", "B2", "B3", "L", "M", "S")),
    "inception_resnet_v2": ("InceptionResNetV2",),
    "inception_v3": ("InceptionV3",),
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Large", "MobileNetV3Small"),
    "nasnet": ("NASNetLarge", "NASNetMobile"),
    "resnet": ("ResNet101", "ResNet152", "ResNet50"),
    "resnet_v2": ("ResNet101V2", "ResNet152V2", "ResNet50V2"),
    "vgg16": ("VGG16",),
    "vgg19": ("VGG19",),
    "xception": ("Xception",),
}
_MODULES = (*_NETWORKS, "imagenet_utils", "resnet50")
_HOMES = {name: f"{__name__}.{module}" for module, names in _NETWORKS.items() for name in names}
__all__ = sorted((*_HOMES, *_MODULES))

_network = late(__name__, _HOMES, absent(__name__, __all__))


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.{name}") if name in _MODULES else _network(name)


def __dir__() -> list[str]:
    return __all__
