"""Convolution and its two gradients, over any number of spatial axes.

Channels come last, as Keras has them: x (batch, *space, channels), kernel (*window, channels / groups, filters).
Numbers as truth: `Conv.eval`. Numbers as `fit` runs them: products with patches, seqc/backends/numpy/products.py. In
ONNX: channels-first, seqc/export/images/conv.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.batch import samples_first
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, BatchRule, Op, Sizes, Type, Value, apply
from seqc.ops._common import check_float, check_same_dtype
from seqc.ops._conv_kernels import correlate, input_gradient, kernel_gradient
from seqc.ops._windows import Padding, Window, transposed_padding
from seqc.ops.reduce import ReduceSum


@dataclass(frozen=True, repr=False, eq=False)
class _Convolution(Op):
    strides: tuple[int, ...]
    padding: Padding = "valid"
    dilations: tuple[int, ...] = ()
    groups: int = 1

    @property
    def fields(self) -> dict[str, Any]:
        """What the gradients share with the convolution."""
        return {f: getattr(self, f) for f in ("strides", "padding", "dilations", "groups")}

    def window(self, kernel: tuple[int, ...]) -> Window:
        size = kernel[:-2]
        return Window(size, self.strides, self.dilations or (1,) * len(size), self.padding)

    def swept(self, places: Sizes, kernel: Sizes) -> int:
        """Returns the operations of a kernel, without its last axis, at each of so many places and filters."""
        return 2 * prod(places) * (prod(kernel) // kernel[-1])

    def check_ranks(self, x: Type, w: Type) -> tuple[Dim, int, int]:
        """Checks kinds and ranks of operands; returns the channels of x, the kernel's depth and its filters."""
        check_float(self, x, w)
        check_same_dtype(self, x, w)
        rank = len(self.strides)
        if x.rank != rank + 2 or w.rank != rank + 2:
            raise ShapeError(f"{self.name} over {rank} axes needs rank-{rank + 2} input and kernel; got {x} and {w}.")
        depth, filters = dims.known(w.shape[-2:])
        return x.shape[-1], depth, filters

    def refuse_kernel(self, w: Type, channels: Dim) -> NoReturn:
        raise ShapeError(
            f"{self.name} with groups={self.groups} cannot apply a kernel {list(w.shape)} to {channels} channels."
        )

    def check_bias(self, b: Type | None, wanted: Type) -> None:
        if b not in (None, wanted):
            raise ShapeError(f"{self.name} takes one bias {wanted}; got {b}.")

    def out_shape(self, x: Type, w: Type) -> tuple[Dim, ...]:
        """Returns the shape of the convolution of x with the kernel w."""
        channels, depth, filters = self.check_ranks(x, w)
        if depth * self.groups != channels or filters % self.groups:
            self.refuse_kernel(w, channels)
        sizes = self.window(dims.known(w.shape)).out_sizes(self.name, x.shape[1:-1])
        return (x.shape[0], *sizes, filters)

    def sent_back(self, g: Array, w: Array, shape: tuple[int, ...], window: Window) -> Array:
        """Returns what each element of g sends through the kernel w to a tensor of `shape`; all channels-last."""
        space = shape[1:-1]
        padded = (s + a + b for s, (a, b) in zip(space, window.pads(space), strict=True))
        whole = input_gradient(g, w, (shape[0], *padded, shape[-1]), window, self.groups)
        return whole[window.inside(space)]

    def check_upstream(self, g: Type, x: Type, w: Type) -> None:
        """Checks that g is shaped like the convolution of x with the kernel w."""
        check_same_dtype(self, g, x, w)
        if g.shape != (shape := self.out_shape(x, w)):
            raise ShapeError(f"{self.name} of {x} with a kernel {list(w.shape)} needs {g.with_shape(shape)}; got {g}.")


class Conv(_Convolution):
    """Cross-correlation of x with a kernel, plus an optional bias per filter."""

    def infer(self, x: Type, w: Type, b: Type | None = None) -> Type:
        y = x.with_shape(self.out_shape(x, w))
        self.check_bias(b, x.with_shape(w.shape[-1:]))
        return y

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.swept(outputs[0], inputs[1]) + (prod(outputs[0]) if len(inputs) > 2 else 0)

    def eval(self, x: Array, w: Array, b: Array | None = None) -> Any:
        window = self.window(w.shape)
        y = correlate(window.padded(x), w, window, self.groups)
        if b is not None:
            y += b
        return y

    def vjp(self, g: Value, y: Value, x: Value, w: Value, b: Value | None = None) -> Sequence[Value | None]:
        gx = apply(ConvInputGrad(**self.fields), g, w, x)
        gw = apply(ConvKernelGrad(**self.fields), x, g, w)
        if b is None:
            return gx, gw
        return gx, gw, apply(ReduceSum(tuple(range(g.type.rank - 1))), g)


