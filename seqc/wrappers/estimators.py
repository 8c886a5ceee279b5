"""Classifiers, regressors and transformers, with the names and arguments of `keras.wrappers`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, RegressorMixin, TransformerMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from seqc.errors import ConfigError
from seqc.graph.ir import Array, Value
from seqc.model import Model
from seqc.wrappers.base import SKLBase
from seqc.wrappers.reading import Reading, read_output


class _Numeric(SKLBase):
    """An estimator whose targets are numbers."""

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        found: tuple[Array, Array] = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True)
        return found

    def _learn_targets(self, y: Array, weights: Array | None) -> Array:
        return y if y.ndim > 1 else y[:, None]

    def _targets(self, model: Model, output: Value, y: Array, encoded: Array) -> Array:
        return encoded


class SKLearnRegressor(RegressorMixin, _Numeric):
    """A model as scikit-learn's regressor; arguments and attributes are those of `SKLBase`.

    Of y with one axis, predictions have one, too; of several targets, a column for each.

    Example:
        def mlp(X, y, units=16):
            model = seqc.Sequential([seqc.Input(X.shape[1:]), Dense(units, activation="relu"), Dense(y.shape[1])])
            model.compile("adam", "mse")
            return model

        SKLearnRegressor(mlp, model_kwargs={"units": 32}, fit_kwargs={"epochs": 20, "verbose": 0}).fit(X, y)
    """

    def _learn_targets(self, y: Array, weights: Array | None) -> Array:
        self._axes = y.ndim
        return super()._learn_targets(y, weights)

    def predict(self, X: Any) -> Array:
        """Returns the targets that the model says: (samples,), or (samples, targets)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._axes == 1 and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class SKLearnTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Numeric):
    """A model as scikit-learn's transformer, whose outputs are features; arguments and attributes as of `SKLBase`.

    It is trained on targets as a regressor is; `sklearn.frozen.FrozenEstimator` keeps a pipeline from training it.
    """

    def transform(self, X: Any) -> Array:
        """Returns the model's outputs."""
        return self._outputs(X)

    @property
    def _n_features_out(self) -> int:
        check_is_fitted(self, "model_")
        return int(self.model_.output_shape[-1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = tags.target_tags.multi_output = True
        return tags


def _gives_probabilities(self: SKLearnClassifier) -> bool:
    reading = getattr(self, "_reading", None)
    if reading is not None and reading.scale == "scores":
        raise AttributeError(
            f"The outputs of model '{self.model_.name}' are no probabilities: it ends in no softmax or sigmoid, and "
            "its loss is no crossentropy. decision_function has its scores."
        )
    return True


class SKLearnClassifier(ClassifierMixin, SKLBase):
    """A model as scikit-learn's classifier; arguments and attributes are those of `SKLBase`, and `classes_`.

    Labels are numbers, strings or whatever else `numpy.unique` sorts; a function that makes the model is given y as
    ones and zeros with a column for each class. The model learns them in the form that its loss wants: a sparse loss
    gets class numbers, and a model for two classes with one output one column of zeros and ones. Labels given as ones
    and zeros in several columns are answered likewise: by a softmax one class per sample, otherwise each column by
    itself.

    `class_weight` among the arguments of `fit` is by label, or "balanced"; `validation_data` has labels as y has.

    Example:
        def mlp(X, y, units=16):
            layers = [seqc.Input(X.shape[1:]), Dense(units, activation="relu"), Dense(y.shape[1], activation="softmax")]
            model = seqc.Sequential(layers)
            model.compile("adam", "categorical_crossentropy")
            return model

        SKLearnClassifier(mlp, fit_kwargs={"epochs": 20, "verbose": 0}).fit(X, y).predict_proba(X)
    """

    _reading: Reading

    def predict(self, X: Any) -> Array:
        """Returns the label of each sample."""
        outputs = self._outputs(X)
        chosen = self._reading.chosen(outputs)
        return np.asarray(self.classes_[chosen]) if self._reading.exclusive else chosen

    def decision_function(self, X: Any) -> Array:
        """Returns the model's outputs; of two classes, (samples,), how far the second is ahead of the first."""
        outputs = self._outputs(X)
        return self._reading.decision(outputs)

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Returns the probability of each class, (samples, classes), in the order of `classes_`."""
        outputs = self._outputs(X)
        return self._reading.probabilities(outputs)

    def _checked(self, X: Any, y: Any) -> tuple[Array, Array]:
        X, y = validate_data(self, X, y, allow_nd=True, multi_output=True)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(
                "Only binary and multiclass target types, and several columns of zeros and ones, are supported. "
                f"Target type: {kind}"
            )
        self._exclusive = kind != "multilabel-indicator"
        return X, column_or_1d(y, warn=True) if self._exclusive else y

    def _learn_targets(self, y: Array, weights: Array | None) -> Array:
        before = getattr(self, "classes_", None) if self.warm_start else None
        if not self._exclusive:
            self.classes_ = np.arange(y.shape[1])
            return y.astype(np.float32)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        counted = numbers if weights is None else numbers[weights > 0]
        if len(np.unique(counted)) < 2:
            raise ValueError("Classifier can't train when only one class is present.")
        if before is not None and not np.array_equal(before, self.classes_):
            raise ValueError(
                f"warm_start goes on with the classes of the fit before, {list(before)}; got {list(self.classes_)}."
            )
        return np.eye(len(self.classes_), dtype=np.float32)[numbers]

    def _targets(self, model: Model, output: Value, y: Array, encoded: Array) -> Array:
        loss = model._trainer.compiled.heads[0].loss_id
        self._reading = read_output(loss, output, len(self.classes_), self._exclusive)
        return self._encode(y)

    def _encode(self, y: Array) -> Array:
        """Returns labels as the model's loss wants them.

        Raises:
            ValueError: there is one that is no class.
        """
        if not self._exclusive:
            return np.asarray(y, np.float32)
        numbers = np.searchsorted(self.classes_, y).clip(0, len(self.classes_) - 1)
        unknown = np.unique(y[self.classes_[numbers] != y])
        if len(unknown):
            raise ValueError(f"Labels {list(unknown[:5])} are none of the classes {list(self.classes_)}.")
        return self._reading.target(numbers, np.eye(len(self.classes_), dtype=np.float32)[numbers])

    def _adapt(self, options: dict[str, Any], y: Array) -> None:
        weight, known = options.get("class_weight"), list(self.classes_)
        if weight is not None:
            if not self._exclusive:
                raise ConfigError("class_weight is for labels of one class per sample.")
            if isinstance(weight, str):
                weight = dict(zip(known, compute_class_weight(weight, classes=self.classes_, y=y), strict=True))
            unknown = [label for label in weight if label not in known]
            if unknown:
                raise ConfigError(f"class_weight has {unknown}, which are none of the classes {known}.")
            options["class_weight"] = {i: float(weight[c]) for i, c in enumerate(known) if c in weight}
        held = options.get("validation_data")
        if isinstance(held, tuple | list) and len(held) in (2, 3):
            x, labels = validate_data(self, held[0], reset=False, allow_nd=True), np.asarray(held[1])
            if self._exclusive and labels.ndim == 2 and labels.shape[1] == 1:
                labels = labels[:, 0]
            options["validation_data"] = (x, self._encode(labels) if labels.ndim == 1 else labels, *held[2:])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags
