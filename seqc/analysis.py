"""How much arithmetic a model does: floating-point operations per node and per layer, without running anything.

Counting rules, with a multiplication and the addition after it as two operations:

- Conv: 2 · elements of the result · elements of the kernel per filter, plus one addition per element for a bias.
- ConvTranspose: 2 · elements of the input · elements of the kernel per input channel, plus the bias.
- MatMul and Gemm: 2 · elements of the result · length of the sum, plus one addition per element for Gemm's bias.
- LSTM, GRU and RNN with u units, f features and G = 4, 3 or 1 gates: per time step and direction 2 · G · u · (f + u)
  for the two products, and 17 u, 14 u or 3 u for biases, activations and the mixing of states.
- Scan, which is any other recurrence: what it does at each step, as often as there are steps.
- Pooling: one per element of each window. Global pooling, reductions and ArgMax: one per element of the input.
- Resize, Upsample and Resample: one per element of the result.
- Softmax 5 per element, BatchNormalization 2 (a factor and an offset), the other normalizations 7.
- BatchMoments (mean and variance) and GradientSums, which normalize a batch: 4 per element of the input.
- Gradients: of a convolution's input or kernel and of pooling as much as the operation itself without its bias, of
  LSTM, GRU and RNN twice as much, of Resample and of looking up rows one per element that arrives.
- Everything else that computes element by element, whatever it is: 1 per element of the result.
- Moving, reshaping, casting, sorting and looking up elements: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from seqc import dims
from seqc.errors import ShapeError
from seqc.ir import Constant, Graph, Input, Item, Type, Value
from seqc.ops.elementwise import Elementwise
from seqc.ops.pool import AveragePool, AveragePoolGrad, MaxPool, MaxPoolGrad
from seqc.ops.scan import Scan

if TYPE_CHECKING:
    from seqc.model import Model

Sizes = tuple[int, ...]

_MOVES = frozenset(
    """
    ArgSort BroadcastLike BroadcastTo Cast CastLike Compress Concat Constant ConstantOfShape Count Crop DepthToSpace
    DequantizeLinear Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity Input MirrorPad NonZero
    OneHot Pad QuantizeLinear Range Repeat Reshape ReshapeLike ReshapeTo ScatterElements ScatterND Shape Size SizeOf
    Slice SliceGrad SpaceToDepth Split Squeeze StayPut StepOrder StepRows StopGradient TakeStep TakeSteps Tile TopK
    Transpose Trilu Uncrop Unsqueeze
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
    Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN KeepMask LeakyRelu Less
    LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow RandomUniform Reciprocal Relu Resample Resize
    Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu Upsample Where
    Xor
    """.split()  # noqa: SIM905
)
_GATES = {"LSTM": (4, 17), "GRU": (3, 14), "RNN": (1, 3)}
# Names that the IR has and ONNX has not.
_AS_ONNX = {"ConvInputGrad": "ConvTranspose", "SimpleRNN": "RNN", "SimpleRNNGrad": "RNNGrad"}
# Operations that do so much per element of one operand (and of its window): which operand that is, and how much.
_PER_OPERAND = {
    "BatchMoments": (0, 4),
    "GradientSums": (0, 4),
    "MaxPoolGrad": (1, 1),
    "AveragePoolGrad": (0, 1),
    "GatherGrad": (0, 1),
    "ResampleGrad": (0, 1),
}


def only_moves(op: str) -> bool:
    """Tells whether an operator counts nothing whatever its operands are."""
    return op in _MOVES


def count_flops(
    op: str,
    inputs: Sequence[Sizes],
    outputs: Sequence[Sizes],
    *,
    window: int = 1,
    channels_last: bool = False,
    elementwise: bool = False,
) -> int | None:
    """Returns the operations of one node by the rules of this module; None for an operator they do not know.

    Args:
        op: ONNX's operator name. inputs, outputs: their shapes. window: elements of a pooling window.
        channels_last: whether kernels are (*window, channels, filters) and recurrent kernels (units, gates · units), as
        in the IR, instead of ONNX's order. elementwise: count an operator without a rule as one per element.
    """
    result = prod(outputs[0])
    if only_moves(op):
        return 0
    if op in ("Conv", "ConvTranspose"):
        kernel = inputs[1]
        filters = kernel[-1] if channels_last else kernel[0]
        swept = result if op == "Conv" else prod(inputs[0])
        return 2 * swept * (prod(kernel) // filters) + (result if len(inputs) > 2 else 0)
    if op in ("MatMul", "Gemm"):
        length = inputs[0][-1] if op == "MatMul" else prod(inputs[0]) // outputs[0][0]
        return 2 * result * length + (result if len(inputs) > 2 else 0)
    if op == "ConvKernelGrad":
        return 2 * prod(inputs[1]) * (result // outputs[0][-1])
    if op in _GATES:
        return _recurrent(op, inputs, channels_last)
    if op.removesuffix("Grad") in _GATES:
        # Its first results are shaped as the operation's first operands: samples, kernel and recurrent kernel.
        return 2 * _recurrent(op.removesuffix("Grad"), outputs, channels_last)
    if op in _PER_OPERAND:
        operand, each = _PER_OPERAND[op]
        return each * prod(inputs[operand]) * window
    if op in ("MaxPool", "AveragePool"):
        return result * window
    if op in _REDUCTIONS:
        return prod(inputs[0])
    if op in _PER_ELEMENT:
        return _PER_ELEMENT[op] * result
    return result if elementwise or op in _ELEMENTWISE else None


def _recurrent(op: str, inputs: Sequence[Sizes], channels_last: bool) -> int:
    gates, mixing = _GATES[op]
    x, recurrent = inputs[0], inputs[2]
    units, directions = (recurrent[0], 1) if channels_last else (recurrent[2], recurrent[0])
    steps = x[0] * x[1] * directions
    return steps * (2 * gates * units * (x[2] + units) + mixing * units)


@dataclass(frozen=True)
class LayerFacts:
    """One layer: `shape` of its result as Keras shows it, `parameters` in its weights, `flops` for one sample.

    `flops` is None where an operator has no rule or the size of an axis is not known.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]
    parameters: int
    flops: int | None


