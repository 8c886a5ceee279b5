"""Convolution and its two gradients, over any number of spatial axes.

Channels-last: x (batch, *space, channels), kernel (*window, channels / groups, filters), as Keras keeps them. The
layout plan turns them channels-first for ONNX: x (batch, channels, *space), kernel (filters, channels / groups,
*window).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NoReturn

import numpy as np

from seqc.errors import NoGradientError, NoLoweringError, ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply
from seqc.graph.layout import Layout, LayoutRule, channels_first, natural
from seqc.ops._common import check_float, check_same_dtype
from seqc.ops._conv_kernels import correlate, input_gradient, kernel_gradient
from seqc.ops._conv_onnx import emit_input_gradient, emit_kernel_gradient, emit_padded, emit_unknown_pads
from seqc.ops._windows import Padding, Window, transposed_padding
from seqc.ops.reduce import ReduceSum


@dataclass(frozen=True, repr=False)
class _Convolution(Op):
    strides: tuple[int, ...]
    padding: Padding = "valid"
    dilations: tuple[int, ...] = ()
    groups: int = 1
    first: bool = False  # channels-first operands

    @property
    def fields(self) -> dict[str, Any]:
        """What the gradients share with the convolution."""
        if self.first:
            raise NoGradientError(f"{self.name} is differentiated before the layout is planned, not after.")
        return {f: getattr(self, f) for f in ("strides", "padding", "dilations", "groups")}

    def window(self, kernel: tuple[int, ...]) -> Window:
        size = kernel[2:] if self.first else kernel[:-2]
        return Window(size, self.strides, self.dilations or (1,) * len(size), self.padding)

    def swept(self, places: Sizes, kernel: Sizes) -> int:
        """Returns the operations of a kernel, without its last axis, at each of so many places and filters."""
        return 2 * prod(places) * (prod(kernel) // (kernel[0] if self.first else kernel[-1]))

    def spatial(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape[2:] if self.first else shape[1:-1]

    def join(self, batch: Dim, spatial: tuple[Dim, ...], channels: Dim) -> tuple[Dim, ...]:
        return (batch, channels, *spatial) if self.first else (batch, *spatial, channels)

    def channels_first(self) -> _Convolution:
        """Returns the op for channels-first operands; one spatial axis becomes two, of height one."""
        if len(self.strides) != 1:
            return replace(self, first=True)
        pads = ((0, 0), *self.padding) if isinstance(self.padding, tuple) else self.padding
        return replace(
            self, first=True, strides=(1, *self.strides), dilations=(1, *(self.dilations or (1,))), padding=pads
        )

    def arranged(self, y: Value) -> LayoutRule | None:
        """Returns how the op works channels-first on an image, a kernel and perhaps a bias."""
        if self.first:
            return None
        rank = y.type.rank
        wants: tuple[Layout, ...] = (channels_first(rank), kernel_layout(rank), (0,))
        return LayoutRule(wants[: len(y.inputs)], self.channels_first(), channels_first(rank))

    def last(self, x: Array) -> Array:
        """Returns an operand or kernel with its channels last."""
        return np.moveaxis(x, 1, -1) if self.first else x

    def kernel_last(self, w: Array) -> Array:
        return np.moveaxis(w, (1, 0), (-2, -1)) if self.first else w

    def back(self, y: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(y, -1, 1)) if self.first else y

    def check_ranks(self, x: Type, w: Type) -> tuple[Dim, int, int]:
        """Checks kinds and ranks of operands; returns the channels of x, the kernel's depth and its filters."""
        check_float(self, x, w)
        check_same_dtype(self, x, w)
        rank = len(self.strides)
        if x.rank != rank + 2 or w.rank != rank + 2:
            raise ShapeError(f"{self.name} over {rank} axes needs rank-{rank + 2} input and kernel; got {x} and {w}.")
        depth, filters = dims.known((w.shape[1], w.shape[0]) if self.first else w.shape[-2:])
        return x.shape[1] if self.first else x.shape[-1], depth, filters

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
        sizes = self.window(dims.known(w.shape)).out_sizes(self.name, self.spatial(x.shape))
        return self.join(x.shape[0], sizes, filters)

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


