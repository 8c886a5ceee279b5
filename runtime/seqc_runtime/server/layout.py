"""Which models and versions lie at the paths that are served: files, and folders as Triton lays them out."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seqc_runtime.errors import RuntimeModelError
from seqc_runtime.server.config import ModelConfig, read_config

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")
LOG = logging.getLogger("seqc_runtime.server")
_SUFFIX = ".onnx"

Stamp = tuple[ModelConfig | tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """The file of a version, and what changes when any file beside it does, or how it is to be served."""

    path: Path
    stamp: Stamp


@dataclass(slots=True)
class FoundModel:
    """A model on the disk. problem: why it cannot be served, None when nothing speaks against it."""

    name: str
    versions: dict[int, FoundVersion] = field(default_factory=dict)
    config: ModelConfig = field(default_factory=ModelConfig)
    problem: str | None = None


class Layout:
    """Looks for models.

    paths: of .onnx files (version 1 of a model called like the file), of a model's folder with its versions
    (`digits/1/model.onnx`), or of folders with such files and folders in them. name: of the model, where there is one
    when it is first looked.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], name: str | None = None) -> None:
        self.paths = [Path(os.path.abspath(path)) for path in paths]
        self.name = name
        # What the model is called on the disk that is called `name` here.
        self._renamed: str | None = None

    def check(self) -> None:
        """Raise FileNotFoundError when a folder that models are in is gone, which says nothing of the models."""
        for path in self.paths:
            if path.suffix != _SUFFIX and not path.exists():
                raise FileNotFoundError(errno.ENOENT, "the folder of models is gone", str(path))

    def find(self) -> dict[str, FoundModel]:
        """The models that are there now, by name."""
        found: dict[str, FoundModel] = {}
        models = [model for path in self.paths for model in _look(path, self.name)]
        if self.name is not None and self._renamed is None and models:
            self._renamed = models[0].name if len(models) == 1 else self.name
            if len(models) > 1:
                LOG.warning("nothing is called %s: there are several models, which have their own names", self.name)
        for model in models:
            if model.name == self._renamed:
                model.name = str(self.name)
                model.problem = model.problem or _name_problem(model.name)
            if model.name in found:
                model.problem = f"several of the paths have a model {model.name!r}: give each a name of its own"
            found[model.name] = model
        return found


def _look(path: Path, name: str | None) -> list[FoundModel]:
    if not path.is_dir():
        return [_file(path, name or path.stem)] if path.exists() else []
    if _version_folders(path):
        return [_folder(path, path, name or path.name)]
    models = []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if _version_folders(entry) or (entry / "config.pbtxt").exists() or (entry / "seqc.json").exists():
                models.append(_folder(entry, path, entry.name))
        elif entry.suffix == _SUFFIX:
            models.append(_file(entry, entry.stem))
    return models


def _file(path: Path, name: str) -> FoundModel:
    model = FoundModel(name, problem=_name_problem(name))
    try:
        status = path.stat()
        model.versions[1] = FoundVersion(path, ((path.name, status.st_ino, status.st_size, status.st_mtime_ns),))
    except OSError as error:
        model.problem = f"{str(path)!r} cannot be read: {error.strerror}"
    return model


def _folder(path: Path, root: Path, name: str) -> FoundModel:
    model = FoundModel(name, problem=_name_problem(name))
    if model.problem is None and not path.resolve().is_relative_to(root.resolve()):
        model.problem = f"{str(path)!r} is a link that leads out of the repository"
    if model.problem is not None:
        return model
    try:
        model.config = read_config(path)
        # Which versions are served says nothing of one.
        way = replace(model.config, latest=None, versions=None)
        for folder in _version_folders(path):
            file = folder / model.config.file
            # A version may be taken away while it is looked at: then it is as if it had not been there.
            with contextlib.suppress(FileNotFoundError):
                if file.is_file() and folder.resolve().is_relative_to(root.resolve()):
                    model.versions[int(folder.name)] = FoundVersion(file, (way, *_stamp(folder)))
        if not model.versions:
            model.problem = f"{str(path)!r} has no version: a file such as 1/{model.config.file} was expected"
    except RuntimeModelError as error:
        model.problem = str(error)
    except OSError as error:
        model.problem = f"{str(path)!r} cannot be read: {error.strerror}"
    return model


def _version_folders(path: Path) -> list[Path]:
    try:
        return [entry for entry in path.iterdir() if VERSION.fullmatch(entry.name) and entry.is_dir()]
    except OSError:
        return []


def _stamp(folder: Path) -> Stamp:
    lines = []
    for entry in sorted(folder.iterdir()):
        # What is renamed between the list and this look is seen at the next.
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat()
            lines.append((entry.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(lines)


def _name_problem(name: str) -> str | None:
    if MODEL_NAME.fullmatch(name):
        return None
    return f"{name!r} is no name for a model (a letter or digit, then letters, digits, . _ -; 128 at most): rename it"
