"""NumPy kernels for functions that NumPy does not have, stable in float32 and float64.

Numbers are converted to the operand's dtype because NumPy 1 widens a scalar operand that meets a Python number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.graph.ir import Array


def sigmoid(x: Array) -> Any:
    """1 / (1 + exp(-x)) without overflow: exp only ever sees a non-positive number."""
    e, one = np.exp(-np.abs(x)), x.dtype.type(1)
    return np.where(x >= 0, one, e) / (one + e)


def softplus(x: Array) -> Any:
    """log(1 + exp(x)) without overflow."""
    return np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


def softsign(x: Array) -> Any:
    return x / (x.dtype.type(1) + np.abs(x))


# Rational approximations of erf by interval, as in the fdlibm mathematical library (Sun Microsystems, 1993, s_erf.c).
_NEAR = (
    [1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02, -5.77027029648944159157e-03,
     -2.37630166566501626084e-05],
    [1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
     1.32494738004321644526e-04, -3.96022827877536812320e-06],
)  # fmt: skip
_MIDDLE = (
    [-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01, 3.18346619901161753674e-01,
     -1.10894694282396677476e-01, 3.54783043256182359371e-02, -2.16637559486879084300e-03],
    [1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
     1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02],
)  # fmt: skip
_FAR = (
    [-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
     -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
     -8.12874355063065934246e+01, -9.81432934416914548592e+00],
    [1.0, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
     6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02, 6.57024977031928170135e+00,
     -6.04244152148580987438e-02],
)  # fmt: skip
_VERY_FAR = (
    [-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01, -1.60636384855821916062e+02,
     -6.37566443368389627722e+02, -1.02509513161107724954e+03, -4.83519191608651397019e+02],
    [1.0, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
     3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02, -2.24409524465858183362e+01],
)  # fmt: skip
_ERF_ONE = 8.45062911510467529297e-01


# erf(x) / x as a ratio of polynomials in x^2 up to |x| = 3.95, where float32 cannot tell erf from 1: fitted by
# iteratively re-weighted least squares to a relative error of 2e-9.
_SINGLE = (
    [1.12837916923371, 0.185169121997607, 5.42748181849069e-02, 3.84337899298096e-03, 3.77938722446644e-04,
     4.64048038620638e-06, -1.29672916692037e-08],
    [1.0, 0.497435270899869, 0.113911064606626, 1.54437409281941e-02, 1.30406689265499e-03, 6.26929507063406e-05],
)  # fmt: skip
_SINGLE_END = 3.95


def _polynomial(coefficients: list[float], x: Array) -> Array:
    """Horner's rule in one array; the constant term comes first."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y *= x
        y += c
    return y


def _ratio(coefficients: tuple[list[float], list[float]], x: Array) -> Array:
    top, bottom = (_polynomial(c, x) for c in coefficients)
    top /= bottom
    return top


def erf(x: Array) -> Array:
    """The error function, accurate to a rounding error or two of the dtype."""
    x64 = np.asarray(x, np.float64)
    if x.dtype != np.float64:
        x64 = np.clip(x64, -_SINGLE_END, _SINGLE_END)
        return np.asarray((x64 * _ratio(_SINGLE, x64 * x64)).astype(x.dtype))
    # By interval; beyond |x| = 2.857 the tail of erfc is used, up to 6.
    a = np.abs(x64)
    y = np.where(np.isnan(a), np.nan, 1.0)
    near, middle, far = a < 0.84375, (a >= 0.84375) & (a < 1.25), (a >= 1.25) & (a < 6)
    small = a[near]
    y[near] = small + small * _ratio(_NEAR, small * small)
    y[middle] = _ERF_ONE + _ratio(_MIDDLE, a[middle] - 1)
    tail = a[far]
    s = 1 / (tail * tail)
    y[far] = 1 - np.exp(-tail * tail - 0.5625 + np.where(tail < 1 / 0.35, _ratio(_FAR, s), _ratio(_VERY_FAR, s))) / tail
    return np.copysign(y, x64)
