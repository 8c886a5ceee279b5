"""Where a model comes from, checked before onnxruntime sees it."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Protocol

from seqc_runtime.bounds import DEFAULT, Bounds, check_bounds
from seqc_runtime.errors import RuntimeArgumentTypeError, RuntimeModelError, RuntimeModelNotFoundError
from seqc_runtime.wire import Buffer, Facts, MalformedError, read_facts

# Without waiting: a pipe may never answer.
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
ModelSource = str | os.PathLike[str] | bytes | bytearray | memoryview

# What is taken for an ONNX file most often.
_OTHERS = {
    b"PK\x03\x04": "a zip archive; if it is a .keras file, export it first: seqc export MODEL.keras -o MODEL.onnx",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, such as Keras's weights: build the model and export it",
    b"\x93NUMPY": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS, which stands for a file that was not downloaded",
}


class Held(Protocol):
    """A private copy of a model."""

    @property
    def path(self) -> Path:
        """Its directory."""

    def close(self) -> None:
        """Remove it."""


@dataclass(frozen=True)
class Admission:
    """How a model from a stranger was let in.

    digests: SHA-256 of its files, by name. protection: what held the process it was tried in.
    held: the private copy that is loaded; it goes when it is closed, or when nobody holds this.
    """

    digests: Mapping[str, str]
    protection: tuple[str, ...]
    held: Held = field(repr=False)


@dataclass(frozen=True)
class Source:
    """A checked model: `target` is what onnxruntime gets (absolute path or bytes), `name` is how errors call it.

    config: session options, by onnxruntime's names. admission: of a model that was not trusted.
    """

    target: str | bytes
    name: str
    facts: Facts
    stamp: tuple[int, ...] | None
    config: Mapping[str, str] = field(default_factory=dict)
    admission: Admission | None = None

    def check_unchanged(self) -> None:
        """Raise RuntimeModelError when the file is not the one that was checked."""
        if isinstance(self.target, str) and (
            not os.path.exists(self.target) or stamp(os.stat(self.target)) != self.stamp
        ):
            raise RuntimeModelError(f"{self.name} was changed or removed since it was checked: load it again")

    def digest(self) -> str:
        """SHA-256 of the model and of the files that hold its weights."""
        found = hashlib.sha256()
        if isinstance(self.target, bytes):
            found.update(self.target)
            return found.hexdigest()
        path = Path(self.target)
        for file in (path, *(path.parent / location for location in sorted(self.facts.external_locations))):
            try:
                with file.open("rb") as handle:
                    found.update(hashlib.file_digest(handle, "sha256").digest())
            except OSError as error:
                raise RuntimeModelError(f"{self.name} cannot be read: {error.strerror}") from error
        return found.hexdigest()


def open_source(model: ModelSource) -> Source:
    """Check a path or the bytes of a model.

    Raises RuntimeModelNotFoundError when the file is missing, RuntimeModelError when it is empty, not ONNX, or takes
    data from a place outside its own directory (from anywhere, when it comes as bytes), RuntimeArgumentTypeError for
    other types.
    """
    if isinstance(model, bytes | bytearray | memoryview):
        return _from_bytes(bytes(model))
    if isinstance(model, str | os.PathLike) and isinstance(os.fspath(model), str):
        return _from_path(Path(model))
    raise RuntimeArgumentTypeError(f"load() needs a path or the bytes of an ONNX model; got {type(model).__name__}")


def _from_bytes(data: bytes) -> Source:
    name = f"the model given as {len(data)} bytes"
    facts = check_model(data, name)
    if facts.external_locations:
        raise RuntimeModelError(
            f"{name} keeps weights in other files ({_listed(facts.external_locations)}), which bytes cannot reach: "
            "load it from its path, or save it as a single file"
        )
    return Source(data, name, facts, None)


def open_file(path: Path, name: str) -> tuple[int, os.stat_result]:
    """A descriptor of a model file, for the caller to close, and what it is.

    name: how errors call it.

    Raises RuntimeModelNotFoundError, RuntimeModelError when it cannot be read or is no plain file.
    """
    try:
        handle = os.open(path, READ)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RuntimeModelNotFoundError(f"there is no model file at {name} (looked at {str(path)!r})") from error
    except (OSError, ValueError) as error:
        raise RuntimeModelError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise RuntimeModelError(f"{name} is not a file: load() needs one .onnx file")
    return handle, status


def _from_path(given: Path) -> Source:
    path, name = Path(os.path.abspath(given)), repr(str(given))
    handle, status = open_file(path, name)
    try:
        if status.st_size == 0:
            raise RuntimeModelError(f"{name} is empty: an ONNX model was expected")
        with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as data:
            facts = check_model(data, name)
    except OSError as error:
        raise RuntimeModelError(f"{name} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    for location in sorted(facts.external_locations):
        _check_location(location, path.parent, name)
    return Source(str(path), name, facts, stamp(status))


def check_kind(data: Buffer, name: str) -> None:
    """Raise RuntimeModelError for what is plainly something else than a serialized model."""
    if len(data) == 0:
        raise RuntimeModelError(f"{name} is empty: an ONNX model was expected")
    # ORT-format flatbuffers carry compiled kernels' choices; only ONNX is checked here, so only ONNX is accepted.
    if data[4:8] == b"ORTM":
        raise RuntimeModelError(f"{name} is in onnxruntime's own ORT format: an ONNX model was expected")
    for start, kind in _OTHERS.items():
        if data[: len(start)] == start:
            raise RuntimeModelError(f"{name} is not an ONNX model; it is {kind}")


def check_model(data: Buffer, name: str, bounds: Bounds = DEFAULT) -> Facts:
    """The facts of a serialized model. Raises RuntimeModelError when it is none, or asks for more than `bounds`."""
    check_kind(data, name)
    try:
        facts = read_facts(data)
        check_bounds(data, bounds)
        return facts
    except MalformedError as error:
        raise RuntimeModelError(f"{name} is not an ONNX model, or is damaged: {error}") from error


def _check_location(location: str, directory: Path, name: str) -> None:
    try:
        problem = _location_problem(location, directory)
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, links in a circle
        problem = f"which cannot be looked up ({error}): refused"
    if problem:
        raise RuntimeModelError(f"{name} keeps weights in {location!r}, {problem}")


def _location_problem(location: str, directory: Path) -> str | None:
    # onnxruntime reads "*/..." as an address in this process's memory.
    if not location or "\0" in location or "*" in location:
        return "which is not a file name: refused"
    if PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor:
        return "an absolute path: weights must lie in the model's own directory"
    target = (directory / location).resolve()
    if not target.is_relative_to(directory.resolve()):
        return "which lies outside the model's own directory: refused"
    if not target.is_file():
        return "which is missing: put that file beside the model, or save the model as a single file"
    return None


def _listed(locations: set[str]) -> str:
    names = sorted(repr(location) for location in locations)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """What tells that a file is still the same."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
