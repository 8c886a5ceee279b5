"""Models and weights into files; the ending of the name says which kind of file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from seqc.errors import ConfigError, NotBuiltError, SavingError
from seqc.keras_places import NOT_IN_KERAS
from seqc.model import Model
from seqc.saving.containers import WEIGHT_ENDINGS, check_packages, model_writer, weights_writer
from seqc.saving.names import check_names
from seqc.saving.sharded_writer import sharded_path, shards_beside, write_sharded
from seqc.saving.weights_file import require_model
from seqc.seeds import undisturbed
from seqc.utils.display import note
from seqc.utils.files import check_target, replace_file


def save_model(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True, **options: Any) -> None:
    """Writes a model as Keras does: layers, weights, the arguments of `compile` and the optimizer's state.

    The file is whole or not there. The same model gives the same bytes but for the date in a `.keras` file, which is
    taken from the environment variable SOURCE_DATE_EPOCH (seconds since 1970) if it is set.

    Args:
        filepath: ends in `.keras`; or in `.h5` or `.hdf5` for the form before, which Keras calls legacy.
        overwrite: whether a file that is there may be replaced.
        options: `include_optimizer=False` leaves the optimizer's state out. `zipped` may only be True.

    Raises:
        SavingError: the path's ending, a layer's configuration or an existing file does not allow it, or the file could
        not be loaded again.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    with_optimizer = bool(options.pop("include_optimizer", True))
    zipped = options.pop("zipped", None)
    if options:
        raise ConfigError(f"The following argument(s) are not supported: {list(options)}")
    require_model(model)
    write = model_writer(filepath)
    if write is None or zipped is False:
        raise SavingError(
            "Invalid filepath extension for saving. Please add a `.keras` extension: the Keras format is the one seqc "
            f"writes, and `.h5` the legacy one. Use `model.export(filepath)` for ONNX. Received: filepath={filepath}."
        )
    if not model.built:
        warnings.warn(
            f"Model '{model.name}' is saved before it was built: the file holds no weights. Build it first with "
            "model.build((None, ...)) or by calling it on data.",
            stacklevel=2,
        )
    check_overwrite(Path(filepath), overwrite)
    check_names(model, hdf5=True)
    if not os.fspath(filepath).endswith(".keras"):
        note(
            "You are saving your model as an HDF5 file via `model.save()`. This file format is considered legacy. We "
            "recommend using instead the native Keras format, e.g. `model.save('my_model.keras')`.",
            warn=True,
        )
    with undisturbed(), replace_file(Path(filepath)) as file:
        write(model, with_optimizer, file)
    _say_what_keras_lacks(model)


def _say_what_keras_lacks(model: Model) -> None:
    old = [owner.path for owner in model._owners() if _is_old(owner)]
    if old:
        note(
            f"Layer '{old[0]}' computes hard_sigmoid as Keras 2 did, which Keras 3 lacks. To open the file there, "
            "write def hard_sigmoid_keras2(x): return keras.ops.clip(0.2 * x + 0.5, 0, 1), and give load_model "
            "custom_objects={'hard_sigmoid_keras2': hard_sigmoid_keras2}.",
            warn=True,
        )


def _is_old(layer: Any) -> bool:
    functions = (getattr(layer, name, None) for name in ("activation", "recurrent_activation"))
    return any(getattr(function, "__name__", "") in NOT_IN_KERAS for function in functions)


def save_weights(
    model: Model, filepath: str | os.PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Writes a model's weights to a file.

    Args:
        model: the model.
        filepath: ends in `.weights.h5` for Keras's own format, which also holds the state of the optimizer; in `.npz`
        for NumPy's, or in `.safetensors`, where weights have the names of their layers.
        overwrite: whether a file that is there may be replaced.
        max_shard_size: puts the weights into several files of so many GiB at most, which the `.weights.json` at
        `filepath` names: `NAME_00000.weights.h5` and so on, beside it.

    Raises:
        SavingError: the path ends in something else, or an array is larger than `max_shard_size`.
        NotBuiltError: the model has no weights yet.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    require_model(model)
    if max_shard_size is not None:
        filepath = sharded_path(filepath)
    write = weights_writer(filepath)
    if write is None and max_shard_size is None:
        *others, last = WEIGHT_ENDINGS
        raise SavingError(
            f"The filename must end in `.weights.h5`, Keras's format, or another one for weights: {', '.join(others)} "
            f"or {last}. Received: filepath={filepath}"
        )
    if not model.built:
        raise NotBuiltError(
            "You are saving a model that has not yet been built. Try building the model first by calling it on some "
            "data or by using `build()`."
        )
    parts = [] if max_shard_size is None else shards_beside(Path(filepath))
    for path in (Path(filepath), *parts):
        check_overwrite(path, overwrite)
    check_packages(filepath)
    check_names(model, hdf5=os.fspath(filepath).endswith((".h5", ".json")))
    if max_shard_size is not None:
        write_sharded(model, Path(filepath), max_shard_size)
    elif write is not None:
        with replace_file(Path(filepath)) as file:
            write(model, True, file)


def check_overwrite(path: Path, overwrite: bool) -> None:
    """Checks that a file may be written, and replaced if it is there.

    Raises:
        SavingError: it is there and may not be replaced. MissingFolderError, PathError: see `check_target`.
    """
    if path.exists() and not overwrite:
        raise SavingError(f"File exists: filepath={path}. Pass overwrite=True to replace it.")
    check_target(path)
