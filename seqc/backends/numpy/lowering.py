"""Rewriting a graph into what NumPy runs fast: convolutions as matrix products, less work on large arrays."""

from __future__ import annotations

from collections.abc import Mapping

from seqc import dims
from seqc.backends.numpy.patches import Patches
from seqc.dims import Dim
from seqc.ir import Graph, Input, Type, Value, apply, build, rewrite, scope
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad
from seqc.ops.linalg import MatMul
from seqc.ops.nonlinear import Relu, ReluGrad
from seqc.ops.pool import MaxPool, MaxPoolGrad
from seqc.ops.reduce import ReduceMean, ReduceSum, count
from seqc.ops.shape import Reshape, reshape, transpose
from seqc.ops.slicing import concatenate, slice_axis
from seqc.passes import merge_duplicates
from seqc.passes.bias import fuse_bias


def lower_for_numpy(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Returns the graph as NumPy runs it.

    Args:
        sizes: of all named axes but the batch.
    """
    graph = merge_duplicates(fix_sizes(graph, sizes))
    graph = merge_duplicates(pool_before_relu(fuse_bias(split_means(graph))))
    return merge_duplicates(convolve_by_products(graph))


def fix_sizes(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Returns the graph with numbers in the place of names of axes."""
    if not any(dims.names(d) & set(sizes) for x in graph.inputs for d in x.type.shape):
        return graph
    done: dict[Value, Value] = {}

    def fixed(x: Value) -> Value:
        assert isinstance(x.op, Input)
        op = Input(x.op.label, x.op.dtype, tuple(dims.substitute(d, sizes) for d in x.op.shape))
        return Value(op, (), op.infer(), x.scope)

    for v in (*graph.inputs, *graph.walk()):
        if v not in done:
            inputs = tuple(done[x] for x in v.inputs)
            done[v] = fixed(v) if isinstance(v.op, Input) else build(v.op, inputs, v.scope)
    return Graph(tuple(done[x] for x in graph.inputs), tuple(done[y] for y in graph.outputs), graph.output_names)


def split_means(graph: Graph) -> Graph:
    """Returns the graph with means over the first axis as sums divided by a count: sums can be taken in parts."""

    def rule(v: Value) -> Value | None:
        if not isinstance(v.op, ReduceMean) or 0 not in v.op.axes:
            return None
        with scope(v.scope):
            return apply(ReduceSum(v.op.axes, v.op.keepdims), v.inputs[0]) / count(v.inputs[0], v.op.axes)

    return rewrite(graph, rule)


def pool_before_relu(graph: Graph) -> Graph:
    """Returns the graph with the maximum of windows taken before Relu, on which it has no influence.

    There are fewer elements after it. Where the largest element of a window is positive, Relu keeps its place; where it
    is not, Relu's gradient is zero whichever element it would go to.
    """

    def rule(v: Value) -> Value | None:
        if isinstance(v.op, MaxPool) and isinstance(v.inputs[0].op, Relu):
            return build(Relu(), (build(v.op, v.inputs[0].inputs, v.scope),), v.scope)
        if not (isinstance(v.op, ReluGrad) and isinstance(v.inputs[0].op, MaxPoolGrad)):
            return None
        grad = v.inputs[0]
        shown, _, g = grad.inputs
        op = grad.op
        assert isinstance(op, MaxPoolGrad)
        if shown is not v.inputs[1] or not isinstance(shown.op, Relu):
            return None
        (before,) = shown.inputs
        pooled = build(MaxPool(op.size, op.strides, op.padding, op.first), (before,), v.scope)
        through = build(ReluGrad(), (g, build(Relu(), (pooled,), v.scope)), v.scope)
        return build(op, (before, pooled, through), grad.scope)

    return rewrite(graph, rule)


def convolve_by_products(graph: Graph) -> Graph:
    """Returns the graph with convolutions, and the gradients of their kernels, as products with patches."""
    order = graph.walk()
    biased = {(v.inputs[0], _geometry(v.op)) for v in order if isinstance(v.op, Conv) and len(v.inputs) == 3}
    # A kernel's gradient computed from patches with a column of ones brings the bias's gradient along.
    carried = {
        v.inputs[1]: v
        for v in order
        if isinstance(v.op, ConvKernelGrad) and _by_patches(v) and (v.inputs[0], _geometry(v.op)) in biased
    }
    done: dict[Value, Value] = {}
    for old in order:
        new = old if all(done[x] is x for x in old.inputs) else build(old.op, tuple(done[x] for x in old.inputs), old.scope)
        with scope(old.scope):
            done[old] = _rewritten(old, new, biased, carried, done)
    return Graph(tuple(done.get(x, x) for x in graph.inputs), tuple(done[y] for y in graph.outputs), graph.output_names)


def _rewritten(
    old: Value, new: Value, biased: set[object], carried: Mapping[Value, Value], done: Mapping[Value, Value]
) -> Value:
    """Returns what takes the place of a value, whose operands are rewritten in `new`."""
    op = old.op
    if isinstance(op, ReduceSum) and old.inputs[0] in carried:
        g = old.inputs[0]
        if op.axes == tuple(range(g.type.rank - 1)) and not op.keepdims:
            owner = carried[g]
            if owner.inputs[0] in done:
                return _bias_row(_kernel_product(owner, done[owner.inputs[0]], done[g], True))
    if not isinstance(op, Conv | ConvKernelGrad | ConvInputGrad):
        return new
    if _is_pointwise(old):
        return _pointwise(op, new)
    if not _by_patches(old):
        return new
    if isinstance(op, ConvKernelGrad):
        with_ones = (old.inputs[0], _geometry(op)) in biased
        product = _kernel_product(old, new.inputs[0], new.inputs[1], with_ones)
        if with_ones:
            product = slice_axis(product, 0, 0, product.type.shape[0] - 1)  # type: ignore[operator]
        return _shaped(product, old.inputs[2].type)
    return _convolution(op, new) if isinstance(op, Conv) else new


def _geometry(op: object) -> object:
    assert isinstance(op, Conv | ConvInputGrad | ConvKernelGrad)
    return op.strides, op.padding, op.dilations, op.groups


def _kernel_type(v: Value) -> Type:
    """Returns the type of the kernel that a convolution or one of its gradients works with."""
    return v.inputs[2 if isinstance(v.op, ConvKernelGrad) else 1].type


def _image_type(v: Value) -> Type:
    """Returns the type of the image that a convolution or one of its gradients works with."""
    return v.inputs[2 if isinstance(v.op, ConvInputGrad) else 0].type


def _by_patches(v: Value) -> bool:
    """Tells whether a convolution, or one of its gradients, is a product with patches."""
    op = v.op
    assert isinstance(op, Conv | ConvInputGrad | ConvKernelGrad)
    image = _image_type(v)
    return op.groups == 1 and not op.first and dims.is_known(image.shape[1:])


def _is_pointwise(v: Value) -> bool:
    op = v.op
    assert isinstance(op, Conv | ConvInputGrad | ConvKernelGrad)
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


def _kernel_product(owner: Value, x: Value, g: Value, ones: bool) -> Value:
    """Returns the gradient of a kernel as a matrix (window * channels, filters), with the bias's as a last row."""
    op = owner.op
    assert isinstance(op, ConvKernelGrad)
    rows = _patches(op, x, _kernel_type(owner).shape[:-2], ones)
    turned = rows if rows.type.rank == 2 else transpose(_rows(rows))
    return apply(MatMul(), turned, _rows(g))


def _bias_row(product: Value) -> Value:
    last = product.type.shape[0]
    assert isinstance(last, int)
    return apply(Reshape((-1,)), slice_axis(product, 0, last - 1, last))
