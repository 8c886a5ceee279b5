"""One row per operation and way of using it: what every rung of the op tests runs over.

`SPECS` is the table; tests parametrize over it with `ids=str`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from kit.op_rows import (
    Operand,
    OpSpec,
    between,
    computed,
    inside_one,
    nonzero,
    positive,
    real,
    row,
    some_nan,
    still,
    truth,
    unit,
    whole,
    with_zeros,
)
from kit.op_specs_forms import form_rows
from kit.op_specs_images import image_rows
from kit.op_specs_matrices import matrix_rows
from kit.op_specs_numbers import number_rows
from kit.op_specs_recurrent import recurrent_rows
from kit.op_specs_signals import signal_rows
from kit.op_specs_sorting import sorting_rows
from seqc.backends.numpy.masks import KeepMask
from seqc.backends.numpy.patches import Patches
from seqc.backends.numpy.rows import AddRows
from seqc.export.images.conv import OnnxConv, OnnxConvInputGrad, OnnxConvKernelGrad, OnnxConvTranspose
from seqc.export.images.even import EvenAveragePool, EvenConvTranspose
from seqc.export.images.form import ChannelsFirst
from seqc.export.images.pool import OnnxAveragePool, OnnxMaxPool, OnnxMaxPoolGrad, OnnxMaxPoolTake
from seqc.export.splitting import Split
from seqc.graph import dims, ir
from seqc.graph.dims import Dim
from seqc.ops import _text_onnx, strings, text_hashes
from seqc.ops._recurrent import Recurrent
from seqc.ops._recurrent_grad import RecurrentGrad
from seqc.ops.arithmetic import Abs, Add, Ceil, Clip, Div, Floor, Max, Min, Mod, Mul, Neg, Round, Sign, Sub
from seqc.ops.branches import Gate
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad, ConvTranspose
from seqc.ops.ctc import CTCBeamSearch, CTCGrad, CTCLoss
from seqc.ops.derivatives import OwnGradient, Point
from seqc.ops.elementwise import (
    And,
    Cast,
    Equal,
    Greater,
    GreaterOrEqual,
    Identity,
    IsNaN,
    Less,
    LessOrEqual,
    Not,
    Or,
    StopGradient,
    Where,
    Xor,
)
from seqc.ops.gather import Gather, GatherGrad
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.loops import Loop
from seqc.ops.nonlinear import Elu, LeakyRelu, Relu, ReluGrad, Sigmoid, Softplus, Softsign
from seqc.ops.normalization import BatchMoments, BatchNormalization, GradientSums, LayerNormalization
from seqc.ops.padding import MirrorPad, Pad
from seqc.ops.pool import AveragePool, AveragePoolGrad, MaxPool, MaxPoolGrad, MaxPoolTake
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.reduce import (
    ArgMax,
    ArgMin,
    Count,
    CumSum,
    LogSoftmax,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    Softmax,
)
from seqc.ops.rnn import Gated
from seqc.ops.runs import RunMeans, RunMeansGrad, Runs, RunsGrad
from seqc.ops.shape import BroadcastLike, Repeat, Reshape, ReshapeLike, Squeeze, Transpose, Unsqueeze
from seqc.ops.sizes import BroadcastTo, Crop, Range, ReshapeTo, SizeOf, Uncrop
from seqc.ops.slicing import Concat, Slice, SliceGrad
from seqc.ops.steps import Scan
from seqc.ops.transcendental import Atan, Atanh, Cos, Cosh, Erf, Exp, Expm1, Log, Log1p, Pow, Sin, Sinh, Sqrt, Tan, Tanh
from seqc.passes.half_precision import RoundTo


def _unary_rows() -> Iterator[OpSpec]:
    smooth = [
        Neg(),
        Elu(0.7),
        LeakyRelu(0.3),
        Relu(),
        Sigmoid(),
        Softplus(),
        Softsign(),
        Cos(),
        Tan(),
        Atan(),
        Sinh(),
        Cosh(),
        Expm1(),
        Erf(),
        Exp(),
        Sin(),
        Tanh(),
    ]
    for op in smooth:
        yield row(op, real("batch", 5))
    yield row(Atanh(), real("batch", 5, draw=inside_one))
    yield row(Abs(), real("batch", 5, draw=nonzero))
    for op in (Log(), Log1p(), Sqrt()):
        yield row(op, real("batch", 5, draw=positive))
    for op in (Sign(), Floor(), Ceil(), Round()):
        yield row(op, real("batch", 5))
    yield row(Clip(-0.5, 0.8), real("batch", 9))
    yield row(Identity(), real("batch", 5))
    yield row(StopGradient(), still("batch", 5))
    yield row(IsNaN(), still("batch", 5, draw=some_nan))
    yield row(Not(), truth("batch", 5))
    yield row(Cast("int32"), still("batch", 5), note="to-int")
    yield row(Cast("float32"), whole("batch", 5), note="to-float")
    yield row(Cast("bool"), whole("batch", 9, low=-1, high=2), note="to-bool")
    yield row(RoundTo("float16"), still("batch", 5))
    for op in (Neg(), Abs(), Sign(), Relu(), Clip(-2, 3)):
        yield row(op, whole("batch", 5), note="int")


def _binary_rows() -> Iterator[OpSpec]:
    for op in (Add(), Sub(), Mul(), Max(), Min()):
        yield row(op, real("batch", 4), real("batch", 4))
        yield row(op, real("batch", 1, 3), real(2, 1), note="broadcast")
        yield row(op, whole("batch", 4), whole(4), note="int")
    yield row(Div(), real("batch", 4), real(1, 4, draw=nonzero))
    yield row(Div(), whole("batch", 4, low=-20, high=20), whole("batch", 4, low=1), note="int")
    yield row(Pow(), real("batch", 4, draw=positive), real(4))
    yield row(Pow(), whole("batch", 4), whole(4, low=0, high=4), note="int")
    yield row(Mod(), real("batch", 4), real(4, draw=nonzero))
    yield row(Mod(), whole("batch", 4, low=-20, high=20), whole("batch", 4, low=1), note="int")
    compared = (
        Equal(),
        Less(),
        LessOrEqual(),
        Greater(),
        GreaterOrEqual(),
    )
    for comparison in compared:
        yield row(comparison, still("batch", 6, draw=between(0, 3)), still(6, draw=between(0, 3)))
        yield row(comparison, whole("batch", 6, low=0, high=3), whole(1, 6, low=0, high=3), note="int")
    yield row(Equal(), truth("batch", 6), truth("batch", 6), note="bool")
    for logical in (And(), Or(), Xor()):
        yield row(logical, truth("batch", 6), truth("batch", 6))
    yield row(Where(), truth("batch", 3), real("batch", 3), real("batch", 3))
    yield row(Where(), truth("batch", 1), real(3), real("batch", 3), note="broadcast")
    yield row(ReluGrad(), real("batch", 6), still("batch", 6, draw=computed(lambda g: np.maximum(-g, 0))))


def _reduce_rows() -> Iterator[OpSpec]:
    for kind in (ReduceSum, ReduceMean, ReduceMax, ReduceMin):
        yield row(kind((1,)), real("batch", 4, 3))
        yield row(kind((0,)), real("batch", 4), note="over-batch")
        yield row(kind((0, 1)), real("batch", "time"), note="to-scalar")
        yield row(kind((1, 2), True), real("batch", "height", 3, 2), note="keepdims")
    for of_integers in (ReduceSum, ReduceMax, ReduceMin, ReduceProd):
        yield row(of_integers((1,)), whole("batch", 4, 3), note="int")
    yield row(ReduceProd((1,)), real("batch", 4, draw=nonzero))
    yield row(ReduceProd((1,)), real("batch", 4, draw=with_zeros(1)), note="one-zero")
    yield row(ReduceProd((1,)), real("batch", 4, draw=with_zeros(2)), note="two-zeros")
    yield row(ReduceProd((0, 2), True), real("batch", 2, 3, draw=nonzero), note="keepdims")
    for axis in (0, 2):
        yield row(ArgMax(axis), still("batch", 3, 4), note=f"axis{axis}")
        yield row(ArgMin(axis), still("batch", 3, 4), note=f"axis{axis}")
    yield row(CumSum(1), real("batch", 4, 2))
    yield row(CumSum(0), real("batch", 4), note="over-batch")
    yield row(CumSum(2, True), real("batch", "time", 3), note="reverse")
    yield row(CumSum(1), whole("batch", 4), note="int")
    yield row(Count((1, 2)), real("batch", 3, 4))
    yield row(Count((0, 2)), real("batch", 3, "time"), note="symbolic")
    for softmax in (Softmax, LogSoftmax):
        yield row(softmax(1), real("batch", 4))
        yield row(softmax(1), real("batch", "time", 3), note="inner")


def _shape_rows() -> Iterator[OpSpec]:
    image = ("batch", "height", "width", 2)
    yield row(Split(1, (3, 1)), still("batch", 4, 2))
    yield row(Reshape((0, -1)), real("batch", 3, 4), note="flatten")
    yield row(Reshape((-1, 4)), real("batch", "time", 4), note="merge")
    yield row(Reshape((-1, 6, 2)), real("batch", 3, 4), note="split")
    yield row(Reshape((0, 0, 2, 2)), real("batch", "time", 4), note="two-symbolic")
    yield row(ReshapeLike(), real("batch", 12), still("batch", 3, 4))
    yield row(ReshapeLike(2, 1), real(dims.symbol("batch") * dims.symbol("time"), 3), still("batch", "time", 2),
              note="leading")  # fmt: skip
    yield row(BroadcastLike(), real(3), still("batch", "time", 3))
    yield row(BroadcastLike(), real("batch", 1, 3), still("batch", "time", 3), note="middle")
    yield row(Repeat(1, 3), real("batch", 4))
    yield row(Repeat(0, 2), whole("batch", 4), note="first-axis")
    yield row(Transpose((0, 3, 1, 2)), real(*image))
    yield row(Transpose((2, 0, 1)), real("batch", "time", 3), note="batch-moves")
    yield row(Unsqueeze((0, 2)), real("batch", 3))
    yield row(Squeeze((1, 3)), real("batch", 1, 3, 1))
    yield row(Concat(2), real("batch", 2, 3), real("batch", 2, 3))
    yield row(Concat(0), real(2, 3), real("batch", 3), real(1, 3), note="symbolic-axis")
    yield row(Concat(0), still("batch", 3), still("batch", 3), note="two-symbolic")
    yield row(Concat(1), real("batch", 2, 3), real("batch", 4, 3), real("batch", 1, 3), note="three")
    for note, cut in _cuts().items():
        x = real("batch", "time", 7)
        yield row(cut, x, note=note)
        inner = cut.infer(ir.Type("float64", x.dims)).shape
        yield row(SliceGrad(cut), real(*inner), replace(x, differentiable=False), note=note)
    yield row(Pad(((0, 0), (1, 2), (0, 3), (0, 0)), 0.5), real(*image))
    yield row(Pad(((1, 0), (0, 2)), -1), whole("batch", 3), note="int")
    yield row(Pad(((0, 0), (-1, 2), (1, -3), (0, 0)), 0.5), real(*image), note="cut")
    for edge, note in ((False, ""), (True, "edge")):
        yield row(MirrorPad(((0, 0), (1, 2), (0, 2), (0, 0)), edge), real("batch", 3, "time", 2), note=note)
        yield row(MirrorPad(((0, 0), (2, 1)), edge), whole("batch", 3), note=f"int{note}")


def _cuts() -> dict[str, Slice]:
    return {
        "one": Slice((2,), (1,), (5,), (1,)),
        "steps": Slice((1, 2), (1, 0), (None, 6), (2, 3)),
        "negative": Slice((1, 2), (-3, 1), (None, -2), (1, 2)),
        "reversed": Slice((1, 2), (-1, -1), (None, None), (-1, -2)),
        "one-step": Slice((1,), (-1,), (None,), (1,)),
    }


def _matrix_rows() -> Iterator[OpSpec]:
    yield row(MatMul(), real("batch", 3), real(3, 4))
    yield row(MatMul(), real("batch", "time", 3), real(3, 4), note="rows")
    yield row(MatMul(), real("batch", 2, "time", 3), real("batch", 2, 3, 4), note="batched")
    yield row(MatMul(), real("batch", 1, 2, 3), real(5, 3, 4), note="broadcast")
    yield row(MatMul(), real(2, 3), real("batch", 3, 4), note="wide-right")
    yield row(Gemm(), real("batch", 3), real(3, 4), real(4))


def _gather_rows() -> Iterator[OpSpec]:
    yield row(Gather(), real(6, 3), whole("batch", "time", low=0, high=6))
    yield row(Gather(), real(6, 2, 3), whole("batch", low=-6, high=6, dtype="int64"), note="negative")
    yield row(GatherGrad(), real("batch", "time", 3), whole("batch", "time", low=0, high=6), still(6, 3))


def _normalize_rows() -> Iterator[OpSpec]:
    for axis, size in ((3, (4,)), (1, (4,))):
        x = real("batch", "height", 3, 4) if axis == 3 else real("batch", 4, 3, "width")
        statistics = (real(*size), real(*size), real(*size), real(*size, draw=positive))
        yield row(BatchNormalization(axis, 1e-3), x, *statistics, note=f"axis{axis}")
        yield row(BatchMoments(axis), x, note=f"axis{axis}", results=2)
        yield row(GradientSums(axis), x, x, real(*size), note=f"axis{axis}", results=2)
    yield row(LayerNormalization(2, 1e-3), real("batch", "time", 4), real(4), real(4))
    yield row(LayerNormalization(1, 1e-3), real("batch", 3, 4), real(3, 4), real(3, 4), note="two-axes")


def _random_rows() -> Iterator[OpSpec]:
    seed, step = (Operand((), between(0, 1 << 40), "int64") for _ in range(2))
    yield row(RandomUniform(3), still("batch", 3, 4), seed, step)
    yield row(KeepMask(3, 0.3), still("batch", 3, 4), seed, step)
    yield row(Dropout(0.3), real("batch", 3, 4), still("batch", 3, 4, draw=unit))
    yield row(Dropout(0.3), real("batch", 3, 4), still("batch", 1, 4, draw=unit), note="broadcast")


def _convolution(note: str, x: tuple[Dim | str, ...], w: tuple[int, ...], **attributes: Any) -> Iterator[OpSpec]:
    """The convolution and its two gradients."""
    image, kernel = real(*x), real(*w)
    attributes = {"strides": (1,) * (len(x) - 2), **attributes}
    op = Conv(**attributes)
    out = op.infer(ir.Type("float64", image.dims), ir.Type("float64", kernel.dims)).shape
    yield row(op, image, kernel, note=note)
    yield row(ConvInputGrad(**attributes), real(*out), kernel, replace(image, differentiable=False), note=note)
    yield row(ConvKernelGrad(**attributes), image, real(*out), replace(kernel, differentiable=False), note=note)


def _conv_rows() -> Iterator[OpSpec]:
    image, free = ("batch", 6, 7, 2), ("batch", "height", "width", 2)
    yield from _convolution("valid", image, (3, 2, 2, 4))
    yield from _convolution("same", image, (3, 2, 2, 4), padding="same")
    yield from _convolution("same-stride", image, (3, 3, 2, 4), strides=(2, 2), padding="same")
    yield from _convolution("valid-stride", image, (2, 3, 2, 4), strides=(2, 3))
    yield from _convolution("dilation", image, (3, 2, 2, 3), dilations=(2, 3))
    yield from _convolution("same-dilation", image, (3, 3, 2, 3), dilations=(2, 1), padding="same")
    yield from _convolution("groups", image, (2, 2, 1, 4), groups=2, padding="same")
    yield from _convolution("depthwise", image, (3, 3, 1, 6), groups=2, strides=(2, 2), padding="same")
    yield from _convolution("pads", image, (3, 3, 2, 3), padding=((2, 0), (1, 3)), strides=(2, 1))
    yield from _convolution("kernel-over-image", ("batch", 2, 3, 2), (5, 4, 2, 3), padding="same")
    yield from _convolution("pointwise", image, (1, 1, 2, 4))
    yield from _convolution("window-of-one", image, (1, 1, 2, 4), strides=(2, 2))
    yield from _convolution("free", free, (3, 3, 2, 3))
    yield from _convolution("free-same", free, (3, 2, 2, 3), padding="same")
    yield from _convolution("free-same-stride", free, (3, 3, 2, 3), padding="same", strides=(2, 2))
    yield from _convolution("1d", ("batch", 9, 2), (3, 2, 4), strides=(2,), padding="same")
    yield from _convolution("1d-causal", ("batch", "time", 2), (3, 2, 4), padding=((4, 0),), dilations=(2,))
    yield from _convolution("3d", ("batch", 4, 5, 3, 2), (2, 3, 2, 2, 3), strides=(1, 2, 1), padding="same")
    yield row(Conv((1, 1)), real(*image), real(3, 3, 2, 4), real(4), note="bias")
    first = OnnxConv(Conv((2, 1), "same", groups=2))
    yield row(first, still("batch", 2, 6, 7), still(4, 1, 3, 3), still(4), note="channels-first")
    grad = OnnxConvInputGrad(ConvInputGrad((2, 1), "same", groups=2))
    like = still("batch", 2, 6, 7)
    yield row(grad, still("batch", 4, 3, 7), still(4, 1, 3, 3), like, note="channels-first")
    kernel_grad = OnnxConvKernelGrad(ConvKernelGrad((2, 1), "same", groups=2))
    yield row(kernel_grad, like, still("batch", 4, 3, 7), still(3, 3, 1, 4), note="channels-first")
    flat = OnnxConvKernelGrad(ConvKernelGrad((1, 2), "same"))
    yield row(flat, still("batch", 2, 1, 9), still("batch", 4, 1, 5), still(3, 2, 4), note="channels-first-1d")
    yield from _convolution("free-groups", free, (2, 3, 1, 4), groups=2, padding="same", strides=(2, 2))


def _transposed_rows() -> Iterator[OpSpec]:
    image, free = ("batch", 3, 4, 2), ("batch", "height", "width", 2)
    kinds: dict[str, tuple[tuple[Dim | str, ...], tuple[int, ...], dict[str, Any]]] = {
        "valid": (image, (3, 2, 4, 2), {"strides": (2, 3)}),
        "one-step": (image, (2, 3, 3, 2), {"strides": (1, 1)}),
        "cut": (image, (4, 3, 3, 2), {"strides": (2, 2), "padding": ((1, 0), (0, 1))}),
        "longer": (image, (3, 2, 3, 2), {"strides": (2, 3), "padding": ((1, 1), (0, 0)), "extra": (1, 2)}),
        "gaps": (image, (1, 2, 3, 2), {"strides": (3, 3), "extra": (2, 1)}),
        "dilation": (image, (3, 2, 3, 2), {"strides": (1, 1), "dilations": (2, 3), "padding": ((1, 2), (0, 0))}),
        "groups": (image, (3, 2, 3, 2), {"strides": (2, 1), "groups": 2}),
        "free": (free, (3, 3, 3, 2), {"strides": (2, 2), "padding": ((1, 0), (1, 0))}),
        "free-longer": (free, (2, 3, 3, 2), {"strides": (3, 2), "extra": (1, 1)}),
        "1d": (("batch", 5, 2), (4, 3, 2), {"strides": (2,), "padding": ((1, 1),)}),
        "1d-free-longer": (("batch", "time", 2), (2, 3, 2), {"strides": (3,), "extra": (1,)}),
        "3d": (("batch", 2, 3, 2, 2), (2, 1, 3, 3, 2), {"strides": (2, 1, 2)}),
    }
    for note, (x, w, attributes) in kinds.items():
        yield row(ConvTranspose(**attributes), real(*x), real(*w), note=note)
    cut = ConvTranspose((2, 2), ((0, 1), (1, 0)))
    yield row(cut, real(*image), real(3, 3, 4, 2), real(4), note="bias")
    first = OnnxConvTranspose(replace(cut, extra=(1, 0)))
    yield row(first, still("batch", 2, 3, 4), still(2, 4, 3, 3), still(4), note="channels-first")


def _pooling(note: str, x: tuple[Dim | str, ...], *attributes: Any) -> Iterator[OpSpec]:
    """Both poolings and their gradients."""
    image = real(*x)
    largest, average = MaxPool(*attributes), AveragePool(*attributes)
    out = largest.infer(ir.Type("float64", image.dims)).shape
    same = replace(image, differentiable=False)
    yield row(largest, image, note=note)
    pooled = still(*out, draw=computed(largest.eval))
    yield row(MaxPoolGrad(*attributes), same, pooled, real(*out), note=note)
    yield row(MaxPoolTake(*attributes), same, pooled, image, note=note)
    yield row(average, image, note=note)
    yield row(AveragePoolGrad(*attributes), real(*out), same, note=note)


def _pool_rows() -> Iterator[OpSpec]:
    image, free = ("batch", 6, 7, 2), ("batch", "height", "width", 2)
    yield from _pooling("valid", image, (2, 2), (2, 2))
    yield from _pooling("overlapping", image, (3, 2), (1, 2))
    yield from _pooling("same", image, (3, 3), (2, 2), "same")
    yield from _pooling("window-over-image", ("batch", 2, 3, 1), (4, 5), (1, 2), "same")
    yield from _pooling("gaps", image, (1, 2), (2, 3), "same")
    yield from _pooling("free", free, (2, 2), (2, 2))
    yield from _pooling("free-same", free, (2, 3), (2, 2), "same")
    yield from _pooling("1d", ("batch", "time", 3), (2,), (2,))
    yield from _pooling("3d", ("batch", 4, 3, 5, 1), (2, 2, 2), (2, 1, 2))
    first, attributes = still("batch", 2, 6, 7), ((3, 2), (2, 2), "same")
    largest = OnnxMaxPool(MaxPool(*attributes))
    yield row(largest, first, note="channels-first")
    yield row(OnnxAveragePool(AveragePool(*attributes)), first, note="channels-first")
    pooled = still("batch", 2, 3, 4, draw=computed(largest.eval))
    yield row(OnnxMaxPoolGrad(MaxPoolGrad(*attributes)), first, pooled, still("batch", 2, 3, 4), note="channels-first")
    yield row(OnnxMaxPoolTake(MaxPoolTake(*attributes)), first, pooled, first, note="channels-first")


def _run_rows() -> Iterator[OpSpec]:
    """Each way to say a product along an axis: of the last axis, of the one before, and of others."""
    for kind in (RunMeans, RunMeansGrad, Runs, RunsGrad):
        for axis, note in ((1, "first"), (2, "middle"), (3, "last")):
            op = kind(axis, 7, 3)
            shape: list[Dim | str] = ["batch", 2, 4, 3]
            shape[axis], _ = op.sizes()
            yield row(op, real(*shape), note=note)
        op = kind(1, 3, 5)
        yield row(op, real("batch", op.sizes()[0], "width", 2), note="free")


SPECS: tuple[OpSpec, ...] = (
    *_unary_rows(),
    *number_rows(),
    *form_rows(),
    *_binary_rows(),
    *_reduce_rows(),
    *_shape_rows(),
    *_matrix_rows(),
    *_gather_rows(),
    *_normalize_rows(),
    *_random_rows(),
    *_conv_rows(),
    *_transposed_rows(),
    *image_rows(),
    *_pool_rows(),
    *_run_rows(),
    *recurrent_rows(),
    *signal_rows(),
    *sorting_rows(),
    *matrix_rows(),
)

# Operations without a row, and why.
_ON_STRINGS = (
    strings.CountTokens, text_hashes.CrossHash, strings.FitLength, text_hashes.HashText, strings.LookUp,
    strings.Missing, strings.SplitText, strings.Standardize, _text_onnx._JoinPart,
)  # fmt: skip
EXEMPT: dict[type[ir.Op], str] = {
    AddRows: "what NumPy makes of gradient descent on a table; tests/test_executor.py",
    Patches: "what NumPy makes of a convolution; tests/test_patches.py",
    ir.Constant: "a leaf; tests/test_ir.py",
    ir.Item: "picks from results; every row with several results uses it",
    **dict.fromkeys((ChannelsFirst, Gated, Recurrent, RecurrentGrad), "what some operations have in common"),
    **dict.fromkeys(_ON_STRINGS, "takes or gives strings; tests/test_string_layers.py"),
    **dict.fromkeys((Gate, OwnGradient, Point, Loop), "is of one program; tests/test_control_flow.py"),
    **dict.fromkeys((CTCLoss, CTCGrad, CTCBeamSearch), "aligns with labels that are classes; tests/test_ctc.py"),
    **dict.fromkeys((EvenAveragePool, EvenConvTranspose), "says its base in other nodes; tests/test_places.py"),
    Scan: "the graph in it has types of its own; tests/test_scan.py",
    **dict.fromkeys((SizeOf, Range, BroadcastTo, ReshapeTo, Crop, Uncrop), "reads sizes; tests/test_sizes.py"),
}
