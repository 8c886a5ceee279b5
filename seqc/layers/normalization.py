"""Layers that shift and scale their input to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from seqc import file_scope, ops
from seqc.epsilon import EPSILON
from seqc.errors import ArgumentTypeError, AxisError, ShapeError
from seqc.graph.element_types import HALVES
from seqc.graph.ir import Value, apply, apply_many
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape, as_axes
from seqc.layers.base import Layer
from seqc.ops.normalization import BatchMoments
from seqc.ops.normalization import BatchNormalization as BatchNormalizationOp
from seqc.ops.normalization import LayerNormalization as LayerNormalizationOp
from seqc.ops.shape import broadcast_like


class _Normalization(Layer):
    """What both have in common: a scale gamma and an offset beta."""

    supports_masking = True

    center: bool
    scale: bool
    epsilon: float
    beta_initializer: Any
    gamma_initializer: Any
    beta_regularizer: Any
    gamma_regularizer: Any
    beta_constraint: Any
    gamma_constraint: Any

    def _make_scale_and_offset(self, shape: KerasShape, scale: bool, center: bool) -> None:
        self.gamma = self._add_described_weight("gamma", shape, autocast=False) if scale else None
        self.beta = self._add_described_weight("beta", shape, autocast=False) if center else None

    def _wide(self, x: Any) -> Value:
        """Returns a tensor in what statistics are computed in: the layer's dtype, and float32 for half precision."""
        dtype = self.compute_dtype
        return ops.cast(x, "float32" if dtype in HALVES else dtype)

    def _scale_and_offset(self, sizes: Sequence[int]) -> tuple[Value, Value]:
        """Returns gamma and beta, ones and zeros where there are none."""
        scale = self._wide(np.ones(sizes, "float32") if self.gamma is None else self.gamma)
        return scale, self._wide(np.zeros(sizes, "float32") if self.beta is None else self.beta)

    def _known_axis(self, axis: int, input_shape: KerasShape) -> int:
        if not -len(input_shape) <= axis < len(input_shape):
            raise AxisError(f"Axis {axis} is out of bounds for input shape {tuple(input_shape)}.")
        return axis % len(input_shape)


