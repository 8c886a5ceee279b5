"""`.weights.h5` files: the weights of a model, and the state of its optimizer, without its layers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqc.errors import ConfigError, NotBuiltError, SavingError
from seqc.model import Model
from seqc.saving.archive import WEIGHTS, open_archive
from seqc.saving.h5 import Store, open_store, pack_store
from seqc.saving.kinds import HDF5, ZIP, kind_of, open_model_file
from seqc.saving.state import model_arrays, restore_layers, restore_optimizer
from seqc.utils.display import note
from seqc.utils.files import check_target, write_file

Assets = Callable[[str], dict[str, bytes]]


def save_weights(model: Model, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Writes a model's weights, and its optimizer's state if it has one, to a `.weights.h5` file.

    Raises:
        SavingError: the path does not end in `.weights.h5`. NotBuiltError: the model has no weights yet.
        MissingFolderError, PathError: no file can be written there, which is found out first.
    """
    require_sequential(model)
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
    """Reads the weights of a model from a `.weights.h5` or `.keras` file; the layers must be the same.

    Args:
        model: the model.
        filepath: the file; which of the two it is, its content says.
        skip_mismatch: warn about what does not fit instead of raising, and load the rest.
        options: `by_name` may be False.

    Raises:
        SavingFileNotFound: there is no file. NotBuiltError: the model has no weights yet. SavingError: the file is
        damaged or its weights do not fit; the model keeps its weights then. ConfigError: another option was given.
    """
    require_sequential(model)
    _check_options(options)
    if not model.built:
        raise NotBuiltError(
            "You are loading weights into a model that has not yet been built. Try building the model first by calling "
            "it on some data or by using `build()`."
        )
    with _open_weights(os.fspath(filepath)) as (store, assets):
        _restore(model, store, assets, skip_mismatch)


def _check_options(options: dict[str, Any]) -> None:
    if options.pop("by_name", False):
        raise ConfigError(
            "load_weights(by_name=True) belongs to the `.h5` files of Keras 2. A `.weights.h5` or `.keras` file holds "
            "weights by the place of their layer, not by its name: leave `by_name` out, and use skip_mismatch=True to "
            "load what fits and keep the rest."
        )
    if options:
        raise ConfigError(f"load_weights() has no argument {', '.join(map(repr, options))}; it has skip_mismatch.")


@contextmanager
def _open_weights(path: str) -> Iterator[tuple[Store, Assets | None]]:
    """Opens a file with weights, whichever of the two kinds it is."""
    file, start, size = open_model_file(path, f"Weights file not found: filepath={path}.")
    with file:
        if start.startswith(HDF5):
            with open_store(file, path, size) as store:
                _refuse_old(store)
                yield store, None
        elif start.startswith(ZIP):
            with open_archive(path) as archive:
                content = io.BytesIO(archive.read(WEIGHTS))
                with open_store(content, f"{path}:{WEIGHTS}", archive.size) as store:
                    yield store, archive.assets
        else:
            raise SavingError(
                f"File format not supported: filepath={path}. Weights are read from `.weights.h5` and `.keras` files; "
                f"this is {kind_of(start)}."
            )


def _refuse_old(store: Store) -> None:
    if not store.is_old:
        return
    raise SavingError(
        f"File format not supported: filepath={store.source}. It is an `.h5` file as Keras 2 wrote them, with weights "
        "by the names of their layers. Load it in Keras once and save it as `.keras`, or write its weights with "
        "model.save_weights('x.weights.h5') in Keras 3."
    )


def _restore(model: Model, store: Store, assets: Assets | None, skip_mismatch: bool) -> None:
    before = model.get_weights()
    try:
        skipped = restore_layers(model, store, assets, skip_mismatch)
    except BaseException:
        model.set_weights(before)
        raise
    if skipped:
        note(f"Skipped while loading '{store.source}': {' '.join(skipped)}", warn=True)
    if model.compiled:
        resume_optimizer(model, store, build=False)


def resume_optimizer(model: Model, store: Store, build: bool) -> None:
    """Sets the state of a model's optimizer from a file, or warns that it does not; see `restore_optimizer`."""
    reason = restore_optimizer(model, store, build)
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


def require_sequential(model: Any) -> None:
    """Raises SavingError for what is no Sequential model."""
    if not isinstance(model, Model):
        raise SavingError(f"seqc saves and loads Sequential models; got {type(model).__name__}.")
