"""The loops around the steps: one epoch of training, one pass of evaluation or prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import tree
from seqc.callbacks import CallbackList
from seqc.errors import DataError, ShapeError
from seqc.graph.ir import Array
from seqc.training.inference import NUMPY, predictor
from seqc.training.sources import Source
from seqc.utils.display import note

if TYPE_CHECKING:
    from seqc.training.trainer import Trainer

Logs = dict[str, Any]


class NonFiniteLoss:
    """Says once in a run that the loss is no longer a finite number, and where that began."""

    def __init__(self, epoch: int | None = None) -> None:
        self.epoch = epoch
        self._said = False

    def check(self, results: Sequence[Array], batch: int, step: int) -> None:
        """Looks at the loss of a batch.

        Args:
            results: of the step: the loss, or nothing where a step of the model's own logs none.
            batch: its number in the epoch, from 0. step: how many training steps came before it.
        """
        if self._said or not results or math.isfinite(loss := results[0].item()):
            return
        self._said = True
        where = f"step {step + 1}" if self.epoch is None else f"epoch {self.epoch + 1}, batch {batch} (step {step + 1})"
        note(
            f"The loss became {loss} in {where}. The weights are probably lost from here on: lower the learning rate, "
            "clip gradients (clipnorm=1.0), look for NaN in the data, or stop at once with "
            "callbacks=[seqc.callbacks.TerminateOnNaN()].",
            warn=True,
        )


def train_epoch(
    trainer: Trainer, source: Source, callbacks: CallbackList, progress: Any, nan: NonFiniteLoss
) -> Logs | None:
    """Trains on the batches of one epoch and returns its metrics; stops after a batch where `stop_training` is set.

    Returns None where the data gave no batch.
    """
    compiled = trainer.compiled
    watched = callbacks.watches("train_batch_end")
    with trainer.counting():
        done = before = trainer.start_epoch()
        for done, batch in enumerate(source.epoch(before), before + 1):
            callbacks.on_train_batch_begin(done - 1)
            step = compiled.steps_taken
            nan.check(trainer.run_batch("train", batch), done - 1, step)
            logs = trainer.logs() if watched or progress.wants() else None
            progress.advance(done, logs)
            callbacks.on_train_batch_end(done - 1, logs)
            if trainer.stop_training:
                break
        return trainer.logs() if done else None


def test_pass(trainer: Trainer, source: Source, callbacks: CallbackList, progress: Any) -> Logs:
    """Evaluates the batches of a source from its beginning and returns the metrics.

    Raises:
        DataError: it has none.
    """
    source.restart()
    watched = callbacks.watches("test_batch_end")
    done = 0
    with trainer.counting():
        trainer.model.stop_evaluating = False
        callbacks.on_test_begin()
        for done, batch in enumerate(source.epoch(), 1):
            callbacks.on_test_batch_begin(done - 1)
            trainer.run_batch("test", batch)
            logs = trainer.logs() if watched or progress.wants() else None
            progress.advance(done, logs)
            callbacks.on_test_batch_end(done - 1, logs)
            if trainer.model.stop_evaluating:
                break
        if not done:
            raise DataError("There was nothing to evaluate: the data gave no batches.")
        logs = trainer.logs()
        callbacks.on_test_end(logs)
    return logs


def predict_pass(trainer: Trainer, source: Source, callbacks: CallbackList, progress: Any, backend: str = NUMPY) -> Any:
    """Returns the model's output, or its outputs, for all batches of a source, from its beginning.

    Args:
        backend: what computes them, see `seqc.training.inference`.

    Raises:
        DataError: it has none. ShapeError: the outputs of two batches cannot stand in one array.
    """
    source.restart()
    trainer.model.stop_predicting = False
    callbacks.on_predict_begin()
    predict = predictor(trainer, backend)
    parts: list[Parts] = []
    form = None
    for i, batch in enumerate(source.epoch()):
        callbacks.on_predict_batch_begin(i)
        results = predict(batch)
        if not parts:
            form = trainer.step_for("predict", batch).form
            parts = [Parts(source.rows) for _ in results]
        for part, result in zip(parts, results, strict=True):
            part.add(result)
        progress.advance(i + 1, {} if progress.wants() else None)
        callbacks.on_predict_batch_end(i, {"outputs": tree.pack_sequence_as(form, results)})
        if trainer.model.stop_predicting:
            break
    callbacks.on_predict_end()
    if not parts:
        raise DataError("There was nothing to predict: the data gave no batches.")
    return tree.pack_sequence_as(form, [part.together() for part in parts])


class Parts:
    """Outputs of batches, in one array from the start where the number of rows is known.

    Of an output that is a single number for a whole batch there are as many as batches, and that number alone of one.

    Args:
        rows: how many there will be at most; None if that is not known.
    """

    def __init__(self, rows: int | None) -> None:
        self.rows, self._filled = rows, 0
        self._whole: Array | None = None
        self._parts: list[Array] = []
        self._numbers = False

    def add(self, part: Array) -> None:
        """Adds the output of a batch."""
        self._numbers = not part.ndim
        part = np.atleast_1d(part)
        if self.rows is not None and self._whole is None and not self._parts:
            self._whole = np.empty((self.rows, *part.shape[1:]), part.dtype)
        end = self._filled + len(part)
        if self._whole is not None and part.shape[1:] == self._whole.shape[1:] and end <= len(self._whole):
            self._whole[self._filled : end] = part
        else:
            if self._whole is not None:
                self._parts, self._whole = [self._whole[: self._filled]], None
            self._parts.append(part)
        self._filled = end

    def together(self) -> Array:
        """Returns all outputs as one array.

        Raises:
            ShapeError: the outputs of two batches differ in shape.
        """
        found = self._joined()
        return found[0] if self._numbers and len(found) == 1 else found

    def _joined(self) -> Array:
        if self._whole is not None:
            return self._whole[: self._filled]
        shapes = {part.shape[1:] for part in self._parts}
        if len(shapes) > 1:
            raise ShapeError(
                f"The outputs of the batches have different shapes {sorted(shapes)} and cannot stand in one array. Pad "
                "the inputs to one size, or call predict_on_batch for each batch."
            )
        return np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]
