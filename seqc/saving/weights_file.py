"""Files with the weights of a model, and perhaps the state of its optimizer, without its layers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from seqc.errors import ConfigError, NotBuiltError, SavingError
from seqc.model import Model
from seqc.saving.arrays import Weights
from seqc.saving.containers import open_model
from seqc.saving.h5 import pack_store
from seqc.saving.state import model_arrays
from seqc.utils.display import note
from seqc.utils.files import check_target, write_file


def save_weights(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes a model's weights, and its optimizer's state if it has one, to a `.weights.h5` file.

    Raises:
        SavingError: the path does not end in `.weights.h5`. NotBuiltError: the model has no weights yet.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    require_model(model)
    if not str(filepath).endswith(".weights.h5"):
        raise SavingError(f"The filename must end in `.weights.h5`. Received: filepath={filepath}")
    if not model.built:
        raise NotBuiltError(
            "You are saving a model that has not yet been built. Try building the model first by calling it on some "
            "data or by using `build()`."
        )
    check_overwrite(Path(filepath), overwrite)
    write_file(filepath, pack_store(model_arrays(model)))


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


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Checks that a file may be written, and replaced if it is there.

    Raises:
        SavingError: it is there and may not be replaced. MissingFolderError, PathError: see `check_target`.
    """
    if path.exists() and not overwrite:
        raise SavingError(f"File exists: filepath={path}. Pass overwrite=True to replace it.")
    check_target(path)


def require_model(model: Any) -> None:
    """Raises SavingError for what is no model."""
    if not isinstance(model, Model):
        raise SavingError(f"seqc saves and loads models; got {type(model).__name__}.")
