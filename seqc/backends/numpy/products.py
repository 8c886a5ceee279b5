"""Convolutions, and the gradients of their kernels and inputs, as products with patches."""

from __future__ import annotations

import math
from collections.abc import Mapping

from seqc.backends.numpy import machine
from seqc.backends.numpy.patches import Patches
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Graph, Type, Value, apply, scope
from seqc.graph.rewriting import with_operands
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from seqc.ops.linalg import MatMul
from seqc.ops.reduce import ReduceSum
from seqc.ops.shape import Reshape, reshape, transpose
from seqc.ops.slicing import concatenate, flip, slice_axis
from seqc.sure import of_kind


def convolve_by_products(graph: Graph) -> Graph:
    """Returns the graph with convolutions, and the gradients of their kernels, as products with patches.

    Exactly: conv(x, k) = patches(x) @ k, and its gradient for k is patches(x)^T @ g.
    """
    order = graph.walk()
    biased = {_shown(v) for v in order if isinstance(v.op, Conv) and len(v.inputs) == 3}
    # A kernel's gradient computed from patches with a column of ones brings the bias's gradient along.
    carriers = {
        v.inputs[1]: v
        for v in order
        if isinstance(v.op, ConvKernelGrad) and _shown(v) in biased and _by_patches(v) and not _is_pointwise(v)
    }
    done: dict[Value, Value] = {}
    for old in order:
        new = with_operands(old, tuple(done[x] for x in old.inputs))
        with scope(old.scope):
            bias = _bias_gradient(old, carriers, done)
            done[old] = _rewritten(old, new, _shown(old) in biased) if bias is None else bias
    inputs = tuple(done.get(x, x) for x in graph.inputs)
    return Graph(inputs, tuple(done[y] for y in graph.outputs), graph.output_names)


def _bias_gradient(old: Value, carriers: Mapping[Value, Value], done: Mapping[Value, Value]) -> Value | None:
    """Returns the gradient of a convolution's bias from the product that gives the kernel's; None for other values."""
    op = old.op
    carrier = carriers.get(old.inputs[0]) if isinstance(op, ReduceSum) else None
    if carrier is None or not isinstance(op, ReduceSum) or op.keepdims or carrier.inputs[0] not in done:
        return None
    if op.axes != tuple(range(old.inputs[0].type.rank - 1)):
        return None
    product = _kernel_product(carrier, done[carrier.inputs[0]], done[old.inputs[0]], True)
    (rows,) = dims.known(product.type.shape[:1])
    return apply(Reshape((-1,)), slice_axis(product, 0, rows - 1, rows))


def _rewritten(old: Value, new: Value, with_ones: bool) -> Value:
    """Returns what takes the place of a value, whose operands are rewritten in `new`."""
    op = old.op
    if not isinstance(op, Conv | ConvKernelGrad | ConvInputGrad) or not _by_patches(old):
        return new
    if _is_pointwise(old):
        return _pointwise(op, new)
    if isinstance(op, Conv):
        return _convolution(op, new)
    if isinstance(op, ConvInputGrad):
        return _correlation(op, new) if _is_cheap_correlation(op, new) else new
    product = _kernel_product(old, new.inputs[0], new.inputs[1], with_ones)
    if with_ones:
        (rows,) = dims.known(product.type.shape[:1])
        product = slice_axis(product, 0, 0, rows - 1)
    return _shaped(product, old.inputs[2].type)


def _shown(v: Value) -> object:
    """Returns what a convolution, or the gradient of its kernel, shares with others that see the same patches."""
    op = v.op
    if not isinstance(op, Conv | ConvKernelGrad):
        return None
    return v.inputs[0], op.strides, op.padding, op.dilations, op.groups


def _kernel_type(v: Value) -> Type:
    """Returns the type of the kernel that a convolution or one of its gradients works with."""
    return v.inputs[2 if isinstance(v.op, ConvKernelGrad) else 1].type


def _image_type(v: Value) -> Type:
    """Returns the type of the image that a convolution or one of its gradients works with."""
    return v.inputs[2 if isinstance(v.op, ConvInputGrad) else 0].type


def _by_patches(v: Value) -> bool:
    """Tells whether a convolution, or one of its gradients, is a product with patches."""
    op = of_kind(v.op, Conv, ConvInputGrad, ConvKernelGrad)
    image = _image_type(v)
    return op.groups == 1 and dims.is_known(image.shape[1:])


def _is_pointwise(v: Value) -> bool:
    op = of_kind(v.op, Conv, ConvInputGrad, ConvKernelGrad)
    window = _kernel_type(v).shape[:-2]
    no_pads = isinstance(op.padding, str) or not any(a or b for a, b in op.padding)
    return _by_patches(v) and set(window) == {1} and set(op.strides) == {1} and no_pads


