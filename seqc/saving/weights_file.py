"""Weights of a model out of files of any kind, and the state of its optimizer where they hold it."""

from __future__ import annotations

import os
from typing import Any

from seqc.errors import ConfigError, NotBuiltError, SavingError
from seqc.model import Model
from seqc.saving.arrays import Weights
from seqc.saving.containers import open_model
from seqc.utils.display import note


def load_weights(model: Model, filepath: str | os.PathLike[str], skip_mismatch: bool = False, **options: Any) -> None:
    """Reads the weights of a model from a file of any kind that holds some; the layers must be the same.

    A `.keras` or `.weights.h5` file has them by the place of their layer; an `.h5` file of Keras 1 or 2, or of whole
    models, by layer, in their order where the names are others; `.npz`, safetensors and TensorFlow.js by name or order.

    Args:
        model: the model.
        filepath: the file; which kind it is, its content says.
        skip_mismatch: warn about what does not fit instead of raising, and load the rest.
        options: `by_name=True` fills only layers that the file names, where it has weights by layer.

    Raises:
        SavingFileNotFound: there is no file. NotBuiltError: the model has no weights yet. SavingError: the file is
        damaged or its weights do not fit; the model keeps its weights then. ConfigError: another option was given.
    """
    require_model(model)
    by_name = bool(options.pop("by_name", False))
    if options:
        raise ConfigError(
            f"load_weights() has no argument {', '.join(map(repr, options))}; it has skip_mismatch and by_name."
        )
    if not model.built:
        raise NotBuiltError(
            "You are loading weights into a model that has not yet been built. Try building the model first by calling "
            "it on some data or by using `build()`."
        )
    with open_model(filepath, "Weights file") as opened:
        if opened.weights is None:
            raise SavingError(f"'{opened.source}' is {opened.kind}: it holds no weights.")
        _fill(model, opened.weights, skip_mismatch, by_name)


def _fill(model: Model, weights: Weights, skip_mismatch: bool, by_name: bool) -> None:
    before = model.get_weights()
    try:
        skipped = weights.fill(model, skip_mismatch, by_name)
    except BaseException:
        model.set_weights(before)
        raise
    if skipped:
        note(f"Skipped while loading '{weights.source}': {' '.join(skipped)}", warn=True)
    if model.compiled:
        resume_optimizer(model, weights, build=False)


def resume_optimizer(model: Model, weights: Weights, build: bool) -> None:
    """Sets the state of a model's optimizer from a file, or warns that it does not."""
    reason = weights.fill_optimizer(model, build)
    if reason is not None:
        note(reason, warn=True)


def require_model(model: Any) -> None:
    """Raises SavingError for what is no model."""
    if not isinstance(model, Model):
        raise SavingError(f"seqc saves and loads models; got {type(model).__name__}.")
