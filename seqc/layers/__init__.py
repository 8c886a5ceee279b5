"""Layers under Keras's names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NoReturn

from seqc.layers.activation import LeakyReLU, ReLU, Softmax
from seqc.layers.base import Layer
from seqc.layers.convolutional import Conv1D, Conv2D
from seqc.layers.core import Activation, Dense, Input, InputLayer
from seqc.layers.embedding import Embedding, Masking
from seqc.layers.normalization import BatchNormalization, LayerNormalization
from seqc.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, MaxPooling2D
from seqc.layers.recurrent import GRU, LSTM, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell
from seqc.layers.regularization import Dropout
from seqc.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from seqc.layers.wrappers import Bidirectional, TimeDistributed
from seqc.serialization import deserialize
from seqc.serialization import serialize_object as serialize

Convolution1D, Convolution2D = Conv1D, Conv2D
MaxPool2D, AvgPool2D, GlobalAvgPool2D = MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Bidirectional",
    "Conv1D",
    "Conv2D",
    "Convolution1D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool2D",
    "MaxPooling2D",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "TimeDistributed",
    "deserialize",
    "serialize",
]

# Layers of Keras that take several tensors.
_MERGING = (
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "GroupQueryAttention", "Maximum",
    "Minimum", "MultiHeadAttention", "Multiply", "Subtract",
)  # fmt: skip


def __getattr__(name: str) -> NoReturn:
    if name in _MERGING:
        raise AttributeError(
            f"seqc.layers has no {name}: it takes several tensors, and a Sequential model has one tensor between two "
            "layers. Do it inside a Layer subclass whose call(x) uses seqc.ops."
        )
    near = get_close_matches(name, __all__, 3)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" It has {', '.join(__all__)}."
    raise AttributeError(f"seqc.layers has no {name}.{hint} A Layer subclass can do what none of them does.")
