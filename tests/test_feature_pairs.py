"""Weights of samples, classes and steps, masks, accumulation and weighted metrics, each with the others, as in Keras.

Keras on JAX loses the mask of an output with several steps before its training metrics, and metrics that count
decisions never see it; those are left out here.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.feature_pairs import cases, train
from kit.oracle import KEPT

RECORDED: dict[str, Any] = json.loads((KEPT / "feature_pairs.json").read_text())
NAMES = {" ".join(map(str, case)): case for case in cases()}


def check(name: str) -> None:
    found, expected = train(keras, *NAMES[name]), RECORDED[name]
    assert sorted(found) == sorted(expected)
    of_steps = name.startswith("steps")
    for key, values in expected.items():
        if of_steps and not (key in ("loss", "weights") or key.startswith("val_")):
            continue
        if of_steps and key.split("_")[-1] in ("auc", "p", "r"):
            continue
        np.testing.assert_allclose(found[key], values, rtol=2e-4, atol=2e-5, err_msg=f"{name}: {key}")


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if i % 2 else []) for i, n in enumerate(sorted(NAMES))]
)
def test_features_that_meet_train_as_in_keras(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES))
def test_features_that_meet_train_as_in_keras_without_a_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    check(name)


def test_every_meeting_has_been_recorded() -> None:
    assert set(RECORDED) == set(NAMES)
