"""Batches made ahead of their time, by threads and by processes: the same numbers, and nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import DataError
from seqc.training.data import make_data
from seqc.training.sources import ArraySource

X = np.random.default_rng(0).normal(size=(48, 2)).astype("float32")
Y = X @ np.array([[1.0], [2.0]], "float32")


class Batches(keras.utils.PyDataset):
    def __init__(self, wrong: int | None = None, endless: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.wrong, self.endless, self.log = wrong, endless, list[Any]()
        self.lately = self.most_ahead = self.used = 0

    @property
    def num_batches(self) -> int | None:
        return None if self.endless else 12

    def __getitem__(self, number: int) -> Any:
        self.lately += 1
        self.most_ahead = max(self.most_ahead, self.lately - self.used)
        time.sleep(0.001 * (number * 5 % 3))  # so that they are not done in the order in which they were begun
        if number == self.wrong:
            raise LookupError(f"batch {number} is lost")
        rows = slice(number % 12 * 4, number % 12 * 4 + 4)
        return X[rows], Y[rows]

    def on_epoch_begin(self) -> None:
        self.log.append("begin")

    def on_epoch_end(self) -> None:
        self.log.append(("end", self.lately))


def model() -> Any:
    made = keras.Sequential([keras.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
    made.compile(keras.optimizers.SGD(0.05), "mse")
    return made


def workers_alive() -> list[str]:
    threads = [one.name for one in threading.enumerate() if one.name.startswith("seqc-batches")]
    return threads + [one.name for one in multiprocessing.active_children()]


def trained(data: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(1)
    one = model()
    history = one.fit(data, epochs=2, verbose=0, validation_data=Batches(), **options).history
    assert not workers_alive()
    return history, one.evaluate(data, verbose=0), one.predict(data, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"workers": 3}, {"workers": 4, "max_queue_size": 1}])
def test_threads_give_the_numbers_of_one_worker(options: Any) -> None:
    one, several = Batches(), Batches(**options)
    for expected, got in zip(trained(one), trained(several), strict=True):
        np.testing.assert_equal(got, expected)
    assert several.log == one.log
    assert several.log[:4] == ["begin", ("end", 12), "begin", ("end", 24)]


@pytest.mark.slow
def test_processes_give_the_numbers_of_one_worker() -> None:
    for expected, got in zip(trained(Batches()), trained(Batches(workers=2, use_multiprocessing=True)), strict=True):
        np.testing.assert_equal(got, expected)


def test_no_more_batches_are_made_than_were_asked_for() -> None:
    data = Batches(workers=4, max_queue_size=3, endless=True)

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            data.used += 1

    model().fit(data, steps_per_epoch=8, epochs=2, verbose=0, callbacks=[Count()])
    assert 1 < data.most_ahead <= 4  # three and the one in use
    assert not workers_alive()


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict"])
def test_what_a_batch_raises_comes_to_the_caller_with_its_lines(use: str, processes: bool) -> None:
    data = Batches(wrong=5, workers=3, use_multiprocessing=processes)
    with pytest.raises(LookupError, match="batch 5 is lost") as caught:
        getattr(model(), use)(data, verbose=0, **({"shuffle": False} if use == "fit" else {}))
    assert 'raise LookupError(f"batch {number} is lost")' in "".join(traceback.format_exception(caught.value))
    assert not workers_alive()


def test_nothing_is_left_where_training_stops_early() -> None:
    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    model().fit(Batches(workers=2), verbose=0, callbacks=[Stops()])
    model().fit(Batches(workers=2), verbose=0, steps_per_epoch=2)
    assert not workers_alive()
    with pytest.raises(ValueError, match="same number of samples"):  # found when the first batch was made already
        model().fit(Batches(workers=2), validation_data=(X, Y[:5]), verbose=0)
    assert not workers_alive()


def test_a_dataset_is_gone_through_by_a_loop_and_may_not_call_init() -> None:
    class Bare(keras.utils.PyDataset):
        def __init__(self) -> None:  # as many do
            self.x = X

        def __len__(self) -> int:
            return 6

        def __getitem__(self, number: int) -> Any:
            return self.x[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]

    assert len(list(Bare())) == 6  # slices never raise IndexError
    assert model().predict(Bare(), verbose=0).shape == (48, 1)
    assert [len(x) for x, _ in islice(Batches(endless=True), 14)] == [4] * 14
    with pytest.raises(DataError, match="steps_per_epoch"):
        model().fit(Batches(endless=True), verbose=0)


@pytest.mark.slow
def test_processes_draw_other_numbers_for_each_batch_and_the_same_again() -> None:
    class Noise(Batches):
        def __getitem__(self, number: int) -> Any:
            return np.random.normal(size=(1, 2)), np.zeros((1, 1))  # noqa: NPY002

    one = keras.Sequential([keras.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
    np.random.seed(3)  # noqa: NPY002
    first = one.predict(Noise(workers=2, use_multiprocessing=True), verbose=0)
    np.random.seed(3)  # noqa: NPY002
    np.testing.assert_array_equal(one.predict(Noise(workers=2, use_multiprocessing=True), verbose=0), first)
    assert len(np.unique(first)) == len(first)


@pytest.mark.slow
def test_a_process_that_is_killed_is_said() -> None:
    class Killed(Batches):
        def __getitem__(self, number: int) -> Any:
            os._exit(9) if number == 4 else None
            return super().__getitem__(number)

    with pytest.raises(DataError, match="ended by itself: its memory ran out"):
        model().evaluate(Killed(workers=2, use_multiprocessing=True), verbose=0)
    assert not workers_alive()


SPAWNED = """
import multiprocessing, os, sys
import numpy as np
import keras