def describe_layers(model: Model, sizes: Mapping[str, int] | None = None) -> list[LayerFacts]:
    """Returns the facts of each layer of a built model.

    Args:
        sizes: of symbolic axes, by the names that `unknown_sizes` gives; the batch is one sample.

    Raises:
        NotBuiltError: the input shape is not known yet.
    """
    graph, _ = model.graph()
    flops = flops_by_scope(graph, {"batch": 1, **(sizes or {})})
    return [
        LayerFacts(
            one.name, type(one).__name__, one.output_shape_seen or (), one.count_params(), flops.get(one.name, 0)
        )
        for one in model.layers
    ]


def unknown_sizes(graph: Graph) -> list[str]:
    """Returns the names of the symbolic axes of the inputs, the batch left out."""
    found = {name for x in graph.inputs for d in x.type.shape for name in dims.names(d)}
    return sorted(found - {"batch"})


def flops_by_scope(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int | None]:
    """Returns the operations of each layer: the first part of the scope of values, "" for those of no layer.

    What does not depend on the graph's first input, the samples, is computed once for all of them and counts nothing.
    """
    totals: dict[str, int | None] = {}
    depends = {graph.inputs[0]}
    for value in graph.walk():
        if isinstance(value.op, Input) or not any(x in depends for x in value.inputs):
            continue
        depends.add(value)
        layer = value.scope.split("/")[0]
        before, own = totals.get(layer, 0), _flops(value, sizes)
        totals[layer] = None if before is None or own is None else before + own
    return totals


def step_flops(graph: Graph, sizes: Mapping[str, int]) -> int | None:
    """Returns the operations of one run of a whole graph, such as a training step: forward pass, gradients, optimizer
    and metrics. What depends on constants alone is left out.

    Args:
        sizes: of symbolic axes by name, the batch among them. Without one of them, or for an operator that has no
        rule, the result is None.
    """
    total = 0
    varies = set(graph.inputs)
    for value in graph.walk():
        if isinstance(value.op, Input | Constant) or not any(x in varies for x in value.inputs):
            continue
        varies.add(value)
        own = _flops(value, sizes)
        if own is None:
            return None
        total += own
    return total


def _flops(value: Value, sizes: Mapping[str, int]) -> int | None:
    op = value.op
    if isinstance(op, Item) or only_moves(op.name):
        return 0
    try:
        inputs = [_known(x.type, sizes) for x in value.inputs if not isinstance(x.result, tuple)]
        results = value.result if isinstance(value.result, tuple) else (value.result,)
        outputs = [_known(t, sizes) for t in results]
    except ShapeError:
        return None
    if isinstance(op, Scan):
        each = [_flops(v, sizes) for v in op.body.walk() if v.inputs]
        return None if None in each else outputs[-1][0] * sum(n or 0 for n in each)
    name = _AS_ONNX.get(op.name, op.name)
    # Operands that only say what shape the result has count nothing.
    inputs = [size for i, size in enumerate(inputs) if i not in op.shape_only]
    window = prod(op.size) if isinstance(op, MaxPool | AveragePool | MaxPoolGrad | AveragePoolGrad) else 1
    return count_flops(
        name, inputs, outputs, window=window, channels_last=True, elementwise=isinstance(op, Elementwise)
    )


def _known(t: Type, sizes: Mapping[str, int]) -> Sizes:
    return tuple(dims.evaluate(d, sizes) for d in t.shape)
