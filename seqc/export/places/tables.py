"""The places that files can be made for.

What is said of one is measured where the tests run files there. The rest follows from what its authors say: of the
operators of NVIDIA's parser for TensorRT, of Unity's Inference Engine, of onnxruntime's kernels for CUDA and builders
for Core ML; of which versions, docs/targets.md tells.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.export.images.even import EvenAveragePool, EvenConvTranspose
from seqc.export.places.rules import Place, Rule, Seen
from seqc.graph.ir import Op
from seqc.graph.target import DTYPES, Form
from seqc.ops.conv import ConvTranspose
from seqc.ops.pool import AveragePool

_RECURRENT = ("GRU", "LSTM", "RNN")
_WINDOWS = ("AveragePool", "Conv", "ConvTranspose", "MaxPool")
_STRINGS = ("StringNormalizer", "StringSplit", "ai.onnx.ml.LabelEncoder")
# What stands in for operators that are missing in several places, by what makes them.
INSTEAD: Mapping[str, str] = {
    "GRU": "an LSTM",
    "RNN": "an LSTM",
    "LSTM": "Conv1D with padding='causal'",
    "Scan": "an LSTM whose activations are tanh and sigmoid",
    "ai.onnx.ml.LabelEncoder": "the lookup before the model, and its numbers as input",
    "StringNormalizer": "the split of texts before the model, and its numbers as input",
    "StringSplit": "the split of texts before the model, and its numbers as input",
    "DFT": "a frame length that is no power of two, which is written as a product",
    "ConvTranspose": "UpSampling2D and Conv2D",
}


def _unusual(node: Seen) -> bool:
    """Whether a recurrent operator has other activations than its own."""
    return "activations" in node.attributes


def _volume(node: Seen) -> bool:
    return node.rank() > 4


def _scalar(node: Seen) -> bool:
    """Whether a number without axes is computed before the node."""
    return any(
        t is not None and t.rank == 0 and array is None for t, array in zip(node.types, node.arrays, strict=True)
    )


def _negative_pads(node: Seen) -> bool:
    pads = node.arrays[1] if len(node.arrays) > 1 else None
    return pads is not None and bool((np.asarray(pads) < 0).any())


def _reads_past_ends(node: Seen) -> bool:
    """Whether a recurrent operator's numbers depend on where it stops: of the last step, or of going backwards."""
    last = any(node.outputs[1:])
    return node.has(4) and (last or node.attributes.get("direction", b"forward") != b"forward")


