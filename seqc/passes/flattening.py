"""Vectors instead of images of one pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from seqc.graph.ir import Constant, Graph, Shape, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.conv import Conv
from seqc.ops.elementwise import Elementwise
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.reduce import Reduction
from seqc.passes._rewriting import count_uses, known_array
from seqc.passes._views import VIEWS, view


def flatten_pixels(graph: Graph, _: Target) -> Graph:
    """Returns the graph with (batch, 1, ..., 1, channels) made vectors (batch, channels) as early as it can be.

    Exactly: of an image of one pixel, conv(x, k) = x @ k, and flat(f(x)) = f(flat(x)) for each f that goes channel
    by channel or element by element.

    Where such an image is flattened, what made it works on vectors instead: a convolution of one pixel with a window of
    one is a product, x[b, 1, 1, :] @ k[1, 1] + b; element-wise operations are the same; and a mean over the image need
    not keep its axes. What something else reads too stays as it is.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, VIEWS) or not _is_pixel(new.inputs[0]):
            return None
        source = new.inputs[0]
        return _flattened(old.inputs[0], source, uses) if new.type.shape == _vector_shape(source) else None

    return rewrite(graph, rule)


def _is_pixel(x: Value) -> bool:
    shape = x.type.shape
    return len(shape) > 2 and all(d == 1 for d in shape[1:-1])


def _flattened(old: Value, image: Value, uses: Mapping[Value, int]) -> Value | None:
    """Returns a vector instead of an image of one pixel, if that takes no view of what it is made of, or one instead.

    Args:
        old: the image as it was, which `uses` knows. image: the same with operands that are rewritten already.
    """
    op = image.op
    if uses[old] != 1 or op is not old.op:
        return None
    if isinstance(op, Conv):
        return _product(old, image, op, uses)
    if isinstance(op, Elementwise):
        return _elementwise(old, image, op, uses)
    if isinstance(op, Reduction) and op.keepdims and op.axes == tuple(range(1, image.type.rank - 1)):
        return build(replace(op, keepdims=False), image.inputs, image.scope)
    return None


def _product(old: Value, image: Value, op: Conv, uses: Mapping[Value, int]) -> Value | None:
    x, kernel = image.inputs[0], known_array(image.inputs[1])
    if op.groups > 1 or kernel is None or not _is_pixel(x) or kernel.size != np.prod(kernel.shape[-2:]):
        return None
    if isinstance(op.padding, tuple) and any(pair != (0, 0) for pair in op.padding):
        return None
    vector = _flattened(old.inputs[0], x, uses)
    if vector is None:
        vector = view(x, _vector_shape(x))
    name = image.inputs[1].op.label if isinstance(image.inputs[1].op, Constant) else ""
    operands = (vector, constant(kernel.reshape(kernel.shape[-2:]), name), *image.inputs[2:])
    return build(Gemm() if len(operands) == 3 else MatMul(), operands, image.scope)


def _elementwise(old: Value, image: Value, op: Elementwise, uses: Mapping[Value, int]) -> Value | None:
    """Works on a vector where one operand is the image, and others are as broad as its channels."""
    at = [i for i, x in enumerate(image.inputs) if x.type == image.type]
    if len(at) != 1 or any(x.type.rank > 1 for i, x in enumerate(image.inputs) if i != at[0]):
        return None
    vector = _flattened(old.inputs[at[0]], image.inputs[at[0]], uses)
    if vector is None:
        return None
    operands = (vector if i == at[0] else x for i, x in enumerate(image.inputs))
    return build(op, tuple(operands), image.scope)


def _vector_shape(image: Value) -> Shape:
    return image.type.shape[0], image.type.shape[-1]
