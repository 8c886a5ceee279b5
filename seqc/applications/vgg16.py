"""VGG16."""

from __future__ import annotations

from seqc.applications._vgg import vgg
from seqc.applications.imagenet_utils import caffe as preprocess_input
from seqc.applications.imagenet_utils import decode_predictions
from seqc.utils.absent import absent

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

VGG16 = vgg("VGG16", __name__, (2, 2, 3, 3, 3), "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")

__getattr__ = absent(__name__, __all__)
