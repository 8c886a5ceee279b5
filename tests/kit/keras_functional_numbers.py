"""Operations of `keras_functional`: numbers element by element, and tensors made, joined, cut and turned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kit.table_calls import call_on

_OF_X = """arcsinh array cbrt copy deg2rad erfc exp2 fabs fliplr flipud isneginf isposinf nan_to_num rad2deg
    signbit trace trunc"""
_OF_UNIT = "arccos arcsin erfinv"
_OF_BOTH = "append arctan2 fmax fmin fmod heaviside hypot isclose logaddexp2"
_OF_INTEGERS = """bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor left_shift right_shift"""

# What each is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
NUMBERS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    **{name: call_on(lambda ops, x, y, k: (x,), name) for name in _OF_X.split()},
    **{name: call_on(lambda ops, x, y, k: (ops.tanh(x),), name) for name in _OF_UNIT.split()},
    **{name: call_on(lambda ops, x, y, k: (x, y), name) for name in _OF_BOTH.split()},
    **{name: call_on(lambda ops, x, y, k: (k, k), name) for name in _OF_INTEGERS.split()},
    "arccosh": lambda ops, x, y, k: ops.arccosh(ops.abs(x) + 1.0),
    "array_split": lambda ops, x, y, k: ops.array_split(x, 3, axis=-1)[0],
    "bitwise_invert": lambda ops, x, y, k: ops.bitwise_invert(k),
    "bitwise_not": lambda ops, x, y, k: ops.bitwise_not(k),
    "diag": lambda ops, x, y, k: ops.diag(ops.sum(x, axis=(0, 1)), k=1),
    "diagflat": lambda ops, x, y, k: ops.diagflat(ops.sum(x, axis=0), k=-1),
    "diagonal": lambda ops, x, y, k: ops.diagonal(x, offset=1, axis1=1, axis2=2),
    "dsplit": lambda ops, x, y, k: ops.dsplit(x, 2)[1],
    "dstack": lambda ops, x, y, k: ops.dstack([x, y]),
    "empty_like": lambda ops, x, y, k: ops.empty_like(x) * 0.0,
    "geomspace": lambda ops, x, y, k: ops.geomspace(ops.abs(x) + 0.5, 20.0, 3, axis=1),
    "hsplit": lambda ops, x, y, k: ops.hsplit(x, 3)[1],
    "ldexp": lambda ops, x, y, k: ops.ldexp(x, k[:, :, None]),
    "linspace": lambda ops, x, y, k: ops.linspace(x, y, 4, axis=2),
    "logspace": lambda ops, x, y, k: ops.logspace(x, 1.0, 3, base=2),
    "meshgrid": lambda ops, x, y, k: ops.meshgrid(ops.sum(x, axis=(0, 1)), ops.sum(y, axis=(0, 2)))[1],
    "nan_to_num_infinite": lambda ops, x, y, k: ops.nan_to_num(x / ops.cast(k, "float32")[:, :, None], posinf=9.0),
    "nextafter": lambda ops, x, y, k: ops.nextafter(x, y),
    "saturate_cast": lambda ops, x, y, k: ops.saturate_cast(x * 200, "uint8"),
    "select": lambda ops, x, y, k: ops.select([x > 0, y > 0], [x, y], 0.5),
    "vander": lambda ops, x, y, k: ops.vander(ops.sum(x, axis=(0, 1)), N=3, increasing=True),
    "view": lambda ops, x, y, k: ops.view(x, dtype="int32"),
    "vsplit": lambda ops, x, y, k: ops.vsplit(ops.transpose(x, (1, 0, 2)), 3)[1],
}
# What Keras saves and does not load again: it takes lists of axes for no tuples.
SAVED_ONLY: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "rot90": lambda ops, x, y, k: ops.rot90(x, k=3, axes=(1, 2)),
}
