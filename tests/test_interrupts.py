"""Ctrl-C, at any moment: it comes soon, nothing hangs, and the state is that of a whole step or is said not to be."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.effort import effort
from kit.executor_runs import Conditions, under
from seqc import Sequential, layers
from seqc.backends.numpy import interrupts
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.turns import Turn
from seqc.backends.numpy.workers import WORKERS, Hand, Run, Workers
from seqc.errors import ShapeError
from seqc.graph import blas_threads
from seqc.graph.ir import Array
from test_executor import MODELS, data, make

HERE = Path(__file__).parent


def in_a_process(program: str, *arguments: int | str, seconds: float) -> dict[str, Any]:
    """Runs one of the programs in `kit`; one that hangs is ended and fails."""
    command = [sys.executable, "-X", "faulthandler", "-m", f"kit.{program}", *map(str, arguments)]
    environment = {**os.environ, "SEQC_VERIFY": "0"}  # the many programs that are built are the same ones
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, env=environment, cwd=HERE
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def two_workers() -> Iterator[None]:
    """Shares out even the smallest work."""
    patch = under(Conditions(threads=2, tile_bytes=64))
    yield
    patch.undo()


# -- anywhere ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("twice", [0, 1], ids=["once", "twice"])
def test_a_step_may_be_interrupted_between_any_two_instructions(twice: int) -> None:
    assert in_a_process("interruptions", "step", 5 * twice, 61, 10**6, twice, seconds=100)["interruptions"] > 30


def test_a_first_fit_may_be_interrupted_between_any_two_instructions() -> None:
    assert in_a_process("interruptions", "fit", 11, 9001, 10**6, seconds=100)["interruptions"] > 4


@pytest.mark.slow
def test_ctrl_c_at_random_moments_leaves_a_model_that_trains_on_as_if_nothing_had_been() -> None:
    assert in_a_process("interrupt_storm", 1, 6, seconds=100)["interruptions"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("twice", [0, 1], ids=["once", "twice"])
def test_a_step_may_be_interrupted_before_each_of_many_instructions(twice: int) -> None:
    every = effort(13, 1)  # a number that divides no loop's length, so that each line is met in some round
    found = in_a_process("interruptions", "step", twice, every, 10**6, twice, seconds=600)
    assert found["interruptions"] > 1000 // every


@pytest.mark.slow
def test_a_first_fit_may_be_interrupted_before_many_instructions() -> None:
    every = effort(1999, 199)
    found = in_a_process("interruptions", "fit", 0, every, 10**6, seconds=900)
    assert found["interruptions"] > 250 * 199 // every


@pytest.mark.slow
def test_many_interruptions_in_several_processes() -> None:
    processes, each = effort(2, 10), effort(20, 30)
    with ThreadPoolExecutor(3) as pool:
        found = list(
            pool.map(lambda seed: in_a_process("interrupt_storm", seed, each, seconds=300), range(100, 100 + processes))
        )
    assert sum(one["interruptions"] for one in found) == processes * each
    late = sorted(seconds for one in found for seconds in one["late"])
    assert late[processes * each * 29 // 30] < 1
    assert any(one["halfway"] for one in found)


# -- what the user sees -----------------------------------------------------------------------------------------------


class Pressing:
    """Stands in a program for a call that takes a while, in the middle of which Ctrl-C is pressed."""

    def __init__(self, seconds: float, times: int = 1) -> None:
        self.seconds, self.times, self.pressed = seconds, times, 0

    def __call__(self) -> None:
        if not self.pressed:
            self.pressed = time.perf_counter_ns()
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        time.sleep(self.seconds)


def trained_program() -> tuple[Sequential, Any, Array, Array]:
    model = make("mlp")
    model.compile("adam", "mse")
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    executor = next(s for k, s in model._trainer._steps.items() if k[0] == "train").executor
    assert isinstance(executor, Executor)
    return model, next(iter(executor._programs.values())), x, y


def snapshot(model: Sequential) -> list[bytes]:
    return [v.array.tobytes() for v in (*model.weights, *model.optimizer.variables)]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
def test_a_short_step_is_finished_before_ctrl_c_is_raised(two_workers: None, times: int) -> None:
    model, bound, x, y = trained_program()
    start = [v.numpy() for v in (*model.weights, *model.optimizer.variables)]
    drawn = model._trainer._drawn
    model.train_on_batch(x, y)
    whole = snapshot(model)
    for v, array in zip((*model.weights, *model.optimizer.variables), start, strict=True):
        v.assign(array)
    model._trainer._drawn = drawn
    calls = bound.program.regions[0].lists[0]
    calls.insert(0, Pressing(0.01, times))
    with pytest.raises(KeyboardInterrupt) as caught:
        model.train_on_batch(x, y)
    assert snapshot(model) == whole
    assert not hasattr(caught.value, "__notes__")
    del calls[0]
    model.train_on_batch(x, y)


@pytest.mark.slow
def test_a_long_step_is_given_up_and_the_state_is_said_to_be_between(two_workers: None) -> None:
    model, bound, x, y = trained_program()
    at = bound.program.first_change[0]
    bound.program.regions[at].lists[0].append(Pressing(0.7))
    for region in bound.program.regions[at + 1 :]:
        region.lists[0].append(lambda: time.sleep(5))
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        model.train_on_batch(x, y)
    assert time.perf_counter() - start < 2.5
    assert caught.value.__notes__ == [interrupts.UNFINISHED]


@pytest.mark.slow
def test_a_long_step_that_has_changed_nothing_yet_leaves_the_state_as_it_was(two_workers: None) -> None:
    model, bound, x, y = trained_program()
    assert bound.program.first_change[0] > 0
    before = snapshot(model)
    bound.program.regions[0].lists[0].insert(0, Pressing(0.7))
    with pytest.raises(KeyboardInterrupt) as caught:
        model.train_on_batch(x, y)
    assert not hasattr(caught.value, "__notes__")
    assert snapshot(model) == before


def test_the_naive_executor_keeps_all_of_a_step_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    model = make("mlp")
    model.compile("adam", "mse")
    x, y = data(model, 8)
    model.train_on_batch(x, y)
    reached: list[int] = []

    class Pressed:
        """The first variable to be written, at which Ctrl-C is pressed."""

        @property
        def array(self) -> Any:
            reached.append(1)
            signal.raise_signal(signal.SIGINT)
            return first.array

    executor: Any = next(s for k, s in model._trainer._steps.items() if k[0] == "train").executor
    first = executor.writes[0]
    executor.writes = (Pressed(), *executor.writes[1:])
    step = int(model.optimizer.iterations.array)
    with pytest.raises(KeyboardInterrupt):
        model.train_on_batch(x, y)
    assert reached
    assert int(model.optimizer.iterations.array) == step + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_calls_before_the_first_that_changes_the_state_do_not_change_it(name: str, two_workers: None) -> None:
    model = make(name)
    model.compile("adam", "mse", metrics=["mae"])
    x, y = data(model, 6)
    model.train_on_batch(x, y)
    executor = next(s for k, s in model._trainer._steps.items() if k[0] == "train").executor
    assert isinstance(executor, Executor)
    (bound,) = executor._programs.values()
    before = [array.copy() for _, array in bound.state]
    changed_at = None
    for at, region in enumerate(bound.program.regions):
        for calls in region.lists:
            for place, call in enumerate(calls):
                call()
                same = all(a.tobytes() == b.tobytes() for a, (_, b) in zip(before, bound.state, strict=True))
                if changed_at is None and not same:
                    changed_at = at, place if len(region.lists) == 1 else 0
    assert changed_at is not None
    assert bound.program.first_change <= (changed_at[0], changed_at[1])


@pytest.mark.slow
def test_an_error_after_the_state_began_to_change_says_so(two_workers: None) -> None:
    model, bound, x, y = trained_program()

    def fail() -> None:
        raise ShapeError("no")

    last = bound.program.regions[-1]
    last.lists[0].append(fail)
    last.values[0].append(last.values[0][0])
    with pytest.raises(ShapeError) as caught:
        model.train_on_batch(x, y)
    assert caught.value.__notes__ == [interrupts.UNFINISHED]


# -- the signal --------------------------------------------------------------------------------------------------------


def test_the_handler_of_ctrl_c_is_pythons_own_before_and_after() -> None:
    model, _, x, y = trained_program()
    seen: list[Any] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(signal.getsignal(signal.SIGINT)))
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert seen == [interrupts._interrupted]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_application_stays() -> None:
    model, _, x, y = trained_program()
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: told.append(1))
    try:
        press = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: signal.raise_signal(signal.SIGINT))
        model.fit(x, y, verbose=0, callbacks=[press])
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [1]


def test_ctrl_c_between_two_steps_comes_at_once() -> None:
    model, _, x, y = trained_program()
    press = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[press])


def test_an_average_of_weights_does_not_take_their_place_when_training_is_interrupted() -> None:
    model = make("mlp")
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x, y = data(model, 8)
    seen: list[list[bytes]] = []

    def press(*_: Any) -> None:
        seen.append([w.tobytes() for w in model.get_weights()])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=press)])
    assert [w.tobytes() for w in model.get_weights()] == seen[0]


def test_a_build_that_was_interrupted_can_be_done_again() -> None:
    class Two(layers.Layer):
        interrupted = False

        def build(self, input_shape: Any) -> None:
            self.a = self.add_weight((2,))
            if not Two.interrupted:
                Two.interrupted = True
                raise KeyboardInterrupt
            self.b = self.add_weight((3,))

        def call(self, x: Any) -> Any:
            return x + keras.ops.sum(self.a) + keras.ops.sum(self.b)

    model = Sequential([layers.Dense(2), Two()])
    with pytest.raises(KeyboardInterrupt):
        model.build((None, 3))
    model.build((None, 3))
    assert [w.shape for w in model.get_weights()] == [(3, 2), (2,), (2,), (3,)]


# -- threads -----------------------------------------------------------------------------------------------------------


def test_lists_that_no_thread_has_begun_are_never_run_once_they_are_given_up() -> None:
    ran: list[int] = []
    hand = Hand(1, [lambda: ran.append(1)])
    hand.settle()
    hand.settle()
    hand.carry_out_elsewhere()
    assert ran == []


def test_what_is_given_up_while_it_runs_is_at_rest_after_the_call_under_way() -> None:
    ran: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait()
        ran.append(1)

    def interrupt() -> None:
        begun.wait()
        threading.Timer(0.05, go_on.set).start()
        raise KeyboardInterrupt

    workers = Workers()
    with pytest.raises(Exception, match="0"):
        workers.run([[interrupt], [first, lambda: ran.append(2)]], Run())
    assert ran == [1]
    workers.run([[lambda: ran.append(3)], [lambda: ran.append(4)]])
    assert sorted(ran) == [1, 3, 4]


def test_a_lock_that_was_left_locked_stops_nobody() -> None:
    turn = Turn()
    turn._lock.acquire()
    assert turn.take(lambda: 3) == 3
    assert not turn._lock.locked()


def test_turns_do_not_overlap_even_where_the_lock_is_wrong() -> None:
    turn, inside, most = Turn(), [0], [0]

    def work() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        if turn._lock.locked():
            turn._lock.release()
        time.sleep(0.001)
        inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(turn.take, work) for _ in range(20)]:
            done.result(timeout=20)
    assert most == [1]


def test_a_turn_inside_ones_own_turn_is_an_error_and_no_deadlock() -> None:
    turn = Turn()
    with pytest.raises(RuntimeError, match="in this very thread"):
        turn.take(lambda: turn.take(lambda: 1))
    assert turn.take(lambda: 2) == 2


def test_several_threads_predict_with_one_model(two_workers: None) -> None:
    model = make("mlp")
    samples = [np.random.default_rng(i).random((5 + i % 3, 7), dtype="float32") for i in range(12)]
    expected = [model.predict_on_batch(x) for x in samples]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: model.predict(samples[i % 12], verbose=0), range(60)))
    for i, one in enumerate(found):
        np.testing.assert_array_equal(one, expected[i % 12])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_goes_on_with_a_model_that_another_thread_was_using(two_workers: None) -> None:
    model, bound, x, y = trained_program()
    begun = threading.Event()
    calls = bound.program.regions[0].lists[0]

    def begin_slowly() -> None:
        begun.set()
        time.sleep(0.5)

    calls.insert(0, begin_slowly)
    other = threading.Thread(target=model.train_on_batch, args=(x, y))
    other.start()
    begun.wait()
    child = os.fork()
    if not child:
        signal.alarm(20)
        del calls[0]
        os._exit(0 if np.isfinite(model.train_on_batch(x, y)) else 1)
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.slow
def test_a_process_ends_while_its_threads_are_at_work() -> None:
    code = """
