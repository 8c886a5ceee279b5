"""Operations that work in any order of axes, and the order in which ONNX is fastest with them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from seqc.export.images.conv import OnnxConv
from seqc.graph.ir import Constant, Value
from seqc.graph.layout import Layout, LayoutRule, Merged, channels_first, is_natural, position
from seqc.ops.conv import Conv
from seqc.ops.normalization import BatchNormalization
from seqc.ops.resize import Upsample


def product(y: Value, left: Layout, right: Layout) -> LayoutRule | None:
    """A product over channels that come first is a convolution with a window of one."""
    rule = y.op.layout_rule(y, left, right)
    a, b = (x.type for x in y.inputs)
    if rule is not None or is_natural(left) or a.rank == 2 or b.rank != 2 or any(isinstance(x, Merged) for x in left):
        return rule
    if left[0] != 0 or position(left, a.rank - 1) != 1:
        return None
    space = len(left) - 2
    return LayoutRule((left, (1, 0, *(None,) * space)), OnnxConv(Conv((1,) * space)), left)


def upsampling(y: Value, layout: Layout) -> LayoutRule | None:
    """Measured in onnxruntime: a Resize of the last two axes takes a fifth of the time of one before channels."""
    batch, *size, channels = cast(Upsample, y.op).factors
    wants_first = size and batch == channels == 1 and is_natural(layout)
    return y.op.layout_rule(y, channels_first(len(layout)) if wants_first else layout)


def batch_normalization(y: Value, layout: Layout, *vectors: Layout) -> LayoutRule | None:
    """ONNX normalizes axis 1 only. Beside recurrent layers, arithmetic with constants takes the axes as they are."""
    op, rank = cast(BatchNormalization, y.op), y.type.rank
    rule, at = op.layout_rule(y, layout, *vectors), position(layout, op.axis)
    constants = all(isinstance(v.op, Constant) for v in y.inputs[1:])
    if at == 1 or (rule is not None and (at is None or (rank == 3 and constants))):
        return rule
    others = [i for i in range(rank) if i not in (0, op.axis)]
    wanted: Layout = channels_first(rank) if op.axis == rank - 1 else (0, op.axis, *others)
    return LayoutRule((wanted, *((0,),) * 4), replace(op, axis=1), wanted)
