"""`.keras` and `.weights.h5` files: Keras's own, written and read without Keras."""

from __future__ import annotations

import inspect
import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqc._version import __version__
from seqc.errors import ConfigError, NotBuiltError, SavingError, SeqcError
from seqc.file_scope import one_file
from seqc.saving.archive import ASSETS, CONFIG, METADATA, WEIGHTS, open_archive, pack
from seqc.saving.check import check_classes
from seqc.saving.h5 import Store, open_store, pack_store
from seqc.saving.state import model_arrays, model_assets, restore_layers, restore_optimizer, shared_layers
from seqc.sequential import Sequential
from seqc.serialization import custom_object_scope, deserialize, revive, serialize_object
from seqc.utils.files import check_target, write_file

# The release of Keras whose files these are. Keras reads any 3.x; the number tells people what to expect inside.
KERAS_VERSION = "3.15.1"
# Weights that a file does not hold, such as states that start at zero, are small.
_SLACK = 1 << 20


def save_model(model: Sequential, filepath: str | os.PathLike[str], overwrite: bool = True, **options: Any) -> None:
    """Writes a model as Keras does: layers, weights, the arguments of `compile` and the optimizer's state.

    The file is whole or not there. The same model gives the same bytes but for the date, which is taken from the
    environment variable SOURCE_DATE_EPOCH (seconds since 1970) if it is set.

    Args:
        filepath: ends in `.keras`. overwrite: whether a file that is there may be replaced.
        options: `include_optimizer=False` leaves the optimizer's state out. `zipped` may only be True.

    Raises:
        SavingError: the path's ending, a layer's configuration or an existing file does not allow it.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    with_optimizer = bool(options.pop("include_optimizer", True))
    zipped = options.pop("zipped", None)
    if options:
        raise ConfigError(f"The following argument(s) are not supported: {list(options)}")
    _require_sequential(model)
    path = Path(filepath)
    if path.suffix != ".keras" or zipped is False:
        raise SavingError(
            "Invalid filepath extension for saving. Please add a `.keras` extension: the Keras format is the one seqc "
            f"writes. Use `model.export(filepath)` for ONNX. Received: filepath={filepath}."
        )
    if not model.built:
        warnings.warn(
            f"Model '{model.name}' is saved before it was built: the file holds no weights. Build it first with "
            "model.build((None, ...)) or by calling it on data.",
            stacklevel=2,
        )
    _check_target(path, overwrite)
    members = {METADATA: json.dumps(_metadata()).encode(), CONFIG: _config_json(model)}
    members[WEIGHTS] = pack_store(model_arrays(model, with_optimizer))
    members |= {ASSETS + name: content for name, content in sorted(model_assets(model).items())}
    write_file(path, pack(members))


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """Reads a Sequential model that Keras 3 or seqc saved. Keras is not needed, and no code from the file is ever run.

    Args:
        filepath: ends in `.keras`. custom_objects: own classes and functions by the name the file has for them.
        compile: whether to restore optimizer, loss and metrics too; a model saved uncompiled stays so.
        safe_mode: accepted for Keras's sake. Code in a file is refused whatever it says.

    Raises:
        SavingFileNotFound: there is no file. SavingError: it is damaged, unsafe, or needs what seqc does not have.
    """
    path = str(filepath)
    if not path.endswith(".keras"):
        raise SavingError(
            f"File format not supported: filepath={path}. seqc reads `.keras` files. To bring an `.h5` file or a "
            "SavedModel along, load it in Keras once and save it as `.keras`."
        )
    with open_archive(path) as archive, custom_object_scope(custom_objects or {}):
        config = _parse(archive.read(CONFIG), path)
        check_classes(config, path)
        with open_store(archive.read(WEIGHTS), f"{path}:{WEIGHTS}") as store:
            with one_file(weight_bytes=store.size + _SLACK):
                model = deserialize(config)
            _require_sequential(model)
            restore_layers(model, store, archive.assets())
            if compile and config.get("compile_config"):
                _compile(model, config["compile_config"], store)
    return model  # type: ignore[no-any-return]


def save_weights(model: Sequential, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes a model's weights, and its optimizer's state if it has one, to a `.weights.h5` file.

    Raises:
        SavingError: the path does not end in `.weights.h5`. NotBuiltError: the model has no weights yet.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    _require_sequential(model)
    if not str(filepath).endswith(".weights.h5"):
        raise SavingError(f"The filename must end in `.weights.h5`. Received: filepath={filepath}")
    if not model.built:
        raise NotBuiltError(
            "You are saving a model that has not yet been built. Try building the model first by calling it on some "
            "data or by using `build()`."
        )
    _check_target(Path(filepath), overwrite)
    write_file(filepath, pack_store(model_arrays(model)))


def load_weights(model: Sequential, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
    """Reads the weights of a model from a `.weights.h5` or `.keras` file; the layers must be the same.

    Args:
        skip_mismatch: warn about what does not fit instead of raising, and load the rest.

    Raises:
        SavingFileNotFound: there is no file. NotBuiltError: the model has no weights yet. SavingError: the file is
        damaged or its weights do not fit; the model keeps its weights then.
    """
    _require_sequential(model)
    path = str(filepath)
    if not path.endswith((".weights.h5", ".keras")):
        raise SavingError(
            f"File format not supported: filepath={path}. Weights are read from `.weights.h5` and `.keras` files."
        )
    if not model.built:
        raise NotBuiltError(
            "You are loading weights into a model that has not yet been built. Try building the model first by calling "
            "it on some data or by using `build()`."
        )
    if path.endswith(".keras"):
        with open_archive(path) as archive, open_store(archive.read(WEIGHTS), f"{path}:{WEIGHTS}") as store:
            _restore(model, store, archive.assets(), skip_mismatch)
    else:
        with open_store(path, path) as store:
            _restore(model, store, {}, skip_mismatch)


def _restore(model: Sequential, store: Store, assets: Mapping[str, bytes], skip_mismatch: bool) -> None:
    before = model.get_weights()
    try:
        skipped = restore_layers(model, store, assets, skip_mismatch)
    except BaseException:
        model.set_weights(before)
        raise
    if skipped:
        warnings.warn(f"Skipped while loading '{store.source}': {' '.join(skipped)}", stacklevel=3)
    if model.compiled:
        _restore_optimizer(model, store)


def _restore_optimizer(model: Sequential, store: Store) -> None:
    reason = restore_optimizer(model, store)
    if reason is not None:
        warnings.warn(reason, stacklevel=4)


def _compile(model: Sequential, config: Any, store: Store) -> None:
    accepted = inspect.signature(model.compile).parameters
    try:
        model.compile(**{k: revive(v) for k, v in config.items() if k in accepted})
        _restore_optimizer(model, store)
    except (SeqcError, TypeError, AttributeError) as error:
        raise SavingError(
            f"The arguments of compile() in '{store.source}' cannot be restored: {error} Load the model with "
            "compile=False and compile it anew."
        ) from error


def _require_sequential(model: Any) -> None:
    if not isinstance(model, Sequential):
        raise SavingError(f"seqc saves and loads Sequential models; got {type(model).__name__}.")


def _metadata() -> dict[str, str]:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    moment = time.gmtime(int(given)) if given else time.localtime()
    return {
        "keras_version": KERAS_VERSION,
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S", moment),
        "written_by": f"seqc {__version__}",
    }


def _config_json(model: Sequential) -> bytes:
    with one_file(numbers=shared_layers(model)):
        config = serialize_object(model)
    config.setdefault("compile_config", {})
    try:
        return json.dumps(config).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise SavingError(f"The configuration of model '{model.name}' is not plain data: {error}.") from error


def _parse(content: bytes, path: str) -> dict[str, Any]:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SavingError(f"Member '{CONFIG}' of '{path}' is damaged: {error}.") from error
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        raise SavingError(f"Member '{CONFIG}' of '{path}' does not describe a model.")
    return config


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise SavingError(f"File exists: filepath={path}. Pass overwrite=True to replace it.")
    check_target(path)
