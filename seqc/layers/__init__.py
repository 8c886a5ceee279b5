"""Layers under Keras's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqc import serialization
from seqc.known_classes import known_late
from seqc.layers.base import Layer
from seqc.layers.core import Activation, Dense, Input, InputLayer
from seqc.layers.input_spec import InputSpec
from seqc.utils.absent import absent, late, places_in

if TYPE_CHECKING:
    from seqc.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
    from seqc.layers.adaptive_pooling import (
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveAveragePooling3D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        AdaptiveMaxPooling3D,
    )
    from seqc.layers.attention import AdditiveAttention, Attention
    from seqc.layers.augmentation import RandomFlip, RandomRotation, RandomTranslation, RandomZoom
    from seqc.layers.boxes import MaxNumBoundingBoxes
    from seqc.layers.colors import RandomBrightness, RandomColorJitter, RandomContrast, RandomHue, RandomSaturation
    from seqc.layers.combining import AugMix, RandAugment
    from seqc.layers.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
    from seqc.layers.convolutional import (
        Conv1D,
        Conv1DTranspose,
        Conv2D,
        Conv2DTranspose,
        Conv3D,
        Conv3DTranspose,
        Convolution1D,
        Convolution1DTranspose,
        Convolution2D,
        Convolution2DTranspose,
        Convolution3D,
        Convolution3DTranspose,
    )
    from seqc.layers.depthwise import (
        DepthwiseConv1D,
        DepthwiseConv2D,
        SeparableConv1D,
        SeparableConv2D,
        SeparableConvolution1D,
        SeparableConvolution2D,
    )
    from seqc.layers.einsum_dense import EinsumDense
    from seqc.layers.embedding import Embedding, Masking, ReversibleEmbedding
    from seqc.layers.encoding import CategoryEncoding, Discretization
    from seqc.layers.erasing import RandomErasing
    from seqc.layers.grouped_query import GroupedQueryAttention, GroupQueryAttention
    from seqc.layers.hashing import HashedCrossing, Hashing
    from seqc.layers.histograms import ContrastLimitedAdaptiveHistogramEqualization, Equalization
    from seqc.layers.images import CenterCrop, RandomCrop, Resizing
    from seqc.layers.lookup import IntegerLookup, StringLookup
    from seqc.layers.merging import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from seqc.layers.mixing import CutMix, MixUp
    from seqc.layers.multi_head import MultiHeadAttention
    from seqc.layers.noise import AlphaDropout, GaussianDropout, GaussianNoise
    from seqc.layers.normalization import BatchNormalization, LayerNormalization
    from seqc.layers.norms import GroupNormalization, RMSNormalization, UnitNormalization
    from seqc.layers.of_applications import CustomScaleLayer, LayerScale, StochasticDepth
    from seqc.layers.pipeline import Pipeline
    from seqc.layers.plain import Identity, Lambda
    from seqc.layers.pooling import (
        AveragePooling1D,
        AveragePooling2D,
        AveragePooling3D,
        AvgPool1D,
        AvgPool2D,
        AvgPool3D,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
        GlobalAvgPool1D,
        GlobalAvgPool2D,
        GlobalAvgPool3D,
        GlobalMaxPool1D,
        GlobalMaxPool2D,
        GlobalMaxPool3D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
        MaxPool1D,
        MaxPool2D,
        MaxPool3D,
        MaxPooling1D,
        MaxPooling2D,
        MaxPooling3D,
    )
    from seqc.layers.preprocessing import Normalization, Rescaling
    from seqc.layers.recurrent import GRU, LSTM, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell
    from seqc.layers.regularization import (
        ActivityRegularization,
        Dropout,
        SpatialDropout1D,
        SpatialDropout2D,
        SpatialDropout3D,
    )
    from seqc.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
    from seqc.layers.rnn import RNN
    from seqc.layers.sharpness import RandomGaussianBlur, RandomSharpness
    from seqc.layers.spatial import Cropping1D, Cropping2D, Cropping3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D
    from seqc.layers.spectrograms import MelSpectrogram, STFTSpectrogram
    from seqc.layers.stacked_cells import StackedRNNCells
    from seqc.layers.text_vectorization import TextVectorization
    from seqc.layers.tones import (
        AutoContrast,
        RandomColorDegeneration,
        RandomGrayscale,
        RandomInvert,
        RandomPosterization,
        Solarization,
    )
    from seqc.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
    from seqc.layers.warping import RandomElasticTransform, RandomPerspective, RandomShear
    from seqc.layers.wrappers import Bidirectional, TimeDistributed
    from seqc.layers.wrapping import SpectralNormalization, Wrapper

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AugMix",
    "AutoContrast",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CustomScaleLayer",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "HashedCrossing",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LayerScale",
    "LeakyReLU",
    "Masking",
    "MaxNumBoundingBoxes",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "STFTSpectrogram",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "StochasticDepth",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


def serialize(layer: Layer) -> dict[str, Any]:
    """Returns a layer as plain data.

    Args:
        layer: the layer.
    """
    return serialization.serialize_object(layer)


def deserialize(config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Returns the layer that plain data describe; its weights are new ones.

    Raises:
        SavingError: its class is not known, or does not accept its configuration.
    """
    return serialization.deserialize(config, custom_objects)


