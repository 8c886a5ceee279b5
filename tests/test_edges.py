"""Losses and metrics of no samples, labels that do not vary, NaN and infinity give what Keras gives."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.edge_inputs import plain, results
from kit.oracle import KEPT
from seqc import losses, metrics, ops

RECORDED: dict[str, Any] = json.loads((KEPT / "edge_cases.json").read_text())
# Where NaN becomes an integer, or is left out, Keras's results follow from the platform; seqc counts a prediction that
# is NaN as below every threshold, and a weight that is NaN makes the total NaN.
OTHER = re.compile(
    r"AUC\((summation_method=minoring|multi_label=True, num_labels=3|)\), prediction NaN|"
    r"Precision\(top_k=1\), prediction NaN|"
    r"(FalsePositives|TruePositives|Precision|RecallAtPrecision)\(.*\), weight NaN"
)


def equal(a: Any, b: Any) -> bool:
    x, y = np.array(a, "float64"), np.array(b, "float64")
    return x.shape == y.shape and np.allclose(x, y, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.slow
def test_losses_and_metrics_at_the_edge_give_what_keras_gives() -> None:
    wrong, seen = {}, set()
    with np.errstate(all="ignore"):
        for name, value in results(keras):
            seen.add(name)
            found = plain(value)
            if not OTHER.fullmatch(name) and not equal(found, RECORDED[name]):
                wrong[name] = (found, RECORDED[name])
    assert not wrong
    assert seen == set(RECORDED)


def test_differences_from_keras_at_the_edge_are_no_more_than_those_listed() -> None:
    assert sum(OTHER.fullmatch(name) is not None for name in RECORDED) == 11


@pytest.mark.parametrize("aggregation", [None, "uniform_average", "variance_weighted_average"])
def test_r2_of_labels_that_do_not_vary_needs_no_division_by_zero(aggregation: Any) -> None:
    metric = metrics.R2Score(aggregation)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.update_state(np.ones((4, 1)), np.ones((4, 1)))
        assert np.isnan(np.asarray(metric.result())).all()


def test_an_empty_axis_has_the_logsumexp_of_nothing() -> None:
    with np.errstate(divide="ignore"):
        assert np.asarray(ops.logsumexp(np.zeros((2, 0)), axis=1)).tolist() == [-np.inf] * 2
        assert float(ops.logsumexp(np.zeros(0))) == -np.inf


# -- results that Keras 3.16 corrects, as 3.15 has them --------------------------------------------------------------

Y = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]], "float32")
P = np.array([[[0.7, 0.2], [0.2, 0.5], [0.1, 0.6]]], "float32")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (losses.Tversky(alpha=0.2, beta=0.8), 0.4642857),
        (losses.CategoricalCrossentropy(label_smoothing=0.3, axis=1), 1.049455),
        (losses.CategoricalFocalCrossentropy(label_smoothing=0.3, axis=1), 0.1254726),
    ],
)
def test_losses_that_the_next_keras_corrects_are_those_of_this_one(loss: Any, expected: float) -> None:
    assert float(loss(Y, P)) == pytest.approx(expected, rel=1e-5)


def test_the_adjusted_r2_that_the_next_keras_corrects_is_that_of_this_one() -> None:
    metric = metrics.R2Score(num_regressors=1)
    metric.update_state(Y[0], P[0])
    assert float(metric.result()) == pytest.approx(0.259375, rel=1e-5)
