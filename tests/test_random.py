"""Random numbers are a pure function of seed, step, place in the graph and place in the tensor."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import seqc as keras
from seqc.ops.random import Dropout, RandomUniform


def draw(*shape: int, seed: int = 7, step: int = 3, stream: int = 1, dtype: str = "float64") -> NDArray[np.float64]:
    result: NDArray[np.float64] = RandomUniform(stream).eval(
        np.empty(shape, dtype), np.array(seed, np.int64), np.array(step, np.int64)
    )
    return result


def test_the_same_key_gives_the_same_numbers() -> None:
    np.testing.assert_array_equal(draw(5, 6), draw(5, 6))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"step": 4},
        {"stream": 2},
        {"seed": 3, "step": 7},
        {"seed": 6, "step": 2},
        {"seed": 8, "step": 2},
        {"seed": 7 + (1 << 31)},
    ],
    ids=str,
)
def test_any_other_key_gives_unrelated_numbers(other: dict[str, Any]) -> None:
    a, b = draw(20000), draw(20000, **other)
    assert np.mean(a == b) < 1e-3
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    # Nor are they the same sequence from another start.
    for shift in (1, 2, 64):
        assert abs(np.corrcoef(a[shift:], b[:-shift])[0, 1]) < 0.03


def test_single_and_double_precision_draw_the_same_numbers() -> None:
    np.testing.assert_array_equal(draw(1000, dtype="float32"), draw(1000))


def test_numbers_depend_on_the_place_in_the_batch_and_not_on_its_size() -> None:
    np.testing.assert_array_equal(draw(8, 3, 4)[:5], draw(5, 3, 4))


def test_shape_only_orders_the_numbers() -> None:
    np.testing.assert_array_equal(draw(6, 4).ravel(), draw(24))


@pytest.mark.parametrize("seed", [0, 1, 2**40, -5])
def test_numbers_are_uniform_in_the_half_open_interval(seed: int) -> None:
    x = draw(1 << 16, seed=seed, step=0)
    assert x.min() >= 0
    assert x.max() < 1
    counts, _ = np.histogram(x, bins=64, range=(0, 1))
    # Chi-squared with 63 degrees of freedom exceeds 120 once in a hundred thousand draws.
    assert ((counts - 1024) ** 2 / 1024).sum() < 120
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("interval", [(0, 1), (0.1, 0.3), (1, 2), (-3, -1), (-1, 0)])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_no_precision_rounds_up_to_the_end_of_the_interval(dtype: str, interval: tuple[float, float]) -> None:
    drawn = keras.random.uniform((100_000,), *interval, dtype=dtype, seed=1)
    x = keras.ops.cast(drawn, "float64").numpy()
    # The smallest numbers may be rounded down, as the beginning is itself.
    assert keras.ops.cast(keras.ops.cast(interval[0], dtype), "float64").numpy() <= x.min()
    assert x.max() < interval[1]
    assert x.mean() == pytest.approx(sum(interval) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("dtype", "minval", "maxval"),
    [
        ("int32", -(2**31), 2**31 - 1),
        ("int32", -2_000_000_000, 2_000_000_000),
        ("int8", -128, 128),
        ("uint32", 0, 2**32 - 1),
        ("int64", -(2**40), 2**40),
        ("int64", -(2**63), 2**63 - 1),
    ],
)
def test_whole_numbers_of_wide_ranges_are_spread_evenly(dtype: str, minval: int, maxval: int) -> None:
    x = keras.random.randint((20_000,), minval, maxval, dtype=dtype, seed=1).numpy().astype("float64")
    shares, _ = np.histogram(x, bins=8, range=(minval, maxval))
    np.testing.assert_allclose(shares / 20_000, 1 / 8, atol=0.015)


def test_an_interval_beyond_a_type_ends_at_its_largest_number() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = keras.random.uniform((100,), 0, 1e5, dtype="float16", seed=1)
    assert keras.ops.cast(drawn, "float64").numpy().max() == np.finfo("float16").max


def test_numbers_of_successive_steps_are_unrelated() -> None:
    steps = np.stack([draw(64, step=s) for s in range(2000)])
    relation = np.corrcoef(steps.T)
    assert np.abs(relation - np.eye(64)).max() < 0.12
    assert np.abs(np.corrcoef(steps[1:].ravel(), steps[:-1].ravel())[0, 1]) < 0.02


def test_dropout_keeps_the_mean_and_zeroes_the_rate() -> None:
    x = np.ones((200, 500))
    y = Dropout(0.3).eval(x, draw(200, 500))
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.015)
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7])


def test_dropout_at_rate_zero_changes_nothing() -> None:
    x = np.linspace(-1, 1, 40).reshape(4, 10)
    np.testing.assert_array_equal(Dropout(0.0).eval(x, draw(4, 10)), x)
