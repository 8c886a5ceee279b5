"""Interruptions at every possible instruction, and what has to hold after each.

Run as a program, so that a test can end what hangs: `python interruptions.py SCENE FIRST STEP MOST [TWICE]`.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import numpy as np

import seqc
from kit.executor_runs import Conditions, under
from seqc import Sequential, layers
from seqc.backends.numpy import arena, executor, interrupts, naive, regions, turns, workers
from seqc.backends.numpy.workers import WORKERS
from seqc.graph import blas_threads
from seqc.graph.ir import Array
from seqc.graph.tracing import current_trace

R = TypeVar("R")

RUNNING = [m.__file__ for m in (arena, executor, interrupts, naive, regions, blas_threads, turns, workers)]
TRAINING = [
    str(path)
    for pattern in ("training/*.py", "graph/tracing.py", "sequential.py", "*/base.py", "layers/_weights.py")
    for path in Path(seqc.__file__).parent.glob(pattern)
]


def in_a_thread(function: Callable[..., R], *arguments: Any) -> R:
    """Returns what a function gives that interrupts others, also Python's `contextlib`.

    An exception that comes between the instructions of a handler leaves the thread with that handler's exception for
    good, which no signal can do: a thread of its own takes it along.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


class Injector:
    """Raises KeyboardInterrupt before the instruction with a number, counted in some files in this thread.

    Args:
        twice: whether a second one follows as soon as the interpreter looks for such.

    Attributes:
        raised: whether there was such an instruction.
    """

    def __init__(self, files: Sequence[str | None], number: int, twice: bool = False) -> None:
        self.files, self.left, self.twice, self.raised = frozenset(files), number, twice, False

    def run(self, function: Callable[[], Any]) -> BaseException | None:
        """Calls a function and returns what it raised."""
        caught: list[BaseException] = []
        try:
            sys.settrace(self._enter)
            try:
                function()
            except KeyboardInterrupt as error:
                caught.append(error)
            sys.settrace(None)
            for _ in range(9):  # for one that comes late
                threading.get_ident()
        except KeyboardInterrupt as error:
            caught.append(error)
        sys.settrace(None)
        return caught[0] if caught else None

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        frame.f_trace_opcodes = True
        return self._at

    def _at(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and not self.raised:
            self.left -= 1
            if self.left < 0:
                self.raised = True
                if self.twice:
                    me = ctypes.c_ulong(threading.get_ident())
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(me, ctypes.py_object(KeyboardInterrupt))
                raise KeyboardInterrupt(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        return self._at


def make_model() -> Sequential:
    seqc.utils.set_random_seed(3)
    model = Sequential([layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def batch() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.random((12, 6), dtype="float32"), rng.random((12, 2), dtype="float32")


def trained(model: Sequential) -> list[bytes]:
    """Returns the bits of what training leaves behind."""
    return [v.array.tobytes() for v in (*model.weights, *model.optimizer.variables)]


def state(model: Sequential) -> list[bytes]:
    """Returns the bits of everything that a step changes."""
    return [*trained(model), *(v.array.tobytes() for metric in model.metrics for v in metric.variables)]


class Scene:
    """One way to use a model, done again from the same state for every interruption."""

    files: Sequence[str | None] = RUNNING

    def __init__(self, twice: bool = False) -> None:
        self.twice, (self.x, self.y) = twice, batch()

    def fresh(self) -> Sequential:
        """Returns a model in the state from which everything starts."""
        raise NotImplementedError

    def act(self, model: Sequential) -> None:
        raise NotImplementedError

    def check(self, number: int) -> bool:
        """Interrupts at an instruction and checks what has to hold afterwards; tells whether there was such a one."""
        model = self.fresh()
        injector = Injector(self.files, number, self.twice)
        error = injector.run(lambda: self.act(model))
        if not injector.raised:
            return False
        assert error is not None, f"instruction {number}: the interruption was lost"
        assert current_trace() is None, f"{error} ({number}): a trace goes on"
        noted, place = bool(getattr(error, "__notes__", ())), str(error)
        del error  # and with it the frames that it keeps alive
        gc.collect()
        if not noted and not self.twice:  # the second one may hide what the first one says
            assert self.is_whole(model), f"{place} ({number}): neither before nor after a step, without a word"
        self.goes_on(model, place, number)
        return True

    def is_whole(self, model: Sequential) -> bool:
        """Tells whether a model is in one of the states between whole steps."""
        raise NotImplementedError

    def goes_on(self, model: Sequential, place: str, number: int) -> None:
        """Everything is as if there had been no interruption, from the same state."""
        raise NotImplementedError


class TrainOnBatch(Scene):
    """A second step of a model whose program is there already."""

    def __init__(self, twice: bool = False) -> None:
        super().__init__(twice)
        self.model = make_model()
        self.model.train_on_batch(self.x, self.y)
        self.step = next(iter(self.model._trainer._steps.values()))
        self.before, self.start = state(self.model), [v.array.copy() for v in self.step.writes]
        self.given = [self.x, self.y]
        self.step.run(self.given, 0, 1)
        self.end = state(self.model)
        (self.result,) = self.step.run(self.given, 0, 2)
        self.third = state(self.model)

    def fresh(self) -> Sequential:
        for variable, array in zip(self.step.writes, self.start, strict=True):
            np.copyto(variable.array, array)
        return self.model

    def act(self, model: Sequential) -> None:
        self.step.run(self.given, 0, 1)

    def is_whole(self, model: Sequential) -> bool:
        return state(model) in (self.before, self.end)

    def goes_on(self, model: Sequential, place: str, number: int) -> None:
        self.fresh()
        self.step.run(self.given, 0, 1)
        assert not WORKERS._under_way, f"{place} ({number}): threads are not at rest"
        assert state(model) == self.end, f"{place} ({number}): the next step computes something else"
        (result,) = self.step.run(self.given, 0, 2)
        assert result.tobytes() == self.result.tobytes()
        assert state(model) == self.third, f"{place} ({number}): the step after computes something else"


class Fit(Scene):
    """Everything from the first trace to the end of the second epoch."""

    files = (*RUNNING, *TRAINING)

    def __init__(self, twice: bool = False) -> None:
        super().__init__(twice)
        model = self.built(make_model())
        self.ways = [trained(model)]
        seen = seqc.callbacks.LambdaCallback(on_train_batch_end=lambda *_: self.ways.append(trained(model)))
        model.fit(self.x, self.y, 4, 2, 0, [seen], shuffle=False)
        self.end = state(model)

    def fresh(self) -> Sequential:
        return make_model()

    @staticmethod
    def built(model: Sequential) -> Sequential:
        if not model.built:
            model.build((None, 6))
        model.optimizer.build(model.trainable_weights)
        return model

    def act(self, model: Sequential) -> None:
        model.fit(self.x, self.y, 4, 2, 0, shuffle=False)

    def is_whole(self, model: Sequential) -> bool:
        return not (model.built and model.optimizer.built) or trained(model) in self.ways

    def goes_on(self, model: Sequential, place: str, number: int) -> None:
        start, model = self.built(make_model()), self.built(model)
        model.set_weights(start.get_weights())
        model.optimizer.set_weights([v.numpy() for v in start.optimizer.variables])
        model._trainer._seed, model._trainer._drawn = None, 0
        model.fit(self.x, self.y, 4, 2, 0, shuffle=False)
        assert not WORKERS._under_way, f"{place} ({number}): threads are not at rest"
        assert state(model) == self.end, f"{place} ({number}): training computes something else"


SCENES: dict[str, type[Scene]] = {"step": TrainOnBatch, "fit": Fit}


def main(name: str, first: int, step: int, most: int, twice: int = 0) -> None:
    patch = under(Conditions(threads=2, tile_bytes=64))
    scene = SCENES[name](bool(twice))
    gc.freeze()  # each check looks for garbage, and needs to look no further than at its own
    done = 0
    for number in itertools.count(first, step):
        if done >= most or not scene.check(number):
            break
        done += 1
    patch.undo()
    print(json.dumps({"interruptions": done}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
