"""fit, evaluate and predict: what the loops are told, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any
from weakref import ref

import numpy as np

from seqc import tree
from seqc.backends.numpy.interrupts import finish_steps
from seqc.callbacks import CallbackList, History
from seqc.errors import ConfigError, DataError
from seqc.training.arguments import optional_number, validates, verbosity, whole_number
from seqc.training.data import Data, split_validation, unpack, weigh_classes
from seqc.training.loops import NonFiniteLoss, predict_pass, test_pass, train_epoch
from seqc.training.position import Resumable
from seqc.training.sources import ArraySource, IterableSource, Source, yields_batches
from seqc.training.stepper import Stepper
from seqc.utils.display import note
from seqc.utils.silence import Silence


class Trainer(Resumable, Stepper):
    """What makes a model trainable; `Sequential` mixes it in.

    Attributes:
        stop_training: a callback that sets it ends the training after the batch, or epoch, under way.
        history: the History of the latest run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stop_training = False
        # The numbers of the latest History, and that itself as long as it lives. It refers to the model, which would
        # not be freed where each held the other.
        self._recorded: History | None = None
        self._history: ref[History] | None = None

    @property
    def history(self) -> History | None:
        """The History of the latest run."""
        found = None if self._history is None else self._history()
        if found is None and self._recorded is not None:
            found = copy(self._recorded)
            found.set_model(self)
            self._history = ref(found)
        return found

    @history.setter
    def history(self, history: History) -> None:
        record = copy(history)
        record.set_model(None)
        self._recorded, self._history = record, ref(history)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_history": None}

    @finish_steps
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Trains the model.

        Args:
            x, y: samples and labels, arrays with one row per sample, several in a list or in a dictionary by the names
            of inputs and outputs; or x alone, an iterable of batches (x, y) or
            (x, y, sample_weight).
            batch_size: samples per step, 32 by default; arrays only. epochs: where to stop counting epochs.
            verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch; "auto" is 1.
            callbacks: objects of `seqc.callbacks`.
            validation_split: fraction at the end of the arrays to keep for validation.
            validation_data: (x, y), (x, y, sample_weight), or an iterable of batches.
            shuffle: a new order of samples in every epoch, which `seqc.utils.set_random_seed` makes repeatable.
            class_weight: class number to weight. sample_weight: a weight per sample, or per sample and
            step; for several outputs one array for all, or one each as in y.
            initial_epoch: where to start counting epochs.
            steps_per_epoch: batches in an epoch; the next epoch goes on behind them. By default an epoch is one pass.
            validation_steps: batches in a validation, the same ones each time; those of a generator are kept.
            validation_batch_size: samples per validation step.
            validation_freq: epochs between validations, or a list of the epochs, from 1, that end with one.

        Returns:
            The History, with the metrics of each epoch.

        Raises:
            DataError: the data do not fit each other or the loss. ShapeError: they do not fit the model.
            ConfigError: another argument is out of range.
        """
        epochs, initial_epoch = whole_number("epochs", epochs, 0), whole_number("initial_epoch", initial_epoch, 0)
        level, batch_size = verbosity(verbose), optional_number("batch_size", batch_size)
        size = optional_number("validation_batch_size", validation_batch_size) or batch_size
        validated = [epoch for epoch in range(initial_epoch, epochs) if validates(epoch, validation_freq)]
        per_epoch = optional_number("steps_per_epoch", steps_per_epoch or None)
        training: Source
        if validation_split and validation_data is None:
            kept, held_out = self._split(x, y, sample_weight, validation_split)
            training = ArraySource(self._weighed(kept, class_weight), batch_size, shuffle, per_epoch)
            validation: Source | None = ArraySource(
                held_out, size, per_epoch=optional_number("validation_steps", validation_steps or None)
            )
        else:

            def weighed(x: Any, y: Any, weight: Any) -> Data:
                return self._weighed(self._labelled(x, y, weight), class_weight)

            training = self._source((x, y, sample_weight), weighed, batch_size, per_epoch, shuffle)
            validation = self._validation(validation_data, size, validation_steps, len(validated))
        run = CallbackList(
            callbacks, add_history=True, model=self, verbose=verbose, epochs=epochs, steps=training.steps
        )
        run.expect(
            self.metrics_names,
            validation is not None and bool(validated or initial_epoch >= epochs),
            not self.logs_unknown,
        )
        self._prepare_training()
        with show_progress(level, epochs) as progress:
            self._fit(training, validation, range(initial_epoch, epochs), validated, run, progress)
        return run.history

    def _fit(
        self,
        training: Source,
        validation: Source | None,
        epochs: range,
        validated: list[int],
        callbacks: CallbackList,
        progress: Any,
    ) -> None:
        """Runs the epochs."""
        optimizer = self._need_compiled().optimizer
        nan = NonFiniteLoss()
        logs: dict[str, Any] = {}
        self.stop_training, self.first_epoch, self.first_batch = False, epochs.start, 0
        self._training_source = training
        try:
            callbacks.on_train_begin()  # which may call `resume`, to go on with an earlier run
            for epoch in range(self.first_epoch, epochs.stop):
                callbacks.on_epoch_begin(epoch)
                progress.start(epoch, training.steps)
                nan.epoch = epoch
                found = train_epoch(self, training, callbacks, progress, nan)
                if found is None:
                    note(f"The training data ran out before epoch {epoch + 1}; training ends here.", warn=True)
                    break
                logs = found
                if validation is not None and epoch in validated:
                    found = test_pass(self, validation, callbacks, Silence())
                    logs |= {f"val_{name}": value for name, value in found.items()}
                progress.finish(logs)
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            optimizer.finalize_variable_values(self.trainable_weights)  # type: ignore[attr-defined]
            callbacks.on_train_end(logs)
        finally:
            self._training_source = None

    def _weighed(self, data: Data, weights: Mapping[int, float] | None) -> Data:
        model: Any = self
        return data if weights is None else weigh_classes(data, weights, len(model._output_shapes()[0]))

    def _split(self, x: Any, y: Any, weight: Any, fraction: float) -> tuple[Data, Data]:
        """Returns the arrays to train on and those held out for validation."""
        if yields_batches(x):
            raise ConfigError(
                f"validation_split needs arrays; x ({type(x).__name__}) gives batches. Give validation_data instead."
            )
        return split_validation(self._labelled(x, y, weight), fraction)

    def _validation(self, data: Any, batch_size: int | None, steps: int | None, times: int) -> Source | None:
        """Returns the source of `validation_data`, which will be gone through so many times."""
        if data is None:
            return None
        if isinstance(data, np.ndarray):
            raise DataError(
                "validation_data must be a tuple (x_val, y_val) or (x_val, y_val, sample_weight_val); got one array of "
                f"shape {data.shape}."
            )
        parts = unpack(data, "validation_data")
        per_epoch = optional_number("validation_steps", steps or None)
        source = self._source(parts, self._labelled, batch_size, per_epoch, what="validation_data")
        if isinstance(source, IterableSource) and source.once and times > 1:
            if per_epoch is None:
                raise ConfigError(
                    f"validation_data ({type(data).__name__}) can be gone through once, and there are {times} "
                    "validations. Give validation_steps, or an object that starts anew each time."
                )
            source.keep()
        return source

    @finish_steps
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Returns the loss, or [loss, metrics...], or a dictionary of them, over all samples or so many `steps`.

        Args and errors: see `fit`.
        """
        level, size = verbosity(verbose), optional_number("batch_size", batch_size)
        source = self._source((x, y, sample_weight), self._labelled, size, optional_number("steps", steps or None))
        run = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=source.steps)
        with show_progress(level, None) as progress:
            progress.start(0, source.steps)
            logs = test_pass(self, source, run, progress)
            progress.finish(logs)
        return _listed(logs, return_dict)

    @finish_steps
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Returns the model's output, or its outputs in their list or dictionary, computed in batches.

        Args and errors: see `fit`.
        """

        def samples(x: Any, y: Any, weight: Any) -> Data:
            return self._data(x)

        level, size = verbosity(verbose), optional_number("batch_size", batch_size)
        source = self._source((x, None, None), samples, size, optional_number("steps", steps or None))
        run = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=source.steps)
        with show_progress(level, None) as progress:
            progress.start(0, source.steps)
            result = predict_pass(self, source, run, progress)
            progress.finish({})
        return result

    @finish_steps
    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Trains on one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        data = self._weighed(self._labelled(x, y, sample_weight), class_weight)
        step = self._prepare_training().steps_taken
        with self.counting():
            NonFiniteLoss().check(self._run_batch("train", data.rows(slice(None)), step), 0, step)
            return _listed(self.logs(), return_dict)

    @finish_steps
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Evaluates one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        data = self._labelled(x, y, sample_weight)
        with self.counting():
            self._run_batch("test", data.rows(slice(None)), 0)
            return _listed(self.logs(), return_dict)

    @finish_steps
    def predict_on_batch(self, x: Any) -> Any:
        """Returns the model's output, or its outputs, for one batch."""
        batch = self._data(x).rows(slice(None))
        results = self._run_batch("predict", batch, 0)
        return tree.fill(self._step_for("predict", batch).form, iter(results))


def _listed(logs: dict[str, Any], as_dict: bool) -> Any:
    if as_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


@contextmanager
def show_progress(level: int, epochs: int | None) -> Iterator[Any]:
    """Yields something that shows progress: a bar, a line per epoch, or nothing."""
    if level == 0:
        yield Silence()
        return
    from seqc.utils.progress import Progress  # needs rich, which is not loaded before something is shown

    with Progress(level, epochs) as shown:
        yield shown