class ConvInputGrad(_Convolution):
    """Gradient of Conv with respect to its input: (gradient of the output, kernel, something of the input's shape)."""

    shape_only = (2,)

    def infer(self, g: Type, w: Type, like: Type) -> Type:
        self.check_upstream(g, like, w)
        return like

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.swept(inputs[0], inputs[1])

    def eval(self, g: Array, w: Array, like: Array) -> Any:
        return self.sent_back(g, w, like.shape, self.window(w.shape))

    def vjp(self, g: Value, y: Value, upstream: Value, w: Value, like: Value) -> Sequence[Value | None]:
        return apply(Conv(**self.fields), g, w), apply(ConvKernelGrad(**self.fields), g, upstream, w), None


@dataclass(frozen=True, repr=False, eq=False)
class ConvTranspose(_Convolution):
    """What each element of x sends through a kernel, plus an optional bias per channel of the result.

    The kernel is that of the convolution which leads back: (*window, channels of the result / groups, channels of x).
    `padding` is "valid" or how many elements are cut off (before, after) each axis; `extra` counts the elements that
    are put at the end of each axis.
    """

    extra: tuple[int, ...] = ()

    def infer(self, x: Type, w: Type, b: Type | None = None) -> Type:
        channels, depth, senders = self.check_ranks(x, w)
        if senders != channels or senders % self.groups:
            self.refuse_kernel(w, channels)
        filters = depth * self.groups
        self.check_bias(b, x.with_shape((filters,)))
        sizes = self.out_sizes(self.window(dims.known(w.shape)), x.shape[1:-1])
        return x.with_shape((x.shape[0], *sizes, filters))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.swept(inputs[0], inputs[1]) + (prod(outputs[0]) if len(inputs) > 2 else 0)

    def out_sizes(self, window: Window, spatial: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """Returns the sizes of the result for those of x."""
        sizes: list[Dim] = []
        for i, (size, step) in enumerate(zip(spatial, self.strides, strict=True)):
            before, after = self.padding[i] if isinstance(self.padding, tuple) else (0, 0)
            sizes.append((size - 1) * step + (window.extent(i) - before - after + (self.extra[i] if self.extra else 0)))
        if any(isinstance(d, int) and d < 1 for d in sizes):
            raise ShapeError(f"{self!r} of {tuple(spatial)} with a window of {window.size} leaves nothing: {sizes}.")
        return tuple(sizes)

    def eval(self, x: Array, w: Array, b: Array | None = None) -> Any:
        window = self.window(w.shape)
        sizes = dims.known(self.out_sizes(window, x.shape[1:-1]))
        y = self.sent_back(x, w, (len(x), *sizes, w.shape[-2] * self.groups), window)
        if b is not None:
            y += b
        return y

    def vjp(self, g: Value, y: Value, x: Value, w: Value, b: Value | None = None) -> Sequence[Value | None]:
        gx, gw = apply(Conv(**self.fields), g, w), apply(ConvKernelGrad(**self.fields), g, x, w)
        if b is None:
            return gx, gw
        return gx, gw, apply(ReduceSum(tuple(range(g.type.rank - 1))), g)


class ConvKernelGrad(_Convolution):
    """Gradient of Conv with respect to its kernel: (input, gradient of the output, something of the kernel's shape)."""

    shape_only = (2,)

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        return "reduce" if samples_first(y) else "whole"

    def infer(self, x: Type, g: Type, like: Type) -> Type:
        self.check_upstream(g, x, like)
        return like

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 2 * prod(inputs[1]) * (prod(outputs[0]) // outputs[0][-1])

    def eval(self, x: Array, g: Array, like: Array) -> Any:
        window = self.window(like.shape)
        return kernel_gradient(window.padded(x), g, like.shape, window, self.groups)

    def vjp(self, g: Value, y: Value, x: Value, upstream: Value, like: Value) -> Sequence[Value | None]:
        return apply(ConvInputGrad(**self.fields), upstream, g, x), apply(Conv(**self.fields), x, g), None


def convolve(
    x: Value, w: Value, bias: Any, strides: Sequence[int], padding: Padding, dilations: Sequence[int] = ()
) -> Value:
    """Returns a channels-last convolution plus a bias, if it is not None; the kernel's depth tells the groups."""
    channels, depth = x.type.shape[-1], w.type.shape[-2]
    groups = channels // depth if isinstance(channels, int) and isinstance(depth, int) and depth else 1
    op = Conv(tuple(strides), padding, tuple(dilations), groups)
    return apply(op, x, w) if bias is None else apply(op, x, w, bias)


def convolve_back(
    x: Value,
    w: Value,
    bias: Any,
    strides: Sequence[int],
    padding: str,
    output_padding: Sequence[int] | None = None,
    dilations: Sequence[int] = (),
) -> Value:
    """Returns the channels-last transposed convolution as Keras sizes it, plus a bias if it is not None."""
    size, steps = dims.known(w.type.shape[:-2]), tuple(strides)
    spacing = tuple(dilations) or (1,) * len(size)
    cuts, extra = transposed_padding(Window(size, steps, spacing, padding), output_padding)
    op = ConvTranspose(steps, cuts, spacing, extra=extra)
    return apply(op, x, w) if bias is None else apply(op, x, w, bias)
