"""Ctrl-C at random moments, once or twice, while a model is used; and what has to hold after each.

Run as a program, so that a test can end what hangs: `python interrupt_storm.py SEED COUNT`.
"""

from __future__ import annotations

import _thread
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

import seqc
from kit.executor_runs import Conditions, under
from seqc import Sequential, layers
from seqc.backends.numpy import interrupts
from seqc.graph.ir import Array

ROWS, BATCH, WIDTH = 640, 32, 96
# Seconds after which an interruption that has not reached the user is lost. It takes a few milliseconds where nothing
# else keeps the machine busy.
SOON = 10.0


def make_model() -> Sequential:
    seqc.utils.set_random_seed(3)
    stack = [layers.Dense(WIDTH, "relu"), layers.Dropout(0.2), layers.BatchNormalization(), layers.Dense(1)]
    model = Sequential([seqc.Input((WIDTH,)), *stack])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def press_again(lost: sys.UnraisableHookArgs) -> None:
    """Sends the signal once more where Python itself dropped what it raised, as a user would press Ctrl-C again.

    No exception gets out of the callback of a weak reference, such as that to a thread that has ended.
    """
    if lost.exc_type is KeyboardInterrupt:
        _thread.start_new_thread(_press_soon, ())  # at once, it would be raised in here and dropped as well
    else:
        sys.__unraisablehook__(lost)


def _press_soon() -> None:
    time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)


class Interrupter:
    """Sends the signal of Ctrl-C to this process after a while, perhaps a second one soon after."""

    def __init__(self, draw: random.Random) -> None:
        self.delay = draw.uniform(0, 0.12)
        self.more = draw.uniform(0, 0.01) if draw.random() < 0.4 else None
        self.sent = 0.0
        self._go = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        self._go.wait()
        time.sleep(self.delay)
        self.sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
        if self.more is not None:
            time.sleep(self.more)
            os.kill(os.getpid(), signal.SIGINT)

    def during(self, function: Callable[[], object]) -> tuple[list[str], float]:
        """Calls a function again and again until it is interrupted; returns notes, and the seconds that it took."""
        late = 0.0
        notes: list[str] = []
        try:
            try:
                self._go.set()
                while True:
                    function()
            except KeyboardInterrupt as error:
                late = time.perf_counter() - self.sent
                notes = getattr(error, "__notes__", [])
            self._thread.join()
            time.sleep(0.02)
        except KeyboardInterrupt:
            self._thread.join()
        return notes, late


class Storm:
    """A model, what its training gives when nobody disturbs it, and the interruptions."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        rng = np.random.default_rng(0)
        self.x, self.y = rng.random((ROWS, WIDTH), dtype="float32"), rng.random((ROWS, 1), dtype="float32")
        self.model = make_model()
        self.model._trainer._seed = 5
        self.model.optimizer.build(self.model.trainable_weights)
        self.start = [v.numpy() for v in self.variables()]
        self.known = [self.bits()]
        seen = seqc.callbacks.LambdaCallback(on_train_batch_end=lambda *_: self.known.append(self.bits()))
        self.model.fit(self.x, self.y, BATCH, 3, 0, [seen], shuffle=False)
        self.reset()
        self.losses = self.train()
        self.evaluated, self.predicted = self.evaluate(), self.predict()
        self.halfway = 0
        self.late: list[float] = []

    def variables(self) -> list[seqc.Variable]:
        return [*self.model.weights, *self.model.optimizer.variables]

    def bits(self) -> bytes:
        return b"".join(v.array.tobytes() for v in self.variables())

    def reset(self) -> None:
        """Goes back to the start; an interruption in here is one between two steps of this program, none of seqc's."""
        self.resetting = True
        for variable, array in zip(self.variables(), self.start, strict=True):
            variable.assign(array)
        self.model._trainer._drawn = 0
        self.resetting = False

    def train(self) -> list[float]:
        return self.model.fit(self.x, self.y, BATCH, 1, 0, shuffle=False).history["loss"]

    def evaluate(self) -> list[float]:
        result: list[float] = self.model.evaluate(self.x, self.y, BATCH, verbose=0)
        return result

    def predict(self) -> Array:
        result: Array = self.model.predict(self.x, BATCH, verbose=0)
        return result

    def train_long(self) -> None:
        self.reset()
        self.model.fit(self.x, self.y, BATCH, 3, 0, shuffle=False)

    def begin(self) -> None:
        """Traces and builds everything anew."""
        self.model._trainer.forget_steps()
        self.train_long()

    def once(self) -> None:
        """Interrupts something and checks what has to hold afterwards."""
        use = self.draw.choice([self.train_long, self.train_long, self.begin, self.evaluate, self.predict])
        interrupts.GRACE = self.draw.choice([0.5, 0.5, 0.0])  # no time to finish, as for a step that takes long
        notes, late = Interrupter(self.draw).during(use)
        self.late.append(late)
        assert late < SOON, f"{use.__name__}: the interruption came after {late:.2f} s"
        if notes:
            self.halfway += 1
        elif not self.resetting:
            assert self.bits() in self.known, f"{use.__name__}: the state is not that of a whole step, without a word"
        threads = [t for t in threading.enumerate() if t is not threading.main_thread()]
        assert not threads, threads
        self.reset()
        assert self.train() == self.losses
        assert self.bits() == self.known[ROWS // BATCH], f"{use.__name__}: training goes on with other numbers"
        assert self.evaluate() == self.evaluated
        assert self.predict().tobytes() == self.predicted.tobytes()


def main(seed: int, count: int) -> None:
    sys.unraisablehook = press_again
    patch = under(Conditions(threads=2, tile_bytes=4096))
    storm = Storm(seed)
    for _ in range(count):
        storm.once()
    patch.undo()
    print(json.dumps({"interruptions": count, "halfway": storm.halfway, "late": storm.late}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
