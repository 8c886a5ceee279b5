"""VGG19."""

from __future__ import annotations

from seqc.applications._vgg import vgg
from seqc.applications.imagenet_utils import caffe as preprocess_input
from seqc.applications.imagenet_utils import decode_predictions
from seqc.utils.absent import absent

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = vgg("VGG19", __name__, (2, 2, 4, 4, 4), "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")

__getattr__ = absent(__name__, __all__)
