"""An older place of `seqc.applications.resnet.ResNet50`."""

from seqc.applications.resnet import ResNet50, decode_predictions, preprocess_input
from seqc.utils.absent import absent

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]

__getattr__ = absent(__name__, __all__)
