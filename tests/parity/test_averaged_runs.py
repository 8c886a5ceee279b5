"""Callbacks that keep, restore and swap weights, with optimizers that keep averages: the numbers Keras recorded."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import seqc as keras
from kit.averaged_runs import FILE, RUNS, run


@cache
def recorded() -> dict[str, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    ("optimizer", "callbacks"),
    [pytest.param(*one, marks=[pytest.mark.slow] * (one[0] != "scaled")) for one in RUNS],
)
def test_a_run_and_its_files_have_the_recorded_numbers(optimizer: str, callbacks: str) -> None:
    expected = recorded()[f"{optimizer}/{callbacks}"]
    found = run(keras, optimizer, callbacks)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_the_recorded_runs_are_those_listed() -> None:
    assert sorted(recorded()) == sorted(map("/".join, RUNS))
