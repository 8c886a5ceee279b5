"""A run of training: what it is given, its epochs, and the History that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any
from weakref import ref

import numpy as np

from seqc.callbacks import CallbackList, History
from seqc.errors import ConfigError, DataError
from seqc.optimizers import Optimizer
from seqc.training.arguments import optional_number
from seqc.training.data import Data, split_validation, unpack, weigh_classes
from seqc.training.inference import NUMPY
from seqc.training.loops import NonFiniteLoss, test_pass, train_epoch
from seqc.training.position import Resumable
from seqc.training.sources import IterableSource, Source, yields_batches
from seqc.training.trainable import Trainable
from seqc.utils.display import note
from seqc.utils.silence import Silence


class Trainer(Resumable):
    """Trains one model; the model's methods `fit`, `evaluate` and the like tell it what to do.

    Attributes:
        stop_training: a callback that sets it ends the training after the batch, or epoch, under way.
        history: the History of the latest run.
        inference: what computes predictions, see `seqc.training.inference`.
        loose_optimizer: what `model.optimizer` was set to before the model is compiled.
    """

    def __init__(self, model: Trainable) -> None:
        super().__init__(model)
        self.stop_training = False
        self.inference = NUMPY
        self.loose_optimizer: Optimizer | None = None
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
            found.set_model(self.model)
            self._history = ref(found)
        return found

    @history.setter
    def history(self, history: History) -> None:
        record = copy(history)
        record.set_model(None)
        self._recorded, self._history = record, ref(history)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_history": None}

    def copy_for(self, model: Trainable) -> Trainer:
        """Returns what a copy of the model trains with: the same settings, and steps of its own."""
        made = copy(self)
        made._model = ref(model)
        return made

    def fit(
        self,
        training: Source,
        validation: Source | None,
        epochs: range,
        validated: list[int],
        callbacks: CallbackList,
        progress: Any,
    ) -> None:
        """Runs the epochs. Who shows the end of one is among the callbacks, behind those that add to its logs."""
        optimizer = self.compiled.optimizer
        nan = NonFiniteLoss()
        logs: dict[str, Any] = {}
        self.stop_training, self.first_epoch, self.first_batch = False, epochs.start, 0
        self.resumed_at_end = False
        self._training_source, training.keeps_place = training, True
        try:
            callbacks.on_train_begin()  # which may call `resume`, to go on with an earlier run
            for epoch in range(self.first_epoch, self.first_epoch if self.resumed_at_end else epochs.stop):
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
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if epochs.stop:  # as in Keras; a run of no epochs changes nothing
                optimizer.finalize_variable_values(self.model.trainable_weights)
            callbacks.on_train_end(logs)
        finally:
            self._training_source = None

    def weighed(self, data: Data, weights: Mapping[int, float] | None) -> Data:
        return data if weights is None else weigh_classes(data, weights, len(self.model._output_shapes()[0]))

    def split(self, x: Any, y: Any, weight: Any, fraction: float) -> tuple[Data, Data]:
        """Returns the arrays to train on and those held out for validation."""
        if yields_batches(x):
            raise ConfigError(
                f"validation_split needs arrays; x ({type(x).__name__}) gives batches. Give validation_data instead."
            )
        return split_validation(self.labelled_data(x, y, weight), fraction)

    def validation(self, data: Any, batch_size: int | None, steps: int | None, times: int) -> Source | None:
        """Returns the source of `validation_data`, which will be gone through so many times."""
        if data is None:
            return None
        if isinstance(data, np.ndarray) and self.needs_labels:
            raise DataError(
                "validation_data must be a tuple (x_val, y_val) or (x_val, y_val, sample_weight_val); got one array of "
                f"shape {data.shape}."
            )
        parts = unpack(data, "validation_data")
        per_epoch = optional_number("validation_steps", steps or None)
        source = self.source(parts, self.labelled_data, batch_size, per_epoch, what="validation_data")
        if isinstance(source, IterableSource) and source.once and times > 1:
            if per_epoch is None:
                raise ConfigError(
                    f"validation_data ({type(data).__name__}) can be gone through once, and there are {times} "
                    "validations. Give validation_steps, or an object that starts anew each time."
                )
            source.keep()
        return source
