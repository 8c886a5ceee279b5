"""Recorded Keras runs of combinations of optimizer, clipping, extras and model: seqc trains to the same numbers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import seqc as keras
from kit.keras_combinations import FILE, recorded_combinations, train
from kit.training_grid import AXES, Combination


@cache
def recorded() -> dict[str, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as stored:
        return dict(stored)


def test_the_recorded_runs_have_every_choice_and_are_those_listed() -> None:
    listed = recorded_combinations()
    assert list(recorded()) == ["/".join(c) for c in listed]
    for i, axis in enumerate(AXES):
        assert {c[i] for c in listed} == set(axis)


@pytest.mark.parametrize(
    "combination",
    [
        pytest.param(one, marks=[pytest.mark.slow] * (i % 3 > 0), id="/".join(one))
        for i, one in enumerate(recorded_combinations())
    ],
)
def test_a_combination_trains_as_keras_recorded_it(combination: Combination) -> None:
    expected = recorded()["/".join(combination)]
    actual = train(keras, combination)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