def kernel_layout(rank: int) -> Layout:
    """Where a channels-first kernel's axes come from; `rank` counts all axes of the operand."""
    return (2, 1, None, 0) if rank == 3 else (rank - 1, rank - 2, *range(rank - 2))


class Conv(_Convolution):
    """Cross-correlation of x with a kernel, plus an optional bias per filter."""

    def infer(self, x: Type, w: Type, b: Type | None = None) -> Type:
        y = x.with_shape(self.out_shape(x, w))
        self.check_bias(b, x.with_shape((w.shape[0] if self.first else w.shape[-1],)))
        return y

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.swept(outputs[0], inputs[1]) + (prod(outputs[0]) if len(inputs) > 2 else 0)

    def eval(self, x: Array, w: Array, b: Array | None = None) -> Any:
        window = self.window(w.shape)
        y = correlate(window.padded(self.last(x)), self.kernel_last(w), window, self.groups)
        if b is not None:
            y += b
        return self.back(y)

    def vjp(self, g: Value, y: Value, x: Value, w: Value, b: Value | None = None) -> Sequence[Value | None]:
        gx = apply(ConvInputGrad(**self.fields), g, w, x)
        gw = apply(ConvKernelGrad(**self.fields), x, g, w)
        if b is None:
            return gx, gw
        return gx, gw, apply(ReduceSum(tuple(range(g.type.rank - 1))), g)

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str = "") -> str | tuple[str, ...]:
        _need_first(self)
        image, kernel = (v.type for v in y.inputs[:2])
        window = self.window(dims.known(kernel.shape))
        spatial = self.spatial(image.shape)
        seen = emit_padded(e, x, emit_unknown_pads(e, window, spatial, x), 0.0, image.dtype)
        attributes = {"kernel_shape": list(window.size), "group": self.groups, **window.onnx_attributes(spatial)}
        return e.node("Conv", seen, w, b, **attributes)

    def layout_rule(self, y: Value, x: Layout, w: Layout, b: Layout | None = None) -> LayoutRule | None:
        return self.arranged(y)


class ConvInputGrad(_Convolution):
    """Gradient of Conv with respect to its input: (gradient of the output, kernel, something of the input's shape)."""

    shape_only = (2,)

    def infer(self, g: Type, w: Type, like: Type) -> Type:
        self.check_upstream(g, like, w)
        return like

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.swept(inputs[0], inputs[1])

    def eval(self, g: Array, w: Array, like: Array) -> Any:
        shape, window = self.last(like).shape, self.window(w.shape)
        return self.back(self.sent_back(self.last(g), self.kernel_last(w), shape, window))

    def vjp(self, g: Value, y: Value, upstream: Value, w: Value, like: Value) -> Sequence[Value | None]:
        return apply(Conv(**self.fields), g, w), apply(ConvKernelGrad(**self.fields), g, upstream, w), None

    def lower(self, e: Emitter, y: Value, g: str, w: str, like: str) -> str | tuple[str, ...]:
        _need_first(self)
        upstream, kernel, _ = (v.type for v in y.inputs)
        window = self.window(dims.known(kernel.shape))
        inner, outer = self.spatial(upstream.shape), self.spatial(y.type.shape)
        pads = window.static_pads(outer)
        extra = [
            large - ((small - 1) * step + window.extent(i) - (0 if pads is None else sum(pads[i])))
            for i, (small, large, step) in enumerate(zip(inner, outer, self.strides, strict=True))
        ]
        if pads is None or not dims.is_known(extra):
            return emit_input_gradient(e, window, self.groups, y.type.dtype, g, w, like)
        attributes = window.onnx_attributes(outer)
        if any(extra):
            attributes["output_padding"] = extra
        return e.node("ConvTranspose", g, w, kernel_shape=list(window.size), group=self.groups, **attributes)

    def layout_rule(self, y: Value, g: Layout, w: Layout, like: Layout) -> LayoutRule | None:
        if self.first:
            return None
        image = channels_first(y.type.rank)
        return LayoutRule((image, kernel_layout(y.type.rank), image), self.channels_first(), image)


