"""Every optimizer with every way to clip, decay, average and accumulate, on models of many kinds, in both executors.

A combination is one choice per axis of `training_grid`. Each trains on a few batches, the last of them smaller, in
double precision; weights, optimizer slots, statistics, metrics and losses have to be alike.
"""

from __future__ import annotations

from itertools import combinations, pairwise, product

import numpy as np
import pytest

import seqc as keras
from kit.effort import thorough_only
from kit.executor_runs import Conditions, assert_same, twin
from kit.training_grid import (
    AXES,
    SIZES,
    Combination,
    covering_combinations,
    make_data,
    make_model,
    make_optimizer,
    triple_combinations,
)

COVERING = covering_combinations()


def check(combination: Combination, number: int) -> None:
    """Trains with both executors; the number of the combination decides on threads and tiles."""
    model = make_model(keras, combination[-1])
    x, y = make_data(combination[-1])
    rows = np.cumsum([0, *SIZES])
    batches = [[x[a:b], y[a:b]] for a, b in pairwise(rows)]
    both = twin(model, batches[0], make_optimizer(keras, combination), "mse")
    conditions = Conditions(number % 3 + 1, (1, 300, 1 << 20)[number // 3 % 3], tiny=number % 2 == 1)
    try:
        assert_same(both, batches, conditions, 1e-9)
    except AssertionError as error:
        raise AssertionError(f"{combination} under {conditions}: {error}") from error


def test_few_combinations_have_every_pair_of_choices() -> None:
    for i, j in combinations(range(len(AXES)), 2):
        assert {(c[i], c[j]) for c in COVERING} == {(a, b) for a in AXES[i] for b in AXES[j]}
    assert len(COVERING) < 1.2 * len(AXES[0]) * len(AXES[-1])


@pytest.mark.slow
@pytest.mark.parametrize("model", AXES[-1])
def test_combinations_in_which_all_pairs_meet_train_alike(model: str) -> None:
    for number, combination in enumerate(COVERING):
        if combination[-1] == model:
            check(combination, number)


def test_fewest_combinations_have_every_triple_of_choices() -> None:
    for axes in combinations(range(len(AXES)), 3):
        met = {tuple(c[i] for i in axes) for c in triple_combinations()}
        assert met == set(product(*(AXES[i] for i in axes)))


# All combinations would be four times as many, and what they have beside these is four choices that meet only there.
@pytest.mark.slow
@pytest.mark.parametrize("model", AXES[-1])
@pytest.mark.parametrize("optimizer", AXES[0])
@thorough_only
def test_combinations_in_which_all_triples_meet_train_alike(
    optimizer: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, combination in enumerate(triple_combinations()):
        if (combination[0], combination[-1]) == (optimizer, model):
            # To prove every program's memory as well would take as long again.
            monkeypatch.setenv("SEQC_VERIFY", str(int(number % 4 == 0)))
            check(combination, number)