# Each is loaded, with the operations that it is made of, when it is asked for: most programs need few of them.
_LATE = {
    "activation": "ELU LeakyReLU PReLU ReLU Softmax",
    "adaptive_pooling": "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D "
    "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D",
    "attention": "AdditiveAttention Attention",
    "augmentation": "RandomFlip RandomRotation RandomTranslation RandomZoom",
    "boxes": "MaxNumBoundingBoxes",
    "colors": "RandomBrightness RandomColorJitter RandomContrast RandomHue RandomSaturation",
    "combining": "AugMix RandAugment",
    "conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "convolutional": "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D Convolution2D "
    "Convolution3D Convolution1DTranspose Convolution2DTranspose Convolution3DTranspose",
    "depthwise": "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D "
    "SeparableConvolution2D",
    "einsum_dense": "EinsumDense",
    "embedding": "Embedding Masking ReversibleEmbedding",
    "encoding": "CategoryEncoding Discretization",
    "erasing": "RandomErasing",
    "grouped_query": "GroupedQueryAttention GroupQueryAttention",
    "hashing": "HashedCrossing Hashing",
    "histograms": "ContrastLimitedAdaptiveHistogramEqualization Equalization",
    "images": "CenterCrop RandomCrop Resizing",
    "lookup": "IntegerLookup StringLookup",
    "merging": "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot maximum "
    "minimum multiply subtract",
    "mixing": "CutMix MixUp",
    "multi_head": "MultiHeadAttention",
    "noise": "AlphaDropout GaussianDropout GaussianNoise",
    "normalization": "BatchNormalization LayerNormalization",
    "norms": "GroupNormalization RMSNormalization UnitNormalization",
    "of_applications": "CustomScaleLayer LayerScale StochasticDepth",
    "pipeline": "Pipeline",
    "plain": "Identity Lambda",
    "pooling": "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
    "GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D "
    "MaxPooling2D MaxPooling3D MaxPool1D MaxPool2D MaxPool3D AvgPool1D AvgPool2D AvgPool3D GlobalMaxPool1D "
    "GlobalMaxPool2D GlobalMaxPool3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D",
    "preprocessing": "Normalization Rescaling",
    "recurrent": "GRU LSTM GRUCell LSTMCell SimpleRNN SimpleRNNCell",
    "regularization": "ActivityRegularization Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D",
    "reshaping": "Flatten Permute RepeatVector Reshape",
    "rnn": "RNN",
    "stacked_cells": "StackedRNNCells",
    "sharpness": "RandomGaussianBlur RandomSharpness",
    "spatial": "Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "spectrograms": "MelSpectrogram STFTSpectrogram",
    "text_vectorization": "TextVectorization",
    "tones": "AutoContrast RandomColorDegeneration RandomGrayscale RandomInvert RandomPosterization Solarization",
    "upsampling": "UpSampling1D UpSampling2D UpSampling3D",
    "warping": "RandomElasticTransform RandomPerspective RandomShear",
    "wrappers": "Bidirectional TimeDistributed",
    "wrapping": "SpectralNormalization Wrapper",
}
_PLACES = places_in(__name__, _LATE)
known_late("layers", _PLACES)
__getattr__ = late(
    __name__,
    _PLACES,
    absent(__name__, __all__, "A Layer subclass whose call(x) uses seqc.ops can do what none of them does."),
)
