"""Models of several inputs and outputs in which features of training meet, against what real Keras gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import seqc
from kit.meeting_programs import covering_meetings, run
from kit.oracle import KEPT

RECORDED: dict[str, Any] = json.loads((KEPT / "meetings.json").read_text())
MEETINGS = {", ".join(meeting): meeting for meeting in covering_meetings()}


def check(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected), where
        for key, value in expected.items():
            check(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list) and isinstance(expected[0], dict):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            check(one, other, f"{where}/{i}")
    else:
        np.testing.assert_allclose(found, expected, rtol=3e-4, atol=3e-5, err_msg=where)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if i % 8 else []) for i, n in enumerate(MEETINGS)]
)
def test_features_that_meet_in_models_of_several_outputs_train_as_in_keras(name: str) -> None:
    check(run(seqc, seqc.GradientTape, MEETINGS[name]), RECORDED[name], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MEETINGS)[::3])
def test_they_train_so_without_a_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    check(run(seqc, seqc.GradientTape, MEETINGS[name]), RECORDED[name], name)


def test_every_meeting_has_been_recorded() -> None:
    assert set(RECORDED) == set(MEETINGS)
