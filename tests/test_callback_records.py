"""Callbacks make of a run what they make of it in Keras."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import seqc
from kit.callback_records import FILE, RUNS, run

RECORDED = json.loads(FILE.read_text())
QUICK = ("plateau", "restored", "csv")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in RUNS])
def test_a_run_with_callbacks_goes_as_in_keras(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a loss that is not finite, which is what one run is about
        found, wanted = run(seqc, name), RECORDED[name]
    assert set(found["history"]) == set(wanted["history"])
    for key, values in wanted["history"].items():
        np.testing.assert_allclose(found["history"][key], values, rtol=2e-5, atol=1e-6, err_msg=key)
    np.testing.assert_allclose(found["weights"], wanted["weights"], rtol=2e-5, atol=1e-6)
    assert found["files"] == wanted["files"]
    assert [row[0] for row in found["table"]] == [row[0] for row in wanted["table"]]
    for ours, theirs in zip(found["table"][1:], wanted["table"][1:], strict=True):
        np.testing.assert_allclose(np.array(ours, float), np.array(theirs, float), rtol=2e-5)
