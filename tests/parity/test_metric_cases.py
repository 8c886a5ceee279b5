"""Metrics give the results and states recorded from Keras."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.graph_runs import Run, on_numpy, on_onnxruntime
from kit.oracle import Case, cases, kept_cases, parameters
from seqc import metrics
from seqc.graph.dims import symbol
from seqc.graph.ir import Graph, input_value
from seqc.graph.tracing import Trace, tracing
from seqc.utils.naming import clear_session

KEPT = kept_cases("metric_cases")
RECORDED = cases("metrics")
CASES = RECORDED or KEPT
BASES = ("Metric", "MeanMetricWrapper")
CARRIED = sorted(name for name in metrics.__all__ if name[0].isupper() and name not in BASES)


def make(case: Case) -> Any:
    return getattr(metrics, case.facts["class"])(**case.facts["kwargs"])


def batch_of(case: Case, k: int) -> list[str]:
    return [name for name in (f"y_true_{k}", f"y_pred_{k}", f"sample_weight_{k}") if name in case.arrays]


def check_state(case: Case, metric: Any) -> None:
    assert [v.name for v in metric.variables] == case.facts["state_names"]
    for i, variable in enumerate(metric.variables):
        case.check(f"state_{i}", variable)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", parameters(CASES))
def test_metric_on_arrays_has_the_recorded_results(case: Case) -> None:
    metric = make(case)
    for k in range(3):
        names = batch_of(case, k)
        weight = case.arrays.get(f"sample_weight_{k}")
        metric.update_state(*(case.arrays[n] for n in names if "weight" not in n), sample_weight=weight)
        case.check(f"result_{k}", metric.result())
    check_state(case, metric)


def check_graphs(case: Case, prepare: Callable[[Graph], Run]) -> None:
    metric = make(case)
    for k in range(3):
        names, trace = batch_of(case, k), Trace()
        with tracing(trace):
            inputs = {n: _symbolic(n, case.arrays[n]) for n in names}
            labels = [x for n, x in inputs.items() if "weight" not in n]
            metric.update_state(*labels, sample_weight=inputs.get(f"sample_weight_{k}"))
            result = metric.result()
        reads, writes = list(trace.reads), list(trace.updates)
        leaves = (*inputs.values(), *trace.reads.values())
        outputs = (result, *trace.updates.values())
        run = prepare(Graph(leaves, outputs, tuple(f"y{i}" for i in range(len(outputs)))))
        got, *news = run([*(case.arrays[n] for n in names), *(v.array for v in reads)])
        for variable, new in zip(writes, news, strict=True):
            variable.assign(new)
        case.check(f"result_{k}", got)
    check_state(case, metric)


@pytest.mark.parametrize("case", parameters(CASES))
def test_metric_in_a_graph_of_any_batch_size_has_the_recorded_results(case: Case) -> None:
    check_graphs(case, on_numpy)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", parameters(KEPT))
def test_metric_on_onnxruntime_has_the_recorded_results(case: Case) -> None:
    check_graphs(case, on_onnxruntime)


def _symbolic(name: str, array: np.ndarray[Any, Any]) -> Any:
    shape = (symbol("batch"), *array.shape[1:]) if array.ndim else ()
    return input_value(name, array.dtype.name, shape)


@pytest.mark.parametrize("case", parameters(KEPT))
def test_metric_configuration_is_that_of_keras_and_comes_back(case: Case) -> None:
    # Automatic names count how many objects came before.
    clear_session()
    metric = make(case)
    assert metric.name == re.sub(r"_\d+$", "", case.facts["name"])
    assert (case.facts["config"] | {"name": metric.name}).items() <= metric.get_config().items()
    again = metrics.get(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_every_metric_has_a_recorded_case_here_and_in_a_bare_clone() -> None:
    assert {case.facts["class"] for case in CASES} == set(CARRIED)
    assert {case.facts["class"] for case in KEPT} == set(CARRIED)


@pytest.mark.skipif(not RECORDED, reason="needs the folder 'shared' beside the repository")
def test_kept_metrics_are_those_recorded() -> None:
    recorded = {case.id: case for case in RECORDED}
    assert {case.facts["class"] for case in RECORDED} == set(CARRIED)
    for case in KEPT:
        assert case.facts == recorded[case.id].facts
        assert set(case.arrays) == set(recorded[case.id].arrays)
        for name, array in case.arrays.items():
            np.testing.assert_array_equal(array, recorded[case.id].arrays[name])
