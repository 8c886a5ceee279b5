"""compile, fit, evaluate and predict: Keras's methods of a model, which its trainer carries out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, cast

from seqc import optimizers, tree
from seqc.backends.numpy.interrupts import finish_steps
from seqc.callbacks import CallbackList, History, LambdaCallback
from seqc.limits import limited
from seqc.serialization import revive
from seqc.training.arguments import optional_number, validates, verbosity, whole_number
from seqc.training.data import Data
from seqc.training.hooks import Hooks
from seqc.training.inference import NUMPY, check_backend, predictor
from seqc.training.loops import NonFiniteLoss, predict_pass, test_pass
from seqc.training.sources import ArraySource, Source
from seqc.training.trainer import Trainer
from seqc.utils.silence import Silence


class TrainingMethods(Hooks):
    """What makes a layer a model that trains.

    Attributes:
        stop_training: a callback that sets it ends the training after the batch, or epoch, under way.
        stop_evaluating, stop_predicting: the same for an evaluation, or validation, and for a prediction.
        history: the History of the latest run.
    """

    stop_evaluating = False
    stop_predicting = False

    def __init__(self) -> None:
        self._trainer = Trainer(self)  # type: ignore[arg-type]  # a model has what this part of it lacks

    def __getstate__(self) -> dict[str, Any]:
        return vars(self).copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._trainer = state["_trainer"].copy_for(self)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str | None = "auto",
        auto_scale_loss: bool = True,
        *,
        inference: str = NUMPY,
    ) -> None:
        """Sets optimizer, loss and metrics; in another call, a loss or metrics that it leaves out stay as they are.

        The steps are traced when they are first needed. A change of `layer.trainable` counts from the next call of
        `fit` or `train_on_batch` on; any other attribute of a layer or of the optimizer, but for the learning rate,
        counts after another `compile`.

        Args:
            optimizer: a name such as "adam" or an object of `seqc.optimizers`.
            loss: a name such as "mse", an object of `seqc.losses`, or a function `(y_true, y_pred)` of `seqc.ops`. For
            several outputs one for all, a list with one per output, or a dictionary by their names; None for an output
            without a loss. loss_weights: one factor for the loss, or one per output.
            metrics: a list of names, objects of `seqc.metrics` or functions; a mask enters them, sample weights do not.
            For several outputs an entry, or a list, per output, or a dictionary by their names.
            weighted_metrics: the same, with sample weights.
            run_eagerly, steps_per_execution, jit_compile: accepted for scripts written for Keras; a graph is always
            traced and there is one way to run it.
            auto_scale_loss: whether a model whose policy is "mixed_float16" gets a `LossScaleOptimizer` around its
            optimizer, so that small gradients do not vanish.
            inference: what computes predictions, "numpy" or "onnxruntime", where `predict` is not told; no file keeps
            it.

        Raises:
            ConfigError: a name or object is not understood.

        Example:
            >>> model = seqc.Sequential([seqc.Input((4,)), seqc.layers.Dense(1, "sigmoid")])
            >>> model.compile(seqc.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
            >>> float(model.optimizer.learning_rate.numpy())
            0.009999999776482582
        """
        backend = check_backend("inference", inference)
        chosen = optimizers.get(optimizer)
        mixed = cast(Any, self).dtype_policy.name == "mixed_float16"
        if auto_scale_loss and mixed and not isinstance(chosen, optimizers.LossScaleOptimizer):
            chosen = optimizers.LossScaleOptimizer(chosen, name="loss_scale_optimizer")
        self._trainer.compile(
            optimizer=chosen,
            loss=loss,
            metrics_list=metrics,
            weighted_metrics=weighted_metrics,
            loss_weights=loss_weights,
        )
        self._trainer.inference, self._trainer.asked_eager = backend, bool(run_eagerly)

    # A graph is always compiled, and there is one way to run it.
    run_eagerly = False
    jit_compile = False
    steps_per_execution = 1
    unrolled_steps_per_execution = 1

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with what `get_compile_config` gave."""
        accepted = inspect.signature(TrainingMethods.compile).parameters
        self.compile(**{name: revive(value) for name, value in config.items() if name in accepted})

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._trainer.settings is not None

    @property
    def optimizer(self) -> Any:
        """The optimizer that `compile` was given, or that was set without it, for a loop of one's own."""
        trainer = self._trainer
        loose = trainer.settings is None and trainer.loose_optimizer is not None
        return trainer.loose_optimizer if loose else trainer.compiled.optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        if self._trainer.settings is None:
            self._trainer.loose_optimizer = optimizers.get(optimizer)
            return
        self._trainer.compiled.optimizer = optimizers.get(optimizer)
        self._trainer.forget_steps()

    @property
    def loss(self) -> Any:
        """The loss, or the losses, given to `compile`, None before; what is set is for a step of one's own."""
        settings = self._trainer.settings
        return None if settings is None else settings.shown_loss

    @loss.setter
    def loss(self, loss: Any) -> None:
        self._trainer.compiled.shown_loss = loss
        self._trainer.forget_steps()

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return list(self._trainer.named_metrics)

    @property
    def metrics_variables(self) -> list[Any]:
        """The totals of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns the arguments of `compile` as plain data, or None before it was called."""
        settings = self._trainer.settings
        return None if settings is None else settings.get_config()

    @property
    def stop_training(self) -> bool:
        """Whether `fit` is to end after this epoch; callbacks set it."""
        return self._trainer.stop_training

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._trainer.stop_training = stop

    @property
    def history(self) -> History | None:
        """The History of the latest run."""
        return self._trainer.history

    @history.setter
    def history(self, history: History) -> None:
        self._trainer.history = history

    @finish_steps
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Trains the model.

        Args:
            x, y: samples and labels, arrays with one row per sample, several in a list or in a dictionary by the names
            of inputs and outputs; or x alone, an iterable of batches (x, y) or
            (x, y, sample_weight).
            batch_size: samples per step, 32 by default; arrays only. epochs: where to stop counting epochs.
            verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch; "auto" is 1, None 0.
            callbacks: objects of `seqc.callbacks`.
            validation_split: fraction at the end of the arrays to keep for validation.
            validation_data: (x, y), (x, y, sample_weight), or an iterable of batches.
            shuffle: a new order of samples in every epoch, which `seqc.utils.set_random_seed` makes repeatable; "batch"
            for one within each batch.
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

        Example:
            >>> x = np.linspace(-1.0, 1.0, 64).reshape(-1, 1)
            >>> model = seqc.Sequential([seqc.Input((1,)), seqc.layers.Dense(1)])
            >>> model.compile(seqc.optimizers.SGD(0.1), "mse")
            >>> history = model.fit(x, 3 * x + 1, batch_size=8, epochs=20, verbose=0)
            >>> len(history.history["loss"]), history.history["loss"][-1] < 1e-3
            (20, True)
        """
        trainer = self._trainer
        epochs, initial_epoch = whole_number("epochs", epochs, 0), whole_number("initial_epoch", initial_epoch, 0)
        level, batch_size = verbosity(verbose), optional_number("batch_size", batch_size)
        size = optional_number("validation_batch_size", validation_batch_size) or batch_size
        epochs = limited("max_epochs", "epochs", epochs) or 0
        validated = [epoch for epoch in range(initial_epoch, epochs) if validates(epoch, validation_freq)]
        per_epoch = optional_number("steps_per_epoch", steps_per_epoch or None)
        with ExitStack() as opened:
            training: Source
            if validation_split and validation_data is None:
                kept, held_out = trainer.split(x, y, sample_weight, validation_split)
                training = ArraySource(trainer.weighed(kept, class_weight), batch_size, shuffle, per_epoch)
                validation: Source | None = ArraySource(
                    held_out, size, per_epoch=optional_number("validation_steps", validation_steps or None)
                )
            else:

                def weighed(x: Any, y: Any, weight: Any) -> Data:
                    return trainer.weighed(trainer.labelled_data(x, y, weight), class_weight)

                training = trainer.source((x, y, sample_weight), weighed, batch_size, per_epoch, shuffle)
                opened.callback(training.close)
                validation = trainer.validation(validation_data, size, validation_steps, len(validated))
                if validation is not None:
                    opened.callback(validation.close)
            run = CallbackList(
                callbacks, add_history=True, model=self, verbose=verbose, epochs=epochs, steps=training.steps
            )
            run.expect(
                self.metrics_names,
                validation is not None and bool(validated or initial_epoch >= epochs),
                not trainer.may_log_more,
            )
            trainer.prepare()
            with show_progress(level, epochs) as progress:
                if level:  # behind the others, as in Keras, so that it shows what they add to the logs
                    run.append(LambdaCallback(on_epoch_end=lambda epoch, logs: progress.finish(logs)))
                trainer.fit(training, validation, range(initial_epoch, epochs), validated, run, progress)
        return run.history

    @finish_steps
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Returns the loss, or [loss, metrics...], or a dictionary of them, over all samples or so many `steps`.

        Args and errors: see `fit`.

        Example:
            >>> model = seqc.Sequential([seqc.Input((1,)), seqc.layers.Dense(1, kernel_initializer="ones")])
            >>> model.compile(loss="mse", metrics=["mae"])
            >>> model.evaluate(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]), verbose=0, return_dict=True)
            {'loss': 2.0, 'mae': 1.0}
        """
        trainer = self._trainer
        level, size = verbosity(verbose), optional_number("batch_size", batch_size)
        source = trainer.source(
            (x, y, sample_weight), trainer.labelled_data, size, optional_number("steps", steps or None)
        )
        with closing(source), show_progress(level, None) as progress:
            run = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=source.steps)
            progress.start(0, source.steps)
            logs = test_pass(trainer, source, run, progress)
            progress.finish(dict(sorted(logs.items())))
        return _listed(trainer, logs, return_dict)

    @finish_steps
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        *,
        backend: str | None = None,
    ) -> Any:
        """Returns the model's output, or its outputs in their list or dictionary, computed in batches.

        Args:
            backend: "numpy", or "onnxruntime": the model is exported in memory, verified, and run there, and exported
            again when its weights have changed. By default what `compile` was told as `inference`.
            others: see `fit`.

        Raises:
            ExportError and its kin: the model cannot be exported. MissingDependencyError: onnxruntime is not installed.
            others: see `fit`.

        Example:
            >>> model = seqc.Sequential([seqc.Input((2,)), seqc.layers.Dense(1, kernel_initializer="ones")])
            >>> model.predict(np.array([[1.0, 2.0], [3.0, 4.0]]), verbose=0)
            array([[3.],
                   [7.]], dtype=float32)
        """
        trainer = self._trainer
        chosen = trainer.inference if backend is None else check_backend("backend", backend)

        def samples(x: Any, y: Any, weight: Any) -> Data:
            return trainer.samples(x)

        level, size = verbosity(verbose), optional_number("batch_size", batch_size)
        source = trainer.source((x, None, None), samples, size, optional_number("steps", steps or None))
        with closing(source), show_progress(level, None) as progress:
            run = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=source.steps)
            progress.start(0, source.steps)
            result = predict_pass(trainer, source, run, progress, chosen)
            progress.finish({})
        return result

    @finish_steps
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        trainer = self._trainer
        data = trainer.weighed(trainer.labelled_data(x, y, sample_weight), class_weight)
        step = trainer.prepare().steps_taken
        with trainer.counting():
            NonFiniteLoss().check(trainer.run_batch("train", data.rows(slice(None))), 0, step)
            return _listed(trainer, trainer.logs(), return_dict)

    @finish_steps
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Evaluates one batch and returns its loss, or [loss, metrics...], or a dictionary of them."""
        trainer = self._trainer
        data = trainer.labelled_data(x, y, sample_weight)
        with trainer.counting():
            trainer.run_batch("test", data.rows(slice(None)))
            return _listed(trainer, trainer.logs(), return_dict)

    @finish_steps
    def predict_on_batch(self, x: Any) -> Any:
        """Returns the model's output, or its outputs, for one batch."""
        trainer = self._trainer
        batch = trainer.samples(x, some=False).rows(slice(None))
        results = predictor(trainer, trainer.inference)(batch)
        return tree.pack_sequence_as(trainer.step_for("predict", batch).form, results)


def _listed(trainer: Trainer, logs: dict[str, Any], as_dict: bool) -> Any:
    if as_dict:  # as Keras lists them
        return dict(sorted(logs.items()))
    values = trainer.listed(logs)
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