def _pointwise(op: Conv | ConvKernelGrad | ConvInputGrad, v: Value) -> Value:
    """Returns a convolution with a window of one, or a gradient of it, as a product over channels."""
    if isinstance(op, ConvKernelGrad):
        x, g, like = v.inputs
        return _shaped(apply(MatMul(), transpose(_rows(x)), _rows(g)), like.type)
    kernel = v.inputs[1]
    matrix = apply(Reshape((-1, *dims.known(kernel.type.shape[-1:]))), kernel)
    if isinstance(op, ConvInputGrad):
        return apply(MatMul(), v.inputs[0], transpose(matrix))
    y = apply(MatMul(), v.inputs[0], matrix)
    return y + v.inputs[2] if len(v.inputs) == 3 else y


def _rows(x: Value) -> Value:
    """Returns x with all axes but the last as one."""
    return apply(Reshape((-1, *dims.known(x.type.shape[-1:]))), x)


def _shaped(x: Value, like: Type) -> Value:
    return x if x.type.shape == like.shape else reshape(x, dims.known(like.shape))


def _patches(op: Conv | ConvKernelGrad, x: Value, window: tuple[Dim, ...], ones: bool) -> Value:
    size = dims.known(window)
    single = x.type.shape[-1] == 1 and set(op.strides) == {1}
    return apply(Patches(size, op.strides, op.dilations or (1,) * len(size), op.padding, ones, single), x)


def _convolution(op: Conv, v: Value) -> Value:
    x, w, *bias = v.inputs
    filters = dims.known(w.type.shape[-1:])
    matrix = apply(Reshape((-1, *filters)), w)
    if bias:
        matrix = concatenate([matrix, apply(Reshape((1, *filters)), bias[0])], 0)
    rows = _patches(op, x, w.type.shape[:-2], bool(bias))
    if rows.type.rank > 2:
        return apply(MatMul(), rows, matrix)
    flat = apply(MatMul(), transpose(rows), matrix)
    return apply(Reshape((-1, *dims.known(v.type.shape[1:]))), flat)


def _is_cheap_correlation(op: ConvInputGrad, v: Value) -> bool:
    """Tells whether an input's gradient is cheaper as a convolution of the output's than by adding up what it sends.

    The first has as many rows as the input, the second as many as the output; patches are of one or of the other.
    """
    g, w, like = (x.type for x in v.inputs)
    if set(op.strides) != {1} or any(a < 0 or b < 0 for a, b in _turned_pads(op, like, w)):
        return False
    *window, channels, filters = dims.known(w.shape)
    taps = math.prod(window)
    operations = 2 * taps * channels * filters
    inner, outer = math.prod(dims.known(g.shape[1:-1])), math.prod(dims.known(like.shape[1:-1]))
    turned = outer * (taps * filters * machine.NS_PER_COPIED + operations / machine.OPERATIONS_PER_NS)
    return turned < inner * (taps * channels * machine.NS_PER_ADDED + operations / machine.OPERATIONS_PER_NS_NARROW)


def _turned_pads(op: ConvInputGrad, like: Type, w: Type) -> tuple[tuple[int, int], ...]:
    window = op.window(dims.known(w.shape))
    pads = window.pads(dims.known(like.shape[1:-1]))
    return tuple((window.extent(i) - 1 - a, window.extent(i) - 1 - b) for i, (a, b) in enumerate(pads))


def _correlation(op: ConvInputGrad, v: Value) -> Value:
    """Returns an input's gradient as the convolution of the output's with the kernel turned around."""
    g, w, like = v.inputs
    rank = w.type.rank
    turned = transpose(flip(w, tuple(range(rank - 2))), (*range(rank - 2), rank - 1, rank - 2))
    *window, filters, channels = dims.known(turned.type.shape)
    pads = _turned_pads(op, like.type, w.type)
    rows = apply(Patches(tuple(window), op.strides, op.dilations or (1,) * (rank - 2), pads), g)
    # Laid out in memory here, once, and not for every product.
    return apply(MatMul(), rows, apply(Reshape((math.prod(window) * filters, channels)), turned))


def _kernel_product(owner: Value, x: Value, g: Value, ones: bool) -> Value:
    """Returns the gradient of a kernel as a matrix (window * channels, filters), with the bias's as a last row."""
    op = of_kind(owner.op, ConvKernelGrad)
    rows = _patches(op, x, _kernel_type(owner).shape[:-2], ones)
    turned = rows if rows.type.rank == 2 else transpose(_rows(rows))
    return apply(MatMul(), turned, _rows(g))
