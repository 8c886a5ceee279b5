"""What is counted, by several threads and processes, before and after they end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seqc_runtime.server.stats import BUCKETS, FAILURES, KEPT, MOST_MODELS, Stats, bucket, bucket_end, read_directory

RUNTIME = Path(__file__).parents[1]


def test_a_time_lies_in_its_bucket() -> None:
    for ns in [0, 1, 1023, 1024, 1025, 1279, 1280, 5000, 10**6, 123_456_789, 10**11]:
        number = bucket(ns)
        assert ns < bucket_end(number) or number == BUCKETS - 1
        assert number == 0 or bucket_end(number - 1) <= ns
    assert bucket(10**15) == BUCKETS - 1


def test_quantiles_are_those_of_recent_time_within_a_bucket() -> None:
    stats = Stats()
    counters = stats.model("m", 1)
    for _ in range(100):
        counters.answered(1, 10**9, 0, 0, 0)
    before = stats.read_all()["m", 1]
    for ms in range(1, 101):
        counters.answered(1, ms * 10**6, 0, 0, 0)
    recent = stats.read_all()["m", 1].since(before)
    assert recent.success == 100
    for q in (0.5, 0.9, 0.99):
        found = recent.quantile(q)
        assert found is not None
        assert q * 0.1 <= found <= q * 0.1 * 1.3
    assert before.since(before).quantile(0.5) is None


@pytest.mark.parametrize("rows", [0, 1, 4, 1000])
def test_a_request_that_ran_alone_counts_as_its_run_and_its_answer_do(rows: int) -> None:
    stats = Stats()
    both, at_once = stats.model("both", 1), stats.model("at once", 1)
    for input_ns, infer_ns in ((0, 0), (20, 30), (10**6, 10**9)):
        both.executed(rows, input_ns, infer_ns, 0)
        both.answered(rows, input_ns + infer_ns, 0, input_ns, infer_ns)
        at_once.alone(rows, input_ns, infer_ns)
    found, wanted = at_once.snapshot(), both.snapshot()
    assert abs(found.last_ms - wanted.last_ms) < 10_000
    found.last_ms = wanted.last_ms
    assert found == wanted


def test_counts_of_every_kind_come_back() -> None:
    stats = Stats()
    counters = stats.model("m", 3)
    counters.answered(4, 100, 10, 20, 30, 40)
    counters.executed(4, 1, 2, 3)
    counters.executed(1000, 1, 2, 3)
    for reason in FAILURES:
        counters.failed(reason, 5)
    counters.waiting(2, 7)
    found = stats.read_all()["m", 3]
    assert (found.success, found.total_ns, found.queue_ns, found.input_ns, found.infer_ns, found.output_ns) == (
        1,
        100,
        10,
        20,
        30,
        40,
    )
    assert (found.rows, found.executions, found.pending, found.pending_rows) == (4, 2, 2, 7)
    assert {size: batch.count for size, batch in found.batches.items()} == {4: 1, 1024: 1}
    assert found.fail == dict.fromkeys(FAILURES, 1)
    assert found.fail_ns == 5 * len(FAILURES)
    assert abs(found.last_ms / 1000 - time.time()) < 60


def test_threads_lose_no_count() -> None:
    stats = Stats()

    def work() -> None:
        counters = stats.model("m", 1)
        for _ in range(5000):
            counters.answered(2, 1, 1, 1, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = stats.read_all()["m", 1]
    assert (found.success, found.rows) == (20_000, 40_000)


@pytest.mark.slow
def test_versions_that_are_long_gone_are_forgotten_and_those_that_are_served_are_not(tmp_path: Path) -> None:
    with Stats(tmp_path) as stats:
        served = stats.model("m", 1)
        served.answered(1, 1, 1, 1, 1)
        for version in range(2, 3000):
            stats.model("m", version).answered(version, 1, 1, 1, 1)
        served.answered(1, 1, 1, 1, 1)
        found = stats.read_all()
        assert {version: one.rows for (_, version), one in found.items()} == {
            1: 2,
            **{version: version for version in range(3000 - KEPT, 3000)},
        }
        stats.model("m", 2999).answered(1, 1, 1, 1, 1)
        assert stats.read_all()["m", 2999].rows == 3000
    with Stats(tmp_path) as successor:  # of a process that was killed
        assert successor.read_all().keys() == found.keys()
        successor.model("m", 3000)
        assert successor.read_all().keys() == {*found, ("m", 3000)} - {("m", 1)}


@pytest.mark.slow
def test_more_versions_than_there_is_room_for_are_counted_in_vain_and_take_from_nobody() -> None:
    stats = Stats()
    held = [stats.model("m", version) for version in range(1, MOST_MODELS + 5)]
    for counters in held:
        counters.answered(1, 1, 1, 1, 1)
    found = stats.read_all()
    assert len(found) == MOST_MODELS
    assert {one.success for one in found.values()} == {1}


SCRIPT = """
import sys
from seqc_runtime.server.stats import Stats
stats = Stats(sys.argv[1])
counters = stats.model("m", 1)
for _ in range(10):
    counters.answered(1, 1, 1, 1, 1)
counters.waiting(3, 3)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no workers on Windows")
def test_numbers_of_workers_add_up_and_stay_when_one_is_killed(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            cwd=RUNTIME,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "there\n"
        found = read_directory(tmp_path)["m", 1]
        assert (found.success, found.pending) == (20, 6)
        workers[0].kill()
        workers[0].wait()
        found = read_directory(tmp_path)["m", 1]
        assert (found.success, found.pending) == (20, 3)
        with Stats(tmp_path) as successor:
            assert len(list(tmp_path.iterdir())) == 2
            successor.model("m", 1).answered(1, 1, 1, 1, 1)
            assert successor.read_all()["m", 1].success == 21
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
