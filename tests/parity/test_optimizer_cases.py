"""Optimizers take the steps recorded from Keras, at once on arrays and as one graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kit.graph_runs import Run, on_numpy, on_onnxruntime
from kit.oracle import Case, cases, kept_cases, parameters
from seqc import optimizers
from seqc.graph.ir import Array, Graph, as_value, input_value
from seqc.graph.tracing import Trace, Variable, tracing
from seqc.optimizers import schedules
from seqc.utils.naming import clear_session

KEPT = kept_cases("optimizer_cases")
RECORDED = cases("optimizers")
ALL = RECORDED or KEPT
CASES = [case for case in ALL if case.facts["kind"] == "optimizer"]
SCHEDULES = [case for case in ALL if case.facts["kind"] == "schedule"]
# What goes around others is trained with in the recorded runs of `test_training_grid.py`.
AROUND = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
CARRIED = sorted({name for name in optimizers.__all__ if name[0].isupper()} - {"Optimizer", *AROUND})

Take = Callable[[list[Array]], Array]


def make(case: Case) -> Any:
    clear_session()  # names count up
    kwargs = dict(case.facts["kwargs"])
    if case.facts.get("schedule"):
        name, arguments = case.facts["schedule"]
        kwargs["learning_rate"] = getattr(schedules, name)(**arguments)
    return getattr(optimizers, case.facts["class"])(**kwargs)


def at_once(optimizer: Any, variables: list[Variable]) -> Take:
    def take(grads: list[Array]) -> Array:
        rate = np.array(as_value(optimizer.learning_rate))
        optimizer.apply(grads)
        return rate

    return take


def as_one_graph(optimizer: Any, variables: list[Variable], prepare: Callable[[Graph], Run] = on_numpy) -> Take:
    trace = Trace(training=True)
    with tracing(trace):
        grads = [input_value(f"g{i}", v.dtype, v.shape) for i, v in enumerate(variables)]
        rate = as_value(optimizer.learning_rate)
        optimizer.apply(grads)
    reads, writes = list(trace.reads), list(trace.updates)
    outputs = (rate, *trace.updates.values())
    run = prepare(Graph((*grads, *trace.reads.values()), outputs, tuple(f"y{i}" for i in range(len(outputs)))))

    def take(arrays: list[Array]) -> Array:
        before, *news = run([*arrays, *(v.array for v in reads)])
        for variable, new in zip(writes, news, strict=True):
            variable.assign(new)
        return np.array(before)

    return take


def on_onnx(optimizer: Any, variables: list[Variable]) -> Take:
    return as_one_graph(optimizer, variables, on_onnxruntime)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("prepare", [at_once, as_one_graph])
@pytest.mark.parametrize("case", parameters(CASES))
def test_optimizer_takes_the_recorded_steps(case: Case, prepare: Callable[..., Take]) -> None:
    check_steps(case, prepare)


@pytest.mark.parametrize("case", parameters([case for case in KEPT if case.facts["kind"] == "optimizer"]))
def test_optimizer_takes_the_recorded_steps_on_onnxruntime(case: Case) -> None:
    check_steps(case, on_onnx)


def check_steps(case: Case, prepare: Callable[..., Take]) -> None:
    optimizer = make(case)
    variables = [Variable(case.arrays[f"v{i}"][0], name=name) for i, name in enumerate(("kernel", "bias"))]
    optimizer.build(variables)
    take = prepare(optimizer, variables)
    rates, counts, seen = [], [], [[v.numpy()] for v in variables]
    for k in range(len(case.arrays["g0"])):
        rates.append(take([case.arrays[f"g{i}"][k] for i in range(2)]))
        counts.append(int(as_value(optimizer.iterations)))
        for i, variable in enumerate(variables):
            seen[i].append(variable.numpy())
    case.check("lr", rates)
    case.check("iterations", counts)
    case.check("v0", seen[0])
    case.check("v1", seen[1])
    for i, variable in enumerate(optimizer.variables):
        case.check(f"o{i}", variable)
    optimizer.finalize_variable_values(variables)
    for i, variable in enumerate(variables):
        case.check(f"final{i}", variable)


@pytest.mark.parametrize("case", parameters(CASES))
def test_optimizer_variables_have_the_recorded_order_and_paths(case: Case) -> None:
    optimizer = make(case)
    optimizer.build([Variable(case.arrays[f"v{i}"][0], name=name) for i, name in enumerate(("kernel", "bias"))])
    got = [[v.path, list(v.shape), v.dtype] for v in optimizer.variables]
    # Keras gives Nadam's product of momenta no name of its own.
    expected = [["nadam/u_product", *v[1:]] if v[0] == "variable" else v for v in case.facts["optimizer_variables"]]
    if case.facts["reference_backend"] == "jax":  # which counts in 32 bits
        expected = [[*v[:2], "int64"] if v[2] == "int32" else v for v in expected]
    assert got == expected


@pytest.mark.parametrize("case", parameters(CASES))
def test_optimizer_configuration_is_that_of_keras_and_comes_back(case: Case) -> None:
    optimizer = make(case)
    # Names count how many objects came before.
    assert optimizer.get_config() == case.facts["config"] | {"name": optimizer.name}
    again = optimizers.get(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize("case", parameters(SCHEDULES))
def test_schedule_has_the_recorded_values(case: Case) -> None:
    schedule = getattr(schedules, case.facts["class"])(**case.facts["kwargs"])
    case.check("value", [float(schedule(step)) for step in case.arrays["step"]])


def names(found: list[Case]) -> set[str]:
    return {case.facts["class"] for case in found}


def test_every_optimizer_and_schedule_has_a_recorded_case_here_and_in_a_bare_clone() -> None:
    plans = {name for name in schedules.__all__ if name[0].isupper() and name != "LearningRateSchedule"}
    assert names(CASES) == set(CARRIED)
    assert names(SCHEDULES) == plans
    assert names(KEPT) == {*CARRIED, *plans}


@pytest.mark.skipif(not RECORDED, reason="needs the folder 'shared' beside the repository")
def test_kept_optimizers_are_those_recorded() -> None:
    recorded = {case.id: case for case in RECORDED}
    for case in KEPT:
        assert case.facts == recorded[case.id].facts
        assert set(case.arrays) == set(recorded[case.id].arrays)
        for name, array in case.arrays.items():
            np.testing.assert_array_equal(array, recorded[case.id].arrays[name])
