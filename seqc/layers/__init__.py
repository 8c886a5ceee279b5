"""Layers under Keras's names."""

from seqc.layers.base import Layer
from seqc.layers.core import Activation, Dense, Input, InputLayer
from seqc.layers.regularization import Dropout
from seqc.layers.reshaping import Flatten, Reshape

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "Reshape"]
