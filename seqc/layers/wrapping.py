"""Wrapper, the base of layers around one layer, and what normalizes the weights of one."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import Variable
from seqc.initializers import TruncatedNormal
from seqc.known_classes import known
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer


class Wrapper(Layer):
    """The base of layers around one layer, as Keras has it.

    Args:
        layer: the layer.
    """

    takes_several = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ArgumentTypeError(f"Layer {layer} supplied to Wrapper isn't a supported layer type.")
        super().__init__(**kwargs)
        self.layer: Any = layer  # so that what its class alone has can be asked for

    def build(self, input_shape: KerasShape | None = None) -> None:
        if not self.layer.built and input_shape is not None:
            self.layer.build_for(input_shape)


@known("layers")
class SpectralNormalization(Wrapper):
    """Keeps the largest singular value of a layer's kernel at one (Miyato et al., 2018).

    In training, each call divides the kernel - or the table of an embedding - by an estimate of that value, by the
    power method, and keeps the quotient as the kernel.

    Args:
        layer: a layer with a kernel or a table. power_iterations: steps of the power method in a call.
    """

    supports_masking = True
    takes_several = False

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ConfigError(
                f"`power_iterations` should be greater than zero. Received: `power_iterations={power_iterations}`"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: KerasShape | None = None) -> None:
        super().build(input_shape)
        found = getattr(self.layer, "kernel", None)
        found = getattr(self.layer, "embeddings", None) if found is None else found
        if not isinstance(found, Variable):
            raise ConfigError(f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'")
        # Kept by both, as in Keras's files.
        self.kernel = found
        self.vector_u = self.add_weight(
            (1, found.shape[-1]), TruncatedNormal(stddev=0.02), trainable=False, name="vector_u"
        )

    def call(self, x: Any, training: bool = False) -> Value:
        value = as_value(x)
        if training:
            self._normalize()
        return ops.cast(self.layer(value), value.dtype) if value.type.is_float else self.layer(value)

    def _normalize(self) -> None:
        kernel = self.kernel
        table, u = ops.reshape(kernel.to_value(), (-1, kernel.shape[-1])), self.vector_u.to_value()
        start = u
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(u, ops.transpose(table)))
            u = _unit(ops.matmul(v, table))
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        largest = ops.reshape(ops.matmul(ops.matmul(v, table), ops.transpose(u)), ())
        # A kernel of zeros has no direction, and stays what it is.
        zero = ops.all(ops.equal(table, 0.0))
        self.vector_u.assign(ops.where(zero, start, u))
        kernel.assign(ops.where(zero, kernel.to_value(), kernel.to_value() / ops.where(zero, 1.0, largest)))


def _unit(x: Value) -> Value:
    """Returns a row of length one."""
    return ops.normalize(x, axis=-1, order=2)
