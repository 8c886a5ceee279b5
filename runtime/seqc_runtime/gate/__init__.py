"""The gate for models from strangers: `admit` scans, copies and tries a model before anything is loaded here."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from seqc_runtime.errors import RuntimeArgumentError, RuntimeModelError, RuntimeModelNotFoundError
from seqc_runtime.gate.copy import PrivateCopy, read_model
from seqc_runtime.gate.limits import DEFAULT, Limits, RefusedError
from seqc_runtime.gate.probe import try_model
from seqc_runtime.gate.scan import scan_model
from seqc_runtime.source import Admission, ModelSource, Source, check_kind, check_model, stamp
from seqc_runtime.wire import Facts, MalformedError

__all__ = ["DEFAULT", "Limits", "admit"]


def admit(model: ModelSource, limits: Limits = DEFAULT) -> Source:
    """Let in a model that nobody vouches for.

    It is copied (with its weights, plain files in its own directory) to a private directory, the copy is scanned
    without onnx or onnxruntime, and loaded and run once in a process of its own that can open nothing else, write
    nothing, reach nobody, and is ended when it takes too long. What is returned is the copy.

    model: a path, or the bytes of a single file. limits: what it may be.

    Raises RuntimeModelNotFoundError, RuntimeModelError (with the reason why it is not let in, or because this system
    cannot protect the probe as `limits.require` asks), RuntimeArgumentError for wrong limits, TypeError for what is no
    model.
    """
    if not isinstance(limits, Limits):
        raise RuntimeArgumentError(f"limits needs a seqc_runtime.gate.Limits; got {type(limits).__name__}")
    pieces, directory, name = _opened(model, limits)
    try:
        copy = PrivateCopy(limits)
        try:
            target = copy.write("model.onnx" if directory is None else directory[1], pieces)
            facts = _scanned(target, copy, None if directory is None else directory[0], name, limits)
            config = limits.session_config()
            protection = try_model(target, name, copy.size, config, limits)
        except BaseException:
            copy.close()
            raise
    except RefusedError as error:
        raise RuntimeModelError(f"{name} is not let in: {error}") from error
    except MalformedError as error:
        raise RuntimeModelError(f"{name} is not an ONNX model, or is damaged: {error}") from error
    except OSError as error:
        if isinstance(error, RuntimeModelNotFoundError):
            raise
        raise RuntimeModelError(f"no private copy of {name} can be made: {error.strerror or error}") from error
    admission = Admission(copy.digests, protection, copy)
    return Source(str(target), name, facts, stamp(os.stat(target)), config, admission)


def _opened(model: ModelSource, limits: Limits) -> tuple[Iterator[bytes], tuple[Path, str] | None, str]:
    """The bytes of a model, its directory and file name if it has them, and how errors call it."""
    if isinstance(model, bytes | bytearray | memoryview):
        data = bytes(model)
        return iter([data]), None, f"the model given as {len(data)} bytes"
    if isinstance(model, str | os.PathLike):
        path, name = Path(os.path.abspath(model)), repr(str(model))
        return read_model(path, name, limits), (path.parent, path.name), name
    raise TypeError(f"a path or the bytes of an ONNX model are needed; got {type(model).__name__}")


def _scanned(target: Path, copy: PrivateCopy, directory: Path | None, name: str, limits: Limits) -> Facts:
    """The facts of the copied model, all of it looked at and its weights copied, too."""
    if target.stat().st_size == 0:
        raise RuntimeModelError(f"{name} is empty: an ONNX model was expected")
    with open(target, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        check_kind(data, name)
        # First, for it looks at so many fields and no more.
        externals = scan_model(data, limits)
        facts = check_model(data, name, limits.bounds)
    if externals and directory is None:
        raise RefusedError("it keeps weights in other files, which bytes cannot reach: load it from its path")
    if externals and directory is not None:
        copy.add_weights(externals, directory)
    return facts
