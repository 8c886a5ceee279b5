"""Normalization by statistics that are given, or of the tensor itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.epsilon import EPSILON
from seqc.errors import ArgumentTypeError, ShapeError
from seqc.graph.ir import Value, apply, as_value, constant
from seqc.ops._common import as_float, normalize_axes, normalize_axis, promote, scalar
from seqc.ops.arithmetic import square
from seqc.ops.elementwise import cast
from seqc.ops.normalization import LayerNormalization
from seqc.ops.reduce import mean as mean_of
from seqc.ops.shape import expand_dims
from seqc.ops.statistics import moments, var
from seqc.ops.transcendental import rsqrt


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Value:
    """Returns (x - mean) / sqrt(variance + epsilon) * scale + offset with given statistics.

    Args:
        x: a tensor. mean, variance: vectors, a number for each element along `axis`. axis: the axis of features.
        offset, scale: vectors; 0 and 1 by default. epsilon: added to the variance.
    """
    value = as_float(x)
    at = normalize_axis("batch_normalization", axis, value.type.rank)
    inverse = rsqrt(_along(variance, value, at) + scalar(epsilon, value))
    if scale is not None:
        inverse = inverse * _along(scale, value, at)
    shift = -_along(mean, value, at) * inverse
    if offset is not None:
        shift = shift + _along(offset, value, at)
    return value * inverse + shift


def _along(vector: Any, x: Value, axis: int) -> Value:
    """Returns a vector so that it broadcasts along one axis of x."""
    value = cast(vector, x.dtype)
    if value.type.rank != 1 or value.type.shape[0] != x.type.shape[axis]:
        raise ShapeError(f"batch_normalization along axis {axis} of {x.type} got {value.type} for it.")
    return expand_dims(value, tuple(i for i in range(x.type.rank) if i != axis))


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Value:
    """Returns (x - mean) / sqrt(variance + epsilon) * gamma + beta, with the statistics of x along `axis`.

    Args:
        x: a tensor. gamma, beta: of the sizes of `axis`, or shaped like x with size one elsewhere; 1 and 0 by default.
        axis: one axis or several. epsilon: added to the variance (1e-7). rms_scaling: x / sqrt(variance + epsilon) *
        gamma instead, as Keras computes it.
    """
    rms_scaling = kwargs.pop("rms_scaling", False)
    if kwargs:
        raise ArgumentTypeError(f"layer_normalization takes no argument {sorted(kwargs)}.")
    value, given = _wide(x)
    axes = normalize_axes("layer_normalization", axis, value.type.rank)
    least = EPSILON if epsilon is None else epsilon
    scale, offset = (None if w is None else _weight(w, value, axes) for w in (gamma, beta))
    if rms_scaling:
        y = value * rsqrt(var(value, axes, True) + least)
        return cast(y if scale is None else y * scale, given)
    whole = _as_one_operator(value, gamma, beta, axes, least)
    if whole is not None:
        return cast(whole, given)
    mean, variance = moments(value, axes, True)
    inverse = rsqrt(variance + least)
    inverse = inverse if scale is None else inverse * scale
    shift = -mean * inverse
    return cast(value * inverse + (shift if offset is None else shift + offset), given)


def _as_one_operator(x: Value, gamma: Any, beta: Any, axes: Sequence[int], epsilon: float) -> Value | None:
    """Returns layer normalization as ONNX has it: over the last axes, of known sizes, with weights of these sizes."""
    sizes = x.type.shape[axes[0] :] if axes else ()
    if not axes or tuple(axes) != tuple(range(axes[0], x.type.rank)) or not all(isinstance(d, int) for d in sizes):
        return None
    one, zero = (constant(np.full(sizes, n, x.dtype)) for n in (1, 0))
    weights = [w if given is None else cast(given, x.dtype) for w, given in ((one, gamma), (zero, beta))]
    if any(w.type.shape != sizes for w in weights):
        return None
    return apply(LayerNormalization(axes[0], epsilon), x, *weights)


def rms_normalization(x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None) -> Value:
    """Returns x / sqrt(mean of x² along `axis` + epsilon) * scale (Zhang and Sennrich, 2019).

    Args:
        x: a tensor. scale: broadcasts with x; 1 by default. axis: one axis or several. epsilon: added to the mean
        (1e-7).
    """
    value, given = _wide(x)
    value = value if value.type.rank else expand_dims(value, 0)
    squares = mean_of(square(value), axis, True)
    y = value * rsqrt(squares + (EPSILON if epsilon is None else epsilon))
    return cast(y if scale is None else y * cast(scale, y.dtype), given)


def _wide(x: Any) -> tuple[Value, str]:
    """Returns numbers in single precision at least, and the dtype they had."""
    value = as_value(x)
    return cast(value, promote([value.dtype, "float32"])), value.dtype


def _weight(weight: Any, x: Value, axes: Sequence[int]) -> Value:
    """Returns a weight of the sizes of some axes so that it broadcasts with x."""
    value = cast(weight, x.dtype)
    if value.type.rank == x.type.rank or value.type.rank != len(axes):
        return value
    return expand_dims(value, tuple(i for i in range(x.type.rank) if i not in axes))
