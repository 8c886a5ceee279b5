"""Threads, their number, and the memory of tiles."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqc.backends.numpy import machine
from seqc.backends.numpy.lifetimes import ALIGNMENT, Lifetime, aligned, plan_memory
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.regions import shares
from seqc.backends.numpy.workers import Failure, Workers, _quota


def test_every_list_runs_to_its_end_in_a_thread_of_its_own() -> None:
    seen: list[tuple[int, int, str]] = []
    lists = [
        [lambda worker=worker, i=i: seen.append((worker, i, threading.current_thread().name)) for i in range(3)]
        for worker in range(3)
    ]
    Workers().run(lists)
    assert sorted(s[:2] for s in seen) == [(worker, i) for worker in range(3) for i in range(3)]
    assert len({name for _, _, name in seen}) == 3


@pytest.mark.parametrize("worker", [0, 1])
def test_a_failure_says_where_it_was_and_others_finish(worker: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    lists = [[lambda: done.append(1)] * 2, [lambda: done.append(2)] * 2]
    lists[worker] = [lambda: done.append(0), fail, lambda: done.append(9)]
    workers = Workers()
    with pytest.raises(Failure) as caught:
        workers.run(lists)
    assert (caught.value.worker, caught.value.place, str(caught.value.error)) == (worker, 1, "no")
    assert sorted(done) == [0, 2 - worker, 2 - worker]
    workers.run([[lambda: done.append(7)], [lambda: done.append(7)]])
    assert done.count(7) == 2


def test_threads_do_not_warn_of_infinities(recwarn: pytest.WarningsRecorder) -> None:
    zero = np.zeros(3)
    with np.errstate(all="ignore"):
        Workers().run([[lambda: 1 / zero]] * 2)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_control_group_is_read(files: dict[str, str], share: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _quota(tmp_path) == share


@given(count=st.integers(0, 50), workers=st.integers(1, 8))
def test_shares_cover_everything_once_and_are_nearly_equal(count: int, workers: int) -> None:
    found = shares(count, workers)
    assert [i for a, b in found for i in range(a, b)] == list(range(count))
    sizes = [b - a for a, b in found]
    assert not sizes or (min(sizes) >= 1 and max(sizes) - min(sizes) <= 1)


@given(st.lists(st.builds(lambda size, a, b: Lifetime(size, min(a, b), max(a, b)), *[st.integers(0, 500)] * 3)))
def test_buffers_that_are_alive_together_never_overlap(lives: list[Lifetime]) -> None:
    places, size = plan_memory(dict(enumerate(lives)))
    for i, life in enumerate(lives):
        start, end = places[i], places[i] + life.size
        assert start % ALIGNMENT == 0
        assert end <= size
        for j, other in enumerate(lives[:i]):
            if life.first <= other.last and other.first <= life.last:
                assert end <= places[j] or places[j] + other.size <= start


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 9)), min_size=1))
def test_no_more_memory_is_planned_than_one_after_the_other_would_take(drawn: list[tuple[int, int]]) -> None:
    together = {i: Lifetime(size, 0, last) for i, (size, last) in enumerate(drawn)}
    apart = {i: Lifetime(size, i, i) for i, (size, _) in enumerate(drawn)}
    assert plan_memory(together)[1] == sum(aligned(size) for size, _ in drawn)
    assert plan_memory(apart)[1] == max(aligned(size) for size, _ in drawn)


def test_memory_that_nobody_needs_any_more_is_used_again() -> None:
    lives = {"a": Lifetime(100, 0, 1), "b": Lifetime(100, 1, 3), "c": Lifetime(90, 2, 3), "d": Lifetime(300, 4, 4)}
    places, size = plan_memory(lives)
    assert places == {"a": 0, "b": 128, "c": 0, "d": 0}
    assert size == aligned(300)


def test_scratch_memory_of_one_kernel_does_not_overlap_and_serves_the_next() -> None:
    pad = ScratchPad()
    a, b = pad((10,), "float32"), pad((20, 2), "float64")
    assert not np.may_share_memory(a, b)
    assert b.ctypes.data % ALIGNMENT == 0
    assert not pad.is_current([a])  # it has to be bound again: the block was too small
    pad.start()
    c, d = pad((10,), "float32"), pad((20, 2), "float64")
    assert pad.is_current([c, d])
    assert not np.may_share_memory(c, d)
    pad.start()
    assert np.may_share_memory(pad((10,), "float64"), c)


def test_tiles_leave_room_for_those_of_other_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {2: 1 << 20, 3: 16 << 20}
    monkeypatch.setattr(machine, "cache_bytes", lambda level: sizes[level])
    for cores, size in ((1, 8 << 20), (4, 2 << 20), (64, 1 << 20)):
        monkeypatch.setattr(machine, "cores_of_cache", lambda level, cores=cores: cores)
        assert machine.tile_bytes() == size


def test_cores_that_share_a_cache_are_counted_as_the_system_lists_them() -> None:
    assert [machine._count(text) for text in ("0", "0-1", "0-3,8-11", "0,2,5")] == [1, 2, 8, 3]
