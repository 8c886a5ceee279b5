"""Convolutions and their gradients in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqc.export.images.form import ChannelsFirst
from seqc.export.images.windows import (
    emit_input_gradient,
    emit_kernel_gradient,
    emit_padded,
    emit_unknown_pads,
    window_attributes,
)
from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Type, Value
from seqc.ops._windows import Window
from seqc.ops.conv import Conv, ConvInputGrad, ConvKernelGrad, ConvTranspose


@dataclass(frozen=True, repr=False, eq=False)
class OnnxConv(ChannelsFirst):
    """Convolution with the channels first, as ONNX has it."""

    op: Conv
    operands = ("image", "kernel", "other")

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str = "") -> str | tuple[str, ...]:
        image, window = y.inputs[0].type, _window(self.op, y.inputs[1].type)
        seen = emit_padded(e, window, image, x, emit_unknown_pads(e, window, image.shape[2:], x), 0.0)
        return e.node("Conv", seen, w, b, **_attributes(self.op, window), **window_attributes(window, image.shape[2:]))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxConvInputGrad(ChannelsFirst):
    """The gradient of a convolution by its image: ConvTranspose where all sizes are known."""

    op: ConvInputGrad
    operands = ("image", "kernel", "image")
    shape_only = ConvInputGrad.shape_only

    def lower(self, e: Emitter, y: Value, g: str, w: str, like: str) -> str | tuple[str, ...]:
        window = _window(self.op, y.inputs[1].type)
        inner, outer = y.inputs[0].type.shape[2:], y.type.shape[2:]
        pads = window.static_pads(outer)
        extra = [
            large - ((small - 1) * step + window.extent(i) - (0 if pads is None else sum(pads[i])))
            for i, (small, large, step) in enumerate(zip(inner, outer, window.strides, strict=True))
        ]
        if pads is None or not dims.is_known(extra):
            return emit_input_gradient(e, window, self.op.groups, y.type.dtype, g, w, like)
        attributes = window_attributes(window, outer)
        if any(extra):
            attributes["output_padding"] = extra
        return e.node("ConvTranspose", g, w, **_attributes(self.op, window), **attributes)


@dataclass(frozen=True, repr=False, eq=False)
class OnnxConvTranspose(ChannelsFirst):
    """Transposed convolution with the channels first, as ONNX has it."""

    op: ConvTranspose
    operands = ("image", "kernel", "other")

    def attributes(self, y: Value) -> dict[str, Any]:
        """Returns what ONNX's operator is told beside its operands."""
        window = _window(self.op, y.inputs[1].type)
        found = _attributes(self.op, window) | window_attributes(window, window.size)
        return found | ({"output_padding": list(self.op.extra)} if any(self.op.extra) else {})

    def lower(self, e: Emitter, y: Value, x: str, w: str, b: str = "") -> str | tuple[str, ...]:
        return e.node("ConvTranspose", x, w, b, **self.attributes(y))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxConvKernelGrad(ChannelsFirst):
    """The kernel is channels-last here, too, and has one axis less than the images where these have a height of one."""

    op: ConvKernelGrad
    operands = ("image", "image", "other")
    result = "other"
    shape_only = ConvKernelGrad.shape_only

    def infer(self, x: Type, g: Type, like: Type) -> Type:
        super().infer(x, g, like.with_shape(_whole(like.shape, x.rank)))
        return like

    def eval(self, x: Array, g: Array, like: Array) -> Any:
        return super().eval(x, g, like.reshape(_whole(like.shape, x.ndim))).reshape(like.shape)

    def lower(self, e: Emitter, y: Value, x: str, g: str, like: str) -> str | tuple[str, ...]:
        image, upstream, _ = (v.type for v in y.inputs)
        shape = dims.known(y.type.shape)
        window = self.op.window(_whole(shape, image.rank))
        return emit_kernel_gradient(e, window, self.op.groups, image, upstream, (x, g), shape)


def _whole(kernel: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    """Returns the shape of a channels-last kernel with as many axes as the image has."""
    return (*(1,) * (rank - len(kernel)), *kernel)


def _window(op: Conv | ConvInputGrad | ConvTranspose, kernel: Type) -> Window:
    filters, depth, *size = dims.known(kernel.shape)
    return op.window((*size, depth, filters))


def _attributes(op: Conv | ConvInputGrad | ConvTranspose, window: Window) -> dict[str, Any]:
    return {"kernel_shape": list(window.size), "group": op.groups}
