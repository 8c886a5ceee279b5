"""Layers around other layers."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Value, as_value
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.core import Dense
from seqc.ops.shape import merge_leading, split_leading
from seqc.serialization import known


@known("layers")
class TimeDistributed(Layer):
    """Applies a layer to every step of a sequence on its own.

    Args:
        layer: the layer.

    Shapes: (batch, time, ...) to (batch, time, ...), where the layer takes and gives (batch, ...).
    """

    supports_masking = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"Please initialize `TimeDistributed` layer with a `seqc.layers.Layer` instance. Received: {layer}"
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: KerasShape) -> None:
        if len(input_shape) < 3:
            raise ShapeError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 dimensions, "
                f"received: {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build_for((input_shape[0], *input_shape[2:]))

    def call(self, x: Any, training: bool = False, mask: Value | None = None) -> Value:
        value = as_value(x)
        if isinstance(self.layer, Dense):
            return self.layer(value, training)  # type: ignore[no-any-return]
        if training and mixes_samples(self.layer):
            return self._step_by_step(value, mask)
        inner = None if mask is None or mask.type.rank < 3 else merge_leading(mask)
        return split_leading(self.layer(merge_leading(value), training, inner), value)

    def _step_by_step(self, x: Value, mask: Value | None) -> Value:
        """Gives each step a batch of its own, for layers whose result depends on the whole batch."""
        steps = x.shape[1]
        if steps is None:
            raise ShapeError(
                f"TimeDistributed around {type(self.layer).__name__} needs to know the number of steps in training; "
                f"got {x.type}. Give Input(shape=(steps, ...))."
            )
        masks = [None if mask is None else mask[:, t] for t in range(steps)]
        return ops.stack([self.layer(x[:, t], True, m) for t, m in enumerate(masks)], 1)


def mixes_samples(layer: Layer) -> bool:
    """Tells whether a layer, or one inside it, computes with statistics of its batch."""
    inside = any(mixes_samples(child) for child in layer.sublayers() if isinstance(child, Layer))
    return inside or getattr(layer, "mixes_samples", False)
