"""Losses give the values and gradients recorded from Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.graph_runs import Run, on_numpy, on_onnxruntime
from kit.oracle import Case, cases, kept_cases, parameters
from seqc import losses, ops
from seqc.errors import NoLoweringError
from seqc.graph.autodiff import gradients
from seqc.graph.dims import symbol
from seqc.graph.ir import Graph, Value, constant, input_value

KEPT = kept_cases("loss_cases")
RECORDED = cases("losses")
CASES = RECORDED or KEPT
CARRIED = sorted(name for name in losses.__all__ if name[0].isupper() and name not in ("Loss", "LossFunctionWrapper"))


def make(case: Case) -> Any:
    return getattr(losses, case.facts["class"])(**case.facts["kwargs"])


def value_and_gradient(loss: Any, y_true: Any, y_pred: Value, weight: Any) -> tuple[Value, Value]:
    value = loss(y_true, y_pred, weight)
    return value, gradients(value if value.ndim == 0 else ops.sum(value), [y_pred])[0]


@pytest.mark.parametrize("case", parameters(CASES))
def test_loss_on_arrays_has_the_recorded_value_and_gradient(case: Case) -> None:
    a = case.arrays
    value, grad = value_and_gradient(make(case), a["y_true"], constant(a["y_pred"]), a.get("sample_weight"))
    case.check("value", value)
    case.check("grad", grad)


def check_graph(case: Case, prepare: Callable[[Graph], Run]) -> None:
    if case.id == "MeanSquaredError-square_r3_w-sample":
        pytest.skip("weights per sample that only fit because there are as many steps are refused in a graph")
    names = [name for name in ("y_true", "y_pred", "sample_weight") if name in case.arrays]
    batch = len(case.arrays["y_pred"])
    inputs = {}
    for name in names:
        shape = case.arrays[name].shape
        leading = symbol("batch") if shape[:1] == (batch,) else shape[0]
        inputs[name] = input_value(name, case.arrays[name].dtype.name, (leading, *shape[1:]))
    value, grad = value_and_gradient(make(case), inputs["y_true"], inputs["y_pred"], inputs.get("sample_weight"))
    run = prepare(Graph(tuple(inputs.values()), (value, grad), ("value", "grad")))
    got_value, got_grad = run([case.arrays[name] for name in names])
    case.check("value", got_value)
    case.check("grad", got_grad)


@pytest.mark.parametrize("case", parameters(CASES))
def test_loss_in_a_graph_of_any_batch_size_has_the_recorded_value_and_gradient(case: Case) -> None:
    check_graph(case, on_numpy)


@pytest.mark.parametrize("case", parameters(KEPT))
def test_loss_on_onnxruntime_has_the_recorded_value_and_gradient(case: Case) -> None:
    if case.facts["class"] == "CTC":
        with pytest.raises(NoLoweringError, match="CTCLoss cannot be expressed in ONNX"):
            check_graph(case, on_onnxruntime)
        return
    check_graph(case, on_onnxruntime)


@pytest.mark.parametrize("case", parameters(KEPT))
def test_loss_configuration_holds_all_that_keras_writes_and_comes_back(case: Case) -> None:
    loss = make(case)
    assert case.facts["config"].items() <= loss.get_config().items()
    again = losses.get(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_every_loss_has_a_recorded_case_here_and_in_a_bare_clone() -> None:
    assert {case.facts["class"] for case in CASES} == set(CARRIED)
    assert {case.facts["class"] for case in KEPT} == set(CARRIED)


@pytest.mark.skipif(not RECORDED, reason="needs the folder 'shared' beside the repository")
def test_kept_losses_are_those_recorded() -> None:
    recorded = {case.id: case for case in RECORDED}
    assert {case.facts["class"] for case in RECORDED} == set(CARRIED)
    for case in KEPT:
        assert case.facts == recorded[case.id].facts
        assert set(case.arrays) == set(recorded[case.id].arrays)
        for name, array in case.arrays.items():
            np.testing.assert_array_equal(array, recorded[case.id].arrays[name])


def test_comparison_with_a_case_notices_a_wrong_number() -> None:
    with pytest.raises(AssertionError, match="grad"):
        CASES[0].check("grad", CASES[0].arrays["grad"] + np.float32(1e-2))
