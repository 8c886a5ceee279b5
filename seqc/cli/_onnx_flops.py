"""What a node of an ONNX file computes, by the rules of `seqc.analysis`, told by ONNX's operator names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from seqc.graph.ir import Sizes
from seqc.ops.dft import work_of_transform

_MOVES = frozenset(
    """
    ArgSort Cast CastLike Compress Concat Constant ConstantOfShape DepthToSpace DequantizeLinear Dropout Expand EyeLike
    Flatten Gather GatherElements GatherND Identity NonZero OneHot Pad QuantizeLinear Range Reshape ScatterElements
    ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unsqueeze
    """.split()  # noqa: SIM905
)
_REDUCTIONS = frozenset(
    """
    ArgMax ArgMin CumSum GlobalAveragePool GlobalMaxPool ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare
    """.split()  # noqa: SIM905
)
_PER_ELEMENT = {
    "Softmax": 5,
    "LogSoftmax": 5,
    "BatchNormalization": 2,
    "LayerNormalization": 7,
    "InstanceNormalization": 7,
    "GroupNormalization": 7,
}
_ELEMENTWISE = frozenset(
    """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitwiseAnd BitwiseOr BitwiseXor Ceil Celu Clip Cos Cosh Div Elu
    Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log
    Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Resize Round Selu Shrink Sigmoid Sign Sin Sinh
    Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Upsample Where Xor
    """.split()  # noqa: SIM905
)
_GATES = {"LSTM": (4, 17), "GRU": (3, 14), "RNN": (1, 3)}


def only_moves(op: str) -> bool:
    """Tells whether an operator counts nothing whatever its operands are."""
    return op in _MOVES


def count_flops(op: str, inputs: Sequence[Sizes], outputs: Sequence[Sizes], *, window: int = 1) -> int | None:
    """Returns the operations of one node; None for an operator that the rules do not know.

    Args:
        op: ONNX's operator name.
        inputs: the shapes of its operands.
        outputs: the shapes of its results.
        window: elements of a pooling window.
    """
    result = prod(outputs[0])
    if only_moves(op):
        return 0
    if op in ("Conv", "ConvTranspose"):
        kernel = inputs[1]
        swept = result if op == "Conv" else prod(inputs[0])
        return 2 * swept * (prod(kernel) // kernel[0]) + (result if len(inputs) > 2 else 0)
    if op in ("MatMul", "Gemm"):
        length = inputs[0][-1] if op == "MatMul" else prod(inputs[0]) // outputs[0][0]
        return 2 * result * length + (result if len(inputs) > 2 else 0)
    if op == "DFT":  # along the last axis but one, the last having one or both parts of a number
        return prod(inputs[0][:-2]) * work_of_transform(min(prod(inputs[0][-2:]), prod(outputs[0][-2:])))
    if op in _GATES:
        return _recurrent(op, inputs[0], inputs[2])
    if op in ("MaxPool", "AveragePool"):
        return result * window
    if op in _REDUCTIONS:
        return prod(inputs[0])
    if op in _PER_ELEMENT:
        return _PER_ELEMENT[op] * result
    return result if op in _ELEMENTWISE else None


def _recurrent(op: str, x: Sizes, recurrent: Sizes) -> int:
    gates, mixing = _GATES[op]
    directions, _, units = recurrent
    return x[0] * x[1] * directions * units * (2 * gates * (x[2] + units) + mixing)
