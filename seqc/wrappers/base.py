"""What all wrappers are: an estimator of scikit-learn that makes, trains and asks a model."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from seqc.contexts import Scoped
from seqc.errors import ConfigError
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph, Value
from seqc.model import Model
from seqc.models import clone_model
from seqc.passes.precision import promote_floats
from seqc.wrappers.seeding import seeded

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt

_exact = Scoped("exact", default=False)


def in_double_precision() -> AbstractContextManager[object]:
    """Makes wrappers, wherever in a pipeline they are, ask their models' graphs in double precision: the truth."""
    return _exact.holding(True)


class SKLBase(BaseEstimator):
    """A model as an estimator.

    Args:
        model: a compiled model, or a function that returns one. A model is cloned at every fit, with fresh weights,
        unless `warm_start` is set. A function is called with `X`, `y` as the model is to learn it, and `model_kwargs`.
        warm_start: whether a further fit goes on with the weights of the one before; a model that was given is then
        trained itself.
        model_kwargs: arguments for the function.
        fit_kwargs: arguments for `model.fit`; those of `fit` itself come before them. Callbacks among them are copied
        for every fit, if they can be; those given to `fit` are not.
        random_state: a seed from which everything random in a fit follows, whatever was drawn before; None leaves it to
        `seqc.utils.set_random_seed`. Keras has no such argument.

    Attributes:
        model_: the fitted model. history_: what `model.fit` returned. n_features_in_, feature_names_in_: of X.
    """

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs
        self.random_state = random_state

    @property
    def epoch_(self) -> int:
        """How many epochs the last fit took."""
        history = getattr(self, "history_", None)
        return 0 if history is None else len(history.epoch)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Trains the model.

        Args:
            X: numbers, (samples, features), or with more axes where the model takes them; frames too.
            y: (samples,) or (samples, outputs). sample_weight: (samples,). kwargs: further arguments for `model.fit`.

        Raises:
            ValueError: the data are not what scikit-learn's estimators take. ConfigError: the model is no compiled one,
            or does not fit the data.
        """
        X, y = self._checked(X, y)
        weights = None if sample_weight is None else _weights(sample_weight, X)
        encoded = self._learn_targets(y, weights)
        options = {**_own(self.fit_kwargs), **kwargs}
        with seeded(self.random_state):
            model = self._model_for(X, encoded)
            output = _output_of(model, X)
            targets = self._targets(model, output, y, encoded)
            self._adapt(options, y)
            self.history_ = model.fit(X, targets, sample_weight=weights, **options)
        self.model_ = model
        return self

    def export(self, path: str | os.PathLike[str], **options: Any) -> Receipt:
        """Writes the fitted model as a verified ONNX file that gives what the estimator gives.

        See `seqc.wrappers.exporting.export_estimator`; of whole pipelines see `seqc.wrappers.export_pipeline`.
        """
        from seqc.wrappers.exporting import export_estimator

        return export_estimator(self, path, **options)

    # What kinds of estimators differ in.

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        """Returns the data as arrays."""
        raise NotImplementedError

    def _learn_targets(self, y: Array, weights: Array | None) -> Array:
        """Remembers what the targets are, and returns them as the function that makes the model is given them."""
        raise NotImplementedError

    def _targets(self, model: Model, output: Value, y: Array, encoded: Array) -> Array:
        """Returns the targets as the model's loss wants them."""
        raise NotImplementedError

    def _adapt(self, options: dict[str, Any], y: Array) -> None:
        """Changes arguments of `model.fit` that say something in terms of the targets."""

    # What they have in common.

    def _model_for(self, X: Array, y: Array) -> Model:
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            model: Any = self.model if self.warm_start else clone_model(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=y, **(self.model_kwargs or {}))
        else:
            raise ConfigError(
                f"{type(self).__name__} needs a compiled model, or a function of X and y that returns one; got "
                f"model={self.model!r}."
            )
        if not isinstance(model, Model):
            raise ConfigError(f"The function `model` of {type(self).__name__} must return a model; got {model!r}.")
        if not model.compiled or not model.loss:
            raise ConfigError("Given model needs to be compiled, and have a loss and an optimizer.")
        return model

    def _outputs(self, X: Any) -> Array:
        """Returns what the fitted model makes of X."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False, allow_nd=True)
        if _exact.get():
            graph = bound_graph(self.model_, X)
            double = promote_floats(graph)
            x = X.astype(double.inputs[0].dtype)
            return Interpreter(double).run([x, *_of_random_numbers(double)])[0]
        return np.asarray(self.model_.predict(X, verbose=0))


def bound_graph(model: Model, X: Array) -> Graph:
    """Returns the inference graph of a fitted model with its weights in it."""
    from seqc.export.model import inference_graph

    return inference_graph(model, None if _knows_shape(model) else (None, *X.shape[1:]))


def _knows_shape(model: Model) -> bool:
    return all(port.shape is not None for port in model._ports())


def _of_random_numbers(graph: Graph) -> list[Array]:
    """Returns the seed and step that stay where a layer draws random numbers in predictions, too."""
    return [np.zeros((), x.dtype) for x in graph.inputs[1:]]


def _output_of(model: Model, X: Array) -> Value:
    """Returns the output in the model's inference graph, building the model first where it knows no shape.

    Raises:
        ConfigError: it has several inputs or outputs.
    """
    if not model.built:
        model(X[:1])
    graph, _ = model.graph()
    inputs, outputs = len(model._ports()), len(graph.outputs)
    if inputs != 1 or outputs != 1:
        raise ConfigError(
            f"Estimators of scikit-learn take one X and give one array; model '{model.name}' has {inputs} inputs and "
            f"{outputs} outputs. Join them by Concatenate, or train it without a wrapper."
        )
    return graph.outputs[0]


def _weights(given: Any, X: Array) -> Array:
    weights: Array = _check_sample_weight(given, X)
    if not np.any(weights):
        raise ValueError("Sample weights must not all be zero.")
    return weights


def _own(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns arguments for `model.fit` with callbacks that a fit may change."""
    found = dict(given or {})
    if found.get("callbacks") is not None:
        given = found["callbacks"]
        several = isinstance(given, list | tuple)
        copies = [_copied(callback) for callback in (given if several else [given])]
        found["callbacks"] = copies if several else copies[0]
    return found


def _copied(callback: Any) -> Any:
    """Returns a copy of a callback, or itself where it holds what cannot be copied, such as an open file."""
    try:
        return copy.deepcopy(callback)
    except Exception:  # whatever the objects in it say of it
        return callback