def _uneven(node: Seen) -> bool:
    pads = list(node.attributes.get("pads", ()))
    return pads[: len(pads) // 2] != pads[len(pads) // 2 :]


EVEN: Mapping[type[Op], Form] = {ConvTranspose: EvenConvTranspose.layout_rule_of}
_NO_STRINGS = DTYPES - {"string"}

ORT_CPU = Place("ort-cpu", "onnxruntime", "run")

# With opset 18 every other operator has a kernel for CUDA in all releases since 1.15; MaxPool has none from 22 on.
ORT_CUDA = Place(
    "ort-cuda", "onnxruntime with CUDA", "rule",
    newest=20,
    forms={**EVEN, AveragePool: EvenAveragePool.layout_rule_of},
    silent=(Rule(("AveragePool",), "with uneven padding, beside which releases before July 2026 read", "", _uneven),),
    elsewhere=(
        Rule(_RECURRENT, "activations other than its own", "tanh and sigmoid", _unusual),
        Rule(("GRU",), "reset_after=False", "reset_after=True", lambda n: not n.attributes.get("linear_before_reset")),
        Rule(_RECURRENT, "clipping", "", lambda n: "clip" in n.attributes),
        Rule((*_STRINGS, "BitShift", "BitwiseXor", "Celu", "DFT", "Det", "Unique"), "no kernel for CUDA"),
        Rule(("Pad",), "no kernel for integers", "", lambda n: n.types[0] is not None and not n.types[0].is_float),
    ),
)  # fmt: skip

# Kernels for WebGPU follow new versions of operators late; 18 is older than all of those that were missing.
ORT_WEB = Place("ort-web", "onnxruntime-web", "run", newest=21)

TENSORRT = Place(
    "tensorrt", "TensorRT 10", "rule",
    newest=20,
    stops_at_lengths=False,
    lacking=frozenset(
        (*_STRINGS, "BitShift", "BitwiseXor", "DFT", "Det", "Unique", "Resize.cubic_coeff_a",
         "ScatterElements.reduction")
    ),
    dtypes=_NO_STRINGS - {"float64"},
    rules=(
        Rule(("TopK",), "with a length that is known only when the model runs, which TensorRT does not take",
             "a fixed length: sizes={'time': ...}", lambda n: len(n.arrays) > 1 and n.arrays[1] is None),
        Rule(_WINDOWS, "over more than three axes of space, which TensorRT does not have", "", lambda n: n.rank() > 5),
    ),
)  # fmt: skip

OPENVINO = Place(
    "openvino", "OpenVINO", "run",
    stops_at_lengths=False,
    lacking=frozenset(("ai.onnx.ml.LabelEncoder", "StringNormalizer", "StringSplit", "Resize.cubic_coeff_a")),
    dtypes=_NO_STRINGS,
    rules=(
        Rule(_RECURRENT, "with activations that OpenVINO's does not have", "tanh, sigmoid and relu",
             lambda n: bool({b"HardSigmoid", b"Softsign", b"Softplus", b"Elu", b"LeakyRelu", b"Affine"}
                            & set(n.attributes.get("activations", ())))),
    ),
    silent=(Rule(_RECURRENT, "with lengths of sequences, which OpenVINO passes over", "", _reads_past_ends),),
)  # fmt: skip

_IMAGES = "images: TimeDistributed(Conv2D(...))"
# What OpenCV 4 and 5 both compute right. 4 takes files with fixed sizes alone, and no lengths of sequences.
OPENCV = Place(
    "opencv", "OpenCV 4 and 5", "run",
    newest=21,
    stops_at_lengths=False,
    lacking=frozenset(
        (*_STRINGS, "GRU", "RNN", "Scan", "DFT", "Det", "Unique", "BitShift", "BitwiseXor", "ScatterElements",
         "ScatterND", "GatherND", "Shape.start", "Shape.end", "Resize.cubic_coeff_a")
    ),
    fixed=True,
    dtypes=_NO_STRINGS - {"float64"},
    forms=EVEN,
    rules=(
        Rule(("LSTM",), "with lengths of sequences, which OpenCV 4 does not take", "sequences without padding and mask",
             lambda n: n.has(4)),
        Rule(("LSTM",), "with activations that OpenCV does not have", "tanh and sigmoid", _unusual),
        Rule((*_WINDOWS, "GlobalMaxPool", "Resize"), "over volumes, which OpenCV computes wrongly or not at all",
             _IMAGES, _volume),
        Rule(("Pad",), "with a negative padding, which OpenCV 4 does not take", "a smaller padding", _negative_pads),
        Rule(("Pad",), "by reflection, which OpenCV 4 has for images alone", "a padding of zeros",
             lambda n: n.attributes.get("mode") == b"reflect" and n.rank() != 4),
        Rule((), "of a number without axes, which OpenCV does not have", "the same before the model", _scalar),
    ),
    silent=(
        Rule(("GRU",), "with lengths of sequences, which OpenCV 5 passes over", "", _reads_past_ends),
        Rule(("GRU", "LSTM"), "backwards alone, which OpenCV computes wrongly", "Bidirectional(LSTM(...))",
             lambda n: n.attributes.get("direction") == b"reverse"),
        Rule(("GlobalAveragePool", "ReduceMax", "ReduceMean", "ReduceMin"),
             "over volumes, which OpenCV 4 computes wrongly", _IMAGES, _volume),
    ),
)  # fmt: skip

UNITY = Place(
    "unity", "Unity's Inference Engine", "rule",
    opset=15,
    newest=15,
    stops_at_lengths=False,
    lacking=frozenset(
        (*_STRINGS, "GRU", "RNN", "Scan", "DFT", "Det", "Unique", "BitShift", "BitwiseXor", "Gelu",
         "ConvTranspose.dilations", "MaxPool.dilations", "Resize.cubic_coeff_a")
    ),
    dtypes=_NO_STRINGS - {"float64"},
)  # fmt: skip

_COREML_OPERATORS = (
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Conv", "ConvTranspose",
    "Cos", "DepthToSpace", "Div", "Elu", "Erf", "Exp", "Flatten", "GatherND", "Gelu", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu",
    "MatMul", "Max", "MaxPool", "Mul", "PRelu", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMean",
    "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Sin", "Slice", "Softmax", "Softplus",
    "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip


COREML = Place(
    "coreml", "onnxruntime with Core ML", "rule",
    newest=20,
    elsewhere=(
        Rule((), "no builder for Core ML", "", lambda n: n.op_type not in _COREML_OPERATORS),
        Rule(_WINDOWS, "no builder for volumes", "", _volume),
        Rule(("Slice",), "no builder for places that are computed", "", lambda n: any(a is None for a in n.arrays[1:])),
        Rule(("ConvTranspose",), "no builder with output_padding", "", lambda n: "output_padding" in n.attributes),
    ),
)  # fmt: skip
