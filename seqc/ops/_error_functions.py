"""NumPy kernels of the complementary and the inverse error function, and the numbers that both are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqc.graph.ir import Array
from seqc.ops._special import erf

# erfc(x) exp(x^2) / t as a polynomial in 2 t - 1 with t = 1 / (1 + x / 2), for x >= 0: least squares on Chebyshev's
# points, to relative errors of 1e-8 and 2e-15.
_TAIL_SINGLE = (
    0.5107913569, 0.3435803187, 0.1397357335, 0.01822166943, -0.01075162619, -0.003243451918, 0.001529157161,
    0.0004306704884, -0.000299382712, -3.660187693e-05, 4.216119717e-05,
)  # fmt: skip
_TAIL_DOUBLE = (
    0.5107913526210117, 0.3435803422069059, 0.13973604627800065, 0.01822111575343947, -0.010755330943428494,
    -0.003239592533080849, 0.001545306005694646, 0.00041864801209238756, -0.00033153652418745446,
    -1.7185524091189814e-05, 7.223402501754756e-05, -1.7075536678591028e-05, -1.0842782656240993e-05,
    8.064193768261669e-06, -5.774084780650397e-07, -1.8300026366410806e-06, 1.029317176552543e-06,
    9.932442841883835e-09, -3.2421402504778304e-07, 1.538679402008912e-07, 3.427665345074577e-08,
    -5.315764648635574e-08, 7.290803079651292e-09, 6.900606167062633e-09, -2.0546435559489197e-09,
)  # fmt: skip

# The inverse in single precision, by w = -log(1 - x^2): M. Giles, "Approximating the erfinv function", 2010.
INVERSE_NEAR = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06, -3.5233877e-06,
    3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
INVERSE_FAR = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
    0.000100950558, -0.000200214257,
)  # fmt: skip
# In double precision it starts from S. Winitzki's approximation ("A handy approximation for the error function and its
# inverse", 2008), right to two parts in a thousand everywhere, and takes steps of Halley's method.
START_A = 0.147
START = 2 / (math.pi * START_A)
STEPS = 3


def tail_of(dtype: str) -> tuple[float, ...]:
    """Returns the coefficients of the complementary function for an element type; the constant term comes first."""
    return _TAIL_DOUBLE if dtype == "float64" else _TAIL_SINGLE


def erfc(x: Array) -> Any:
    """1 - erf(x), to a few roundings of the result."""
    wide = np.asarray(x, np.float64)
    t = 1 / (1 + np.abs(wide) / 2)
    tail = t * np.exp(-wide * wide) * np.polynomial.polynomial.polyval(2 * t - 1, _TAIL_DOUBLE)
    return np.where(wide < 0, 2 - tail, tail).astype(x.dtype)


def erfinv(x: Array) -> Any:
    """The number whose error function is x; infinite at -1 and 1, NaN beyond."""
    wide = np.asarray(x, np.float64)
    ends = np.abs(wide) == 1
    inside = np.where(ends, 0.0, wide)
    w = -np.log((1 - inside) * (1 + inside))
    shift = START - w / 2
    y = np.sign(inside) * np.sqrt(np.sqrt(shift * shift + w / START_A) - shift)
    for _ in range(STEPS):
        step = (erf(y) - inside) * np.exp(y * y) * (math.sqrt(math.pi) / 2)
        y = y - step / (1 + y * step)
    return np.where(ends, wide * np.inf, y).astype(x.dtype)
