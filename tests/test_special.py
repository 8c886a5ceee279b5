"""The NumPy kernels of functions that NumPy lacks, against the standard library and at the edges of their domain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqc.ops._gates import GATES
from seqc.ops._special import erf, sigmoid, softplus, softsign

DTYPES = ["float32", "float64"]


def test_erf_agrees_with_the_standard_library_to_rounding() -> None:
    x = np.concatenate([np.linspace(-7, 7, 4001), np.geomspace(1e-300, 1, 400), [0.84375, 1.25, 1 / 0.35, 6.0]])
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), expected, rtol=4e-16, atol=0)
    x = x[np.abs(x) > 1e-37].astype("float32")
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=7e-8, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_erf_knows_the_ends_and_what_is_no_number(dtype: str) -> None:
    np.testing.assert_array_equal(erf(np.array([-np.inf, -50, 50, np.inf, 0.0], dtype)), [-1, -1, 1, 1, 0])
    assert np.isnan(erf(np.array([np.nan], dtype))).all()
    assert np.signbit(erf(np.array([-0.0], dtype))).all()
    assert np.abs(erf(np.linspace(-6, 6, 1001).astype(dtype))).max() == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_does_not_overflow(dtype: str) -> None:
    x = np.array([-np.inf, -1e4, -88.0, -1.0, 0.0, 1.0, 88.0, 1e4, np.inf], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = sigmoid(x)
    expected = [0, 0, math.exp(-88), 1 / (1 + math.e), 0.5, math.e / (1 + math.e), 1, 1, 1]
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-14, atol=1e-45)
    assert y.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_softplus_does_not_overflow_and_keeps_small_results(dtype: str) -> None:
    x = np.array([-1e4, -80.0, -1.0, 0.0, 1.0, 80.0, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = softplus(x)
    expected = [0, math.exp(-80), math.log1p(math.exp(-1)), math.log(2), math.log1p(math.e), 80, 1e4]
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-14, atol=0)
    assert y.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_softsign_reaches_its_limits(dtype: str) -> None:
    np.testing.assert_allclose(softsign(np.array([-1e30, -1.0, 0.0, 3.0], dtype)), [-1, -0.5, 0, 0.75], rtol=1e-6)


@pytest.mark.parametrize("name", GATES)
def test_slopes_of_gates_follow_from_their_values(name: str) -> None:
    gate = GATES[name]
    x = np.array([-4.0, -2.1, -0.7, -0.01, 0.02, 0.6, 1.9, 4.2])
    step = 1e-6
    expected = (gate.function(x + step) - gate.function(x - step)) / (2 * step)
    np.testing.assert_allclose(gate.slope(gate.function(x)), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", GATES)
def test_gates_keep_single_precision(name: str) -> None:
    y = GATES[name].function(np.array([-1.0, 0.5, 2.0], "float32"))
    assert y.dtype == "float32"
    assert np.asarray(GATES[name].slope(y)).dtype == "float32"