class Rows(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, number):
        rows = np.sin(np.arange(6.0) + number).reshape(2, 3)
        return rows, rows[:, :1], np.full(2, 1.0 + (os.environ["PARENT"] != str(os.getpid())))

if __name__ == "__main__":
    os.environ["PARENT"] = str(os.getpid())
    multiprocessing.set_start_method(sys.argv[1])
    for options in ({}, {"workers": 2, "use_multiprocessing": True}):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse", weighted_metrics=["mse"])
        print(model.predict(Rows(**options), verbose=0).sum(), model.fit(Rows(**options), verbose=0).history)
    print(multiprocessing.active_children())
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["spawn", "forkserver"])
def test_processes_that_are_spawned_make_the_same_batches_of_an_unchanged_script(way: str, tmp_path: Path) -> None:
    # Such processes run the script again, and found no keras.
    (tmp_path / "script.py").write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, "-m", "seqc.run", "script.py", way],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    alone, together, left = done.stdout.splitlines()
    (summed, told), (also, weighed) = (line.split(" ", 1) for line in (alone, together))
    assert (summed, left) == (also, "[]")
    # Weights of two say that other processes made the batches: they weigh the loss, and not its mean.
    one, two = eval(told), eval(weighed)
    assert one["mse"] != two["mse"] or one["loss"] != two["loss"]
    np.testing.assert_allclose(two["loss"], np.multiply(one["loss"], 2), rtol=0.2)


INTERRUPTED = """
import multiprocessing, os, signal, sys, threading, time
import numpy as np
import keras

class Slow(keras.utils.PyDataset):
    def __len__(self):
        return 10_000

    def __getitem__(self, number):
        time.sleep(0.01)
        return np.ones((4, 2)), np.ones((4, 1))

class Interrupts(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            os.killpg(0, signal.SIGINT) if sys.argv[1] == "ctrl-c" else sys.exit(7)

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
try:
    model.fit(Slow(workers=3, use_multiprocessing=sys.argv[2] == "processes"), verbose=0, callbacks=[Interrupts()])
except KeyboardInterrupt:
    left = [one.name for one in threading.enumerate() if "batches" in one.name] + multiprocessing.active_children()
    print("interrupted", left)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("way", ["ctrl-c", "exit"])
def test_ctrl_c_and_exit_end_at_once_and_leave_nothing(way: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, "-m", "seqc.run", str(tmp_path / "script.py"), way, kind],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,
    )
    wanted = (0, "interrupted []\n", "") if way == "ctrl-c" else (7, "", "")
    assert (done.returncode, done.stdout, done.stderr) == wanted


def test_batches_keep_their_samples_where_only_they_are_shuffled() -> None:
    source = ArraySource(make_data([np.arange(10.0)[:, None]]), 4, "batch")
    seen = [[batch[0].ravel().tolist() for batch in source.one_pass()] for _ in range(3)]  # type: ignore[union-attr]
    assert all([sorted(one) for one in epoch] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] for epoch in seen)
    assert seen[0] != seen[1] or seen[1] != seen[2]
    model().fit(X, Y, shuffle="batch", verbose=0)
    with pytest.raises(ValueError, match="shuffle must be True, False or 'batch'; got 'batches'"):
        model().fit(X, Y, shuffle="batches", verbose=0)
