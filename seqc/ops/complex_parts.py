"""What functions of complex numbers give of real ones: seqc has no complex dtype, and says complex tensors in pairs."""

from __future__ import annotations

from typing import Any

from seqc.graph.ir import Value, as_value
from seqc.ops._common import as_float
from seqc.ops.shape import ones_like, zeros_like
from seqc.ops.slicing import stack
from seqc.ops.trigonometry import arctan2


def real(x: Any) -> Value:
    """Returns the real part of x: x, since tensors are real."""
    return as_value(x)


def imag(x: Any) -> Value:
    """Returns the imaginary part of x: zeros, since tensors are real."""
    return zeros_like(x)


def conjugate(x: Any) -> Value:
    """Returns the complex conjugate of x: x, since tensors are real."""
    return as_value(x)


def conj(x: Any) -> Value:
    """Returns the complex conjugate of x: x, since tensors are real."""
    return as_value(x)


def isreal(x: Any) -> Value:
    """Returns whether elements have no imaginary part: True, since tensors are real."""
    return ones_like(x, "bool")


def angle(x: Any) -> Value:
    """Returns the angle (radians) of x in the complex plane: 0, and pi of what is negative."""
    value = as_float(x)
    return arctan2(zeros_like(value), value)


def view_as_real(x: Any) -> Value:
    """Returns the real and the imaginary part of each element along a new last axis of 2: x and zeros."""
    value = as_value(x)
    return stack([value, zeros_like(value)], -1)
