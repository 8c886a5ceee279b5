"""Calls of element-wise functions of `keras.ops` for `keras_ops_cases`: inverses, signs, limits and bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F = np.array([[1.5, -2.5], [0.5, 2.0]], np.float32)
I = np.array([[3, -7], [5, 2]], np.int32)  # noqa: E741
B = np.array([[True, False], [True, True]])
I8, U8 = I.astype(np.int8), np.abs(I).astype(np.uint8)
UNIT = np.array([-1.0, -0.75, 0.0, 0.1, 0.999, 1.0], np.float32)
LIMITS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -0.5], np.float32)
WIDE = np.array([0.0, 1e-20, -3e20, 1.0, 8.0, -27.0, 0.3], np.float32)
LARGE = np.array([-1e20, -300.7, -1.5, 0.0, 1.9, 127.5, 70000.0, 3e9, 1e20], np.float32)
BITS = np.array([-2147483648, -7, -1, 0, 1, 12345, 2147483647], np.int32)
NONE = np.array([np.nan, 1.0, 2.0], np.float32)

ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "arccos": lambda k: k.arccos(UNIT),
    "arccos of bools": lambda k: k.arccos(B),
    "arccosh": lambda k: k.arccosh(np.array([1.0, 1.001, 2.0, 1e6], np.float32)),
    "arcsin": lambda k: k.arcsin(UNIT),
    "arcsinh": lambda k: k.arcsinh(WIDE),
    "arcsinh of ints": lambda k: k.arcsinh(I),
    "arctan2": lambda k: k.arctan2(F, F.T),
    "arctan2 of ints": lambda k: k.arctan2(I, 2),
    "arctan2 at its limits": lambda k: k.arctan2(LIMITS[:, None], LIMITS),
    "hypot": lambda k: k.hypot(F, I),
    "hypot of ints": lambda k: k.hypot(I, 4),
    "hypot at its limits": lambda k: k.hypot(LIMITS[:4, None], np.array([3e30, 1e-30, 0.0], np.float32)),
    "deg2rad": lambda k: k.deg2rad(I),
    "rad2deg": lambda k: k.rad2deg(F),
    "fmod": lambda k: k.fmod(F, 0.7),
    "fmod of ints": lambda k: k.fmod(I, 3),
    "fmod of negative numbers": lambda k: k.fmod(F, -1.1),
    "nextafter": lambda k: k.nextafter(F, np.array([9.0, -9.0], np.float32)),
    "trunc": lambda k: k.trunc(LARGE),
    "trunc of ints": lambda k: k.trunc(I),
    "trunc at its limits": lambda k: k.trunc(LIMITS),
    "fabs": lambda k: k.fabs(F),
    "fabs of ints": lambda k: k.fabs(I),
    "signbit": lambda k: k.signbit(LIMITS[[0, 1, 2, 3, 5, 6]]),
    "signbit of ints": lambda k: k.signbit(I),
    "heaviside": lambda k: k.heaviside(LIMITS, 0.5),
    "heaviside of ints": lambda k: k.heaviside(I - 2, I),
    "isposinf": lambda k: k.isposinf(LIMITS),
    "isposinf of ints": lambda k: k.isposinf(I),
    "isneginf": lambda k: k.isneginf(LIMITS),
    "nan_to_num": lambda k: k.nan_to_num(LIMITS),
    "nan_to_num of ints": lambda k: k.nan_to_num(I),
    "nan_to_num by other numbers": lambda k: k.nan_to_num(LIMITS, nan=7.0, posinf=8, neginf=-9.5),
    "isclose": lambda k: k.isclose(F, F * 1.000009),
    "isclose at its limits": lambda k: k.isclose(LIMITS[:, None], LIMITS),
    "isclose to equal NaN": lambda k: k.isclose(LIMITS[:, None], LIMITS, equal_nan=True),
    "isclose of ints": lambda k: k.isclose(I, 3),
    "isclose within": lambda k: k.isclose(F, 1.0, rtol=0.5, atol=0.5),
    "fmax": lambda k: k.fmax(LIMITS, 0.2),
    "fmax of ints": lambda k: k.fmax(I, 2),
    "fmin": lambda k: k.fmin(NONE, np.array([np.nan, np.nan, 1.5], np.float32)),
    "fmin of bools": lambda k: k.fmin(B, B.T),
    "saturate_cast to int8": lambda k: k.saturate_cast(LARGE, "int8"),
    "saturate_cast to uint8": lambda k: k.saturate_cast(I, "uint8"),
    "saturate_cast to a wider type": lambda k: k.saturate_cast(I8, "int32"),
    "saturate_cast to bools": lambda k: k.saturate_cast(F, "bool"),
    "select": lambda k: k.select([F > 1, F > 0], [F, F * 10], default=-1),
    "select of ints and floats": lambda k: k.select([I > 3, I > 0], [I, F]),
    "cbrt": lambda k: k.cbrt(WIDE),
    "cbrt of ints": lambda k: k.cbrt(I),
    "erfc": lambda k: k.erfc(np.array([-4.0, -0.5, 0.0, 0.3, 1.0, 3.0, 5.0], np.float32)),
    "erfinv": lambda k: k.erfinv(UNIT),
    "exp2": lambda k: k.exp2(F),
    "exp2 of ints": lambda k: k.exp2(I),
    "ldexp": lambda k: k.ldexp(F, I),
    "ldexp of ints": lambda k: k.ldexp(I, 2),
    "ldexp far away": lambda k: k.ldexp(np.array([2e-38, 1e38], np.float32), np.array([200, -200], np.int32)),
    "logaddexp2": lambda k: k.logaddexp2(F, 2.0),
    "logaddexp2 of ints": lambda k: k.logaddexp2(I, I.T),
    "bitwise_and": lambda k: k.bitwise_and(I, 6),
    "bitwise_and of bools": lambda k: k.bitwise_and(B, B.T),
    "bitwise_or": lambda k: k.bitwise_or(I8, U8),
    "bitwise_xor": lambda k: k.bitwise_xor(I, I.T),
    "bitwise_not": lambda k: k.bitwise_not(I),
    "bitwise_not of bools": lambda k: k.bitwise_not(B),
    "bitwise_invert": lambda k: k.bitwise_invert(U8),
    "bitwise_left_shift": lambda k: k.bitwise_left_shift(BITS[:, None], np.array([0, 1, 5, 31], np.int32)),
    "bitwise_left_shift of bytes": lambda k: k.bitwise_left_shift(I8, I8.T * 0 + 6),
    "bitwise_right_shift": lambda k: k.bitwise_right_shift(BITS[:, None], np.array([0, 1, 5, 31], np.int32)),
    "bitwise_right_shift of bytes": lambda k: k.bitwise_right_shift(U8, 1),
    "left_shift": lambda k: k.left_shift(I, 2),
    "right_shift": lambda k: k.right_shift(I, np.array([1, 40], np.int32)),
    "view": lambda k: k.view(F, "int32"),
    "view of wider numbers": lambda k: k.view(I, "uint8"),
    "view of narrower numbers": lambda k: k.view(np.array([[1, 2, 3, 4]], np.uint16), "int32"),
}  # fmt: skip
