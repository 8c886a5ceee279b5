"""Metrics beside each other: whichever are computed in one step, each is what it is on its own.

The executor shares sums among metrics and runs their updates side by side. Its numbers are compared with those of the
naive executor, and with metric objects that are updated by hand in double precision.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kit.effort import turn
from kit.executor_runs import Conditions, assert_same, twin
from kit.metric_sets import BATCH, LABELS, SAMPLES, TUTORIALS, WEIGHTS, Labels, Make, X, covering_sets, pairs
from seqc import metrics as m
from seqc.graph.ir import Array
from seqc.utils.naming import clear_session

# What takes values instead of labels and predictions.
NOT_COMPILED = {"Mean", "Metric", "Sum"}
BATCHES = [slice(i, min(i + BATCH, SAMPLES)) for i in range(0, SAMPLES, BATCH)]


def compiled(labels: Labels, makes: Sequence[Make], weighted: bool) -> Any:
    clear_session()  # so that metrics are named, and sorted, alike each time
    model = labels.model()
    made = [make() for make in makes]
    model.compile("sgd", labels.loss, metrics=None if weighted else made, weighted_metrics=made if weighted else None)
    return model


def logged(labels: Labels, makes: Sequence[Make], weighted: bool, calls: str) -> dict[str, Array]:
    """Returns what `evaluate` and `fit`, those of them that are called, report and leave behind."""
    model = compiled(labels, makes, weighted)
    weights = WEIGHTS if weighted else None
    found: dict[str, Array] = {}
    if "evaluate" in calls:
        results = model.evaluate(X, labels.y, BATCH, 0, weights, return_dict=True)
        found |= {f"evaluate {name}": np.asarray(value) for name, value in results.items()}
    if "fit" in calls:
        trained = model.fit(X, labels.y, BATCH, 2, 0, shuffle=False, sample_weight=weights)
        found |= {name: np.stack(values) for name, values in trained.history.items()}
        found |= {f"weight {i}": w for i, w in enumerate(model.get_weights())}
    return found


def by_hand(labels: Labels, makes: Sequence[Make], weighted: bool) -> dict[str, Array]:
    """Returns what the metrics' own methods give in double precision, without a model's loops, as `logged` names it."""
    predicted = labels.model().predict(X, verbose=0).astype(np.float64)
    y = labels.y.astype(np.float64) if labels.y.dtype == np.float32 else labels.y
    clear_session()  # so that they have the names that they have in `compiled`
    results: dict[str, Array] = {}
    names: Counter[str] = Counter()
    for make in makes:
        given = m.resolve(make(), y.shape, predicted.shape)
        floats = {} if given.dtype == "int64" else {"dtype": "float64"}
        metric = type(given).from_config(given.get_config() | floats)
        for rows in BATCHES:
            weight = WEIGHTS[rows].astype(np.float64) if weighted else None
            metric.update_state(y[rows], predicted[rows], sample_weight=weight)
        # As Keras names what has the name of another.
        again = names[given.name]
        names[given.name] += 1
        name = f"weighted_{given.name}" if weighted and again else given.name
        numbered = again - weighted
        results[f"evaluate {name}" + (f"_{numbered}" if numbered > 0 else "")] = np.asarray(metric.result(), np.float64)
    return results


def check(labels: Labels, makes: Sequence[Make], weighted: bool, calls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    expected = logged(labels, makes, weighted, calls)
    monkeypatch.delenv("SEQC_EXECUTOR")
    actual = logged(labels, makes, weighted, calls)
    assert list(actual) == list(expected)
    for what, values in expected.items():
        np.testing.assert_allclose(actual[what], values, rtol=1e-5, atol=1e-6, err_msg=what)
    if "evaluate" in calls:
        truth = by_hand(labels, makes, weighted)
        assert {name for name in actual if name.startswith("evaluate")} == {*truth, "evaluate loss"}
        for what, value in truth.items():
            np.testing.assert_allclose(actual[what], value, rtol=2e-5, atol=1e-6, err_msg=what)


def test_every_metric_is_in_a_table() -> None:
    known = {name for name in m.__all__ if inspect.isclass(getattr(m, name))}
    assert known - NOT_COMPILED == {name.split()[0] for labels in LABELS.values() for name in labels.table}


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", TUTORIALS)
def test_the_metrics_of_well_known_scripts_are_right(
    name: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, makes = TUTORIALS[name]
    check(LABELS[kind], makes, weighted, "evaluate, fit", monkeypatch)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "sparse")) for kind in LABELS])
def test_sets_in_which_all_pairs_of_metrics_meet_are_right(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LABELS[kind]
    sets = covering_sets(list(labels.table), 16)
    met = {frozenset((a, b)) for s in sets for i, a in enumerate(s) for b in s[i + 1 :]}
    assert met == {frozenset(pair) for pair in pairs(labels.table)}
    for number, names in enumerate(sets):
        calls = ("evaluate", "fit")[number // 2 % 2]
        check(labels, [labels.table[n] for n in names], number % 2 == 1, calls, monkeypatch)


# Every pair by itself would be ten times as many steps to build; what two share, they share among four as well.
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "test"])
@pytest.mark.parametrize("name", LABELS)
def test_small_sets_of_those_in_which_all_pairs_of_metrics_meet_are_right(name: str, kind: str) -> None:
    labels = LABELS[name]
    sets = list(enumerate(covering_sets(list(labels.table), 4)))
    for number, names in turn(sets, {"train": 0, "test": 3}[kind], 7):  # seven goes through all conditions below
        weighted = (number % 2 == 1) == (kind == "train")
        batches = [[X[rows], labels.y[rows], *([WEIGHTS[rows]] if weighted else [])] for rows in BATCHES[1:]]
        metrics = [labels.table[n]() for n in names]
        both = twin(labels.model(), batches[0], "sgd", labels.loss, weighted, kind=kind, metrics=metrics)
        assert_same(both, batches, Conditions(number % 3 + 1, 1 << number % 20, tiny=number % 5 == 0), 1e-9)