@dataclass(frozen=True, repr=False)
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
        sizes = self.out_sizes(self.window(dims.known(w.shape)), self.spatial(x.shape))
        return x.with_shape(self.join(x.shape[0], sizes, filters))

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
        x, w = self.last(x), self.kernel_last(w)
        sizes = dims.known(self.out_sizes(window, x.shape[1:-1]))
        y = self.sent_back(x, w, (len(x), *sizes, w.shape[-2] * self.groups), window)
        if b is not None:
            y += b
        return self.back(y)

    def vjp(self, g: Value, y: Value, x: Value, w: Value, b: Value | None = None) -> Sequence[Value | None]:
        gx, gw = apply(Conv(**self.fields), g, w), apply(ConvKernelGrad(**self.fields), g, x, w)
        if b is None:
            return gx, gw
        return gx, gw, apply(ReduceSum(tuple(range(g.type.rank - 1))), g)

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str = "") -> str | tuple[str, ...]:
        _need_first(self)
        window = self.window(dims.known(y.inputs[1].type.shape))
        attributes = {"kernel_shape": list(window.size), "group": self.groups, **window.onnx_attributes(window.size)}
        if any(self.extra):
            attributes["output_padding"] = list(self.extra)
        return e.node("ConvTranspose", x, w, b, **attributes)

    def channels_first(self) -> ConvTranspose:
        op = super().channels_first()
        assert isinstance(op, ConvTranspose)
        return replace(op, extra=(0,) * (len(op.strides) - len(self.strides)) + self.extra) if self.extra else op

    def layout_rule(self, y: Value, x: Layout, w: Layout, b: Layout | None = None) -> LayoutRule | None:
        return self.arranged(y)


class ConvKernelGrad(_Convolution):
    """Gradient of Conv with respect to its kernel: (input, gradient of the output, something of the kernel's shape).

    With `first`, the first two are channels-first; the kernel is not, and has one axis less than they where a height of
    one was put in.
    """

    shape_only = (2,)

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        return "reduce"

    def infer(self, x: Type, g: Type, like: Type) -> Type:
        if not self.first:
            self.check_upstream(g, x, like)
            return like
        x, g = (t.with_shape((t.shape[0], *t.shape[2:], t.shape[1])) for t in (x, g))
        replace(self, first=False).infer(x, g, like.with_shape(self.whole_kernel(like.shape)))
        return like

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 2 * prod(inputs[1]) * (prod(outputs[0]) // outputs[0][-1])

    def whole_kernel(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*(1,) * (len(self.strides) + 2 - len(shape)), *shape)

    def eval(self, x: Array, g: Array, like: Array) -> Any:
        kernel = self.whole_kernel(like.shape)
        window = replace(self, first=False).window(kernel)
        return kernel_gradient(window.padded(self.last(x)), self.last(g), kernel, window, self.groups).reshape(
            like.shape
        )

    def vjp(self, g: Value, y: Value, x: Value, upstream: Value, like: Value) -> Sequence[Value | None]:
        return apply(ConvInputGrad(**self.fields), upstream, g, x), apply(Conv(**self.fields), x, g), None

    def layout_rule(self, y: Value, x: Layout, g: Layout, like: Layout) -> LayoutRule | None:
        if self.first:
            return None
        rank = y.type.rank
        image = channels_first(rank)
        return LayoutRule((image, image, natural(rank)), self.channels_first(), natural(rank))

    def lower(self, e: Emitter, y: Value, x: str, g: str, like: str) -> str | tuple[str, ...]:
        _need_first(self)
        image, upstream, _ = (v.type for v in y.inputs)
        shape = dims.known(y.type.shape)
        window = replace(self, first=False).window(self.whole_kernel(shape))
        return emit_kernel_gradient(e, window, self.groups, image, upstream, (x, g), shape)


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


def _need_first(op: _Convolution) -> None:
    if not op.first:
        raise NoLoweringError(f"{op.name} reaches ONNX channels-first: plan the layout before lowering.")
