"""Whatever the step graph, the executor gives the results and the state that the naive one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from kit.effort import effort
from kit.executor_runs import Cell, Conditions, under
from kit.random_steps import GIVEN, RandomStep, batches, steps
from kit.random_values import MOST_SAMPLES
from seqc.backends.numpy.calls import same_memory
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.whole_batch import WholeBatch
from seqc.graph.ir import Array, Constant, Input, Item, Value

few = settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
many = settings(max_examples=effort(200, 1500), suppress_health_check=list(HealthCheck), deadline=None)
CONDITIONS = st.builds(
    Conditions,
    threads=st.integers(1, 3),
    tile_bytes=st.sampled_from([1, 200, 2000, 1 << 20]),
    always_share=st.sampled_from([True, True, False]),
    tiny=st.booleans(),
)
SIZES = st.lists(st.integers(1, MOST_SAMPLES), min_size=1, max_size=4)


def run(
    kind: type[Executor | NaiveExecutor], step: RandomStep, sizes: Sequence[int]
) -> tuple[list[Array], list[Array]]:
    """Returns the results of runs one after the other, and the state after the last."""
    cells = [Cell(a) for a in step.state]
    count = len(step.graph.inputs) - GIVEN
    made = kind(step.graph, cells[:count], [cells[i] for i in step.written])
    results = [made.run(arrays)[0] for arrays in batches(step, sizes)]
    return results, [c.array for c in cells]


def check(step: RandomStep, conditions: Conditions, sizes: Sequence[int]) -> None:
    note(f"{step}\n{conditions}, batches of {sizes}")
    results, state = run(NaiveExecutor, step, sizes)
    patch = under(conditions)
    try:
        own_results, own_state = run(Executor, step, sizes)
    finally:
        patch.undo()
    for a, b in zip(own_state, state, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(own_results, results, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if step.loose:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        else:
            np.testing.assert_array_equal(a, b)


def counted(used: Counter[str]) -> Callable[[WholeBatch, Sequence[Value]], None]:
    """Returns what ends the building of programs, and counts those in which each of the executor's means is used."""
    commit = WholeBatch.commit

    def counting(self: WholeBatch, state: Sequence[Value]) -> None:
        schedule, arrays = self.schedule, self.buffers.arrays
        kinds = [type(v.op) for v in schedule.cut.order]
        places = [(arrays.get(y), arrays[x], y is x) for y, x in schedule.new_state]
        commit(self, state)
        found = {
            "groups of several chains": any(len(group.chains) > 1 for group in schedule.groups),
            "groups one after the other": len({group.when for group in schedule.groups}) > 1,
            "values kept between stages": bool(schedule.live_out),
            "several stages": schedule.cut.stages > 1,
            "several results": Item in kinds,
            "sums of several tiles": any(s.values and s.tile < schedule.batch for s in schedule.stages),
            "several threads": any(len(region) > 1 for region in self.writer.regions),
            "state in arenas": any(x.base is not None for _, x, _ in places),
            "state written at once": any(y is not None and same_memory(y, x) for y, x, kept in places if not kept),
            "one value for several states": len({y for y, _ in schedule.new_state}) < len(schedule.new_state),
            "state kept or swapped": any(isinstance(y.op, Input) for y, _ in schedule.new_state),
            "constant state": any(isinstance(y.op, Constant) for y, _ in schedule.new_state),
        }
        used.update({"programs": 1} | found)

    return counting


@pytest.mark.slow
def test_any_small_step_runs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    used: Counter[str] = Counter()
    monkeypatch.setattr(WholeBatch, "commit", counted(used))

    @few
    @given(step=steps(), conditions=CONDITIONS, sizes=SIZES)
    def run_alike(step: RandomStep, conditions: Conditions, sizes: list[int]) -> None:
        check(step, conditions, sizes)

    run_alike()
    rare = {what: times for what, times in used.items() if times < 15}
    assert not rare, f"of {used['programs']} programs too few have {rare}"


@pytest.mark.slow
@many
@given(step=steps(20), conditions=CONDITIONS, sizes=SIZES)
def test_any_step_runs_alike(step: RandomStep, conditions: Conditions, sizes: list[int]) -> None:
    check(step, conditions, sizes)
