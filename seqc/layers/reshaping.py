"""Layers that give the same elements other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError, ShapeError
from seqc.graph.ir import Type, Value, apply, as_value
from seqc.known_classes import known
from seqc.layers._common import as_axes, data_format_name, last_from_first
from seqc.layers.base import Layer
from seqc.ops.shape import Reshape as ReshapeOp
from seqc.ops.shape import flatten_batch, repeat_new_axis


@known("layers")
class Flatten(Layer):
    """Joins all axes but the batch.

    Args:
        data_format: "channels_first" puts the channels last before joining, so that the result does not depend on it.

    Example:
        >>> seqc.layers.Flatten()(np.zeros((2, 3, 4))).shape
        (2, 12)
    """

    min_input_rank = 1

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_name(data_format)
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        if self.data_format == "channels_first" and value.type.rank > 2:
            value = ops.transpose(value, last_from_first(value.type.rank))
        return flatten_batch(value)


@known("layers")
class Reshape(Layer):
    """Gives each sample another shape.

    Args:
        target_shape: without the batch; one size may be -1.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(target_shape, int):
            raise ArgumentTypeError(
                f"`target_shape` of Reshape is a tuple of integers, as ({target_shape},). Received: {target_shape}"
            )
        sizes = (
            [-1 if d is None else d for d in target_shape] if isinstance(target_shape, list | tuple) else target_shape
        )
        self.target_shape = as_axes(sizes, "target_shape", "Reshape")
        if any(d < -1 for d in self.target_shape):
            raise ConfigError(
                "Each dimension in `target_shape` must be a non-negative integer, or `-1` for a single unknown "
                f"dimension. Received: target_shape={self.target_shape}."
            )
        if self.target_shape.count(-1) > 1:
            raise ConfigError(
                "There must be at most one unknown dimension (-1) in `target_shape`. "
                f"Received: target_shape={self.target_shape}."
            )
        self.built = True

    def call(self, x: Any) -> Value:
        value = as_value(x)
        inner = value.shape[1:]
        sizes = [d for d in inner if d is not None]
        if len(sizes) == len(inner):
            given, wanted = math.prod(sizes), math.prod(d for d in self.target_shape if d != -1)
            fits = given == wanted if -1 not in self.target_shape else wanted and given % wanted == 0
            if not fits:
                raise ShapeError(
                    "The total size of the tensor must be unchanged. Received: "
                    f"input_shape={inner}, target_shape={self.target_shape}"
                )
        reshaped = apply(ReshapeOp((0, *self.target_shape)), value)
        # One that changes nothing gives the tensor itself, and so its mask, as in Keras.
        return value if reshaped.type.shape == value.type.shape else reshaped


@known("layers")
class Permute(Layer):
    """Puts the axes of each sample in another order.

    Args:
        dims: the order; 1 is the first axis after the batch.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = as_axes(dims, "dims", "Permute")
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ConfigError(
                "Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be "
                f"consecutive and start from 1. Received dims={dims}"
            )
        self.input_rank = len(self.dims) + 1
        self.built = True

    def call(self, x: Any) -> Value:
        return ops.transpose(x, (0, *self.dims))


@known("layers")
class RepeatVector(Layer):
    """Repeats each sample n times along a new axis: (batch, features) to (batch, n, features)."""

    input_rank = 2

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int) or isinstance(n, bool):
            raise ArgumentTypeError(f"Expected an integer value for `n`, got {type(n)}.")
        if n <= 0:
            raise ConfigError(f"Argument `n` should be a positive integer. Received: n={n}")
        self.n = n
        self.built = True

    def call(self, x: Any) -> Value:
        return repeat_new_axis(x, self.n, 1)

    def input_hint(self, x: Type) -> str:
        return " It repeats one vector per sample: give the recurrent layer before it return_sequences=False."
