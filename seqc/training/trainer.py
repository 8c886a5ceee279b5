"""fit, evaluate and predict: the loops around the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqc.callbacks import CallbackList, History
from seqc.errors import ConfigError, DataError, NotBuiltError
from seqc.ir import Array
from seqc.random import next_seed
from seqc.training.compiled import Compiled
from seqc.training.data import Data, as_array, cast_input, make_data, sample_type, split_validation, unpack_validation
from seqc.training.step import Signature, Step, predict_step, scalar, test_step, train_step
from seqc.utils.display import note

DEFAULT_BATCH_SIZE = 32


class Trainer:
    """What a model needs to be trained; `Sequential` mixes it in."""

    def __init__(self) -> None:
        self._compiled: Compiled | None = None
        self._steps: dict[Any, Step] = {}
        self._seed: int | None = None
        self.stop_training = False
        self.history: History | None = None

    # -- compile -----------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Sets optimizer, loss and metrics.

        Args:
            optimizer: a name such as "adam" or an object of `seqc.optimizers`.
            loss: a name such as "mse", an object of `seqc.losses`, or a function `(y_true, y_pred)` of `seqc.ops`.
            loss_weights: one factor for the loss.
            metrics: a list of names, objects of `seqc.metrics` or functions; a mask enters them, sample weights do not.
            weighted_metrics: the same, with sample weights.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted for scripts written for Keras; a
            graph is always traced and there is one way to run it.

        Raises:
            ConfigError: a name or object is not understood.
        """
        self._compiled = Compiled(optimizer, loss, metrics, weighted_metrics, loss_weights)
        self.forget_steps()

    @property
    def compiled(self) -> bool:
        return self._compiled is not None

    @property
    def optimizer(self) -> Any:
        return self._need_compiled().optimizer

    @property
    def loss(self) -> Any:
        return self._need_compiled().given_loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss's mean first."""
        return [] if self._compiled is None else self._compiled.all_metrics

    @property
    def metrics_names(self) -> list[str]:
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Sets all metrics back to their start."""
        self._need_compiled().reset_metrics()

    def _need_compiled(self) -> Compiled:
        if self._compiled is None:
            raise NotBuiltError("You must call `compile()` before using the model: model.compile(optimizer=..., loss=...).")
        return self._compiled

    def forget_steps(self) -> None:
        """Drops the traced steps; the next use traces again."""
        self._steps.clear()

    # -- steps -------------------------------------------------------------------------------------------------------

    def _step(self, kind: str, data: Data) -> Step:
        """Returns the step for this kind of data, tracing it the first time."""
        signature = Signature(*(None if a is None else sample_type(a) for a in (data.x, data.y, data.weight)))  # type: ignore[arg-type]
        frozen = tuple(id(v) for v in self.trainable_weights)  # type: ignore[attr-defined]
        key = (kind, signature, frozen)
        if key not in self._steps:
            makers: dict[str, Callable[..., Step]] = {"train": train_step, "test": test_step}
            if kind == "predict":
                self._steps[key] = predict_step(self, signature)  # type: ignore[arg-type]
            else:
                self._steps[key] = makers[kind](self, self._need_compiled(), signature)
        return self._steps[key]

    def _run_batch(self, step: Step, batch: tuple[Array | None, ...], counter: int) -> Array:
        if self._seed is None:
            self._seed = next_seed()
        return step.run([np.ascontiguousarray(a) for a in batch if a is not None], self._seed, counter)

    def _prepare(self, x: Any, y: Any = None, weight: Any = None, class_weight: Any = None) -> Data:
        """Returns checked data for the model, which is built for it if it is not built yet."""
        first = as_array(x, "x")
        if first.ndim and len(first):
            self.build_for_data(first)  # type: ignore[attr-defined]
        return make_data(first, y, weight, class_weight, self.input_dtype())  # type: ignore[attr-defined]

    def _prepare_labelled(self, x: Any, y: Any, weight: Any, class_weight: Any = None) -> Data:
        compiled = self._need_compiled()
        if y is None and compiled.loss_id is not None:
            raise DataError(f"The loss '{compiled.loss_name}' needs labels: give y, one row per row of x.")
        data = self._prepare(x, y, weight, class_weight)
        if data.y is not None:
            compiled.resolve((None, *data.y.shape[1:]), self.output_shape)  # type: ignore[attr-defined]
            compiled.check_labels(data.y, self.output_shape)  # type: ignore[attr-defined]
        return data

    # -- fit ---------------------------------------------------------------------------------------------------------

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
        validation_freq: int = 1,
    ) -> History:
        """Trains the model.

        Args:
            x, y: samples and labels, arrays with one row per sample.
            batch_size: samples per step, 32 by default. epochs: passes over the data, counted from `initial_epoch`.
            verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch; "auto" is 1.
            callbacks: objects of `seqc.callbacks`.
            validation_split: fraction at the end of the data to keep for validation.
            validation_data: (x, y) or (x, y, sample_weight).
            shuffle: a new order of samples in every epoch.
            class_weight: class number to weight. sample_weight: a weight per sample, or per sample and step.
            steps_per_epoch, validation_steps: stop an epoch or a validation after so many batches.
            validation_batch_size: samples per validation step. validation_freq: epochs between validations.

        Returns:
            The History, with the metrics of each epoch.

        Raises:
            DataError: the data do not fit each other or the loss. ShapeError: they do not fit the model.
        """
        batch_size = _checked_batch_size(batch_size)
        data = self._prepare_labelled(x, y, sample_weight, class_weight)
        validation: Data | None = None
        if validation_data is not None:
            validation = self._prepare_labelled(*unpack_validation(validation_data))
        elif validation_split:
            data, validation = split_validation(data, validation_split)
            if class_weight is not None:  # class weights are for training only
                plain = make_data(x, y, sample_weight, None, self.input_dtype())  # type: ignore[attr-defined]
                validation = split_validation(plain, validation_split)[1]
        steps = min(data.steps(batch_size), steps_per_epoch or data.steps(batch_size))
        level = _verbosity(verbose)
        list_ = CallbackList(callbacks, self, verbose=level, epochs=epochs, steps=steps)
        self.stop_training = False
        list_.run("on_train_begin")
        with _progress(level, epochs) as progress:
            for epoch in range(initial_epoch, epochs):
                list_.epoch("on_epoch_begin", epoch)
                progress.start(epoch, steps)
                logs = self._fit_epoch(data, batch_size, shuffle, steps, list_, progress)
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    size = validation_batch_size or batch_size
                    logs |= self._validate(validation, size, validation_steps, list_)
                progress.finish(logs)
                list_.epoch("on_epoch_end", epoch, logs)
                if self.stop_training:
                    break
        self.optimizer.finalize_variable_values(self.trainable_weights)  # type: ignore[attr-defined]
        list_.run("on_train_end", logs if epochs > initial_epoch else None)
        return list_.history

    def _fit_epoch(
        self, data: Data, batch_size: int, shuffle: bool, steps: int, list_: CallbackList, progress: Any
    ) -> dict[str, Any]:
        compiled = self._need_compiled()
        step = self._step("train", data)
        compiled.reset_metrics()
        watched = bool(list_._batch_hooks["on_train_batch_end"] or list_._batch_hooks["on_batch_end"])
        for i, batch in enumerate(data.batches(batch_size, shuffle)):
            if i >= steps or self.stop_training:
                break
            list_.batch("on_train_batch_begin", i)
            counter = int(compiled.optimizer.iterations.numpy())
            loss = scalar(self._run_batch(step, batch, counter))
            if not np.isfinite(loss):
                self._warn_non_finite(loss, i, counter)
            logs = compiled.results() if watched or progress.wants(i) else None
            progress.advance(i, logs)
            list_.batch("on_train_batch_end", i, logs)
        return compiled.results()

    def _warn_non_finite(self, loss: float, batch: int, counter: int) -> None:
        note(
            f"The loss became {loss} at batch {batch} of the epoch (training step {counter + 1}). The weights are "
            "probably lost from here on: lower the learning rate, clip gradients (clipnorm=1.0), check the data for "
            "NaN, or stop at once with callbacks=[seqc.callbacks.TerminateOnNaN()].",
            warn=True,
        )

    def _validate(self, data: Data, batch_size: int, steps: int | None, list_: CallbackList) -> dict[str, Any]:
        logs = self._test_epoch(data, batch_size, steps, list_, None)
        return {f"val_{name}": value for name, value in logs.items()}

    # -- evaluate and predict ------------------------------------------------------------------------------------------

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
        """Returns the loss, or [loss, metrics...], or a dictionary of them, over all samples.

        Args and errors: see `fit`.
        """
        batch_size = _checked_batch_size(batch_size)
        data = self._prepare_labelled(x, y, sample_weight)
        total = min(data.steps(batch_size), steps or data.steps(batch_size))
        level = _verbosity(verbose)
        list_ = CallbackList(callbacks, self, verbose=level, epochs=1, steps=total)
        with _progress(level, None) as progress:
            progress.start(0, total)
            logs = self._test_epoch(data, batch_size, total, list_, progress)
            progress.finish(logs)
        return _logs(logs, return_dict)

    def _test_epoch(
        self, data: Data, batch_size: int, steps: int | None, list_: CallbackList, progress: Any
    ) -> dict[str, Any]:
        compiled = self._need_compiled()
        step = self._step("test", data)
        compiled.reset_metrics()
        list_.run("on_test_begin")
        for i, batch in enumerate(data.batches(batch_size)):
            if steps is not None and i >= steps:
                break
            list_.batch("on_test_batch_begin", i)
            self._run_batch(step, batch, 0)
            if progress is not None:
                progress.advance(i, compiled.results() if progress.wants(i) else None)
            list_.batch("on_test_batch_end", i)
        logs = compiled.results()
        list_.run("on_test_end", logs)
        return logs

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None
    ) -> Array:
        """Returns the model's output for all samples, computed in batches."""
        batch_size = _checked_batch_size(batch_size)
        data = self._prepare(x)
        step = self._step("predict", data)
        total = min(data.steps(batch_size), steps or data.steps(batch_size))
        level = _verbosity(verbose)
        list_ = CallbackList(callbacks, self, verbose=level, epochs=1, steps=total)
        list_.run("on_predict_begin")
        parts = []
        with _progress(level, None) as progress:
            progress.start(0, total)
            for i, batch in enumerate(data.batches(batch_size)):
                if i >= total:
                    break
                list_.batch("on_predict_batch_begin", i)
                parts.append(self._run_batch(step, batch, 0))
                progress.advance(i, {} if progress.wants(i) else None)
                list_.batch("on_predict_batch_end", i, {"outputs": parts[-1]})
            progress.finish({})
        list_.run("on_predict_end")
        return np.concatenate(parts) if len(parts) > 1 else np.array(parts[0])

    # -- one batch -----------------------------------------------------------------------------------------------------

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Trains on one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        compiled = self._need_compiled()
        data = self._prepare_labelled(x, y, sample_weight, class_weight)
        step = self._step("train", data)
        compiled.reset_metrics()
        counter = int(compiled.optimizer.iterations.numpy())
        loss = scalar(self._run_batch(step, (data.x, data.y, data.weight), counter))
        if not np.isfinite(loss):
            self._warn_non_finite(loss, 0, counter)
        return _logs(compiled.results(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Evaluates one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        compiled = self._need_compiled()
        data = self._prepare_labelled(x, y, sample_weight)
        step = self._step("test", data)
        compiled.reset_metrics()
        self._run_batch(step, (data.x, data.y, data.weight), 0)
        return _logs(compiled.results(), return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """Returns the model's output for one batch."""
        data = self._prepare(x)
        return np.array(self._run_batch(self._step("predict", data), (cast_input(data.x, data.x.dtype.name),), 0))


def _logs(logs: dict[str, Any], as_dict: bool) -> Any:
    if as_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def _checked_batch_size(batch_size: int | None) -> int:
    if batch_size is None:
        return DEFAULT_BATCH_SIZE
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ConfigError(f"batch_size must be a positive integer; got {batch_size!r}.")
    return int(batch_size)


def _verbosity(verbose: Any) -> int:
    return 1 if verbose == "auto" else int(verbose)


@contextmanager
def _progress(level: int, epochs: int | None) -> Iterator[Any]:
    """Yields something that shows progress: a bar, a line per epoch, or nothing."""
    if level == 0:
        from seqc.utils.silence import Silence

        yield Silence()
        return
    from seqc.utils.progress import Progress

    with Progress(level, epochs) as shown:
        yield shown