import threading, numpy as np, seqc
from seqc import layers
m = seqc.Sequential([seqc.Input((256,)), layers.Dense(256), layers.Dense(256)])
m.compile("sgd", "mse")
x = np.ones((256, 256), "float32")
m.fit(x, x, verbose=0)
begun = threading.Event()
def train():
    begun.set()
    m.fit(x, x, epochs=10**6, verbose=0)
threading.Thread(target=train, daemon=True).start()
begun.wait()
"""
    environment = {**os.environ, "SEQC_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True, env=environment)


class Library:
    """A BLAS library that is asked for its threads."""

    def __init__(self) -> None:
        self.count = 4

    def get_num_threads(self) -> int:
        return self.count

    def set_num_threads(self, count: int) -> None:
        self.count = count


def test_blas_gets_its_threads_back_even_if_an_interruption_skips_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(blas_threads, "_libraries", lambda: [library])
    skipped = blas_threads.one_blas_thread()
    skipped.__enter__()
    assert library.count == 1
    with blas_threads.one_blas_thread():
        assert library.count == 1
    assert library.count == 4


def test_workers_keep_nothing_alive_between_two_runs() -> None:
    class Call:
        def __call__(self) -> None: ...

    call = Call()
    WORKERS.run([[lambda: None], [call]])
    time.sleep(0.05)
    assert len(gc.get_referrers(call)) <= 1