@known("layers")
class BatchNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, per element of one axis (Ioffe and Szegedy, 2015).

    In training, mean and (biased) variance come from the batch, without masked steps, and move the stored statistics
    by `1 - momentum`; otherwise, and with `trainable=False`, the stored ones are used.

    Args:
        axis: the axis that keeps its own statistics. momentum: how much of the stored statistics stays at each step.
        epsilon: added to the variance. center, scale: whether there are beta and gamma. The initializers, regularizers
        and constraints of both are as in `Dense`.

    Shapes: any, the result like the input; four weights (size of axis,).

    Example:
        >>> layer = seqc.layers.BatchNormalization(epsilon=0.0)
        >>> layer(np.array([[1.0], [3.0]]), training=True).numpy()
        array([[-1.],
               [ 1.]], dtype=float32)
    """

    inert: ClassVar[dict[str, tuple[Any, ...]]] = {
        "renorm": (False,),
        "renorm_clipping": (None,),
        "renorm_momentum": (0.99,),
        "synchronized": (False, True),  # which is the same on one device
        "virtual_batch_size": (None,),
    }
    # All of these but the argument of older versions.
    always_written: ClassVar[dict[str, Any]] = {k: v[0] for k, v in inert.items() if k != "virtual_batch_size"}
    # Statistics of a batch: a wrapper may not put several batches into one.
    mixes_samples = True
    momentum: float
    moving_mean_initializer: Any
    moving_variance_initializer: Any

    @keep_arguments
    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, list | tuple) and len(axis) == 1:
            axis = axis[0]
        if not hasattr(axis, "__index__"):
            raise ArgumentTypeError(f"BatchNormalization needs one integer as `axis`. Received: axis={axis}")
        self.axis = int(axis)

    def build(self, input_shape: KerasShape) -> None:
        axis = self._known_axis(self.axis, input_shape)
        shape = (input_shape[axis],)
        self._make_scale_and_offset(shape, self.scale, self.center)
        self.moving_mean = self._add_described_weight("moving_mean", shape, trainable=False, autocast=False)
        self.moving_variance = self._add_described_weight("moving_variance", shape, trainable=False, autocast=False)
        self.input_rank = len(input_shape)
        self._input_sizes = {axis: self.moving_mean.shape[0]}

    def call(self, x: Any, training: bool = False, mask: Value | None = None) -> Value:
        value = self._wide(x)
        axis = self.axis % value.type.rank
        if training and self.trainable:
            mean, variance = self._moments(value, axis, mask)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        else:
            mean, variance = self._wide(self.moving_mean), self._wide(self.moving_variance)
        scale, offset = self._scale_and_offset(self.moving_mean.shape)
        y = apply(BatchNormalizationOp(axis, self.epsilon), value, scale, offset, mean, variance)
        return ops.cast(y, self.compute_dtype)

    def _move(self, statistic: Variable, seen: Value) -> None:
        statistic.assign(statistic.to_value() * self.momentum + seen * (1 - self.momentum))

    def _moments(self, x: Value, axis: int, mask: Value | None) -> tuple[Value, Value]:
        if mask is None:
            mean, variance = apply_many(BatchMoments(axis), x)
            return mean, variance
        if mask.type.rank != x.type.rank - 1:
            raise ShapeError(
                "The mask provided should be one dimension less than the inputs. "
                f"Received: mask.shape={mask.shape}, inputs.shape={x.shape}"
            )
        others = [i for i in range(x.type.rank) if i != axis]
        valid = broadcast_like(ops.cast(ops.expand_dims(mask, -1), "bool"), x)
        count = ops.sum(ops.cast(valid, x.dtype), others, keepdims=True) + EPSILON
        # What is masked may be NaN, which times 0 is NaN too.
        mean = ops.sum(ops.where(valid, x, 0.0), others, keepdims=True) / count
        variance = ops.sum(ops.square(ops.where(valid, x - mean, 0.0)), others, keepdims=True) / count
        return ops.squeeze(mean, others), ops.squeeze(variance, others)


@known("layers")
class LayerNormalization(_Normalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, for each sample over `axis` (Ba et al., 2016).

    Args:
        axis: one axis or several. epsilon: added to the variance. center, scale: whether there are beta and gamma.
        rms_scaling: x / sqrt(variance + epsilon) * gamma instead, as Keras computes it. The initializers, regularizers
        and constraints of gamma and beta are as in `Dense`.

    Shapes: any, the result like the input; weights have the sizes of `axis`.
    """

    rms_scaling: bool

    @keep_arguments
    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float | None = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.autocast = list(as_axes(axis, "axis", type(self).__name__)), False

    def build(self, input_shape: KerasShape) -> None:
        axes = sorted(self._known_axis(a, input_shape) for a in self.axis)
        shape = tuple(input_shape[a] for a in axes)
        self._make_scale_and_offset(shape, self.scale or self.rms_scaling, self.center and not self.rms_scaling)
        self.input_rank = len(input_shape)
        if self.gamma is not None or self.beta is not None:
            self._input_sizes = {a: size for a, size in zip(axes, shape, strict=True) if size is not None}

    def call(self, x: Any) -> Value:
        value = self._wide(x)
        rank = value.type.rank
        axes = sorted(a % rank for a in self.axis)
        sizes = [d for d in (value.type.shape[a] for a in axes) if isinstance(d, int)]
        if self.rms_scaling or axes != list(range(axes[0], rank)) or len(sizes) < len(axes):
            return ops.cast(self._composed(value, axes), self.compute_dtype)
        if self.gamma is None or self.beta is None:
            file_scope.reserve_free(sizes, 8, f"constants of layer '{self.name}'")
        y = apply(LayerNormalizationOp(axes[0], self.epsilon), value, *self._scale_and_offset(sizes))
        return ops.cast(y, self.compute_dtype)

    def _composed(self, x: Value, axes: list[int]) -> Value:
        """Computes what ONNX's LayerNormalization cannot: axes that are not the last ones, and `rms_scaling`."""
        others = [i for i in range(x.type.rank) if i not in axes]
        mean, variance = ops.moments(x, axes, keepdims=True)
        centered = x if self.rms_scaling else x - mean
        y = centered / ops.sqrt(variance + self.epsilon)
        if self.gamma is not None:
            y = y * ops.expand_dims(self._wide(self.gamma), others)
        return y if self.beta is None else y + ops.expand_dims(self._wide(self.beta), others)
