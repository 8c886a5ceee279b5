"""Images in ONNX: the operations that it has channels-first, and what becomes one of them."""

from __future__ import annotations

from collections.abc import Mapping

from seqc.export.images.conv import OnnxConv, OnnxConvInputGrad, OnnxConvKernelGrad, OnnxConvTranspose
from seqc.export.images.pool import OnnxAveragePool, OnnxMaxPool, OnnxMaxPoolGrad, OnnxMaxPoolTake
from seqc.export.images.resize import OnnxResample, OnnxResampleGrad, OnnxResize, OnnxResizeGrad
from seqc.export.images.rules import batch_normalization, product, upsampling
from seqc.graph.ir import Op
from seqc.graph.target import Form
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad, ConvTranspose
from seqc.ops.image_sizes import Resize, ResizeGrad
from seqc.ops.linalg import MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.ops.pool import AveragePool, MaxPool, MaxPoolGrad, MaxPoolTake
from seqc.ops.resize import Resample, ResampleGrad, Upsample

# How the layout plan goes about operations on images, by class.
FORMS: Mapping[type[Op], Form] = {
    Conv: OnnxConv.layout_rule_of,
    ConvInputGrad: OnnxConvInputGrad.layout_rule_of,
    ConvKernelGrad: OnnxConvKernelGrad.layout_rule_of,
    ConvTranspose: OnnxConvTranspose.layout_rule_of,
    MaxPool: OnnxMaxPool.layout_rule_of,
    MaxPoolGrad: OnnxMaxPoolGrad.layout_rule_of,
    MaxPoolTake: OnnxMaxPoolTake.layout_rule_of,
    AveragePool: OnnxAveragePool.layout_rule_of,
    Resample: OnnxResample.layout_rule_of,
    ResampleGrad: OnnxResampleGrad.layout_rule_of,
    Resize: OnnxResize.layout_rule_of,
    ResizeGrad: OnnxResizeGrad.layout_rule_of,
    MatMul: product,
    BatchNormalization: batch_normalization,
    Upsample: upsampling,
}
