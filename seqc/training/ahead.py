"""Batches made before they are needed: by threads, or by processes."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from seqc.backends.numpy.interrupts import whole
from seqc.backends.numpy.workers import Run
from seqc.errors import DataError
from seqc.utils.display import note


def made_ahead(
    batches: Any, numbers: Iterable[int], workers: int, processes: bool, most: int
) -> Generator[Any, None, None]:
    """Yields batches in the order of their numbers; when it is closed, or raises, no worker is left.

    Args:
        batches: they have `__getitem__`. numbers: which are wanted.
        workers: how many are made at a time. processes: whether by processes.
        most: how many may be ready, or being made.

    Raises:
        DataError: a process ended by itself. others: what `__getitem__` raises.
    """
    pool, make = _process_pool(batches, workers) if processes else _thread_pool(batches, workers)
    waiting: deque[Future[Any]] = deque()
    rest = iter(numbers)
    try:
        while True:
            for number in itertools.islice(rest, most - len(waiting)):
                waiting.append(_submitted(pool, make, number))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"A process that makes the batches of {type(batches).__name__} ended by itself: its memory ran out, or it "
            "could not begin, as in a script without `if __name__ == '__main__':` where processes are spawned. Take "
            "use_multiprocessing=False, which makes batches in threads."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: Executor, make: Callable[[int], Any], number: int) -> Future[Any]:
    """Has a batch made; Ctrl-C meanwhile, when processes may be begun, comes when that is done."""
    run = Run()
    future = _submit(pool, run, make, number)
    if run.interrupted:
        raise KeyboardInterrupt
    return future


@whole
def _submit(pool: Executor, run: Run, make: Callable[[int], Any], number: int) -> Future[Any]:
    with _deaf():
        return pool.submit(make, number)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are begun inside hear of Ctrl-C only once they say what becomes of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _thread_pool(batches: Any, workers: int) -> tuple[Executor, Callable[[int], Any]]:
    return ThreadPoolExecutor(workers, thread_name_prefix="seqc-batches"), batches.__getitem__


def _process_pool(batches: Any, workers: int) -> tuple[Executor, Callable[[int], Any]]:
    """Returns a pool of processes that have the batches; of threads, with a warning, where these do not pickle."""
    context = multiprocessing.get_context()
    if context.get_start_method() != "fork":
        try:
            pickle.dumps(batches)
        except Exception as error:  # pickling runs code of the dataset
            note(
                f"{type(batches).__name__} has use_multiprocessing=True but does not pickle ({error}); its batches "
                "are made in threads.",
                warn=True,
            )
            return _thread_pool(batches, workers)
    seed = int(np.random.randint(2**31))  # noqa: NPY002  (what a program seeds, for what it draws from)
    return ProcessPoolExecutor(workers, context, _begin_process, (batches, seed)), _in_process


# In a process that makes batches: what it makes them of, and the seed of its epoch.
_held: tuple[Any, int] = (None, 0)


def _begin_process(batches: Any, seed: int) -> None:
    global _held
    _held = batches, seed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program's own process hears of Ctrl-C, and ends this one
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # for what it begins itself; see `_deaf`
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _in_process(number: int) -> Any:
    batches, seed = _held
    random.seed(seed + number)
    np.random.seed((seed + number) % 2**32)  # noqa: NPY002
    return batches[number]
